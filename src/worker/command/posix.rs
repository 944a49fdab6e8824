//! `posix_spawn` itself, and the two things it is told by: all that is unsafe about starting a process.

use super::signals::defaults_for_commands;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// The descriptors a command gets as 0, 1 and 2.
pub(super) struct Streams<'a> {
    pub(super) stdin: BorrowedFd<'a>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
}

impl Streams<'_> {
    /// Their numbers, which is all that [`Actions`] knows of them.
    pub(super) fn numbers(&self) -> [RawFd; 3] {
        [&self.stdin, &self.stdout, &self.stderr].map(AsRawFd::as_raw_fd)
    }
}

/// What every command starts with: a group of its own, an empty mask, default dispositions.
pub(super) struct Attributes(Box<libc::posix_spawnattr_t>);

impl Attributes {
    pub(super) fn new() -> nix::Result<Attributes> {
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: initialised by the first call, used only after that.
        unsafe {
            let mut attributes = Box::new(std::mem::zeroed::<libc::posix_spawnattr_t>());
            check(libc::posix_spawnattr_init(&mut *attributes))?;
            let mut attributes = Attributes(attributes);
            let mut mask = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut mask);
            check(libc::posix_spawnattr_setsigmask(&mut *attributes.0, &mask))?;
            check(libc::posix_spawnattr_setsigdefault(&mut *attributes.0, &defaults_for_commands()))?;
            check(libc::posix_spawnattr_setpgroup(&mut *attributes.0, 0))?;
            check(libc::posix_spawnattr_setflags(&mut *attributes.0, flags as libc::c_short))?;
            Ok(attributes)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used after this.
        unsafe { libc::posix_spawnattr_destroy(&mut *self.0) };
    }
}

/// What the child does with its descriptors before it executes the program.
pub(super) struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    pub(super) fn new(streams: [RawFd; 3], cwd: Option<&CStr>) -> Result<Actions, Errno> {
        // SAFETY: initialised by the first call, used only after that; the destination descriptors are valid numbers.
        unsafe {
            let mut actions = std::mem::zeroed::<libc::posix_spawn_file_actions_t>();
            check(libc::posix_spawn_file_actions_init(&mut actions))?;
            let mut actions = Actions(actions);
            for (fd, number) in streams.into_iter().zip(0..) {
                check(libc::posix_spawn_file_actions_adddup2(&mut actions.0, fd, number))?;
            }
            if let Some(cwd) = cwd {
                check(libc::posix_spawn_file_actions_addchdir_np(&mut actions.0, cwd.as_ptr()))?;
            }
            Ok(actions)
        }
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// Starts a program; gives its process id.
pub(super) fn posix_spawn(
    program: &CStr,
    argv: &[&CStr],
    environment: &[&CStr],
    actions: &Actions,
    attributes: &Attributes,
) -> Result<i32, Errno> {
    let argv = pointers(argv);
    let environment = pointers(environment);
    let mut pid = 0;
    // SAFETY: both arrays end with a null pointer and borrow from strings that outlive the call; attributes and
    // actions are initialised. posix_spawn does not write through any of these pointers.
    let error = unsafe {
        let (argv, environment) = (argv.as_ptr(), environment.as_ptr());
        libc::posix_spawn(&mut pid, program.as_ptr(), &actions.0, &*attributes.0, argv, environment)
    };
    check(error).map(|()| pid)
}

fn pointers(strings: &[&CStr]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(error: libc::c_int) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(Errno::from_raw(error)) }
}
