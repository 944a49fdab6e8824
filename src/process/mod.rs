//! Processes: spawning, signalling, reaping, containment.
//!
//! This module owns every system call that concerns another process. It never decides anything: which process is to be
//! started, stopped or forgotten is said by its callers.
//!
//! | file | subject |
//! | --- | --- |
//! | [`handle`] | [`Process`]: start, join, terminate any program, as Python's `multiprocessing.Process` does |
//! | [`mod@spawn`] | starting a worker with three pipes; looking a program up in `PATH` |
//! | [`foreground`] | running one program to its end, with our own standard streams |
//! | [`signal`] | signals to one process, one group, one tree |
//! | [`reap`] | who has died, and how |
//! | [`contain`] | that nothing started here outlives us |
//! | [`cgroup`] | control groups, where they can be had: a further net, and a limit of memory |
//! | [`guard`] | the small process that stands between the supervisor and a program it does not know |
//!
//! One rule holds everywhere: **a process is signalled only while it is unreaped**. Its number cannot be given to a
//! stranger before somebody has waited for it, and the only one who waits for our children is this module.

pub mod cgroup;
pub mod contain;
mod exit_hook;
pub mod foreground;
pub mod guard;
pub mod handle;
mod inspect;
mod into_group;
pub mod limits;
pub mod reap;
pub mod room;
pub mod signal;
pub mod spawn;
mod started;
mod sys;

pub use contain::{
    become_subreaper, close_inherited, leave_session, parent_death_signal, shares_session, sweep, wake_when_orphaned,
};
pub use handle::{Process, ProcessError};
pub use inspect::{
    available_memory, children_of, descendants, is_stopped, is_zombie, kernel_kills, name_of, tree_memory,
};
pub use reap::{Death, Reaper, Rusage};
pub use signal::{Live, freeze_tree, kill_tree, terminate_tree, thaw_tree};
pub use spawn::{SpawnError, SpawnSpec, Spawned, resolve, spawn};
pub use sys::random;
