//! That nothing started here outlives us: subreaper, descriptors, death signals, and the sweep.
//!
//! A subreaper inherits every orphan below it, also one that left its session and its group. So whatever escapes any
//! other net comes back as a child of ours, and the sweep kills children until none is left.

use super::inspect::{self, name_of};
use super::signal::signal_descendant;
use super::sys::{self, Peek};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long [`sweep`] goes on. Only a process that the kernel itself holds (a dead network disk), one that we are not
/// allowed to kill, or a very fast fork bomb lasts that long.
pub const SWEEP_LIMIT: Duration = Duration::from_secs(2);

/// How many leftovers are named. A fork bomb leaves thousands, which nobody reads.
pub const SWEEP_NAMES: usize = 64;

/// How long one killed child is waited for before the others get their turn.
const TURN: Duration = Duration::from_millis(20);

/// How often our children are listed in one round.
const LOOKS: usize = 8;

/// What a sweep found and whether it got rid of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Process id and name of the first [`SWEEP_NAMES`] that were alive.
    pub found: Vec<(u32, String)>,
    /// How many were killed; all of them are reaped when `complete`.
    pub killed: u64,
    /// Whether nothing is left but what was to be kept.
    pub complete: bool,
}

/// Makes this process the parent of every orphan below it (PR_SET_CHILD_SUBREAPER).
pub fn become_subreaper() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(Into::into)
}

/// Moves to a session of its own, where neither a kill of the supervisor's group nor its terminal reaches. To be called
/// with all signals blocked.
pub fn leave_session() {
    if nix::unistd::setsid().is_err() {
        // The leader of a group may not: it joins its parent's group for a moment (all signals are blocked). Where that
        // is impossible it stays in the group of its own that it has.
        let parents = nix::unistd::getpgid(Some(nix::unistd::getppid()));
        let moved = parents.and_then(|group| nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), group));
        moved.and_then(|()| nix::unistd::setsid().map(drop)).unwrap_or(());
    }
}

/// Has the kernel wake this process when its parent ends, where somebody has stopped it (SIGSTOP): only then it can see that
/// it is alone. A parent that ends before this is called is found in another way.
pub fn wake_when_orphaned() {
    // SAFETY: prctl(2) with these arguments touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGCONT, 0, 0, 0) };
}

/// Has the kernel send `signal` to this process when the thread that started it ends (PR_SET_PDEATHSIG), and at once
/// when that has happened already. Forgotten by the kernel across fork and the start of a set-user-id program.
///
/// Only system calls that are allowed between fork and exec.
pub fn parent_death_signal(signal: i32, expected_parent: u32) -> io::Result<()> {
    // SAFETY: these calls touch no memory of ours.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::getppid() as u32 != expected_parent {
            libc::raise(signal);
        }
    }
    Ok(())
}

/// Makes every descriptor from 3 on close-on-exec, so that what we inherited by accident ends with us. This includes
/// the jobserver of a surrounding `make`.
pub fn close_inherited() {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: close_range(2) with this flag marks descriptors and closes none.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    // Before Linux 5.11 one by one.
    if marked != 0 {
        open_descriptors().into_iter().for_each(mark_close_on_exec);
    }
}

/// Kills every child of this process for which `keep` is false, with everything below it, and reaps them, until only
/// kept children are left, for [`SWEEP_LIMIT`] at most. Gives what was found alive, by process id and name.
///
/// For subreapers: what the killed leave behind comes to us and goes the same way. Children of ours that somebody else
/// waits for have to be kept.
pub fn sweep(keep: &dyn Fn(u32) -> bool) -> Vec<(u32, String)> {
    sweep_for(SWEEP_LIMIT, keep).found
}

/// As [`sweep`], with a limit of the caller's.
pub fn sweep_for(limit: Duration, keep: &dyn Fn(u32) -> bool) -> Swept {
    let mut sweep =
        Sweep { keep, deadline: sys::monotonic() + limit, immune: BTreeSet::new(), swept: Swept::default() };
    let mut quiet = 0;
    // Twice nothing: the kernel's list may miss a child while others end.
    while quiet < 2 {
        if sys::peek(None, libc::WNOHANG) == Peek::NoChildren {
            sweep.swept.complete = true;
            return sweep.swept;
        }
        quiet = if sweep.round() { 0 } else { quiet + 1 };
        if sys::monotonic() >= sweep.deadline {
            return sweep.swept;
        }
    }
    sweep.swept.complete = sweep.immune.is_empty() && inspect::proc_is_there();
    sweep.swept
}

/// What one look has seen.
#[derive(Default)]
struct Sight {
    /// Children that have ended.
    dead: Vec<u32>,
    /// Children that have not.
    alive: Vec<u32>,
    /// What is below those, with parents.
    below: Vec<(u32, u32)>,
}

struct Sweep<'a> {
    keep: &'a dyn Fn(u32) -> bool,
    deadline: Instant,
    /// Children that we are not allowed to kill (they run as another user).
    immune: BTreeSet<u32>,
    swept: Swept,
}

