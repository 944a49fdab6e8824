//! The core between a list and invented workers, which answer at once: two events a job, one turn each. Owns the workers.

use crate::workload::{ITEMS, Workload};
use divan::black_box;
use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;
use supervisor::config::{Halt, Limits, PoolConfig, Target};
use supervisor::drive::{self, Shell};
use supervisor::ids::{Generation, JobId, WorkerId};
use supervisor::job::{Call, FunctionCall, Job, UserId};
use supervisor::json::Json;
use supervisor::pool::{Action, Event, Pool};
use supervisor::record::Record;
use supervisor::time::{Now, Time, Wall};

pub(crate) const ON_TWO_WORKERS: Workload = Workload { name: "core: a job, 2 workers", start: || jobs(2) };

/// The cost of an event must not grow with the number of workers; `benches/count.py` holds this beside the one above.
pub(crate) const ON_A_THOUSAND_WORKERS: Workload =
    Workload { name: "core: a job, 1,000 workers", start: || jobs(1000) };

/// Between two turns.
const TURN: Duration = Duration::from_micros(5);

/// The core and its workers.
pub(crate) struct Run {
    pool: Pool,
    hands: Hands,
    now: Time,
    /// What a worker says first.
    ready: &'static str,
    /// What a job is answered with, after the words that name it.
    result: &'static str,
    answer: Vec<u8>,
}

struct Hands {
    workers: Vec<Slot>,
    /// Workers that have something to say, in turn.
    busy: VecDeque<WorkerId>,
    spawned: Vec<WorkerId>,
    take: Box<dyn FnMut(&Record)>,
    records: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: Generation,
    /// Requests it has; their ids follow one another.
    asked: u64,
    answered: u64,
}

impl Shell for Hands {
    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker, generation } => {
                self.workers[worker.index()] = Slot { generation, ..Slot::default() };
                self.spawned.push(worker);
            }
            Action::Send { worker, bytes, .. } => {
                let slot = &mut self.workers[worker.index()];
                if slot.asked == slot.answered {
                    self.busy.push_back(worker);
                }
                slot.asked += memchr::memmem::find_iter(&bytes, br#""method":"#).count() as u64;
            }
            Action::Emit(record) => {
                self.records += 1;
                (self.take)(&record);
            }
            Action::Notice(_) | Action::Look { .. } | Action::LookAtShelf { .. } | Action::Probe { .. } => {}
            other => panic!("not in this run: {other:?}"),
        }
    }
}

impl Run {
    /// `take` has what becomes of records.
    pub(crate) fn new(workers: u32, target: Target, take: Box<dyn FnMut(&Record)>) -> Self {
        let slots = vec![Slot::default(); workers as usize];
        let is_command = target.is_command();
        Run {
            pool: Pool::new(config(workers, target)),
            hands: Hands { workers: slots, busy: VecDeque::new(), spawned: Vec::new(), take, records: 0 },
            now: Time::ZERO,
            ready: r#"{"method":"ready","params":{"concurrency":1}}"#,
            result: if is_command { r#"{"exit_code":0,"stdout":"hello\n"}"# } else { "43" },
            answer: Vec::new(),
        }
    }

    /// With workers that take many requests at once.
    pub(crate) fn in_batches(mut self) -> Self {
        self.ready = r#"{"method":"ready","params":{"concurrency":1,"prefetch":true,"batch":true}}"#;
        self
    }

    pub(crate) fn records(&self) -> u64 {
        self.hands.records
    }

    pub(crate) fn wants_job(&self) -> bool {
        self.pool.wants_job()
    }

    /// A job of the list, within the turn.
    pub(crate) fn hand_in(&mut self, job: Job) {
        self.pool.handle(Now { time: self.now, wall: Wall(1_795_334_400_000) }, Event::JobArrived(job));
    }

    /// The turn ends; processes that are asked for are there.
    pub(crate) fn end_turn(&mut self) {
        drive::finish_turn(&mut self.pool, &mut self.hands);
        for worker in std::mem::take(&mut self.hands.spawned) {
            let generation = self.hands.workers[worker.index()].generation;
            self.tell(Event::Spawned { worker, generation, pid: 4711 });
            self.tell(Event::Output { worker, generation, bytes: self.ready.as_bytes() });
            self.tell(Event::Output { worker, generation, bytes: b"\n" });
            drive::finish_turn(&mut self.pool, &mut self.hands);
        }
    }

    /// The worker whose turn it is answers all that it has.
    pub(crate) fn answer(&mut self) {
        self.now = self.now.after(TURN);
        let worker = self.hands.busy.pop_front().expect("somebody has a job");
        let slot = &mut self.hands.workers[worker.index()];
        let (generation, ids) = (slot.generation, slot.answered..slot.asked);
        slot.answered = slot.asked;
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        for id in ids {
            writeln!(answer, r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, self.result).expect("it is memory");
        }
        self.tell(Event::Output { worker, generation, bytes: black_box(&answer) });
        self.answer = answer;
    }

    fn tell(&mut self, event: Event<'_>) {
        self.pool.handle(Now { time: self.now, wall: Wall(1_795_334_400_000) }, event);
    }
}

/// Every worker has a job; each answer frees one for the job that arrives next.
fn jobs(workers: u32) -> Box<dyn FnMut()> {
    let mut run = Run::new(
        workers,
        Target::Function { default: Some("f".into()) },
        Box::new(|record| {
            black_box(record);
        }),
    );
    let mut next = 1;
    for _ in 0..workers {
        arrive(&mut run, &mut next);
    }
    Box::new(move || {
        let end = run.records() + ITEMS;
        while run.records() < end {
            run.answer();
            run.end_turn();
            arrive(&mut run, &mut next);
        }
    })
}

fn arrive(run: &mut Run, next: &mut u64) {
    let number = *next;
    *next += 1;
    let params = Json::parse("[42]").expect("it is JSON");
    let call = Call::Function(FunctionCall::new(None, &params));
    run.hand_in(Job { number: JobId(number), id: UserId::Number(number), call, options: None, past: None });
    run.end_turn();
}

fn config(workers: u32, target: Target) -> PoolConfig {
    let second = Duration::from_secs(1);
    PoolConfig {
        workers,
        concurrency: 1,
        target,
        announces_ready: true,
        start_timeout: second,
        keep_order: false,
        timeout: Some(30 * second),
        retries: 0,
        retry_delay: Duration::ZERO,
        grace: second,
        halt: Halt::Never,
        max_jobs_per_worker: None,
        init: Vec::new(),
        max_restarts: 5,
        restart_window: second,
        max_message: 1 << 20,
        memory_max: None,
        memory_free: None,
        heartbeat: None,
        max_output: 1 << 20,
        labels: false,
        commands: false,
        fail_on_no_jobs: false,
        seed: 1,
        limits: Limits::default(),
    }
}
