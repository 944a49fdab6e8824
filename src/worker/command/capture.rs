//! One output stream of one command: the pipe, and what has come through it.
//!
//! A pipe is used for one command after the other as long as it is certain that nobody else can write to it; creating
//! one costs more than everything else a short command's output costs.

use super::answer::{Captured, Whole};
use super::spill::{Moved, Spill, path_bytes};
use crate::edge::{enlarge_pipe, fault_text};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::unistd::{pipe2, read};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Bytes read at a time: few enough to stay in the processor's caches on their way to a file, and no memory is taken for
/// what is never filled.
pub(super) const BUFFER_BYTES: usize = 256 << 10;
/// Reads in one go, so that a command that writes for ever leaves the others their turn.
const READS_MAX: usize = 32;
/// Bytes thrown away at a time: as many as a pipe holds that was enlarged.
const DISCARD_BYTES: usize = 1 << 20;
/// Memory of a finished stream that is kept for the next command.
const IDLE_BYTES_MAX: usize = 64 << 10;

/// What happens to output over the limit, and what all streams share.
pub(super) struct Limits {
    /// Most bytes kept in memory.
    pub(super) max_output: usize,
    /// Where the whole goes.
    pub(super) beyond: Beyond,
    /// `/dev/null`, open both ways.
    pub(super) null: File,
}

/// Where the whole of a large output goes.
pub(super) enum Beyond {
    /// Nowhere: it is cut, and the answer says so.
    Cut,
    /// To named files in this directory.
    Directory(PathBuf),
    /// To files without names in this directory, until they are released.
    Unnamed(PathBuf),
}

/// One output stream.
pub(super) struct Stream {
    name: &'static str,
    read: Option<OwnedFd>,
    write: Option<OwnedFd>,
    kept: Vec<u8>,
    total: u64,
    overflow: Overflow,
}

enum Overflow {
    None,
    /// As was asked for.
    Dropped,
    /// Since the file does not take it.
    Lost,
    Spilled(Spill),
}

impl Stream {
    /// A stream without a pipe yet.
    pub(super) fn new(name: &'static str) -> Stream {
        Stream { name, read: None, write: None, kept: Vec::new(), total: 0, overflow: Overflow::None }
    }

