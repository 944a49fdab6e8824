//! One run at a time. Owns the lock on the file of marks, which the run's workers and guards hold as well: it is free only
//! when the last of them has gone, so that nothing is run again while its former self still lives.

use super::marks;
use crate::process::is_zombie;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollTimeout, poll};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How often, and with which pause in milliseconds, a lock is tried whose supervisor is gone: its workers are swept within
/// two seconds.
const TRIES: u32 = 150;
const PAUSE_MS: u16 = 20;

/// As often its owner may be met alive: one that was just killed is for a moment.
const ALIVE_MAX: u32 = 10;

/// Opens the file of marks, made where there is none, and locks it. `None` when another run has it.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    let mut alive = 0;
    for _ in 0..TRIES {
        // Readable and writable for us alone, and never through a link that somebody has put there.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        if lock(&file)? {
            // A run that ended meanwhile may have removed it: a lock on a file without a name keeps nobody out.
            let is_same = path.symlink_metadata().is_ok_and(|named| {
                file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (named.dev(), named.ino()))
            });
            if is_same {
                return Ok(Some(file));
            }
        } else {
            alive += u32::from(marks::owner(&file).is_some_and(is_alive));
            if alive >= ALIVE_MAX {
                return Ok(None);
            }
            // Only what its workers leave behind is still being ended.
            poll(&mut [], PollTimeout::from(PAUSE_MS)).unwrap_or(0);
        }
    }
    Ok(None)
}

/// Locks the journal itself for as long as it is open here. Whether no other run has it; where such locks cannot be had, the
/// other one has to do.
pub(super) fn keep(file: &File) -> bool {
    // One of the descriptor (OFD) and not `flock`, which a script may hold on this file around us.
    let whole =
        libc::flock { l_type: libc::F_WRLCK as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    !matches!(fcntl(file, FcntlArg::F_OFD_SETLK(&whole)), Err(Errno::EAGAIN | Errno::EACCES))
}

fn is_alive(pid: i32) -> bool {
    // Nothing is sent. Whoever may not be signalled is alive; one that only its parent has not asked for is not.
    let is_there = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(Errno::ESRCH);
    is_there && !u32::try_from(pid).is_ok_and(is_zombie)
}

fn lock(file: &File) -> io::Result<bool> {
    loop {
        // SAFETY: flock(2) touches no memory of ours; the descriptor is open as long as `file` lives.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        match Errno::last() {
            Errno::EINTR => {}
            Errno::EWOULDBLOCK => return Ok(false),
            errno => return Err(errno.into()),
        }
    }
}
