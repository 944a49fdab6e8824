//! Everything outside the core: the shell that carries out its orders on invented workers, and the agenda of what will
//! happen when.

use crate::actor::{Actor, parse};
use crate::options::{MICROSECOND, MILLISECOND, Options, SECOND};
use crate::oracle::Oracle;
use crate::prng::Prng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use supervisor::drive::Shell;
use supervisor::exit::ExitCode;
use supervisor::ids::{Generation, WorkerId};
use supervisor::pool::{Action, Notice, SpawnFault};
use supervisor::status::ExitStatus;

/// A worker's process.
pub(crate) type Process = (WorkerId, Generation);

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Spawned(Process),
    SpawnFailed(Process, bool),
    Ready(Process),
    Refuses(Process),
    Reads(Process),
    Done(Process, u64),
    Delivers(Process),
    Closes(Process),
    Dies(Process, i32),
    Exits(Process),
    Probed(Process),
    Looked(Process),
    LookedAround,
    ShelfTaken(Process),
    OnShelf(Process),
    StdinBacklog(Process, u32),
    OutputBacklog(u32),
    OutputLost,
    Stop(i32),
    JobsRead(u32),
    InputEnds,
}

/// Figures that show whether the faults really happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    pub(crate) kills: u64,
    pub(crate) terms: u64,
    pub(crate) abandoned: u64,
    pub(crate) probes: u64,
    pub(crate) looks: u64,
    pub(crate) seen_on_shelves: u64,
    pub(crate) left_on_shelves: u64,
    pub(crate) broken: u64,
    pub(crate) recalls_begun: u64,
    pub(crate) recalls_waiting: u64,
    pub(crate) cancelled_in_vain: u64,
    pub(crate) exits: u64,
    pub(crate) gave_up: u64,
}

/// Everything but the core.
pub(crate) struct Outside {
    pub(crate) rng: Prng,
    pub(crate) options: Options,
    pub(crate) oracle: Oracle,
    pub(crate) now: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, Deed)>>,
    sequence: u64,
    pub(crate) actors: Vec<Option<Actor>>,
    generations: Vec<Generation>,
    /// Jobs read from the list and not handed in.
    pub(crate) jobs_at_hand: u64,
    pub(crate) input_dropped: bool,
    pub(crate) input_ended: bool,
    pub(crate) next_number: u64,
    pub(crate) faults_on: bool,
    pub(crate) finished: Option<ExitCode>,
    pub(crate) coverage: Coverage,
    /// The last lines of the log; nothing is written down when it is missing.
    pub(crate) log: Option<VecDeque<String>>,
}

const LOG_LINES_MAX: usize = 2000;

impl Outside {
    pub(crate) fn new(rng: Prng, options: Options, logged: bool) -> Self {
        let workers = options.config.workers as usize;
        Outside {
            rng,
            oracle: Oracle::new(&options),
            options,
            now: 0,
            agenda: BinaryHeap::new(),
            sequence: 0,
            actors: std::iter::repeat_with(|| None).take(workers).collect(),
            generations: vec![Generation(0); workers],
            jobs_at_hand: 0,
            input_dropped: false,
            input_ended: false,
            next_number: 1,
            faults_on: true,
            finished: None,
            coverage: Coverage::default(),
            log: logged.then(VecDeque::new),
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            if log.len() == LOG_LINES_MAX {
                log.pop_front();
            }
            log.push_back(format!("{:>14.6} ms  {}", now as f64 / 1e6, line()));
        }
    }

    /// Whether a fault that happens `rate` times in 1024 happens here.
    pub(crate) fn fault(&mut self, rate: u32) -> bool {
        self.faults_on && self.rng.chance(rate)
    }

    pub(crate) fn plan(&mut self, after: u64, deed: Deed) {
        self.sequence += 1;
        self.agenda.push(Reverse((self.now + after, self.sequence, deed)));
    }

