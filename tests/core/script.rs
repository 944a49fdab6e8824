//! A script: what happens to the core, told step by step, and what it must order in return. Every order and every record
//! has to be expected before the next thing happens; notices are kept apart and asked for where they matter.

mod slot;

pub(crate) use slot::{READY, Slot};

use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use supervisor::config::{Halt, Limits, PoolConfig, Target};
use supervisor::drive::{self, Shell};
use supervisor::exit::ExitCode;
use supervisor::ids::{Generation, JobId, WorkerId};
use supervisor::job::{Call, Invalid, Job, JobOptions, UserId};
use supervisor::pool::{Action, Event, Notice, Pool, SpawnFault};
use supervisor::record::{Record, Status};
use supervisor::status::ExitStatus;
use supervisor::time::{Now, Time, Wall};

/// The core and what it has ordered.
pub(crate) struct Script {
    pub(crate) pool: Pool,
    now: Time,
    next_job: u64,
    orders: Orders,
}

/// What the core ordered and the script has not mentioned yet.
#[derive(Default)]
struct Orders {
    actions: Vec<Action>,
    records: VecDeque<Record>,
    notices: Vec<Notice>,
    workers: BTreeMap<WorkerId, Sent>,
}

/// What one process was sent.
#[derive(Default)]
struct Sent {
    generation: Generation,
    /// What was sent and not mentioned: `a1`, `cancel a1`, `release a1`, `error -32601`, `init`; arrays in brackets.
    unmentioned: Vec<String>,
    wire_ids: BTreeMap<String, u64>,
    /// Where the line of each job begins among all bytes sent.
    begins_at: BTreeMap<String, usize>,
    bytes: usize,
}

impl Shell for Orders {
    fn perform(&mut self, action: Action) {
        match action {
            Action::Notice(notice) => self.notices.push(notice),
            Action::Send { worker, generation, bytes } => {
                self.workers.entry(worker).or_default().take(generation, &bytes)
            }
            Action::Emit(record) => self.records.push_back(record),
            other => self.actions.push(other),
        }
    }
}

impl Sent {
    fn take(&mut self, generation: Generation, bytes: &[u8]) {
        assert_eq!(generation, self.generation, "sent to the process that is there");
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice(line).expect("whole lines of JSON are sent") {
                Value::Array(messages) => {
                    let names: Vec<String> = messages.iter().map(|message| self.name(message)).collect();
                    self.unmentioned.push(format!("[{}]", names.join(" ")));
                }
                message => {
                    let name = self.name(&message);
                    self.unmentioned.push(name);
                }
            }
            self.bytes += line.len();
        }
    }

    fn name(&mut self, message: &Value) -> String {
        let about = || {
            let id = message["params"]["id"].as_u64();
            self.wire_ids.iter().find(|(_, wire_id)| Some(**wire_id) == id).map(|(name, _)| name.clone()).unwrap()
        };
        match message["method"].as_str() {
            Some("$/cancelRequest") => format!("cancel {}", about()),
            Some("$/recall") => format!("recall {}", about()),
            Some("$/release") => format!("release {}", about()),
            Some("work") => self.remember(message, &message["params"][0]),
            Some("exec") => self.remember(message, &message["params"]["job"]),
            Some(other) => other.to_owned(),
            None => format!("error {}", message["error"]["code"]),
        }
    }

    fn remember(&mut self, message: &Value, name: &Value) -> String {
        let name = name.as_str().unwrap().to_owned();
        self.wire_ids.insert(name.clone(), message["id"].as_u64().unwrap());
        self.begins_at.insert(name.clone(), self.bytes);
        name
    }
}

/// The settings scripts start from: one worker that announces itself, one job at a time, no retries.
pub(crate) fn config() -> PoolConfig {
    PoolConfig {
        workers: 1,
        concurrency: 1,
        target: Target::Function { default: Some("work".into()) },
        announces_ready: true,
        start_timeout: Duration::from_secs(30),
        keep_order: false,
        timeout: None,
        retries: 0,
        retry_delay: Duration::ZERO,
        grace: Duration::from_secs(5),
        halt: Halt::Never,
        max_jobs_per_worker: None,
        init: Vec::new(),
        max_restarts: 5,
        restart_window: Duration::from_secs(30),
        max_message: 1000,
        memory_max: None,
        memory_free: None,
        heartbeat: None,
        max_output: 1000,
        labels: false,
        commands: false,
        fail_on_no_jobs: false,
        seed: 1,
        limits: Limits::default(),
    }
}

impl Script {
    pub(crate) fn new(change: impl FnOnce(&mut PoolConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        Script { pool: Pool::new(config), now: Time::ZERO, next_job: 1, orders: Orders::default() }
    }

    /// A script in which these jobs were read, the list has ended, and every worker that was asked for is up.
    pub(crate) fn running(change: impl FnOnce(&mut PoolConfig), jobs: &[&str]) -> Self {
        let mut t = Script::new(change);
        t.reads(jobs);
        t.list_ends();
        t.all_start();
        t
    }

    /// Brings up all processes that are asked for: in turn, one job at a time ahead of none.
    pub(crate) fn all_start(&mut self) {
        while let Some(slot) = self.asked_for() {
            self.worker(slot).starts();
        }
        let slots: Vec<u32> = self.orders.workers.keys().map(|id| id.0).collect();
        for slot in slots {
            self.worker(slot).says(READY);
        }
    }

    fn asked_for(&self) -> Option<u32> {
        self.orders.actions.iter().find_map(|action| match action {
            Action::Spawn { worker, .. } => Some(worker.0),
            _ => None,
        })
    }

    // What happens.

    /// Several things happen in one turn.
    pub(crate) fn turn(&mut self, events: Vec<Event<'_>>) {
        for event in events {
            self.pool.handle(Now { time: self.now, wall: Wall(0) }, event);
        }
        drive::finish_turn(&mut self.pool, &mut self.orders);
        self.pool.sanity_check();
    }

    pub(crate) fn happens(&mut self, event: Event<'_>) {
        self.nothing_more();
        self.turn(vec![event]);
    }

    pub(crate) fn job(&mut self, name: &str, change: impl FnOnce(&mut JobOptions)) -> Event<'static> {
        let mut options = JobOptions::default();
        change(&mut options);
        let number = JobId(self.next_job);
        self.next_job += 1;
        let call = Call::Line(name.as_bytes().into());
        Event::JobArrived(Job { number, id: id(name), call, options: Some(Box::new(options)), past: None })
    }

