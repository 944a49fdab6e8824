//! What the worker has begun, written down where whoever comes after a supervisor that was killed can read it. Owns the
//! one number there; knows nothing of what it is for.

use super::complain;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

/// A place in a file that several processes have open.
#[derive(Debug)]
pub(super) struct Marks {
    file: File,
    place: u64,
}

impl Marks {
    /// Takes over the descriptor that the supervisor lent us for this.
    pub(super) fn open(fd: i32, place: u64) -> Option<Self> {
        // SAFETY: F_GETFD on any number only says whether it is open.
        let is_open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        // SAFETY: it is open, was named to us by whoever started us, and only this place takes it over.
        is_open.then(|| Marks { file: unsafe { File::from_raw_fd(fd) }, place })
    }

    /// To be called before a request is begun. Requests that are no numbers are none of the supervisor's.
    pub(super) fn begin(&self, id: &str) {
        let Ok(request) = id.parse::<u64>() else { return };
        if let Err(error) = self.file.write_all_at(&(request + 1).to_le_bytes(), self.place) {
            complain(&format!("what is begun cannot be written down: {error}"));
        }
    }
}
