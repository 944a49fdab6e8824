//! What commands leave behind: whose it is, and its end.
//!
//! The worker is the subreaper of everything below it, so whatever loses its parent becomes its own child. A child that
//! is no running command is therefore something that a command left behind.

use super::answer::Leaked;
use super::tree::{children_of, descendants, name_of};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getpgid, getsid};
use std::ffi::CStr;
use std::fs;
use std::os::fd::BorrowedFd;

/// More are killed all the same, but not listed.
const LEAKED_NAMED_MAX: usize = 100;

/// How a command's processes are told from those of others that run at the same time.
pub(super) struct Marks<'a> {
    /// The command's process id, group and session.
    pub(super) pid: i32,
    /// Its entry `SPV_JOB_ID=…`.
    pub(super) job: Option<&'a CStr>,
    /// The pipes it writes to, by our ends.
    pub(super) pipes: [Option<BorrowedFd<'a>>; 2],
    /// No other command runs, so whatever there is belongs to this one.
    pub(super) alone: bool,
}

/// The processes a command left behind, with all that is below them. `is_command` tells the running commands.
pub(super) fn left_by(marks: &Marks, is_command: impl Fn(i32) -> bool) -> Vec<Pid> {
    let mut all = Vec::new();
    for root in children_of(Pid::this()) {
        if !is_command(root.as_raw()) && (marks.alone || belongs(root, marks)) {
            all.push(root);
            all.extend(descendants(root));
        }
    }
    all
}

/// Kills processes. They are children of ours or below such, so their ids are their own until we have reaped them.
pub(super) fn kill_all(pids: &[Pid]) {
    for &pid in pids {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Processes as the answer names them.
pub(super) fn named(pids: &[Pid]) -> Vec<Leaked> {
    pids.iter().take(LEAKED_NAMED_MAX).map(|&pid| Leaked { pid: pid.as_raw(), name: name_of(pid) }).collect()
}

/// Whether a process group is empty. Its number is not given to others while it has members.
pub(super) fn group_is_gone(pid: i32) -> bool {
    nix::sys::signal::killpg(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

fn belongs(pid: Pid, marks: &Marks) -> bool {
    let command = Some(Pid::from_raw(marks.pid));
    getpgid(Some(pid)).ok() == command
        || getsid(Some(pid)).ok() == command
        || marks.job.is_some_and(|job| has_entry(pid, job))
        || marks.pipes.iter().flatten().any(|&pipe| holds(pid, pipe))
}

fn has_entry(pid: Pid, entry: &CStr) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|other| other == entry.to_bytes())
}

fn holds(pid: Pid, pipe: BorrowedFd) -> bool {
    let (Ok(stat), Ok(descriptors)) = (fstat(pipe), fs::read_dir(format!("/proc/{pid}/fd"))) else { return false };
    let link = format!("pipe:[{}]", stat.st_ino);
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == link.as_str()))
}
