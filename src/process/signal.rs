//! Signals to one process, to one group, to one tree.
//!
//! A number is signalled only while it cannot have passed to another process: a child of ours while we have not reaped
//! it ([`Live`]), a deeper descendant through a descriptor that is checked after it was opened.

use super::inspect;
use super::reap::{self, Rusage};
use super::sys;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

/// How often a tree is walked again to find processes that were started during the walk.
const WALKS: usize = 8;

/// A child of this process that has not been reaped, running or zombie: the licence to signal it.
#[derive(Debug, PartialEq, Eq)]
pub struct Live {
    pid: u32,
}

impl Live {
    /// Takes a child that this process has just started, or adopted, and that nobody else will reap.
    pub fn new(pid: u32) -> Self {
        Live { pid }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Signals the process alone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::kill(self.pid, signal)
    }

    /// Signals its whole process group; the child must have been started as the leader of one. Works on a zombie: the
    /// group keeps its number as long as its leader is unreaped.
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        sys::killpg(self.pid, signal)
    }

    /// Reaps it if it is dead; gives it back if it is not.
    pub fn reap(self) -> Result<Rusage, Live> {
        reap::reap(self.pid).ok_or(self)
    }
}

/// Asks a tree to end: SIGTERM to all, then SIGCONT, since a stopped process ends only when it is continued.
///
/// Like all functions for trees it takes an unreaped child of ours as root, or our own process id, which means
/// everything below us but not ourselves.
pub fn terminate_tree(root: u32) {
    let reached = signal_tree(root, libc::SIGTERM);
    for &(pid, parent) in &reached {
        signal_descendant(pid, parent, libc::SIGCONT);
    }
}

/// Stops a tree (SIGSTOP), until [`thaw_tree`].
pub fn freeze_tree(root: u32) {
    signal_tree(root, libc::SIGSTOP);
}

/// Continues a tree (SIGCONT), also what had been stopped before by others.
pub fn thaw_tree(root: u32) {
    signal_tree(root, libc::SIGCONT);
}

/// Kills a tree (SIGKILL). What escapes by forking faster is left to [`super::sweep`].
pub fn kill_tree(root: u32) {
    signal_tree(root, libc::SIGKILL);
}

/// Makes SIGTSTP and everything else deliverable again: the first thing a program does that was started with
/// [`super::SpawnSpec::block_stop`].
pub fn unblock_all() {
    // It fails for an invalid argument only.
    nix::sys::signal::SigSet::empty().thread_set_mask().unwrap_or(());
}

/// Signals each process of a tree once and gives those reached, with their parents. Walks until nothing new appears.
fn signal_tree(root: u32, signal: i32) -> Vec<(u32, u32)> {
    let me = std::process::id();
    let itself = (root != me).then_some((root, me));
    let mut reached = Vec::new();
    let mut done = BTreeSet::from([me]);
    for _ in 0..WALKS {
        let before = done.len();
        for (pid, parent) in itself.into_iter().chain(inspect::walk(root)) {
            // One that got another parent meanwhile is not reached, and is found under that one by the next walk.
            if !done.contains(&pid) && signal_descendant(pid, parent, signal) {
                done.insert(pid);
                reached.push((pid, parent));
            }
        }
        if done.len() == before {
            break;
        }
    }
    reached
}

/// Signals a process that was found under `parent`. A process that is gone, or not ours to signal, is no error: who
/// needs certainty looks again.
pub(super) fn signal_descendant(pid: u32, parent: u32, signal: i32) -> bool {
    if parent == std::process::id() {
        return sys::kill(pid, signal).is_ok();
    }
    // The parent may have reaped it and the number may be somebody else's by now. With the descriptor open the number
    // is looked at again: if it names a stranger then the descriptor's own process is dead and gets nothing.
    let descriptor = sys::pidfd_open(pid);
    let found_under = inspect::parent_of(pid);
    if found_under != parent && found_under != std::process::id() {
        return false;
    }
    match descriptor {
        Ok(descriptor) => sys::pidfd_send(descriptor.as_fd(), signal).is_ok(),
        // Before Linux 5.3, or short of descriptors: the window is the few instructions since the look.
        Err(_) => sys::kill(pid, signal).is_ok(),
    }
}
