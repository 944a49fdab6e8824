//! The hands of the core: turns its actions into system calls.

use super::children::Child;
use super::guests::Guests;
use super::keeper::Keeper;
use super::launch::{self, Belongings, OwnProgram, use_of_groups};
use super::outbox::Piece;
use super::poller::Poller;
use crate::config::{Launch, PoolConfig, Program};
use crate::drive::Shell;
use crate::exit::ExitCode;
use crate::ids::{Generation, WorkerId};
use crate::pool::{Action, Event, SpawnFault};
use crate::process::cgroup::{Group, Groups};
use crate::process::{self, SpawnSpec};
use crate::record::Record;
use crate::report::Hub;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What an action brought about, to be told to the core in the next turn.
#[derive(Debug)]
pub(super) enum Echo {
    /// A fact for the core.
    Event(Event<'static>),
    /// What a worker holds back is to be read.
    OnShelf(WorkerId, Generation),
}

/// Everything that acts.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) hub: Hub,
    pub(super) poller: Poller,
    pub(super) guests: Guests,
    pub(super) echoes: VecDeque<Echo>,
    /// Keeps the journal, where there is one.
    pub(super) keeper: Option<Keeper>,
    /// Set when the run is over.
    pub(super) exit: Option<ExitCode>,
    /// Children that are to live on, by process id: those that were there before us, since who starts us by `exec` leaves us
    /// his own; and what jobs have left running, where that is allowed and its worker has ended.
    kept: BTreeSet<u32>,
    /// The list is not wanted any more.
    pub(super) input_dropped: bool,
    children: Vec<Option<Child>>,
    /// Slots by the pid of their process.
    by_pid: BTreeMap<u32, WorkerId>,
    to_spawn: VecDeque<(WorkerId, Generation)>,
    launch: Launch,
    /// Processes that the kernel had killed for want of memory when we last looked.
    kernel_kills: u64,
    own_program: OwnProgram,
    /// A control group for each process of a worker, where they can be had.
    groups: Groups,
    /// The end of file that guards wait for: the write end lives as long as this process.
    lifeline: Lifeline,
    /// What workers can load, as a file in memory.
    library: Option<File>,
}

/// A pipe that nobody writes to.
#[derive(Debug)]
struct Lifeline {
    read: OwnedFd,
    _write: OwnedFd,
}

