//! The bell between the edges and the reactor. Owns one eventfd; carries no information of its own.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Wakes a poller in another thread. Clones ring the same bell; any number of rings before a
/// [`Wake::clear`] count as one.
#[derive(Debug, Clone)]
pub struct Wake(Arc<EventFd>);

impl Wake {
    /// A bell that has not been rung.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Wake(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Makes the descriptor readable.
    pub fn ring(&self) {
        // The only failure is a counter at its maximum, which is readable all the same.
        while self.0.write(1) == Err(Errno::EINTR) {}
    }

    /// Makes the descriptor unreadable again. To be called *before* looking at what has changed: the
    /// other order would lose a ring that falls between.
    pub fn clear(&self) {
        while self.0.read() == Err(Errno::EINTR) {}
    }
}

impl AsFd for Wake {
    /// The descriptor to poll for readability.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    /// Waits for the bell, clears it; panics after ten seconds.
    pub(crate) fn wait_for(wake: &Wake) {
        assert!(is_ringing(wake, PollTimeout::from(10_000u16)), "the bell did not ring");
        wake.clear();
    }

    pub(crate) fn is_ringing(wake: &Wake, timeout: PollTimeout) -> bool {
        let mut polled = [PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, timeout).unwrap() == 1
    }

    #[test]
    fn rings_until_cleared() {
        let wake = Wake::new().unwrap();
        assert!(!is_ringing(&wake, PollTimeout::ZERO));
        wake.clone().ring();
        wake.ring();
        assert!(is_ringing(&wake, PollTimeout::ZERO));
        wake.clear();
        assert!(!is_ringing(&wake, PollTimeout::ZERO));
        wake.clear();
    }
}
