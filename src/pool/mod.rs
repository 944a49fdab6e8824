//! **The core**: every decision of a run. Events in, actions out; no clock, no system call, no thread, and no randomness
//! but a seed.
//!
//! # How it is driven
//!
//! ```text
//! pool.handle(now, event);                            // any number of events; time must not go back
//! while let Some(action) = pool.next_action() { … }   // until none is left
//! pool.next_deadline()                                // when to call handle(now, Event::DeadlineReached) at the latest
//! pool.wants_job()                                    // whether the next job of the list may be handed in
//! ```
//!
//! `handle` takes in facts. What can wait until all facts of a turn are known (which worker gets which job, what is sent
//! together) is decided when `next_action` finds nothing else to hand out.
//!
//! # Who owns what
//!
//! | part | owns |
//! | --- | --- |
//! | `job_table` | every accepted job has exactly one record |
//! | `queue`, `needs`, `order`, `awaited` | which job is next; who waits for whom; records in the order of the list, and whom the first waits for |
//! | `worker`, `flight` | a slot, its process, the requests open there, and which of them are begun |
//! | `accept`, `dispatch`, `receive`, `judge`, `outcome` | the way of a job: in, to a worker, its answer, what that means, its record |
//! | `printed` | what workers and functions print, and whose it is |
//! | `offers` | which worker has room, and the least to do |
//! | `shelf` | answers that a worker holds back: when they are looked for |
//! | `shared`, `serving` | locks, values, queues and the like, asked for by workers; released when their holder ends |
//! | `unread` | answers to what workers asked that they have not read |
//! | `guests` | processes inside the run that are no workers and ask for locks |
//! | `lifecycle`, `restart` | the way of a worker: start, ready, drain, death; restart intensity |
//! | `stop`, `halting` | why and how a run is stopped |
//! | `deadline`, `prefetch` | what must be looked at when; how many jobs are sent ahead |
//! | `watch` | memory, and workers that are stopped |

mod accept;
mod action;
mod awaited;
mod check;
mod deadline;
mod dispatch;
mod event;
mod flight;
mod guests;
mod halting;
mod initialising;
mod job_table;
mod judge;
mod lifecycle;
mod needs;
mod offers;
mod order;
mod outcome;
mod prefetch;
mod printed;
mod queue;
mod receive;
mod request;
mod restart;
mod serving;
mod shared;
mod shelf;
mod stats;
mod stop;
mod unmet;
mod unread;
mod watch;
mod worker;

pub use accept::OUTPUT_BACKLOG_BYTES_MAX;
pub use action::{Action, Entrusted, Notice};
pub use event::{Event, SpawnFault};
pub use request::suits;
pub use stats::{Joined, Running, Stats};

use crate::config::PoolConfig;
use crate::exit::ExitCode;
use crate::ids::WorkerId;
use crate::job::UserId;
use crate::protocol::encode::Opening;
use crate::time::{Now, Time};
use deadline::{Deadlines, Timer};
use job_table::{JobKey, JobTable};
use needs::Needs;
use offers::Offers;
use order::Order;
use queue::Queue;
use restart::Restarts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stop::Stop;
use worker::Worker;

/// The state of a run. See the [module](self) for the order of calls.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    now: Now,
    jobs: JobTable,
    queue: Queue,
    /// Bytes of the jobs that wait, blocked ones not counted.
    queued_bytes: usize,
    /// Jobs whose delay before the next attempt runs.
    delayed: usize,
    needs: Needs,
    /// Jobs that ended and whose dependants have not been looked at.
    just_ended: VecDeque<(UserId, bool)>,
    order: Option<Order>,
    /// Whom the head of the order waits for; once too much was held back while it did.
    awaited: Option<Box<awaited::Awaited>>,
    shared: shared::Shared,
    /// Connections of processes that are no workers, by number.
    guests: BTreeMap<u64, guests::Guest>,
    /// Ends of waits for shared state, by ticket.
    waits: BTreeMap<u64, Option<Time>>,
    /// Jobs that wait for their `locks`, by number.
    locked: BTreeMap<u64, JobKey>,
    workers: Vec<Worker>,
    /// Workers with room for a request, by how many are open there.
    offers: Offers,
    /// Slots without a process.
    empty: BTreeSet<WorkerId>,
    /// Slots with a process that is not up yet, or asked for.
    starting: usize,
    /// Requests that are open at all workers together.
    open_requests: usize,
    /// How requests begin.
    opening: Opening,
    /// Workers with bytes to be sent.
    dirty: Vec<WorkerId>,
    deadlines: Deadlines,
    stop_reading_at: Option<Time>,
    give_up_waiting_at: Option<Time>,
    look_at: Option<Time>,
    memory: watch::Memory,
    restarts: Restarts,
    stop: Stop,
    /// Why no worker could be kept running, in a line.
    given_up: String,
    input: Reading,
    /// Too many bytes of records wait to be written.
    output_is_behind: bool,
    stray_output_told: bool,
    /// An `output` that cannot be understood was told of.
    output_fault_told: bool,
    actions: VecDeque<Action>,
    stats: Stats,
    joined: Vec<Option<Joined>>,
    exit: ExitCode,
    settled: bool,
    finished: bool,
    /// Everything was killed and nothing that lives is waited for any longer.
    impatient: bool,
}