    /// Makes sure of a pipe and gives the end for the command.
    pub(super) fn open(&mut self, epoll: &Epoll, token: u64) -> nix::Result<BorrowedFd<'_>> {
        if self.write.is_none() || self.read.is_none() {
            self.close();
            let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
            // Only our end: commands expect theirs to block.
            fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            epoll.add(&read, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
            (self.read, self.write) = (Some(read), Some(write));
        }
        self.write.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    /// Lets the end of the stream be seen once nobody else holds the writing end.
    pub(super) fn close_write_end(&mut self) {
        self.write = None;
    }

    /// Throws the pipe away.
    pub(super) fn close(&mut self) {
        (self.read, self.write) = (None, None);
    }

    /// Whether all has been read that can ever come.
    pub(super) fn is_at_end(&self) -> bool {
        self.read.is_none()
    }

    /// The end we read from.
    pub(super) fn reader(&self) -> Option<BorrowedFd<'_>> {
        self.read.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, but not for ever. `stem` names the job in case a file is needed.
    pub(super) fn drain(&mut self, limits: &Limits, buffer: &mut [u8], stem: &dyn Fn() -> String) {
        for _ in 0..READS_MAX {
            let Some(pipe) = &self.read else { return };
            if !matches!(self.overflow, Overflow::None) {
                match self.overflow.take_from(pipe.as_fd(), buffer, &limits.null) {
                    Moved::Bytes(count) => self.total += count,
                    Moved::Nothing => return,
                    Moved::End => self.close(),
                }
                continue;
            }
            match read(pipe, buffer) {
                Ok(0) => self.close(),
                Ok(count) => {
                    self.keep(&buffer[..count], limits, stem);
                    // The pipe was emptied, unless somebody has written since: that is an event of its own.
                    if count < buffer.len() && self.write.is_some() {
                        return;
                    }
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => self.close(),
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], limits: &Limits, stem: &dyn Fn() -> String) {
        self.total += bytes.len() as u64;
        let room = limits.max_output - self.kept.len();
        if bytes.len() <= room {
            self.kept.extend_from_slice(bytes);
            return;
        }
        if let Some(pipe) = &self.read {
            enlarge_pipe(pipe);
        }
        self.overflow = Overflow::begin(limits, self.name, stem, [&self.kept, bytes]);
        self.kept.extend_from_slice(&bytes[..room]);
    }

    /// What was captured, for the answer.
    pub(super) fn captured(&self) -> Captured<'_> {
        let whole = match &self.overflow {
            Overflow::Spilled(spill) => match spill.path() {
                Some(path) => Whole::File(path_bytes(path)),
                None => Whole::Spilled(spill.descriptor_path()),
            },
            Overflow::None | Overflow::Dropped => Whole::Kept,
            Overflow::Lost => Whole::Lost,
        };
        Captured { kept: &self.kept, total: self.total, whole }
    }

    /// Makes ready for the next command; gives the file without a name that others may still want to read.
    pub(super) fn reset(&mut self) -> Option<OwnedFd> {
        self.total = 0;
        self.kept.clear();
        self.kept.shrink_to(IDLE_BYTES_MAX);
        match std::mem::replace(&mut self.overflow, Overflow::None) {
            Overflow::Spilled(spill) if spill.path().is_none() => Some(spill.into_descriptor()),
            _ => None,
        }
    }
}

impl Overflow {
    fn begin(limits: &Limits, name: &str, stem: &dyn Fn() -> String, first: [&[u8]; 2]) -> Overflow {
        let opened = match &limits.beyond {
            Beyond::Cut => return Overflow::Dropped,
            Beyond::Directory(directory) => {
                std::fs::create_dir_all(directory).and_then(|()| Spill::named(directory, &stem(), name))
            }
            Beyond::Unnamed(directory) => Spill::unnamed(directory),
        };
        match opened {
            Ok(spill) => Overflow::Spilled(spill).append(first),
            Err(error) => {
                let place = match &limits.beyond {
                    Beyond::Directory(directory) | Beyond::Unnamed(directory) => directory.display(),
                    Beyond::Cut => unreachable!("nothing was opened"),
                };
                let (job, error) = (stem(), fault_text(&error));
                super::complain(&format!("cannot keep the whole {name} of job {job} in {place}: {error}; it is cut"));
                Overflow::Lost
            }
        }
    }

    fn append(mut self, pieces: [&[u8]; 2]) -> Overflow {
        if let Overflow::Spilled(spill) = &mut self {
            if let Err(error) = pieces.iter().try_for_each(|piece| spill.append(piece)) {
                self.give_up(&error);
            }
        }
        self
    }

    fn take_from(&mut self, pipe: BorrowedFd<'_>, buffer: &mut [u8], null: &File) -> Moved {
        if let Overflow::Spilled(spill) = self {
            match spill.take_from(pipe, buffer) {
                Ok(moved) => return moved,
                Err((error, count)) => {
                    self.give_up(&error);
                    return Moved::Bytes(count);
                }
            }
        }
        throw_away(pipe, null).unwrap_or_else(|_| match read(pipe, buffer) {
            Ok(0) => Moved::End,
            Ok(count) => Moved::Bytes(count as u64),
            Err(_) => Moved::Nothing,
        })
    }

    fn give_up(&mut self, error: &std::io::Error) {
        if let Overflow::Spilled(spill) = std::mem::replace(self, Overflow::Lost) {
            let place = spill.path().unwrap_or(Path::new("a temporary file")).to_owned();
            let error = fault_text(error);
            super::complain(&format!("cannot write to {}: {error}; the output is cut", place.display()));
            spill.discard();
        }
    }
}

/// Moves what is in the pipe to `/dev/null`, inside the system: nothing is copied.
fn throw_away(pipe: BorrowedFd<'_>, null: &File) -> nix::Result<Moved> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    match splice(pipe, None, null, None, DISCARD_BYTES, flags) {
        Ok(0) => Ok(Moved::End),
        Ok(count) => Ok(Moved::Bytes(count as u64)),
        Err(Errno::EAGAIN) => Ok(Moved::Nothing),
        Err(Errno::EINTR) => Ok(Moved::Bytes(0)),
        Err(errno) => Err(errno),
    }
}
