//! The job list's bytes. Owns the reading: without waiting where that can be had (pipes, sockets, files in memory),
//! otherwise the thread that blocks in read(2) and the two chunks between it and the reactor; never looks at what it reads.

use super::now::Kind;
use super::{Wake, fault_text, thread};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Bytes read at a time. A pipe holds 64 KiB; files gain nothing beyond twice that.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks read ahead of the reactor; when they lie there untaken, the thread waits.
const CHUNKS_AHEAD: usize = 2;

/// A piece of the job list; cut anywhere.
#[derive(Debug)]
pub struct Chunk {
    buffer: Box<[u8]>,
    length: usize,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// What the source has brought.
#[derive(Debug)]
pub enum InputEvent {
    /// Bytes; to be returned with [`Input::give_back`].
    Chunk(Chunk),
    /// The source has ended. Nothing follows.
    End,
    /// Reading failed, in words (`is a directory (EISDIR)`). Nothing follows.
    Failed(String),
    /// Nothing yet, or nothing any more: the bell rings when that changes.
    Nothing,
}

/// The job list as a stream of chunks.
///
/// A chunk that is not taken holds back the next read, and so the writer of the list. After a pause the
/// reactor has to ask for what is there already: the bell rings, or the descriptor becomes readable, for what is new only.
#[derive(Debug)]
pub struct Input {
    way: Way,
    wake: Wake,
}

/// How bytes come in.
#[derive(Debug)]
enum Way {
    /// By a thread that blocks in read(2).
    Thread { events: Receiver<InputEvent>, used: SyncSender<Chunk> },
    /// By reads that do not wait, of a descriptor which the reactor polls, or of a file as far as it is in memory.
    Direct { source: OwnedFd, kind: Kind, spare: Option<Chunk>, is_readable: bool },
    /// Nothing more will come; why, if that is still to be told.
    Ended { untold: Option<String> },
}

impl Input {
    /// Starts reading `source`, which is read with read(2) as it is; `wake` rings when there is something to take.
    pub fn start(source: OwnedFd, wake: Wake) -> io::Result<Self> {
        let way = match Kind::of_source(&source) {
            Some(kind) => Way::Direct { source, kind, spare: None, is_readable: true },
            None => Way::threaded(source, &wake)?,
        };
        Ok(Input { way, wake })
    }

    /// What is there now; never waits.
    pub fn try_next(&mut self) -> InputEvent {
        match &mut self.way {
            Way::Thread { events, .. } => match events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => InputEvent::Nothing,
            },
            Way::Direct { .. } => self.read_now(),
            Way::Ended { untold } => untold.take().map_or(InputEvent::Nothing, InputEvent::Failed),
        }
    }

    fn read_now(&mut self) -> InputEvent {
        let Way::Direct { source, kind, spare, is_readable } = &mut self.way else { return InputEvent::Nothing };
        if !std::mem::replace(is_readable, false) {
            return InputEvent::Nothing;
        }
        let mut chunk = spare.take().unwrap_or_else(Chunk::empty);
        let event = match kind.read(&*source, &mut chunk.buffer) {
            Ok(0) => InputEvent::End,
            Ok(length) => {
                // A short read has emptied it, and what comes later makes it readable anew. A file is until its end.
                *is_readable = length == chunk.buffer.len() || *kind == Kind::File;
                chunk.length = length;
                return InputEvent::Chunk(chunk);
            }
            Err(Errno::EAGAIN | Errno::EINTR) if *kind != Kind::File => {
                *spare = Some(chunk);
                return InputEvent::Nothing;
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EPERM) => {
                self.use_thread();
                return InputEvent::Nothing;
            }
            Err(errno) => InputEvent::Failed(fault_text(&errno.into())),
        };
        self.way = Way::Ended { untold: None };
        event
    }

    /// It cannot be read without waiting, or not be polled: from now on a thread waits, and rings.
    pub fn use_thread(&mut self) {
        match std::mem::replace(&mut self.way, Way::Ended { untold: None }) {
            Way::Direct { source, .. } => {
                self.way = Way::threaded(source, &self.wake).unwrap_or_else(|error| {
                    self.wake.ring();
                    Way::Ended { untold: Some(fault_text(&error)) }
                });
            }
            way => self.way = way,
        }
    }

    /// The descriptor to be polled for what is new, where no bell rings.
    pub fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Direct { kind: Kind::File, .. } | Way::Thread { .. } | Way::Ended { .. } => None,
            Way::Direct { source, .. } => Some(source.as_fd()),
        }
    }

    /// The descriptor has become readable. Whether that was known: then nobody wants to read at the moment, and it should
    /// not be polled until [`Input::try_next`] has found nothing.
    pub fn readable(&mut self) -> bool {
        match &mut self.way {
            Way::Direct { is_readable, .. } => std::mem::replace(is_readable, true),
            Way::Thread { .. } | Way::Ended { .. } => false,
        }
    }

    /// Returns the memory of a chunk for the next read.
    pub fn give_back(&mut self, chunk: Chunk) {
        match &mut self.way {
            // When the thread has ended or holds enough, the memory goes the usual way.
            Way::Thread { used, .. } => drop(used.try_send(chunk)),
            Way::Direct { spare, .. } => *spare = Some(chunk),
            Way::Ended { .. } => {}
        }
    }
}

impl Way {
    fn threaded(source: OwnedFd, wake: &Wake) -> io::Result<Self> {
        let (events_in, events) = sync_channel(CHUNKS_AHEAD);
        let (used, used_out) = sync_channel(CHUNKS_AHEAD + 1);
        let bell = wake.clone();
        thread::start("input", move || {
            Reader { source: File::from(source), events: events_in, used: used_out, wake: bell }.run();
        })?;
        Ok(Way::Thread { events, used })
    }
}

