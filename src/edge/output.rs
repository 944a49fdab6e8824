//! The way out for bytes: results to standard output, messages to standard error. Owns the queue between
//! the reactor and the writing thread; never blocks the reactor and never looks at what it writes.

use super::now::Kind;
use super::writer::{PIPE_WHOLE_BYTES, Writer};
use super::{Wake, thread};
use crate::part::Part;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When fewer bytes than this wait again, the bell rings: a producer that was held back may go on.
pub const LOW_WATER_BYTES: usize = 128 * 1024;
/// Buffers kept for reuse.
const SPARE_BUFFERS: usize = 2;
/// A larger buffer is freed rather than kept.
const SPARE_BUFFER_BYTES: usize = 256 * 1024;

/// Something to write. Pieces are written whole and in the order they were pushed.
#[derive(Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This text, in memory that others may have as well.
    Part(Part),
    /// The first `length` bytes of a file, moved by the kernel where it can: no size is too large.
    File {
        /// The file; read from its beginning, wherever its offset stands.
        file: File,
        /// How many bytes.
        length: u64,
    },
    /// The same, with `prefix` in front of each line.
    Lines {
        /// The file; read from its beginning.
        file: File,
        /// How many of its bytes.
        length: u64,
        /// What each line begins with.
        prefix: Box<[u8]>,
    },
}

impl Piece {
    /// Bytes of the queue it stands for.
    pub fn weight(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Part(part) => part.len(),
            Piece::File { length, .. } | Piece::Lines { length, .. } => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }
}

/// Where pieces can be handed over.
pub trait Way {
    /// An empty buffer, used before where there is one.
    fn buffer(&mut self) -> Vec<u8>;
    /// Hands over a piece; never waits.
    fn push(&mut self, piece: Piece);
}

impl Way for Output {
    fn buffer(&mut self) -> Vec<u8> {
        Output::buffer(self)
    }

    fn push(&mut self, piece: Piece) {
        Output::push(self, piece);
    }
}

/// One descriptor that is written to in the background.
///
/// After the first failure everything pushed is dropped and [`Output::error`] says why.
#[derive(Debug)]
pub struct Output {
    shared: Arc<Shared>,
    /// The descriptor until the first push starts the thread.
    idle: Option<OwnedFd>,
    /// The descriptor again, as long as it can be written to without waiting.
    direct: Option<(OwnedFd, Kind)>,
}

impl Output {
    /// Takes over `fd`; `wake` rings when the backlog falls below [`LOW_WATER_BYTES`], when writing fails,
    /// and, once [`Output::close`] was called, when everything is written. Nothing runs until the first push.
    pub fn start(fd: OwnedFd, wake: Wake) -> Self {
        let direct = Kind::of(&fd).and_then(|kind| Some((fd.try_clone().ok()?, kind)));
        Output { shared: Arc::new(Shared::new(wake)), idle: Some(fd), direct }
    }

    /// An output that has failed before it began: its descriptor was closed.
    pub fn lost(error: &io::Error, wake: Wake) -> Self {
        let shared = Shared::new(wake);
        shared.fail(error);
        Output { shared: Arc::new(shared), idle: None, direct: None }
    }

    /// Hands over a piece; never waits.
    pub fn push(&mut self, piece: Piece) {
        if piece.weight() == 0 {
            return;
        }
        if self.shared.is_failed() {
            return;
        }
        let rest = match piece {
            Piece::Bytes(bytes) => self.write_now(bytes),
            piece => Some(piece),
        };
        if let Some(rest) = rest {
            self.shared.push(rest);
            self.prepare();
        }
    }

    /// Writes a few bytes on the spot if nothing waits before them and there is room; what is left has to be pushed.
    /// Not more than a pipe takes whole or not at all, so that no line of it is torn.
    fn write_now(&mut self, mut bytes: Vec<u8>) -> Option<Piece> {
        let fits = |kind| kind == Kind::Null || bytes.len() <= PIPE_WHOLE_BYTES;
        if let Some((fd, kind)) = self.direct.as_ref().filter(|&&(_, kind)| fits(kind) && self.backlog() == 0) {
            match kind.write(fd, &bytes) {
                Ok(written) if written == bytes.len() => {
                    self.shared.keep(bytes);
                    return None;
                }
                Ok(written) => drop(bytes.drain(..written)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // Not here, or the reader is gone: the thread finds out, and tells.
                Err(_) => self.direct = None,
            }
        }
        Some(Piece::Bytes(bytes))
    }

    /// Starts the thread now rather than with the first push: before workers take what processes and threads there may be.
    pub fn prepare(&mut self) {
        if let Some(fd) = self.idle.take() {
            let shared = Arc::clone(&self.shared);
            if let Err(error) = thread::start("output", move || Writer::new(fd, shared).run()) {
                self.shared.fail(&error);
            }
        }
    }

    /// An empty buffer, used before where there is one.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.shared.lock().spares.pop().unwrap_or_default()
    }

    /// Nothing more will be pushed: from now on the bell rings when everything is written.
    pub fn close(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        self.shared.changed.notify_all();
        drop(queue);
        if self.is_settled() {
            self.shared.wake.ring();
        }
    }

