//! What commands leave behind: whose it is, and its end.
//!
//! The worker is the subreaper of everything below it, so whatever loses its parent becomes its own child. A child that
//! is no running command is therefore something that a command left behind.

use super::answer::Leaked;
use crate::process::{Live, children_of, descendants, kill_tree, name_of};
use nix::errno::Errno;
use nix::sys::signal::killpg;
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
    /// Whatever there is belongs to this command, or is to end with it.
    pub(super) alone: bool,
}

/// What a command left behind: children of ours, each with all that is below it. `is_command` tells the running commands.
pub(super) fn left_by(marks: &Marks, is_command: impl Fn(i32) -> bool) -> Vec<u32> {
    let mut left = strays(is_command);
    left.retain(|&child| is_of(child, marks));
    left
}

/// Children of ours that are no command.
pub(super) fn strays(is_command: impl Fn(i32) -> bool) -> Vec<u32> {
    let mut strays = children_of(std::process::id());
    strays.retain(|&child| !is_command(child as i32));
    strays
}

/// Whether a command may have left something behind, as far as can be told now. In the middle of an exec a process shows
/// no environment, so one without any may be anybody's; a moment later it is known.
pub(super) fn may_be_left(marks: &Marks, is_command: impl Fn(i32) -> bool) -> bool {
    strays(is_command).into_iter().any(|child| is_of(child, marks) || environment_of(child).is_empty())
}

/// Kills trees. Their roots are children of ours that we have not reaped, so their ids are their own.
pub(super) fn kill_all(roots: &[u32]) {
    for &root in roots {
        // In one blow where it leads a group of its own: nobody can fork out of that.
        if group_of(root) == Some(Pid::from_raw(root as i32)) {
            let _ = Live::new(root).signal_group(libc::SIGKILL);
        }
        kill_tree(root);
    }
}

/// Trees as the answer names them, process by process.
pub(super) fn named(roots: &[u32]) -> Vec<Leaked> {
    let all = roots.iter().flat_map(|&root| [root].into_iter().chain(descendants(root)));
    all.take(LEAKED_NAMED_MAX).map(|pid| Leaked { pid, name: name_of(pid) }).collect()
}

/// Whether a process group is empty. Its number is not given to others while it has members.
pub(super) fn group_is_gone(pid: i32) -> bool {
    killpg(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// Kills what is left of a command's group in one blow. One of the given children of ours must be in it: as long as it is
/// unreaped, the group's number is the group's.
pub(super) fn kill_group(command: i32, children: &[u32]) {
    let group = Pid::from_raw(command);
    if children.iter().any(|&child| group_of(child) == Some(group)) {
        let _ = killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
}

fn group_of(pid: u32) -> Option<Pid> {
    getpgid(Some(Pid::from_raw(pid as i32))).ok()
}

/// Whether a command has started a process, as far as its marks tell.
pub(super) fn is_of(pid: u32, marks: &Marks) -> bool {
    marks.alone || belongs(pid, marks)
}

fn belongs(pid: u32, marks: &Marks) -> bool {
    let command = Some(Pid::from_raw(marks.pid));
    group_of(pid) == command
        || getsid(Some(Pid::from_raw(pid as i32))).ok() == command
        || marks.job.is_some_and(|job| has_entry(pid, job))
        || marks.pipes.iter().flatten().any(|&pipe| holds(pid, pipe))
}

fn has_entry(pid: u32, entry: &CStr) -> bool {
    environment_of(pid).split(|&byte| byte == 0).any(|other| other == entry.to_bytes())
}

fn environment_of(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn holds(pid: u32, pipe: BorrowedFd) -> bool {
    let (Ok(stat), Ok(descriptors)) = (fstat(pipe), fs::read_dir(format!("/proc/{pid}/fd"))) else { return false };
    let link = format!("pipe:[{}]", stat.st_ino);
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == link.as_str()))
}
