//! Answers on their way out: gathered, so that many go in one write, and never forgotten when the process ends.
//!
//! What is gathered is written when there is nothing more to do, when it is much, after [`TICK`] by a thread of our own
//! (a long call must not hold back the answers of those before it), when the process exits, and when a signal that can
//! be caught ends it. For a
//! kill that cannot be caught (SIGKILL, the kernel's out-of-memory killer, `_exit`) it lies on the [`Shelf`] as well, where
//! supervisor finds it.

use super::shelf::Shelf;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Answers wait no longer than about this.
pub(super) const TICK: Duration = Duration::from_micros(500);
/// So many bytes are written at once.
const ENOUGH_BYTES: usize = 60 << 10;
/// How often a dying process tries to get at the gathered answers while another thread writes them.
const TRIES: usize = 100_000;

/// The outgoing end of the channel: one in a process, so that handlers of signals find it.
pub(super) static OUT: Outgoing = Outgoing {
    fd: AtomicI32::new(-1),
    gathered: Mutex::new(Gathered { bytes: Vec::new(), place: 0, shelf: None }),
    ticks: AtomicU32::new(0),
    broken: AtomicBool::new(false),
    asleep: Mutex::new(false),
    is_asleep: AtomicBool::new(false),
    wake: Condvar::new(),
};

pub(super) struct Outgoing {
    fd: AtomicI32,
    gathered: Mutex<Gathered>,
    /// Goes up while there is work.
    ticks: AtomicU32,
    /// Nobody reads any more.
    broken: AtomicBool,
    asleep: Mutex<bool>,
    /// A copy that is cheap to read.
    is_asleep: AtomicBool,
    wake: Condvar,
}

/// What is said and not written.
struct Gathered {
    bytes: Vec<u8>,
    /// Bytes that were written since `ready`.
    place: u64,
    /// Where it lies too, for the case that this process is killed.
    shelf: Option<Shelf>,
}

impl Outgoing {
    /// Takes the outgoing end. It stays open as long as the process.
    pub(super) fn open(&'static self, fd: OwnedFd) -> io::Result<()> {
        use std::os::fd::IntoRawFd;
        self.fd.store(fd.into_raw_fd(), Ordering::SeqCst);
        start_ticking(self)?;
        super::last_words::install()
    }

    /// Writes the first line. It names the shelf, where there can be one, and from its end on it is counted what is said.
    pub(super) fn say_ready(&self, line: impl FnOnce(Option<serde_json::Value>) -> String) {
        let mut gathered = self.lock();
        // Without it, a kill may take answers with it; all else is the same.
        gathered.shelf = Shelf::new().ok();
        let place = gathered.shelf.as_ref().map(Shelf::place);
        gathered.bytes.extend_from_slice(line(place).as_bytes());
        self.write_out(&mut gathered);
        gathered.place = 0;
        if let Some(shelf) = &mut gathered.shelf {
            shelf.written(0);
        }
    }

    /// Appends to what is gathered; `flush` writes all of it now. Says whether this is the first after some quiet time.
    pub(super) fn say(&self, flush: bool, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut gathered = self.lock();
        let Gathered { bytes, shelf, .. } = &mut *gathered;
        write(bytes);
        let is_much = bytes.len() >= ENOUGH_BYTES || !shelf.as_mut().is_none_or(|shelf| shelf.hold(bytes));
        if flush || is_much {
            self.write_out(&mut gathered);
        } else if self.is_asleep.load(Ordering::Relaxed) {
            drop(gathered);
            *self.asleep.lock().unwrap_or_else(PoisonError::into_inner) = false;
            self.is_asleep.store(false, Ordering::Relaxed);
            self.wake.notify_one();
            return true;
        }
        false
    }

    /// Writes what is gathered.
    pub(super) fn flush(&self) {
        self.write_out(&mut self.lock());
    }

    /// Whether nobody reads any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// A number that changes every [`TICK`] while there is work.
    pub(super) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Writes what is gathered, from a handler of a signal: takes no lock for long and no memory.
    pub(super) fn flush_dying(&self) {
        for _ in 0..TRIES {
            if let Ok(mut gathered) = self.gathered.try_lock() {
                return self.write_out(&mut gathered);
            }
            std::hint::spin_loop();
            // SAFETY: touches no memory of ours.
            unsafe { libc::sched_yield() };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, gathered: &mut Gathered) {
        let number = self.fd.load(Ordering::Relaxed);
        let mut written = 0;
        while written < gathered.bytes.len() && number >= 0 && !self.is_broken() {
            // SAFETY: the descriptor was given to us by `open` and is never closed.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            match nix::unistd::write(fd, &gathered.bytes[written..]) {
                Ok(count) => written += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => wait_writable(fd),
                Err(_) => self.broken.store(true, Ordering::Relaxed),
            }
        }
        gathered.bytes.clear();
        gathered.place += written as u64;
        if let Some(shelf) = gathered.shelf.as_mut().filter(|_| written > 0) {
            shelf.written(gathered.place);
        }
    }

    /// Writes every [`TICK`] what is gathered, as long as there is something; then sleeps.
    fn tick(&self) {
        loop {
            let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            while *asleep {
                asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
            }
            // The end of the span is what is waited for: nobody wakes it before.
            let waited = self.wake.wait_timeout(asleep, TICK).unwrap_or_else(PoisonError::into_inner);
            drop(waited);
            self.ticks.fetch_add(1, Ordering::Relaxed);
            let mut gathered = self.lock();
            if gathered.bytes.is_empty() {
                // Under the lock of what is gathered, so that who adds to it sees that it has to wake us.
                *self.asleep.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.is_asleep.store(true, Ordering::Relaxed);
            } else {
                self.write_out(&mut gathered);
            }
        }
    }
}

fn wait_writable(fd: BorrowedFd<'_>) {
    let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
    // However it ends, the next write says more.
    let _ = poll(&mut polled, PollTimeout::NONE);
}

/// Starts the thread. It has all signals blocked: they are for the thread that runs the user's code, and their handlers
/// must not find the lock held by the thread that they interrupt.
fn start_ticking(out: &'static Outgoing) -> io::Result<()> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let started = std::thread::Builder::new().name("spv-answers".into()).spawn(|| out.tick());
    before.thread_set_mask()?;
    started.map(drop)
}