    /// Closes, then waits until everything is written, at most for `deadline`. A reader that has stopped
    /// for ever costs no more than that: the thread is left behind and ends with the process.
    pub fn finish(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        self.close();
        match deadline {
            None => {
                let is_open = |_: &mut Queue| !self.shared.is_settled();
                let queue = self.shared.lock();
                drop(self.shared.changed.wait_while(queue, is_open).unwrap_or_else(PoisonError::into_inner));
            }
            Some(limit) => self.await_written(limit),
        }
        match self.error() {
            Some(error) => Err(error),
            None if self.is_settled() => Ok(()),
            None => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    /// Waits until everything pushed so far is written, at most for `limit`; more may be pushed afterwards.
    pub fn await_written(&self, limit: Duration) {
        let mut queue = self.shared.lock();
        queue.is_awaited = true;
        let is_open = |_: &mut Queue| !self.shared.is_settled();
        let waited = self.shared.changed.wait_timeout_while(queue, limit, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_awaited = false;
    }

    /// Bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        if self.shared.is_failed() { 0 } else { self.shared.backlog.load(Ordering::SeqCst) }
    }

    /// Bytes of memory that wait: the backlog without files.
    pub fn memory(&self) -> usize {
        if self.shared.is_failed() { 0 } else { self.shared.memory.load(Ordering::SeqCst) }
    }

    /// Whether there is nothing left to wait for: all is written, or writing has failed.
    pub fn is_settled(&self) -> bool {
        self.shared.is_settled()
    }

    /// Why writing has failed.
    pub fn error(&self) -> Option<io::Error> {
        match self.shared.errno.load(Ordering::SeqCst) {
            0 => None,
            number => Some(io::Error::from_raw_os_error(number)),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // The thread writes what it has, then ends.
        self.close();
    }
}

/// What both sides see.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Bytes pushed and not written. Zero only when the last write has returned.
    backlog: AtomicUsize,
    /// Bytes of memory in pieces that are not wholly written.
    memory: AtomicUsize,
    /// The system error that ended writing; 0 while there is none.
    errno: AtomicI32,
    wake: Wake,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    spares: Vec<Vec<u8>>,
    is_closed: bool,
    is_writer_waiting: bool,
    /// Somebody waits until all is written, though it is not closed.
    is_awaited: bool,
}

impl Shared {
    fn new(wake: Wake) -> Self {
        Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            backlog: AtomicUsize::new(0),
            memory: AtomicUsize::new(0),
            errno: AtomicI32::new(0),
            wake,
        }
    }

    /// Waits for pieces; none when the output was closed and all are taken.
    pub(super) fn take(&self) -> Option<VecDeque<Piece>> {
        let mut queue = self.lock();
        while queue.pieces.is_empty() {
            if queue.is_closed {
                return None;
            }
            queue.is_writer_waiting = true;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_writer_waiting = false;
        Some(std::mem::take(&mut queue.pieces))
    }

    /// So many bytes have left.
    pub(super) fn written(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::SeqCst);
        let after = before - bytes;
        if before >= LOW_WATER_BYTES && after < LOW_WATER_BYTES {
            self.wake.ring();
        }
        if after > 0 {
            return;
        }
        let queue = self.lock();
        let (is_closed, is_awaited) = (queue.is_closed, queue.is_awaited);
        drop(queue);
        if is_closed || is_awaited {
            self.changed.notify_all();
        }
        if is_closed {
            self.wake.ring();
        }
    }

    /// A piece of memory is wholly written: its buffer is kept for reuse.
    pub(super) fn recycle(&self, buffer: Vec<u8>) {
        self.forget(buffer.len());
        self.keep(buffer);
    }

    /// So many bytes of memory are wholly written.
    pub(super) fn forget(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::SeqCst);
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut queue = self.lock();
        if queue.spares.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BUFFER_BYTES {
            queue.spares.push(buffer);
        }
    }

    /// Nothing can be written any more.
    pub(super) fn fail(&self, error: &io::Error) {
        self.errno.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::SeqCst);
        self.lock().pieces.clear();
        self.changed.notify_all();
        self.wake.ring();
    }

    fn push(&self, piece: Piece) {
        self.backlog.fetch_add(piece.weight(), Ordering::SeqCst);
        if matches!(piece, Piece::Bytes(_) | Piece::Part(_)) {
            self.memory.fetch_add(piece.weight(), Ordering::SeqCst);
        }
        let mut queue = self.lock();
        queue.pieces.push_back(piece);
        let is_writer_waiting = queue.is_writer_waiting;
        // The writer would wake only to wait for the lock.
        drop(queue);
        if is_writer_waiting {
            self.changed.notify_all();
        }
    }

    fn is_failed(&self) -> bool {
        self.errno.load(Ordering::SeqCst) != 0
    }

    fn is_settled(&self) -> bool {
        self.is_failed() || self.backlog.load(Ordering::SeqCst) == 0
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic of the other side leaves a queue that is whole: each change of it is a single step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