impl Hands {
    pub(super) fn new(hub: Hub, launch: Launch, pool: &PoolConfig) -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let poller = Poller::new()?;
        let library = match &launch.program {
            Program::Guarded { library: Some(bytes), .. } => memory_file(bytes).ok(),
            _ => None,
        };
        Ok(Hands {
            hub,
            guests: Guests::open(&poller),
            poller,
            echoes: VecDeque::new(),
            keeper: None,
            exit: None,
            kept: process::children_of(std::process::id()).into_iter().collect(),
            input_dropped: false,
            children: (0..pool.workers).map(|_| None).collect(),
            by_pid: BTreeMap::new(),
            to_spawn: VecDeque::new(),
            groups: Groups::new(use_of_groups(&launch, pool.memory_max)),
            launch,
            kernel_kills: process::kernel_kills(),
            own_program: OwnProgram::find()?,
            lifeline: Lifeline { read, _write: write },
            library,
        })
    }

    /// The child of a slot, if it is this generation.
    pub(super) fn child(&mut self, worker: WorkerId, generation: Generation) -> Option<&mut Child> {
        self.children[worker.index()].as_mut().filter(|child| child.generation == generation)
    }

    /// Whether this process is a worker of ours.
    pub(super) fn worker_of(&self, pid: u32) -> Option<WorkerId> {
        self.by_pid.get(&pid).copied()
    }

    /// Whether this child of ours, or group of theirs, came from no worker, or may live on. Workers leave our session, and
    /// what is below them cannot come back: who is in it was left to us by somebody else.
    pub(super) fn is_spared(&self, pid: u32) -> bool {
        self.kept.contains(&pid) || process::shares_session(pid)
    }

    /// A child that was no worker has ended.
    pub(super) fn forget_kept(&mut self, pid: u32) {
        self.kept.remove(&pid);
    }

    /// The generation of the process in a slot.
    pub(super) fn generation(&self, worker: WorkerId) -> Option<Generation> {
        Some(self.children[worker.index()].as_ref()?.generation)
    }

    /// Takes out the child of a slot whose process has ended.
    pub(super) fn take(&mut self, worker: WorkerId) -> Option<Child> {
        let child = self.children[worker.index()].take()?;
        self.by_pid.remove(&child.process.pid());
        Some(child)
    }

    /// The child of a slot and the poller, to be used together.
    pub(super) fn child_and_poller(
        &mut self,
        worker: WorkerId,
        generation: Generation,
    ) -> Option<(&mut Child, &Poller)> {
        let child = self.children[worker.index()].as_mut().filter(|child| child.generation == generation)?;
        Some((child, &self.poller))
    }

    /// Sends a signal to every worker: they pass it on to what they run.
    pub(super) fn signal_all(&self, signal: i32) {
        for child in self.children.iter().flatten() {
            // It cannot fail for a child that is not reaped.
            let _ = child.process.signal(signal);
        }
    }

    /// Whether something is left to be done in the next turn, so that it must not wait.
    pub(super) fn is_busy(&self) -> bool {
        !self.echoes.is_empty() || !self.to_spawn.is_empty()
    }

    /// Starts one of the processes that were asked for. It takes as long as a program needs to begin: signals, and what
    /// those started before have to say, are looked at in between.
    pub(super) fn spawn_one(&mut self) {
        let Some((worker, generation)) = self.to_spawn.pop_front() else { return };
        let group = self.groups.make();
        let event = match self.spawn(worker, generation, group.as_ref()) {
            Ok(mut child) => {
                let pid = child.process.pid();
                child.group = group;
                self.children[worker.index()] = Some(child);
                self.by_pid.insert(pid, worker);
                Event::Spawned { worker, generation, pid }
            }
            Err((fault, message)) => {
                self.discard(group);
                Event::SpawnFailed { worker, generation, fault, message }
            }
        };
        self.tell(event);
    }

    fn spawn(
        &mut self,
        worker: WorkerId,
        generation: Generation,
        group: Option<&Group>,
    ) -> Result<Child, (SpawnFault, String)> {
        let own_program = self.own_program.path();
        let mut spec = SpawnSpec::new(own_program);
        let marks = self.keeper.as_mut().and_then(|keeper| keeper.renew(worker));
        let mut inherited = Vec::with_capacity(2);
        let mut env = vec![(OsString::from("SPV_WORKER_ID"), OsString::from(worker.0.to_string()))];
        // A run inside a job of another run is a run of its own: what says where that one is does not belong to it.
        let outer = [OsString::from("SPV_SOCKET"), OsString::from("SPV_LOCK_WITHIN")];
        let address = self.guests.address();
        spec.env_remove = if address.is_some() { &outer[1..] } else { &outer };
        env.extend(address.map(|address| (OsString::from("SPV_SOCKET"), OsString::from(address))));
        let place = marks.as_ref().map(|(fd, place)| (fd.as_raw_fd(), *place));
        let lifeline = self.lifeline.read.as_raw_fd();
        let given = Belongings { kernel_kills: self.kernel_kills, lifeline, marks: place };
        let args = launch::arguments(&self.launch, &given, group, own_program);
        if args[0] == "guard" {
            inherited.push(self.lifeline.read.as_fd());
        }
        if let Program::Guarded { env: more, marks_begun, .. } = &self.launch.program {
            if let Some((fd, place)) = place.filter(|_| *marks_begun) {
                env.push(("SPV_MARKS".into(), format!("{fd}:{place}").into()));
            }
            env.extend(more.iter().cloned());
            if let Some(file) = &self.library {
                // Opened by its place in /proc: one that inherits it would have to close it again.
                let place = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                env.push(("SPV_LIBRARY".into(), place.into()));
            }
        }
        inherited.extend(marks.map(|(fd, _)| fd));
        spec.inherit = &inherited;
        spec.args = &args;
        spec.env = &env;
        let spawned = process::spawn(&spec).map_err(|error| (error.fault, error.message))?;
        // When it fails its pipes are closed, so it ends; as a child nobody knows it is swept.
        Child::new(worker, generation, spawned, &self.poller)
            .map_err(|error| (SpawnFault::Shortage, format!("cannot watch worker {}: {error}", worker.0)))
    }

    /// The core is to be told of this in the next turn.
    fn tell(&mut self, event: Event<'static>) {
        self.echoes.push_back(Echo::Event(event));
    }

    /// Looks at a worker from outside.
    fn look(&mut self, worker: WorkerId, generation: Generation, exact_above: u64) {
        let Some(child) = self.child(worker, generation) else { return };
        let (pid, is_grouped) = (child.process.pid(), child.group.is_some());
        let memory = if exact_above < u64::MAX { process::tree_memory(pid, exact_above) } else { 0 };
        // Behind a guard, who matters is whom it guards.
        let is_guarded = is_grouped || matches!(self.launch.program, Program::Guarded { .. });
        let target_stopped = || is_guarded && process::children_of(pid).into_iter().any(process::is_stopped);
        let stopped = process::is_stopped(pid) || target_stopped();
        self.tell(Event::Looked { worker, generation, memory, stopped });
    }

    /// Ends what a process that has ended may have left in its control group.
    pub(super) fn discard(&mut self, group: Option<Group>) {
        group.into_iter().for_each(|group| self.groups.discard(group));
    }

    /// Kills whatever lives in our control groups.
    pub(super) fn kill_groups(&self) {
        self.groups.kill_all();
    }

    /// A worker has ended in order: what its jobs have left running is ours now, and lives on where that is allowed.
    pub(super) fn keep_leftovers(&mut self) {
        if self.launch.keep_leftovers {
            let strangers = process::children_of(std::process::id());
            self.kept.extend(strangers.into_iter().filter(|pid| !self.by_pid.contains_key(pid)));
        }
    }

    /// Whether the kernel has killed processes for want of memory since this was asked last.
    pub(super) fn kernel_was_short(&mut self) -> bool {
        let before = std::mem::replace(&mut self.kernel_kills, process::kernel_kills());
        self.kernel_kills > before
    }

    fn send(&mut self, to: (WorkerId, Generation), piece: Piece) {
        let (worker, generation) = to;
        let noted = self.keeper.as_mut().is_none_or(Keeper::write_marks);
        if let Some((child, poller)) = self.child_and_poller(worker, generation) {
            // What would be begun without a note is not sent: a later run would not know of it.
            if noted {
                child.send(piece, poller)
            } else {
                child.withhold(&piece)
            }
            self.report_stdin(worker, generation);
        }
    }

    #[inline(always)]
    fn emit(&mut self, record: &mut Record) {
        self.hub.take(record);
        if let Some(keeper) = &mut self.keeper {
            keeper.ended(record.number, self.hub.rows().map_or(0, |rows| rows.len()));
        }
    }

    fn report_stdin(&mut self, worker: WorkerId, generation: Generation) {
        if let Some(news) = self.child(worker, generation).and_then(Child::fresh_news_of_stdin) {
            self.tell(news);
        }
    }
}