/// Where the job list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
    /// We do not want the rest.
    Dropped,
}

impl Pool {
    /// A run that has not begun. The first events are jobs.
    pub fn new(config: PoolConfig) -> Self {
        let slots = (1..=config.workers).map(WorkerId);
        Pool {
            now: Now::default(),
            jobs: JobTable::default(),
            queue: Queue::default(),
            queued_bytes: 0,
            delayed: 0,
            needs: Needs::default(),
            just_ended: VecDeque::new(),
            shared: shared::Shared::default(),
            guests: BTreeMap::new(),
            waits: BTreeMap::new(),
            locked: BTreeMap::new(),
            order: config.keep_order.then(Order::default),
            awaited: None,
            workers: slots.clone().map(|id| Worker::new(id, config.max_message)).collect(),
            offers: Offers::new(config.workers as usize),
            empty: slots.collect(),
            starting: 0,
            open_requests: 0,
            opening: Opening::default(),
            dirty: Vec::new(),
            deadlines: Deadlines::default(),
            stop_reading_at: None,
            give_up_waiting_at: None,
            look_at: None,
            memory: watch::Memory::Unknown,
            restarts: Restarts::new(config.max_restarts, config.restart_window),
            stop: Stop::Running,
            given_up: String::new(),
            input: Reading::Open,
            output_is_behind: false,
            stray_output_told: false,
            output_fault_told: false,
            actions: VecDeque::new(),
            stats: Stats::default(),
            joined: vec![None; config.workers as usize],
            exit: ExitCode::Success,
            settled: true,
            finished: false,
            impatient: false,
            config,
        }
    }

    /// Takes in a fact. `now` must not go back. Once the run is over nothing counts any more.
    pub fn handle(&mut self, now: Now, event: Event<'_>) {
        debug_assert!(now.time >= self.now.time, "active time does not go back");
        if self.finished {
            if let Event::Exited { worker, generation, .. } = event {
                // What was ordered before the end may still be handed out, but nothing for who is gone.
                self.if_current(worker, generation, |pool| pool.workers[worker.index()].state = worker::State::Empty);
            }
            return;
        }
        self.now = now;
        self.settled = false;
        match event {
            Event::JobArrived(job) => self.accept(job),
            Event::JobEndedBefore { job, status } => self.ended_before(job, status),
            Event::JobUnknown(job) => self.accept_unknown(job),
            Event::JobInvalid(invalid) => self.accept_invalid(invalid),
            Event::InputClosed { error } => self.input_closed(error),
            Event::OutputBacklog { bytes } => self.output_is_behind = bytes > accept::OUTPUT_BACKLOG_BYTES_MAX,
            Event::OutputLost { message } => self.output_lost(message),
            Event::StopRequested { signal } => self.stop_requested(signal),
            Event::DeadlineReached => self.deadlines_reached(),
            Event::GuestAsked { guest, bytes } => self.guest_asked(guest, bytes),
            Event::GuestLeft { guest } => self.guest_left(guest),
            Event::Spawned { worker, generation, pid } => {
                self.if_current(worker, generation, |pool| pool.spawned(worker, pid));
            }
            Event::SpawnFailed { worker, generation, fault, message } => {
                self.if_current(worker, generation, |pool| pool.spawn_failed(worker, fault, message));
            }
            Event::Output { worker, generation, bytes } => {
                self.if_current(worker, generation, |pool| pool.receive(worker, bytes));
            }
            Event::Stderr { worker, generation, bytes, in_step } => {
                self.if_current(worker, generation, |pool| pool.receive_stderr(worker, bytes, in_step));
            }
            Event::StdoutClosed { worker, generation } => {
                self.if_current(worker, generation, |pool| pool.stdout_closed(worker));
            }
            Event::Exited { worker, generation, status, unread } => {
                self.if_current(worker, generation, |pool| pool.exited(worker, status, unread));
            }
            Event::Unread { worker, generation, bytes } => {
                self.if_current(worker, generation, |pool| pool.probed(worker, bytes));
            }
            Event::Looked { worker, generation, memory, stopped } => {
                self.if_current(worker, generation, |pool| pool.looked(worker, memory, stopped));
            }
            Event::MemoryAvailable { bytes } => self.memory_available(bytes),
            Event::KernelWasShort { worker, generation } => {
                self.if_current(worker, generation, |pool| pool.kernel_was_short(worker));
            }
            Event::ShelfTaken { worker, generation } => {
                self.if_current(worker, generation, |pool| pool.shelf_taken(worker));
            }
            Event::StdinBroken { worker, generation, unread } => {
                self.if_current(worker, generation, |pool| pool.stdin_broken(worker, unread));
            }
            Event::StdinBacklog { worker, generation, bytes } => {
                self.if_current(worker, generation, |pool| pool.stdin_backlog(worker, bytes));
            }
        }
    }

