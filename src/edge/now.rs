//! Moving bytes at once or not at all, without the flag that others share: one call says itself that it must not wait
//! (`RWF_NOWAIT` for pipes and for reading files, `MSG_DONTWAIT` for sockets). Owns the question which descriptors can do
//! that; terminals, most devices, files to be written and older kernels (pipes since Linux 6.4) cannot, and have a thread instead.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{SFlag, fstat, makedev};
use std::os::fd::{AsFd, AsRawFd};

/// What a descriptor is, as far as it can be used without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pipe.
    Pipe,
    /// A stream socket.
    Socket,
    /// `/dev/null`, to be written: takes all, at once.
    Null,
    /// A file to be read: what the system has in memory comes at once, and for the rest somebody has to wait.
    File,
}

impl Kind {
    /// `None` for what needs a thread.
    pub(super) fn of(fd: impl AsFd) -> Option<Self> {
        let is_null = |fd| {
            fstat(fd).is_ok_and(|facts| facts.st_mode & libc::S_IFMT == libc::S_IFCHR && facts.st_rdev == makedev(1, 3))
        };
        if is_null(fd.as_fd()) {
            return Some(Kind::Null);
        }
        Kind::of_source(fd).filter(|&kind| kind != Kind::File)
    }

    /// The same for what is only read.
    pub(super) fn of_source(fd: impl AsFd) -> Option<Self> {
        match fstat(fd).map(|facts| SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits())) {
            Ok(SFlag::S_IFIFO) => Some(Kind::Pipe),
            Ok(SFlag::S_IFSOCK) => Some(Kind::Socket),
            Ok(SFlag::S_IFREG) => Some(Kind::File),
            _ => None,
        }
    }

    /// Reads what is there. `EAGAIN` when nothing is, `EOPNOTSUPP` when this cannot be asked.
    pub(super) fn read(self, fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Kind::Socket => recv(fd.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT),
            Kind::Pipe | Kind::File | Kind::Null => {
                let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
                vectored(libc::SYS_preadv2, fd, &part)
            }
        }
    }

    /// Writes what there is room for. `EAGAIN` when there is none, `EOPNOTSUPP` when this cannot be asked.
    pub(super) fn write(self, fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Kind::Socket => send(fd.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Kind::Null => nix::unistd::write(fd, bytes),
            Kind::Pipe | Kind::File => {
                let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                vectored(libc::SYS_pwritev2, fd, &part)
            }
        }
    }
}

/// preadv2 or pwritev2 with one part, at no place in particular, and without waiting. By number, since not every C
/// library has them.
fn vectored(call: libc::c_long, fd: impl AsFd, part: &libc::iovec) -> Result<usize, Errno> {
    let no_place: libc::c_long = -1;
    // SAFETY: the part names memory that its caller has borrowed for as long as the call: mutably for reading, and the
    // kernel does not write to it otherwise.
    let moved = unsafe {
        libc::syscall(
            call,
            fd.as_fd().as_raw_fd(),
            std::ptr::from_ref(part),
            1usize,
            no_place,
            no_place,
            libc::RWF_NOWAIT,
        )
    };
    let moved = Errno::result(moved)?;
    Ok(usize::try_from(moved).expect("a count is not negative"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    fn neither_waits(kind: Kind, read: impl AsFd, write: impl AsFd) {
        let mut buffer = [0; 100];
        if kind.read(&read, &mut buffer) == Err(Errno::EOPNOTSUPP) {
            return; // an older kernel: the thread does it
        }
        assert_eq!(kind.read(&read, &mut buffer), Err(Errno::EAGAIN));
        assert_eq!(kind.write(&write, b"one\n"), Ok(4));
        assert_eq!(kind.read(&read, &mut buffer), Ok(4));
        while kind.write(&write, &[0; 65536]).is_ok() {}
        assert_eq!(kind.write(&write, b"x"), Err(Errno::EAGAIN));
        let flags = OFlag::from_bits_retain(fcntl(write.as_fd(), FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "the flag that others share is as it was");
    }

    #[test]
    fn pipes_and_sockets_are_used_without_waiting() {
        let (read, write) = nix::unistd::pipe().unwrap();
        assert_eq!(Kind::of(&read), Some(Kind::Pipe));
        neither_waits(Kind::Pipe, read, write);
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(Kind::of(&one), Some(Kind::Socket));
        neither_waits(Kind::Socket, one, other);
    }

    #[test]
    fn the_device_that_takes_all_needs_no_thread() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        assert_eq!(Kind::of(&null), Some(Kind::Null));
        assert_eq!(Kind::Null.write(&null, &[0; 1 << 20]), Ok(1 << 20));
    }

    #[test]
    fn devices_and_files_to_be_written_need_a_thread() {
        assert_eq!(Kind::of_source(File::open("/dev/null").unwrap()), None);
        assert_eq!(Kind::of(File::open("/dev/zero").unwrap()), None);
        let file = File::open("/proc/self/exe").unwrap();
        assert_eq!((Kind::of(&file), Kind::of_source(&file)), (None, Some(Kind::File)));
    }
}
