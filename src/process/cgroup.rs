//! Control groups (version 2), where we may make them: a further net around what workers start, and the limit of its
//! memory that the kernel itself keeps. Nothing depends on them: where there are none, a run is right without.
//!
//! A run has one group below the one it was started in, and in it one for each process of a worker. Only what a guard
//! guards is in there; guards and supervisor are not, so that they see the kill through and clean up after it.
//! Processes are born in their group (`into_group`): moving one in takes 10 ms, the time in which the kernel
//! makes sure that nobody forks.

use super::sys;
use nix::poll::{PollFd, PollFlags, poll};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the killed may take to be gone. Those that the kernel holds (a dead network disk) take longer, and leave an
/// empty group behind.
const GONE_SPAN: Duration = Duration::from_millis(500);

/// How often the members are counted while they are waited for, in milliseconds, should the kernel not tell.
const LOOK_MS: u16 = 20;

/// How deep groups may lie in ours: runs inside of jobs, each with two.
const DEPTH_MAX: u32 = 16;

/// What groups are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// None are made.
    None,
    /// To kill what is in them, and to limit its memory (in bytes) where that can be had too.
    Kill(Option<u64>),
    /// To limit memory; where that cannot be had, none are made.
    Memory(u64),
}

/// The groups of a run. They are made when the first is asked for, and removed with this value.
#[derive(Debug)]
pub struct Groups {
    wanted: Use,
    run: Option<Run>,
    /// How many were made, which names them.
    made: u64,
    /// Of processes that have ended, but not all at once.
    lingering: Vec<PathBuf>,
}

/// The group of one process of a worker, and all that it starts.
#[derive(Debug, Clone)]
pub struct Group {
    directory: PathBuf,
    memory_max: Option<u64>,
}

/// What was made and changed for a run.
#[derive(Debug)]
struct Run {
    /// The group that we were started in.
    home: PathBuf,
    /// Where the groups of the workers are.
    directory: PathBuf,
    memory_max: Option<u64>,
    /// The memory controller was switched on for the groups in `home`.
    switched: bool,
    /// Where we are ourselves, if we had to leave `home`: a group with members has no groups with controllers.
    moved: Option<PathBuf>,
}

/// How the memory controller is to be had for groups in our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    /// It is on.
    On,
    /// We may try to switch it on.
    Switch,
    /// It can be switched on as soon as we have moved into a group of our own.
    Move,
    /// It is not to be had.
    Missing,
}

impl Groups {
    /// Of a run that wants them for this. Nothing is looked at or made yet.
    pub fn new(wanted: Use) -> Self {
        Groups { wanted, run: None, made: 0, lingering: Vec::new() }
    }

    /// Makes a group for a new process. `None` where that cannot be done; then nothing more is tried.
    pub fn make(&mut self) -> Option<Group> {
        if self.run.is_none() && self.wanted != Use::None {
            self.run = own_group().and_then(|home| Run::begin(home, self.wanted));
        }
        let group = self.run.as_ref().and_then(|run| run.group(self.made));
        self.made += 1;
        if group.is_none() {
            self.wanted = Use::None;
        }
        group
    }

    /// Kills what is left of a process that has ended, and removes its group.
    pub fn discard(&mut self, group: Group) {
        if fs::remove_dir(&group.directory).is_err() {
            group.kill();
            self.lingering.push(group.directory);
        }
        // The killed need a moment. Whatever is in the way now is tried again when the next one has ended.
        self.lingering.retain(|directory| fs::remove_dir(directory).is_err());
    }

    /// Kills whatever is in any of them.
    pub fn kill_all(&self) {
        self.run.iter().for_each(|run| kill(&run.directory));
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.end();
        }
    }
}

impl Group {
    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills everything in it, at once and whoever it runs as (Linux 5.14).
    pub fn kill(&self) {
        kill(&self.directory);
    }

    /// What was taken, if the kernel has killed it for taking more than its limit.
    pub fn excess(&self) -> Option<u64> {
        let limit = self.memory_max?;
        let events = read(&self.directory, "memory.events");
        // Killed, and for reaching this limit: the machine itself may be short as well.
        if figure(&events, "oom")? == 0 || figure(&events, "oom_kill")? == 0 {
            return None;
        }
        // Since Linux 5.19. It was refused the page that would have been above the limit.
        let peak = read(&self.directory, "memory.peak").trim().parse().unwrap_or(limit);
        Some(peak.max(limit.saturating_add(1)))
    }
}

/// Kills what is in the groups of a run, which is found by the group of one process: for a guard whose supervisor is gone.
/// So what another guard guarded ends even if that one is gone as well.
pub(super) fn kill_run_of(group: &Path) {
    group.parent().into_iter().for_each(kill);
}

/// The same, and removes them once they are empty. The last guard finds nothing in its way.
pub(super) fn clear_run_of(group: &Path) {
    if let Some(run) = group.parent() {
        clear(run);
    }
}

fn clear(directory: &Path) {
    if fs::remove_dir(directory).is_ok() {
        return;
    }
    kill(directory);
    await_empty(directory);
    remove(directory, DEPTH_MAX);
}

/// Kills what is in a group and below it.
pub(super) fn kill(directory: &Path) {
    // Before Linux 5.14 there is no such file: then the other nets have to do.
    put(directory, "cgroup.kill", "1").unwrap_or(());
}

