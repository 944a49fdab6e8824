//! The way of records into their file. Owns the thread that writes them in groups and syncs them, and says how far they are
//! safe; never looks at what it writes, but for line ends: a line that could not be written whole is taken back.

use super::{Wake, thread};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Under [`Syncing::Batch`]: how long records may wait for the disk.
const BATCH_SPAN: Duration = Duration::from_millis(200);

/// When bytes are synced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// Before they count as safe.
    Always,
    /// Several times a second.
    Batch,
    /// When the system gets to it.
    Never,
}

/// A file that whole lines are appended to in the background.
#[derive(Debug)]
pub struct Durable {
    shared: Arc<Shared>,
    /// The number of the last group handed over.
    last: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wake: Wake,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that wait.
    bytes: Vec<u8>,
    /// The number of the last group in `bytes` or before.
    handed: u64,
    /// The last group that is safe.
    safe: u64,
    /// What is being written now.
    writing: usize,
    is_closed: bool,
    is_over: bool,
    errno: i32,
}

impl Durable {
    /// Starts the thread that appends to `file`; `wake` rings when more is safe, and when writing fails.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(file: File, syncing: Syncing, wake: Wake) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), wake });
        let theirs = Arc::clone(&shared);
        thread::start("journal", move || Writer { file, syncing, shared: theirs, unsynced: None }.run())?;
        Ok(Durable { shared, last: 0 })
    }

    /// Hands over whole lines; never waits. Gives the number of the group they belong to.
    pub fn push(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return self.last;
        }
        self.last += 1;
        let mut state = self.shared.lock();
        if state.errno == 0 {
            state.bytes.extend_from_slice(lines);
            state.handed = self.last;
            self.shared.changed.notify_all();
        }
        self.last
    }

    /// Up to which group everything is safe.
    pub fn safe(&self) -> u64 {
        self.shared.lock().safe
    }

    /// Bytes that are not safe yet.
    pub fn backlog(&self) -> usize {
        let state = self.shared.lock();
        if state.errno == 0 { state.bytes.len() + state.writing } else { 0 }
    }

    /// Why writing has failed.
    pub fn error(&self) -> Option<io::Error> {
        match self.shared.lock().errno {
            0 => None,
            number => Some(io::Error::from_raw_os_error(number)),
        }
    }

    /// Nothing more will come: what is there is written and synced, and then the bell rings.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }

    /// Whether everything is in the file, or writing has failed.
    pub fn is_settled(&self) -> bool {
        self.shared.lock().is_over
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of the other side leaves a state that is whole: each change of it is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Writer {
    file: File,
    syncing: Syncing,
    shared: Arc<Shared>,
    /// Since when there is something that was not synced.
    unsynced: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        let failed = loop {
            let written = match self.take() {
                Ok(Some((bytes, group))) => self.write(&bytes, group),
                Ok(None) => break self.sync_if(true),
                Err(error) => Err(error),
            };
            if written.is_err() {
                break written;
            }
        };
        let mut state = self.shared.lock();
        if let Err(error) = failed {
            state.errno = error.raw_os_error().unwrap_or(libc::EIO);
        }
        state.is_over = true;
        drop(state);
        self.shared.wake.ring();
    }

    /// Waits for lines, and syncs meanwhile what is due; `None` when no more will come. A sync that failed is an error at
    /// once: the system tells of it a single time.
    fn take(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if !state.bytes.is_empty() {
                state.writing = state.bytes.len();
                return Ok(Some((std::mem::take(&mut state.bytes), state.handed)));
            }
            if state.is_closed {
                return Ok(None);
            }
            let Some(since) = self.unsynced else {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = BATCH_SPAN.saturating_sub(since.elapsed());
            if left.is_zero() {
                drop(state);
                self.sync_if(true)?;
                state = shared.lock();
            } else {
                state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn write(&mut self, bytes: &[u8], group: u64) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err(self.take_back(&bytes[..written], io::Error::from_raw_os_error(libc::EIO))),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.take_back(&bytes[..written], error)),
            }
        }
        self.unsynced.get_or_insert_with(now);
        self.sync_if(self.syncing == Syncing::Always)?;
        let mut state = self.shared.lock();
        state.writing = 0;
        state.safe = group;
        drop(state);
        self.shared.wake.ring();
        Ok(())
    }

    /// Cuts off what was written of a line that could not be written whole.
    fn take_back(&self, written: &[u8], error: io::Error) -> io::Error {
        let torn = written.len() - memchr::memrchr(b'\n', written).map_or(0, |at| at + 1);
        if let (true, Ok(facts)) = (torn > 0, self.file.metadata()) {
            // Where that fails as well, who reads the file recognises the torn line.
            let _ = self.file.set_len(facts.len().saturating_sub(torn as u64));
        }
        error
    }

    /// Syncs when `due`, or when the oldest of what is not synced has waited for long enough.
    fn sync_if(&mut self, due: bool) -> io::Result<()> {
        let waited = self.unsynced.is_some_and(|since| since.elapsed() >= BATCH_SPAN);
        if self.syncing == Syncing::Never {
            self.unsynced = None;
        }
        if self.unsynced.is_none() || !(due || waited) {
            return Ok(());
        }
        self.unsynced = None;
        loop {
            match self.file.sync_data() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Pipes and devices know nothing of that.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EROFS)) => return Ok(()),
                done => return done,
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long bytes wait for the disk is no time of the run")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::wake::tests::wait_for;
    use std::io::Read;

    fn settle(durable: &Durable, wake: &Wake) {
        durable.close();
        while !durable.is_settled() {
            wait_for(wake);
        }
    }

    #[test]
    fn groups_become_safe_in_order_and_are_in_the_file() {
        for syncing in [Syncing::Always, Syncing::Batch, Syncing::Never] {
            let mut file = tempfile::tempfile().unwrap();
            let wake = Wake::new().unwrap();
            let mut durable = Durable::start(file.try_clone().unwrap(), syncing, wake.clone()).unwrap();
            assert_eq!(durable.push(b""), 0);
            let mut expected = Vec::new();
            for number in 1..=100u64 {
                let line = format!("{number}\n");
                expected.extend_from_slice(line.as_bytes());
                assert_eq!(durable.push(line.as_bytes()), number);
            }
            while durable.safe() < 100 {
                wait_for(&wake);
            }
            assert_eq!(durable.backlog(), 0);
            settle(&durable, &wake);
            assert!(durable.error().is_none());
            let mut read = Vec::new();
            io::Seek::rewind(&mut file).unwrap();
            file.read_to_end(&mut read).unwrap();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_nothing_becomes_safe() {
        let wake = Wake::new().unwrap();
        let file = File::options().append(true).open("/dev/full").unwrap();
        let mut durable = Durable::start(file, Syncing::Batch, wake.clone()).unwrap();
        durable.push(b"x\n");
        settle(&durable, &wake);
        assert_eq!(durable.error().and_then(|error| error.raw_os_error()), Some(libc::ENOSPC));
        assert_eq!((durable.safe(), durable.backlog()), (0, 0));
        assert_eq!(durable.push(b"y\n"), 2);
        assert_eq!(durable.backlog(), 0);
    }
}
