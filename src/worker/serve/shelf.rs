//! The shelf of a worker in Rust (`docs/protocol.md`): a copy, in memory that supervisor has open too, of the answers that
//! are gathered and not written. So even a kill that cannot be caught takes no finished call with it. Owns the file and
//! the order in which its words are set; does not write to the pipe.

use crate::process;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{IntoRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes before what is held.
const HEAD_BYTES: usize = 64;
/// Bytes of the file: what a pipe holds, as much as is ever gathered.
const SHELF_BYTES: usize = 64 << 10;

/// The words at its beginning: the mark, whether supervisor looks, the place of the first byte that is held, where what is
/// held ends.
const MARK: usize = 0;
const TAKEN: usize = 1;
const BASE: usize = 2;
const END: usize = 3;

/// The shelf, mapped for as long as the process lives.
#[derive(Debug)]
pub(super) struct Shelf {
    area: NonNull<u8>,
    fd: RawFd,
    mark: u64,
    /// How much of what is gathered lies on it.
    held: usize,
}

// SAFETY: the mapping belongs to the process and stays where it is; who uses it holds the lock of what is gathered.
unsafe impl Send for Shelf {}

impl Shelf {
    /// Makes one.
    pub(super) fn new() -> io::Result<Self> {
        let file = memfd_create(c"supervisor-shelf", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&file, SHELF_BYTES as i64)?;
        let length = NonZeroUsize::new(SHELF_BYTES).expect("it has a size");
        // SAFETY: a new mapping at a place of the kernel's choice; nobody makes the file shorter.
        let area = unsafe {
            mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0)?
        };
        // It need not be secret, only another one than that of any other shelf.
        let mark = u64::from_ne_bytes(process::random());
        let shelf = Shelf { area: area.cast(), fd: file.into_raw_fd(), mark, held: 0 };
        shelf.word(MARK).store(shelf.mark, Ordering::Release);
        shelf.word(END).store(HEAD_BYTES as u64, Ordering::Release);
        Ok(shelf)
    }

    /// What `ready` says of it: the descriptor, and the mark byte for byte.
    pub(super) fn place(&self) -> serde_json::Value {
        serde_json::json!({"fd": self.fd, "mark": format!("{:016x}", u64::from_be_bytes(self.mark.to_ne_bytes()))})
    }

    /// Lays what was gathered since the last time behind what is there. Whether there was room, or nobody looks: otherwise
    /// it has to be written before anything else is done.
    pub(super) fn hold(&mut self, gathered: &[u8]) -> bool {
        if self.word(TAKEN).load(Ordering::Acquire) == 0 {
            return true;
        }
        let Some(fresh) = gathered.get(self.held..).filter(|_| gathered.len() <= SHELF_BYTES - HEAD_BYTES) else {
            return false;
        };
        // SAFETY: both ends lie within the mapping, which no reference of this process points into.
        unsafe {
            let to = self.area.as_ptr().add(HEAD_BYTES + self.held);
            std::ptr::copy_nonoverlapping(fresh.as_ptr(), to, fresh.len());
        }
        self.held = gathered.len();
        self.word(END).store((HEAD_BYTES + self.held) as u64, Ordering::Release);
        true
    }

    /// Everything was written: `place` bytes were said so far.
    pub(super) fn written(&mut self, place: u64) {
        self.held = 0;
        self.word(END).store(HEAD_BYTES as u64, Ordering::Release);
        self.word(BASE).store(place, Ordering::Release);
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < HEAD_BYTES / 8);
        // SAFETY: the words are aligned, lie within the mapping, and are touched as atomics only.
        unsafe { &*self.area.as_ptr().cast::<AtomicU64>().add(index) }
    }
}