impl Chunk {
    fn empty() -> Self {
        Chunk { buffer: vec![0; CHUNK_BYTES].into(), length: 0 }
    }
}

/// The thread's side.
struct Reader {
    source: File,
    events: SyncSender<InputEvent>,
    used: Receiver<Chunk>,
    wake: Wake,
}

impl Reader {
    /// Reads until the source ends or the reactor has dropped its side.
    fn run(mut self) {
        loop {
            let event = self.read_chunk();
            let is_last = !matches!(event, InputEvent::Chunk(_));
            if self.events.send(event).is_err() {
                return;
            }
            self.wake.ring();
            if is_last {
                return;
            }
        }
    }

    fn read_chunk(&mut self) -> InputEvent {
        let mut chunk = self.used.try_recv().unwrap_or_else(|_| Chunk::empty());
        loop {
            match self.source.read(&mut chunk.buffer) {
                Ok(0) => return InputEvent::End,
                Ok(length) => {
                    chunk.length = length;
                    return InputEvent::Chunk(chunk);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares the descriptor has made it non-blocking; the flag is theirs.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_readable(),
                Err(error) => return InputEvent::Failed(fault_text(&error)),
            }
        }
    }

    fn wait_readable(&self) {
        let mut polled = [PollFd::new(self.source.as_fd(), PollFlags::POLLIN)];
        // Whatever comes out, the next read says what to do.
        let _ = poll(&mut polled, PollTimeout::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::wake::tests::wait_for;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::unistd::pipe;
    use std::io::{Seek, Write};

    fn next(input: &mut Input, wake: &Wake) -> InputEvent {
        loop {
            match input.try_next() {
                InputEvent::Nothing => match input.poll_fd() {
                    Some(fd) => {
                        let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
                        assert_eq!(poll(&mut polled, PollTimeout::from(10_000u16)), Ok(1), "nothing comes");
                        input.readable();
                    }
                    None => wait_for(wake),
                },
                event => return event,
            }
        }
    }

    fn read_all(source: OwnedFd) -> (Vec<u8>, InputEvent) {
        let wake = Wake::new().unwrap();
        let mut input = Input::start(source, wake.clone()).unwrap();
        let mut all = Vec::new();
        loop {
            match next(&mut input, &wake) {
                InputEvent::Chunk(chunk) => {
                    all.extend_from_slice(&chunk);
                    input.give_back(chunk);
                }
                event => return (all, event),
            }
        }
    }

    #[test]
    fn a_pipe_comes_whole_and_ends() {
        let (read, write) = pipe().unwrap();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let copy = sent.clone();
        thread::start("test", move || File::from(write).write_all(&copy).unwrap()).unwrap();
        let (all, event) = read_all(read);
        assert!(all == sent, "{} of {} bytes", all.len(), sent.len());
        assert!(matches!(event, InputEvent::End));
    }

    #[test]
    fn a_file_in_memory_needs_no_thread() {
        let mut file = tempfile::tempfile().unwrap();
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&sent).unwrap();
        file.rewind().unwrap();
        let wake = Wake::new().unwrap();
        let mut input = Input::start(file.into(), wake.clone()).unwrap();
        assert!(input.poll_fd().is_none());
        let mut all = Vec::new();
        while let InputEvent::Chunk(chunk) = next(&mut input, &wake) {
            all.extend_from_slice(&chunk);
            // Where the file system cannot be asked so, the thread does it.
            assert!(matches!(input.way, Way::Direct { .. } | Way::Thread { .. }));
            input.give_back(chunk);
        }
        assert!(all == sent, "{} of {} bytes", all.len(), sent.len());
        assert!(matches!(input.way, Way::Ended { .. } | Way::Thread { .. }));
    }

    #[test]
    fn a_directory_fails_in_words() {
        let (all, event) = read_all(File::open("/").unwrap().into());
        assert!(all.is_empty());
        assert!(matches!(event, InputEvent::Failed(text) if text == "is a directory (EISDIR)"));
    }

    #[test]
    fn a_non_blocking_source_is_waited_for_and_stays_non_blocking() {
        let (read, write) = pipe().unwrap();
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let flags = read.try_clone().unwrap();
        let wake = Wake::new().unwrap();
        let mut input = Input::start(read, wake.clone()).unwrap();
        let mut write = File::from(write);
        for _ in 0..3 {
            write.write_all(b"job\n").unwrap();
            assert!(matches!(next(&mut input, &wake), InputEvent::Chunk(chunk) if &*chunk == b"job\n"));
        }
        drop(write);
        assert!(matches!(next(&mut input, &wake), InputEvent::End));
        assert!(OFlag::from_bits_retain(fcntl(&flags, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn an_untaken_chunk_holds_back_the_writer() {
        let (read, write) = pipe().unwrap();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let wake = Wake::new().unwrap();
        let _input = Input::start(read, wake.clone()).unwrap();
        let mut write = File::from(write);
        let mut taken = 0;
        // Three chunks at most are in flight besides the pipe; a writer that is never held back would run past that.
        let most = (CHUNKS_AHEAD + 1) * CHUNK_BYTES + 1024 * 1024;
        let mut refusals = 0;
        while taken <= most && refusals < 100 {
            match write.write(&[b'x'; 4096]) {
                Ok(length) => (taken, refusals) = (taken + length, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    refusals += 1;
                    let mut polled = [PollFd::new(write.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut polled, PollTimeout::from(2u8));
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(taken <= most, "{taken} bytes were taken");
    }
}