    /// The next thing to be done. Until this gives `None` the turn is not over.
    #[inline(always)]
    pub fn next_action(&mut self) -> Option<Action> {
        loop {
            if self.actions.is_empty() && !self.settled {
                self.settle();
            }
            if !self.is_stale(self.actions.front()?) {
                return self.actions.pop_front();
            }
            self.actions.pop_front();
        }
    }

    /// Whether an order names a process whose end was told later in the same turn.
    #[inline(always)]
    fn is_stale(&self, action: &Action) -> bool {
        action.addressee().is_some_and(|(id, generation)| {
            let worker = &self.workers[id.index()];
            worker.generation != generation || !worker.state.has_process()
        })
    }

    /// When [`Event::DeadlineReached`] is wanted at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.finished { None } else { self.deadlines.next() }
    }

    /// Whether the run is over: [`Action::Finish`] has been given out.
    pub fn is_finished(&self) -> bool {
        self.finished && self.actions.is_empty()
    }

    /// Decides what could wait until all facts of the turn were known.
    #[inline(never)]
    fn settle(&mut self) {
        self.settled = true;
        if self.finished {
            return;
        }
        loop {
            self.settle_needs();
            self.dispatch();
            let gave_way = self.give_way();
            self.drain_idle_workers();
            // Ending jobs (blocked ones that can never run) may free others, and so may those that give way.
            if self.just_ended.is_empty() && !gave_way {
                break;
            }
        }
        self.flush();
        self.finish_if_over();
    }

    fn if_current(&mut self, worker: WorkerId, generation: crate::ids::Generation, handle: impl FnOnce(&mut Self)) {
        if self.workers[worker.index()].generation == generation {
            handle(self);
        }
    }

    fn deadlines_reached(&mut self) {
        while !self.finished {
            let Some(timer) = self.deadlines.pop_due(self.now.time) else { break };
            match timer {
                Timer::Flight(worker, generation, id) => {
                    debug_assert_eq!(self.workers[worker.index()].generation, generation);
                    self.flight_overdue(worker, id);
                }
                Timer::Worker(worker, generation) => {
                    debug_assert_eq!(self.workers[worker.index()].generation, generation);
                    self.workers[worker.index()].timer = None;
                    self.worker_overdue(worker);
                }
                Timer::Shelf(worker, _) => {
                    self.workers[worker.index()].shelf_at = None;
                    self.shelf_due(worker);
                }
                Timer::Recall(worker, _) => {
                    self.workers[worker.index()].recall_at = None;
                    self.recall_followers(worker);
                }
                Timer::Retry(key) => {
                    self.jobs.get_mut(key).retry_at = None;
                    self.delayed -= 1;
                    self.make_ready(key);
                }
                Timer::Restart(worker) => {
                    let slot = &mut self.workers[worker.index()];
                    slot.timer = None;
                    slot.state = worker::State::Empty;
                    self.empty.insert(worker);
                }
                Timer::Wait(ticket) => {
                    self.waits.remove(&ticket);
                    self.shared.timed_out(ticket);
                    self.settle_shared();
                }
                Timer::Look => {
                    self.look_at = None;
                    self.look();
                }
                Timer::StopReading => {
                    self.stop_reading_at = None;
                    self.drop_input();
                }
                Timer::GiveUpWaiting => {
                    self.give_up_waiting_at = None;
                    self.finish_without_waiting();
                }
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }
}