    pub(crate) fn next_deed_at(&self) -> Option<u64> {
        self.agenda.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(crate) fn take_due(&mut self) -> Option<Deed> {
        if self.next_deed_at()? > self.now {
            return None;
        }
        self.agenda.pop().map(|Reverse((_, _, deed))| deed)
    }

    pub(crate) fn actor(&mut self, process: Process) -> Option<&mut Actor> {
        self.actors[process.0.index()].as_mut().filter(|actor| actor.generation == process.1)
    }

    /// A process that an order names must be there.
    fn ordered(&mut self, process: Process, order: &str) -> &mut Actor {
        assert!(self.finished.is_none(), "{order} after the end");
        self.actor(process).unwrap_or_else(|| panic!("{order} of {process:?}, which is not there"))
    }

    pub(crate) fn plan_reading(&mut self, process: Process) {
        let Some(actor) = self.actor(process) else { return };
        if actor.reads && actor.dead.is_none() && !actor.reading_planned {
            actor.reading_planned = true;
            let after = self.rng.span(MICROSECOND, 100 * MICROSECOND);
            self.plan(after, Deed::Reads(process));
        }
    }

    fn spawn(&mut self, process: Process) {
        let index = process.0.index();
        assert!(process.1 > self.generations[index], "generations rise");
        self.generations[index] = process.1;
        assert!(self.actors[index].is_none(), "a slot holds one process");
        let after = self.rng.span(MICROSECOND, MILLISECOND);
        let faults = &self.options.faults;
        let (permanent, short) = (faults.spawn_permanent, faults.spawn_short);
        if self.fault(permanent) {
            self.plan(after, Deed::SpawnFailed(process, true));
        } else if self.fault(short) {
            self.plan(after, Deed::SpawnFailed(process, false));
        } else {
            self.plan(after, Deed::Spawned(process));
        }
    }

    fn send(&mut self, process: Process, bytes: &[u8]) {
        assert!(bytes.ends_with(b"\n"), "whole lines are sent");
        let (concurrency, max_jobs) = (self.options.config.concurrency, self.options.config.max_jobs_per_worker);
        let (announces, batch, prefetch) =
            (self.options.config.announces_ready, self.options.batch, self.options.prefetch);
        let actor = self.ordered(process, "Send");
        assert!(!actor.stdin_closed, "sent after its standard input was closed");
        let batch = announces && batch;
        let mut jobs = Vec::new();
        let mut released = Vec::new();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            for message in parse(line, batch) {
                match (message.method, message.id, message.about()) {
                    (Some("init" | "told"), _, _) | (None, _, _) => {}
                    (Some("$/release"), None, Some(about)) => released.push(about),
                    (Some("$/cancelRequest" | "$/recall"), None, Some(about)) => {
                        actor.told_to_cancel.insert(about);
                    }
                    (Some(_), Some(id), _) => {
                        let wire_id: u64 = id.get().parse().expect("ids are integers");
                        jobs.push((wire_id, message.job().expect("a request holds its job")));
                    }
                    other => panic!("sent an unknown message: {other:?}"),
                }
            }
        }
        for &(wire_id, job) in &jobs {
            assert!(actor.open.insert(wire_id, job).is_none(), "request ids are unique");
            actor.requests += 1;
        }
        if !(announces && prefetch) {
            assert!(actor.open.len() <= concurrency as usize, "more in flight than --concurrency");
        }
        let excused = jobs.is_empty() || actor.held_a_file;
        assert!(excused || max_jobs.is_none_or(|max| actor.requests <= max), "more jobs than --max-jobs-per-worker");
        for id in released {
            actor.spills.remove(&id).expect("only a file that is held open is let go of, once");
        }
        actor.stdin.extend_from_slice(bytes);
        for (_, job) in jobs {
            self.oracle.sent(job);
        }
        let faults = &self.options.faults;
        let backlog = faults.stdin_backlog;
        if self.fault(backlog) {
            self.plan(0, Deed::StdinBacklog(process, 300 << 10));
            let after = self.rng.span(MICROSECOND, 10 * MILLISECOND);
            self.plan(after, Deed::StdinBacklog(process, 0));
        }
        self.plan_reading(process);
    }

    fn look_at_shelf(&mut self, process: Process) {
        self.coverage.looks += 1;
        let actor = self.ordered(process, "LookAtShelf");
        assert!(actor.has_shelf, "there is a shelf to look at");
        self.plan(0, Deed::OnShelf(process));
    }

    fn kill(&mut self, process: Process) {
        self.coverage.kills += 1;
        let actor = self.ordered(process, "Kill");
        actor.condemned = true;
        let already = actor.dead.is_some();
        let unkillable = actor.unkillable;
        self.stop_executing(process, ExitStatus::Signal(9));
        if !already {
            let after = if unkillable { 30 * SECOND } else { self.rng.span(MICROSECOND, 10 * MILLISECOND) };
            self.plan(after, Deed::Exits(process));
        }
    }