    pub(crate) fn reads(&mut self, names: &[&str]) {
        let events = names.iter().map(|name| self.job(name, |_| {})).collect();
        self.nothing_more();
        self.turn(events);
    }

    pub(crate) fn reads_job(&mut self, name: &str, change: impl FnOnce(&mut JobOptions)) {
        let event = self.job(name, change);
        self.turn(vec![event]);
    }

    pub(crate) fn reads_garbage(&mut self) {
        let number = JobId(self.next_job);
        self.next_job += 1;
        let invalid = Invalid {
            number,
            id: Some(id("bad")),
            line: 7,
            column: 3,
            message: "no job".into(),
            excerpt: (*b"{").into(),
        };
        self.happens(Event::JobInvalid(invalid));
    }

    pub(crate) fn list_ends(&mut self) {
        self.turn(vec![Event::InputClosed { error: None }]);
    }

    pub(crate) fn signal(&mut self, signal: i32) {
        self.happens(Event::StopRequested { signal });
    }

    /// Time passes; the core is woken whenever it asked for it.
    pub(crate) fn passes(&mut self, span: Duration) {
        let until = self.now.after(span);
        while let Some(at) = self.pool.next_deadline().filter(|&at| at <= until) {
            assert!(at >= self.now, "a deadline never lies in the past");
            self.now = at;
            self.turn(vec![Event::DeadlineReached]);
        }
        self.now = until;
    }

    /// Somebody looks how much memory the machine has, and it is this.
    pub(crate) fn has_memory(&mut self, bytes: u64) {
        assert!(self.take(|action| matches!(action, Action::LookAround)), "nobody looks");
        self.turn(vec![Event::MemoryAvailable { bytes }]);
    }

    pub(crate) fn worker(&mut self, slot: u32) -> Slot<'_> {
        let worker = WorkerId(slot);
        let generation = self.orders.workers.entry(worker).or_default().generation;
        Slot { t: self, worker, generation }
    }

    // What was ordered.

    /// The record of this job is the next that comes out.
    pub(crate) fn record(&mut self, name: &str, status: Status) -> Record {
        let record = self.orders.records.pop_front().unwrap_or_else(|| panic!("no record of {name}"));
        assert_eq!((record.id.as_text().as_ref(), record.status), (name, status), "{record:?}");
        record
    }

    /// These records come out, in this order, all with this status.
    pub(crate) fn records(&mut self, names: &[&str], status: Status) {
        for name in names {
            self.record(name, status);
        }
    }

    pub(crate) fn finishes(mut self, code: ExitCode) {
        assert!(
            self.take(|action| matches!(action, Action::Finish(found) if *found == code)),
            "{:?}",
            self.orders.actions
        );
        self.nothing_more();
        assert!(self.pool.is_finished());
    }

    /// Workers end as they are asked to, and the run is over.
    pub(crate) fn ends(mut self, code: ExitCode) {
        while let Some(slot) = self.orders.actions.iter().find_map(|action| match action {
            Action::CloseStdin { worker, .. } => Some(worker.0),
            _ => None,
        }) {
            let mut worker = self.worker(slot);
            worker.hangs_up();
            let Slot { worker, generation, .. } = worker;
            self.turn(vec![Event::Exited { worker, generation, status: ExitStatus::Code(0), unread: 0 }]);
        }
        self.finishes(code);
    }

    pub(crate) fn list_is_dropped(&mut self) {
        assert!(self.take(|action| matches!(action, Action::DropInput)), "the list is still read");
    }

    pub(crate) fn was_told(&mut self, words: &str) {
        let all = format!("{:?}", self.orders.notices);
        assert!(all.contains(words), "{words:?} is not in {all}");
    }

    pub(crate) fn was_not_told(&mut self, words: &str) {
        let all = format!("{:?}", self.orders.notices);
        assert!(!all.contains(words), "{words:?} is in {all}");
    }

    fn take(&mut self, is_it: impl Fn(&Action) -> bool) -> bool {
        let at = self.orders.actions.iter().position(is_it);
        at.map(|at| self.orders.actions.remove(at)).is_some()
    }

    /// Nothing was ordered but what the script has mentioned.
    pub(crate) fn nothing_more(&self) {
        assert!(self.orders.actions.is_empty(), "nobody expected {:?}", self.orders.actions);
        assert!(self.orders.records.is_empty(), "nobody expected {:?}", self.orders.records);
        for (worker, sent) in &self.orders.workers {
            assert!(sent.unmentioned.is_empty(), "nobody expected that {worker:?} was sent {:?}", sent.unmentioned);
        }
    }
}

pub(crate) fn id(name: &str) -> UserId {
    UserId::Json(format!("\"{name}\"").into())
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