impl Sweep<'_> {
    /// Kills and reaps all that can be seen now; says whether there was anything.
    fn round(&mut self) -> bool {
        let me = std::process::id();
        let Sight { dead, alive, below } = self.look(me);
        dead.iter().for_each(|&child| bury(child));
        alive.iter().for_each(|&child| self.strike(child, me));
        // Deeper ones as well, and not only when they come to us: a tree that forks faster at its leaves than it dies
        // from its root would win.
        for (pid, parent) in below {
            self.swept.killed += u64::from(signal_descendant(pid, parent, libc::SIGKILL));
        }
        alive.iter().for_each(|&child| self.await_end(child));
        !dead.is_empty() || !alive.is_empty()
    }

    /// Sees all that is to go, and names it while it has a name. One blow at a group also hits what was not looked at,
    /// so our children are listed again until no new one appears: what dies meanwhile leaves its own children to us.
    fn look(&mut self, me: u32) -> Sight {
        let (mut sight, mut known) = (Sight::default(), BTreeSet::new());
        for _ in 0..LOOKS {
            let mut fresh = inspect::children_of(me);
            fresh.retain(|&child| !(self.keep)(child) && !self.immune.contains(&child) && known.insert(child));
            if fresh.is_empty() {
                break;
            }
            for child in fresh {
                if is_dead(child) {
                    sight.dead.push(child);
                    continue;
                }
                sight.alive.push(child);
                self.note(child);
                let below = inspect::walk(child);
                below.iter().for_each(|&(pid, _)| self.note(pid));
                sight.below.extend(below);
            }
        }
        sight
    }

    /// Kills a child, and its group in one blow where the group is surely made of descendants of ours: nobody can fork
    /// out of such a blow.
    fn strike(&mut self, child: u32, me: u32) {
        // A group of another session than ours was made below us, since a session can be left but never joined. So was a
        // group that is led by a child of ours.
        let made_below = |&group: &u32| group == child || session_of(child) != session_of(me);
        let group = group_of(child).filter(made_below);
        if let Some(group) = group.filter(|&group| group_of(me) != Some(group) && !(self.keep)(group)) {
            // It fails when no member may be signalled; the child itself tells us so below.
            sys::killpg(group, libc::SIGKILL).unwrap_or(());
        }
        match sys::kill(child, libc::SIGKILL) {
            Ok(()) => self.swept.killed += 1,
            Err(_) => drop(self.immune.insert(child)),
        }
    }

    /// Waits a little for a killed child and reaps it.
    fn await_end(&mut self, child: u32) {
        if self.immune.contains(&child) {
            return;
        }
        let left = self.deadline.saturating_duration_since(sys::monotonic()).min(TURN);
        if let Ok(descriptor) = sys::pidfd_open(child) {
            // Whether it ended or the turn is over, the next look tells.
            sys::wait_readable(descriptor.as_fd(), Some(left)).unwrap_or(false);
        } else if !is_dead(child) {
            // Before Linux 5.3, or short of descriptors: a killed process needs a moment.
            nix::poll::poll(&mut [], 1_u8).unwrap_or(0);
        }
        bury(child);
    }

    fn note(&mut self, pid: u32) {
        let found = &mut self.swept.found;
        let known = |&(known, _): &(u32, String)| known == pid;
        if found.len() < SWEEP_NAMES && !found.iter().any(known) && !inspect::is_zombie(pid) {
            found.push((pid, name_of(pid)));
        }
    }
}

/// Whether a child has ended, or is none of ours any more.
fn is_dead(child: u32) -> bool {
    sys::peek(Some(child), libc::WNOHANG) != Peek::NoneDead
}

/// Reaps a child if it is dead. A group that it leads is emptied before its number becomes free.
fn bury(child: u32) {
    if matches!(sys::peek(Some(child), libc::WNOHANG), Peek::Dead(..)) && group_of(child) == Some(child) {
        // It fails when the child was the last of its group.
        sys::killpg(child, libc::SIGKILL).unwrap_or(());
    }
    sys::wait4(child);
}

/// Whether a process is in our session.
pub fn shares_session(pid: u32) -> bool {
    session_of(pid).is_some_and(|session| session_of(std::process::id()) == Some(session))
}

fn group_of(pid: u32) -> Option<u32> {
    // SAFETY: getpgid(2) touches no memory of ours.
    u32::try_from(unsafe { libc::getpgid(sys::pid_t(pid).ok()?) }).ok()
}

fn session_of(pid: u32) -> Option<u32> {
    // SAFETY: getsid(2) touches no memory of ours.
    u32::try_from(unsafe { libc::getsid(sys::pid_t(pid).ok()?) }).ok()
}

/// The open descriptors from 3 on, by /proc, or every number that may be one.
fn open_descriptors() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        // SAFETY: sysconf(3) touches no memory of ours.
        let most = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
        return (3..i32::try_from(most).unwrap_or(0).clamp(1024, 65536)).collect();
    };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&fd| fd >= 3).collect()
}

fn mark_close_on_exec(fd: i32) {
    // SAFETY: F_SETFD on a number changes at most a flag; on a number that is not open it fails with EBADF.
    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
}
