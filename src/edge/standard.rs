//! The three descriptors that we are given. Owns the knowledge of which of them were closed when the
//! process began, and hands out copies; never changes them.

use nix::fcntl::{FcntlArg, fcntl};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

/// One of the descriptors 0, 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// 0.
    Input = 0,
    /// 1.
    Output = 1,
    /// 2.
    Error = 2,
}

/// Bit N says that descriptor N was closed when the process began.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Looks before `main`: Rust's runtime puts /dev/null in place of a closed descriptor, after which lost
/// results could not be told from results that nobody wants.
extern "C" fn look() {
    for fd in 0..3u8 {
        // SAFETY: F_GETFD takes no argument, touches no memory and is valid for any number.
        if unsafe { libc::fcntl(i32::from(fd), libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

// SAFETY: .init_array holds addresses of functions of this type; the loader calls each once before main.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Whether this descriptor was open when the process began.
pub fn is_open_at_start(which: Standard) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << which as u8) == 0
}

/// Programs that are started from now on find closed what was closed when the process began, and not the /dev/null that
/// stands there: what they lose they can tell.
pub fn pass_on_closed() {
    for fd in 0..3u8 {
        if CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0 {
            // SAFETY: F_SETFD takes an integer and touches no memory. That nothing is there is what is wanted.
            unsafe { libc::fcntl(i32::from(fd), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// A copy of a standard descriptor, close-on-exec, that an edge may own. EBADF if it was closed at the start.
pub fn take_copy(which: Standard) -> io::Result<OwnedFd> {
    if !is_open_at_start(which) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let fd = match which {
        Standard::Input => stdin.as_fd(),
        Standard::Output => stdout.as_fd(),
        Standard::Error => stderr.as_fd(),
    };
    duplicate(fd)
}

/// Not `try_clone_to_owned`, which takes the lowest free number: an edge's copy must not sit on 0, 1 or 2.
fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    debug_assert!(fd.as_raw_fd() <= 2);
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: fcntl has just made this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_no_standard_descriptor() {
        for which in [Standard::Input, Standard::Output, Standard::Error] {
            if is_open_at_start(which) {
                assert!(take_copy(which).unwrap().as_raw_fd() > 2);
            }
        }
    }
}