impl Shell for Hands {
    fn perform(&mut self, mut action: Action) {
        // Looked at where it is: nearly every action is one.
        if let Action::Emit(record) = &mut action {
            return self.emit(record);
        }
        match action {
            Action::Spawn { worker, generation } => self.to_spawn.push_back((worker, generation)),
            Action::Entrust(entrusted) => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.entrust(&entrusted);
                }
            }
            Action::TakeBack { number, attempts } => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.take_back(number, attempts);
                }
            }
            Action::Send { worker, generation, bytes } => self.send((worker, generation), Piece::Bytes(bytes)),
            Action::SendPart { worker, generation, part } => self.send((worker, generation), Piece::Part(part)),
            Action::CloseStdin { worker, generation } => {
                if let Some((child, poller)) = self.child_and_poller(worker, generation) {
                    child.close_stdin(poller);
                }
            }
            Action::Terminate { worker, generation } => {
                if let Some(child) = self.child(worker, generation) {
                    let _ = child.process.signal(libc::SIGTERM);
                    // A stopped process hears nothing else.
                    let _ = child.process.signal(libc::SIGCONT);
                }
            }
            Action::Kill { worker, generation } => {
                if let Some(child) = self.child(worker, generation) {
                    child.kill();
                }
            }
            Action::Probe { worker, generation } => {
                if let Some(child) = self.child(worker, generation) {
                    let bytes = child.unread();
                    self.tell(Event::Unread { worker, generation, bytes });
                }
            }
            Action::Look { worker, generation, exact_above } => self.look(worker, generation, exact_above),
            Action::LookAround => {
                self.tell(Event::MemoryAvailable { bytes: process::available_memory() });
            }
            Action::TakeShelf { worker, generation, pid, shelf, from } => {
                let taken = self.child(worker, generation).is_some_and(|child| child.take_shelf(pid, &shelf, from));
                if taken {
                    self.tell(Event::ShelfTaken { worker, generation });
                }
            }
            Action::LookAtShelf { worker, generation } => self.echoes.push_back(Echo::OnShelf(worker, generation)),
            Action::SendGuest { guest, bytes } => self.guests.send(guest, &bytes),
            Action::DropGuest { guest } => self.guests.remove(guest, &self.poller),
            Action::Emit(_) => unreachable!("it was taken above"),
            Action::DropInput => self.input_dropped = true,
            Action::Notice(notice) => self.hub.notice(&notice),
            Action::Finish(exit) => self.exit = Some(exit),
        }
    }
}

/// A file in memory with these bytes, which no other program gets.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"supervisor-library", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
