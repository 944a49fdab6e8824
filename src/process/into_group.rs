//! Starting a process inside of a control group: it is born there, and never anywhere else (Linux 5.7).

use super::sys;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What `clone3` takes. All processors have the same.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// As `Command::spawn`, in this group; gives the process id. For a process with one thread only: the child goes on as a
/// copy of us. `None` when the system does not start processes in this group: an old kernel, a sandbox, no permission; or
/// kills them at birth, as Linux 6.18 does where `cgroup.kill` was ever written for the parent's group or this one, unless
/// equally often for both.
pub(super) fn spawn_into(group: BorrowedFd<'_>, command: &mut Command) -> Option<io::Result<u32>> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok()?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: u64::try_from(group.as_raw_fd()).ok()?,
        ..CloneArgs::default()
    };
    // SAFETY: without shared memory and without a stack this is `fork`: the child has a copy of everything. There is one
    // thread, so no lock of the heap or of the C library is held by another one that the child does not have.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<CloneArgs>()) };
    match pid {
        ..0 => None,
        0 => {
            // It is alive.
            writer.write_all(&[0; size_of::<i32>()]).unwrap_or(());
            // It comes back only when the program cannot be executed.
            let errno = command.exec().raw_os_error().unwrap_or(libc::EINVAL);
            writer.write_all(&errno.to_ne_bytes()).unwrap_or(());
            // SAFETY: it ends the child without running anything of its parent's.
            unsafe { libc::_exit(127) }
        }
        pid => {
            drop(writer);
            let pid = pid as u32;
            let mut word = [0; size_of::<i32>()];
            let lives = reader.read_exact(&mut word).is_ok();
            // The pipe ends without another word when the child has become the other program.
            if lives && reader.read_exact(&mut word).is_err() {
                return Some(Ok(pid));
            }
            sys::peek(Some(pid), 0);
            sys::wait4(pid);
            lives.then(|| Err(io::Error::from_raw_os_error(i32::from_ne_bytes(word))))
        }
    }
}
