//! A program in the foreground: it has our standard streams, we wait for it, and it outlives no signal that we would not.

use super::spawn::{Lent, SpawnError};
use crate::status::ExitStatus;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

/// Runs a program to its end. It inherits the descriptor under the same number, so that whoever is at the other end sees
/// when the last of those who have it is gone. SIGTERM and SIGHUP are passed on to it; Ctrl-C and Ctrl-\ it gets itself.
///
/// # Errors
///
/// When it cannot be started.
pub fn run(
    argv: &[OsString],
    env: &[(OsString, OsString)],
    inherited: BorrowedFd<'_>,
) -> Result<ExitStatus, SpawnError> {
    let fail = |error: &io::Error| SpawnError::new(&argv[0], error);
    let mut child = start(argv, env, inherited).map_err(|error| fail(&error))?;
    // Only now, because the program would inherit the mask.
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        mask.add(signal);
    }
    mask.thread_set_mask().map_err(|errno| fail(&errno.into()))?;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| fail(&error))? {
            let code = status.code().map(ExitStatus::Code);
            return Ok(code.unwrap_or_else(|| ExitStatus::Signal(status.signal().unwrap_or(libc::SIGKILL))));
        }
        if let Ok(signal @ (Signal::SIGTERM | Signal::SIGHUP)) = mask.wait() {
            // It is not reaped, so the number is its own; that it has just ended is no error.
            super::sys::kill(child.id(), signal as i32).unwrap_or(());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a door through which a process is started, for one that waits for it")]
fn start(argv: &[OsString], env: &[(OsString, OsString)], inherited: BorrowedFd<'_>) -> io::Result<Child> {
    let _lent = Lent::new(inherited)?;
    Command::new(&argv[0]).args(&argv[1..]).envs(env.iter().map(|(name, value)| (name, value))).spawn()
}