    /// The process runs no further instruction.
    pub(crate) fn stop_executing(&mut self, process: Process, status: ExitStatus) {
        let Some(actor) = self.actor(process) else { return };
        actor.dead.get_or_insert(status);
        // Whoever lives on without an output may begin what it had read, and nobody hears of it.
        let muddled = actor.broke_protocol || actor.stdout_closed;
        let running = std::mem::take(&mut actor.running);
        let open: Vec<u64> = actor.open.values().copied().collect();
        for run in running {
            self.oracle.stopped_running(run.job, process);
        }
        for job in open {
            self.oracle.exposed(job, muddled);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        self.oracle.noticed(notice);
        match notice {
            Notice::ProtocolBroken { worker, .. } => {
                self.coverage.broken += 1;
                // It may have ended in the same turn.
                let Some(actor) = &self.actors[worker.index()] else { return };
                let open: Vec<u64> = actor.open.values().copied().collect();
                assert!(actor.broke_protocol, "an actor that kept the protocol is said to have broken it: {notice:?}");
                for job in open {
                    self.oracle.exposed(job, true);
                }
            }
            Notice::Warning { message } if message.contains("does not die") => {
                self.coverage.abandoned += 1;
                let slot: usize = message.split(' ').nth(1).and_then(|id| id.parse().ok()).expect("it names the slot");
                // The news of its end may have come in the same turn, too late.
                let Some(actor) = self.actors[slot - 1].take() else { return self.oracle.abandoned_and_ended() };
                self.oracle.abandoned((WorkerId(slot as u32), actor.generation));
                // When the machine stalls, the news of its end may be late.
                let late = self.options.faults.clock_stall > 0;
                for &job in actor.open.values() {
                    self.oracle.exposed(job, true);
                }
                assert!(actor.condemned && (actor.unkillable || late), "only what does not die is abandoned");
            }
            Notice::GivingUp { .. } => self.coverage.gave_up += 1,
            _ => {}
        }
    }

    fn finish(&mut self, code: ExitCode) {
        assert!(self.finished.is_none(), "the run ends once");
        self.oracle.finished(code);
        for actor in self.actors.iter().flatten() {
            assert!(actor.condemned || actor.dead.is_some(), "a worker lives on after the end");
        }
        self.finished = Some(code);
    }
}

impl Shell for Outside {
    fn perform(&mut self, action: Action) {
        self.note(|| match &action {
            Action::Send { worker, generation, bytes } => {
                format!("  < send {}.{}: {}", worker.0, generation.0, String::from_utf8_lossy(bytes).trim_end())
            }
            Action::Emit(record) => {
                format!("  < record {} {} attempts {}", record.id, record.status, record.attempts)
            }
            other => format!("  < {other:?}"),
        });
        assert!(self.finished.is_none(), "nothing is done after the end: {action:?}");
        match action {
            Action::Spawn { worker, generation } => self.spawn((worker, generation)),
            Action::Send { worker, generation, bytes } => self.send((worker, generation), &bytes),
            Action::SendPart { .. } => unreachable!("no job here is as large"),
            Action::CloseStdin { worker, generation } => {
                let process = (worker, generation);
                let actor = self.ordered(process, "CloseStdin");
                assert!(!actor.stdin_closed, "its standard input is closed once");
                assert!(actor.open.is_empty(), "its standard input is closed after the last answer");
                assert!(actor.spills.is_empty(), "it still holds a file for a record that is not out");
                actor.stdin_closed = true;
                self.plan_reading(process);
            }
            Action::Terminate { worker, generation } => {
                self.coverage.terms += 1;
                let process = (worker, generation);
                let actor = self.ordered(process, "Terminate");
                actor.condemned = true;
                if !actor.ignores_term {
                    let after = self.rng.span(MICROSECOND, 10 * MILLISECOND);
                    self.plan(after, Deed::Dies(process, -15));
                }
            }
            Action::Kill { worker, generation } => self.kill((worker, generation)),
            Action::Probe { worker, generation } => {
                self.coverage.probes += 1;
                self.ordered((worker, generation), "Probe");
                self.plan(0, Deed::Probed((worker, generation)));
            }
            Action::Look { worker, generation, .. } => {
                self.ordered((worker, generation), "Look");
                self.plan(0, Deed::Looked((worker, generation)));
            }
            Action::LookAround => self.plan(0, Deed::LookedAround),
            Action::TakeShelf { worker, generation, .. } => {
                self.ordered((worker, generation), "TakeShelf");
                self.plan(0, Deed::ShelfTaken((worker, generation)));
            }
            Action::LookAtShelf { worker, generation } => self.look_at_shelf((worker, generation)),
            Action::Emit(record) => {
                if let Some(spill) = record.rare().spill {
                    // Where its worker lives, it still holds the file.
                    let actor = self.actor((spill.worker, spill.generation)).filter(|actor| actor.dead.is_none());
                    assert!(actor.is_none_or(|actor| actor.spills.contains_key(&spill.request)));
                }
                self.oracle.emitted(&record);
            }
            Action::Entrust(entrusted) => self.oracle.entrusted(entrusted.number.0),
            Action::TakeBack { number, .. } => self.oracle.taken_back(number.0),
            Action::DropInput => {
                assert!(!self.input_dropped, "the list is dropped once");
                self.input_dropped = true;
            }
            Action::Notice(notice) => self.notice(&notice),
            Action::SendGuest { .. } | Action::DropGuest { .. } => unreachable!("no guest came"),
            Action::Finish(code) => self.finish(code),
        }
    }
}

/// Whether a failed start is worth another try.
pub(crate) fn spawn_fault(permanent: bool) -> SpawnFault {
    if permanent { SpawnFault::Permanent } else { SpawnFault::Shortage }
}