/// Waits until nothing lives in a group or below it. Zombies do not count.
fn await_empty(directory: &Path) {
    let deadline = sys::monotonic() + GONE_SPAN;
    let Ok(events) = File::open(directory.join("cgroup.events")) else { return };
    while figure(&read(directory, "cgroup.events"), "populated") == Some(1) && sys::monotonic() < deadline {
        // Changes are told to those who have read the file, which was not through this descriptor: it is only a hint.
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], LOOK_MS).unwrap_or(0);
    }
}

/// Removes an empty group with the groups in it.
fn remove(directory: &Path, depth: u32) {
    if fs::remove_dir(directory).is_ok() || depth == 0 {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path(), depth - 1);
        }
    }
    // It fails when something lives in it still. An empty group is in nobody's way.
    fs::remove_dir(directory).unwrap_or(());
}

impl Run {
    fn begin(home: PathBuf, wanted: Use) -> Option<Run> {
        let (memory_max, needed) = match wanted {
            Use::None => return None,
            Use::Kill(limit) => (limit, false),
            Use::Memory(limit) => (Some(limit), true),
        };
        let controller = if memory_max.is_some() { controller_in(&home) } else { Controller::Missing };
        if needed && controller == Controller::Missing {
            return None;
        }
        let directory =
            home.join(format!("supervisor-{}-{:016x}", std::process::id(), u64::from_ne_bytes(sys::random())));
        fs::create_dir(&directory).ok()?;
        let mut run = Run { home, directory, memory_max: None, switched: false, moved: None };
        if run.switch_on(controller).is_ok() {
            run.memory_max = memory_max;
        }
        if needed && run.memory_max.is_none() {
            run.end();
            return None;
        }
        Some(run)
    }

    /// Has the memory of groups in ours limited.
    fn switch_on(&mut self, controller: Controller) -> io::Result<()> {
        match controller {
            Controller::On => {}
            Controller::Missing => return Err(io::ErrorKind::Unsupported.into()),
            Controller::Switch | Controller::Move => {
                if controller == Controller::Move {
                    let mut name = self.directory.clone().into_os_string();
                    name.push("-own");
                    fs::create_dir(&name)?;
                    put(Path::new(self.moved.insert(name.into())), "cgroup.procs", "0")?;
                }
                put(&self.home, "cgroup.subtree_control", "+memory")?;
                self.switched = true;
            }
        }
        put(&self.directory, "cgroup.subtree_control", "+memory")
    }

    fn group(&self, number: u64) -> Option<Group> {
        let directory = self.directory.join(number.to_string());
        fs::create_dir(&directory).ok()?;
        if let Some(limit) = self.memory_max {
            // The second is missing without swap, the third before Linux 4.19; each is a refinement of the first.
            put(&directory, "memory.max", &limit.to_string()).unwrap_or(());
            put(&directory, "memory.swap.max", "0").unwrap_or(());
            put(&directory, "memory.oom.group", "1").unwrap_or(());
        }
        Some(Group { directory, memory_max: self.memory_max })
    }

    /// Everything as it was.
    fn end(self) {
        clear(&self.directory);
        if self.switched {
            // It fails when another run began to use it meanwhile, which is what it is there for.
            put(&self.home, "cgroup.subtree_control", "-memory").unwrap_or(());
        }
        if let Some(own) = self.moved {
            // Where the way back is closed, the group that we are in stays behind.
            put(&self.home, "cgroup.procs", "0").unwrap_or(());
            fs::remove_dir(own).unwrap_or(());
        }
    }
}

/// How the memory controller can be had in a group of ours.
fn controller_in(home: &Path) -> Controller {
    let [available, on] = ["cgroup.controllers", "cgroup.subtree_control"].map(|file| read(home, file));
    // The uppermost group of the system has no type, and may have members beside groups with controllers.
    let is_root = !home.join("cgroup.type").exists();
    let is_alone = || read(home, "cgroup.procs").trim() == std::process::id().to_string();
    controller(&available, &on, is_root, is_alone)
}

fn controller(available: &str, on: &str, is_root: bool, is_alone: impl Fn() -> bool) -> Controller {
    let has = |list: &str| list.split_whitespace().any(|controller| controller == "memory");
    match () {
        () if has(on) => Controller::On,
        () if !has(available) => Controller::Missing,
        () if is_root => Controller::Switch,
        () if is_alone() => Controller::Move,
        () => Controller::Missing,
    }
}

/// Where our own group is.
fn own_group() -> Option<PathBuf> {
    group_in(&fs::read_to_string("/proc/self/cgroup").ok()?, &fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// From the lists of our groups and of what is mounted.
fn group_in(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let (mut place, mut kind) = (place.split(' ').skip(3), kind.split(' '));
        let (root, point) = (place.next()?, place.next()?);
        // A mount shows what is below its root, which may not be where we are.
        let inside = (kind.next() == Some("cgroup2")).then(|| group.strip_prefix(root).ok()).flatten()?;
        Some(Path::new(point).join(inside))
    })
}

/// The figure behind a name.
fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_default()
}

fn put(directory: &Path, file: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(directory.join(file))?.write_all(text.as_bytes())
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
