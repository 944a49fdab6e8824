//! A world: the core, everything outside it, and the order of things.

use crate::deeds::Fact;
use crate::options::{MICROSECOND, MILLISECOND, Options, SECOND};
use crate::outside::{Coverage, Deed, Outside};
use crate::prng::Prng;
use std::collections::VecDeque;
use std::time::Duration;
use supervisor::drive;
use supervisor::ids::JobId;
use supervisor::job::{Argument, Call, Command, Fingerprint, FunctionCall, Invalid, Job, JobOptions, Past, UserId};
use supervisor::json::Json;
use supervisor::pool::{Event, Pool};
use supervisor::record::Status;
use supervisor::time::{Now, Time, Wall};

/// Most turns that may pass without the clock moving on. More means that the core asks for the same moment again and
/// again.
const TURNS_AT_ONE_MOMENT_MAX: u32 = 200;

/// So many turns in which nothing is told to the core, while what was read waits to be taken, mean that it never will be.
const SILENT_TURNS_MAX: u32 = 1_000;

/// A run and everything around it.
pub(crate) struct World {
    pool: Pool,
    outside: Outside,
    deadline: Option<Time>,
    steps: u64,
    idle_turns: u32,
    /// Turns since the last event.
    silent_turns: u32,
}

/// What became of a world.
pub(crate) struct Outcome {
    pub(crate) steps: u64,
    pub(crate) jobs: u64,
    pub(crate) counts: [u64; Status::ALL.len()],
    pub(crate) coverage: Coverage,
}

impl World {
    pub(crate) fn new(seed: u64, logged: bool) -> Self {
        let mut rng = Prng::new(seed);
        let options = Options::draw(&mut rng);
        let pool = Pool::new(options.config.clone());
        let mut outside = Outside::new(rng, options, logged);
        plan_the_run(&mut outside);
        World { pool, outside, deadline: None, steps: 0, idle_turns: 0, silent_turns: 0 }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.outside.options
    }

    pub(crate) fn log(&mut self) -> VecDeque<String> {
        self.outside.log.take().unwrap_or_default()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Safety: anything may go wrong, nothing may be broken. Then liveness: nothing goes wrong any more, so it must end.
    pub(crate) fn run(&mut self) -> Outcome {
        let safety = self.outside.options.safety_steps;
        while self.outside.finished.is_none() && self.steps < safety {
            self.turn();
        }
        self.outside.note(|| "---- the faults are over".to_owned());
        self.outside.heal();
        let limit = self.steps + 20_000 + 200 * self.outside.options.jobs;
        while self.outside.finished.is_none() {
            self.turn();
            assert!(self.steps < limit, "no end in sight; without a record: {:?}", self.outside.oracle.missing());
        }
        assert!(self.pool.is_finished());
        Outcome {
            steps: self.steps,
            jobs: self.outside.oracle.accepted(),
            counts: self.outside.oracle.counts(),
            coverage: self.outside.coverage.clone(),
        }
    }

    fn turn(&mut self) {
        let before = self.steps;
        self.move_clock();
        let due = self.deadline.is_some_and(|at| at.as_nanos() <= self.outside.now);
        let spurious = self.outside.options.faults.spurious_deadline;
        let spurious = self.outside.fault(spurious);
        let deadline_first = self.outside.rng.coin();
        if due && deadline_first {
            self.handle(Event::DeadlineReached);
        }
        let deeds = self.deeds();
        if (due && !deadline_first) || spurious {
            self.handle(Event::DeadlineReached);
        }
        self.feed();
        self.deadline = drive::finish_turn(&mut self.pool, &mut self.outside);
        self.check(due && deeds == 0);
        self.silent_turns = if self.steps == before { self.silent_turns + 1 } else { 0 };
        if self.silent_turns == SILENT_TURNS_MAX && self.outside.faults_on {
            // The rest of the list hangs on somebody who will never answer.
            self.outside.heal();
        }
        assert!(
            self.silent_turns < 2 * SILENT_TURNS_MAX,
            "the list is never read to its end; without a record: {:?}",
            self.outside.oracle.missing()
        );
    }

    /// On to whatever comes next; now and then the machine stalls, and much is due together.
    fn move_clock(&mut self) {
        let deadline = self.deadline.map(Time::as_nanos);
        let mut next = [deadline, self.outside.next_deed_at()].into_iter().flatten().min();
        if next.is_none() && self.outside.faults_on {
            // Everything hangs on somebody who will never answer.
            self.outside.heal();
            next = self.outside.next_deed_at();
        }
        let Some(next) = next else {
            panic!("nothing will ever happen again; without a record: {:?}", self.outside.oracle.missing());
        };
        self.outside.now = self.outside.now.max(next);
        let rate = self.outside.options.faults.clock_stall;
        if self.outside.fault(rate) {
            self.outside.now += self.outside.rng.span(MICROSECOND, 20 * SECOND);
        }
    }

    /// Lets happen what is due: one thing, or several in one turn.
    fn deeds(&mut self) -> u32 {
        let ties = self.outside.options.faults.ties;
        let mut count = 0;
        while let Some(deed) = self.outside.take_due() {
            count += 1;
            if !matches!(deed, Deed::InputEnds) {
                self.outside.note(|| format!("{deed:?}"));
            }
            match self.outside.enact(deed) {
                Fact::Nothing => {}
                Fact::Event(event) => self.handle(event),
                Fact::Output((worker, generation), bytes) => {
                    self.handle(Event::Output { worker, generation, bytes: &bytes });
                }
                Fact::Stderr((worker, generation), bytes) => {
                    self.handle(Event::Stderr { worker, generation, bytes: &bytes, in_step: true });
                }
            }
            if count == 64 || !self.outside.fault(ties) {
                break;
            }
        }
        count
    }

    fn handle(&mut self, event: Event<'_>) {
        self.steps += 1;
        self.outside.note(|| match &event {
            Event::Output { worker, generation, bytes } => {
                format!(
                    "> output {}.{}: {}",
                    worker.0,
                    generation.0,
                    String::from_utf8_lossy(&bytes[..bytes.len().min(500)])
                )
            }
            other => format!("> {other:?}"),
        });
        self.pool.handle(self.now(), event);
    }

    fn now(&self) -> Now {
        let time = Time::from_nanos(self.outside.now);
        Now { time, wall: Wall(1_700_000_000_000 + self.outside.now / MILLISECOND) }
    }

    fn feed(&mut self) {
        let now = self.now();
        let World { pool, outside, steps, .. } = self;
        drive::hand_in(pool, now, || {
            if outside.jobs_at_hand == 0 || outside.input_dropped {
                return None;
            }
            outside.jobs_at_hand -= 1;
            *steps += 1;
            Some(next_of_list(outside))
        });
        if outside.input_dropped {
            outside.jobs_at_hand = 0;
        }
    }

    fn check(&mut self, only_deadline: bool) {
        let World { pool, outside, deadline, .. } = self;
        if only_deadline && deadline.is_some_and(|at| at.as_nanos() <= outside.now) {
            self.idle_turns += 1;
            assert!(self.idle_turns < TURNS_AT_ONE_MOMENT_MAX, "the core asks for the same moment again and again");
        } else {
            self.idle_turns = 0;
        }
        if outside.oracle.accepted() < 100 || self.steps % 8 == 0 {
            pool.sanity_check();
        }
    }
}

/// What is known beforehand: when the list is read, when somebody presses Ctrl-C.
fn plan_the_run(outside: &mut Outside) {
    let faults = outside.options.faults.clone();
    let (mut left, mut at) = (outside.options.jobs, 0);
    while left > 0 {
        let count = outside.rng.span(1, left.min(200));
        left -= count;
        at += outside.rng.span(1, outside.options.arrival_max);
        if outside.rng.chance(faults.input_pause) {
            at += outside.rng.span(SECOND, 60 * SECOND);
        }
        outside.plan(at, Deed::JobsRead(count as u32));
    }
    let after = outside.rng.span(1, SECOND);
    outside.plan(at + after, Deed::InputEnds);
    if faults.stops > 0 {
        let signal = *outside.rng.pick(&[1, 2, 15]);
        let mut at = 0;
        for _ in 0..outside.rng.between(1, 4) {
            at += outside.rng.span(MICROSECOND, 10 * SECOND);
            outside.plan(at, Deed::Stop(signal));
        }
    }
    if faults.output_lost {
        let at = outside.rng.span(MICROSECOND, 10 * SECOND);
        outside.plan(at, Deed::OutputLost);
    }
    for _ in 0..faults.output_backlog {
        let at = outside.rng.span(MICROSECOND, 10 * SECOND);
        outside.plan(at, Deed::OutputBacklog(5 << 20));
    }
}

fn next_of_list(outside: &mut Outside) -> Event<'static> {
    let number = outside.next_number;
    outside.next_number += 1;
    let invalid = outside.options.faults.invalid;
    if outside.fault(invalid) {
        let invalid = Invalid {
            number: JobId(number),
            id: None,
            line: number,
            column: 1,
            message: "no job".into(),
            excerpt: Box::default(),
        };
        outside.oracle.invalid_arrived(&invalid);
        return Event::JobInvalid(invalid);
    }
    let id = if outside.rng.coin() { UserId::Number(number) } else { UserId::Json(format!("\"j{number}\"").into()) };
    let call = draw_call(outside, number);
    let mut job = Job { number: JobId(number), id, call, options: draw_options(outside, number), past: None };
    // What earlier runs know of it, in a run that is gone on with.
    let content = Fingerprint::of(&job);
    job.past = Some(Box::new(Past { content, attempts: 0 }));
    let resumed = outside.options.faults.invalid;
    if outside.fault(resumed) {
        let status = *outside.rng.pick(&[Status::Ok, Status::Failed]);
        outside.oracle.ended_before(&job, status);
        return Event::JobEndedBefore { job, status };
    }
    if outside.fault(resumed) {
        job.past = Some(Box::new(Past { content, attempts: 1 }));
        outside.oracle.unknown_arrived(&job);
        return Event::JobUnknown(job);
    }
    outside.oracle.job_arrived(&job, &outside.options);
    Event::JobArrived(job)
}

fn draw_call(outside: &mut Outside, number: u64) -> Call {
    let marker = format!("#{number}#");
    match (outside.options.config.target.is_command(), outside.rng.below(3)) {
        (_, 0) => Call::Line(marker.into_bytes().into()),
        (true, _) => {
            let argument = Argument::Argv(vec![(*b"work").into(), marker.into_bytes().into()]);
            Call::Command(Box::new(Command { argument, cwd: None, env: Vec::new(), stdin: None }))
        }
        (false, _) => {
            let params = Json::parse(&format!("[\"{marker}\"]")).expect("it is JSON");
            Call::Function(FunctionCall::new(Some("work"), &params))
        }
    }
}

fn draw_options(outside: &mut Outside, number: u64) -> Option<Box<JobOptions>> {
    let Options { needs, locks, priorities, own_options: own, .. } = outside.options;
    let rng = &mut outside.rng;
    let mut options = JobOptions::default();
    let mut any = false;
    if rng.chance(needs) {
        any = true;
        for _ in 0..rng.between(1, 3) {
            let first = number.saturating_sub(20).max(1);
            // Mostly an earlier one; sometimes itself, a later one, or one that never comes.
            let last = if rng.chance(100) { number + 20 } else { number.saturating_sub(1).max(1) };
            let need = rng.between(first, last);
            options.needs.push(UserId::Number(need));
            options.needs.push(UserId::Json(format!("\"j{need}\"").into()));
            let keep = rng.below(2) as usize;
            options.needs.swap_remove(options.needs.len() - 1 - keep);
        }
    }
    if rng.chance(locks) {
        any = true;
        options.locks = (0..rng.between(1, 2)).map(|_| format!("lock {}", rng.below(4)).into()).collect();
    }
    if rng.chance(priorities) {
        any = true;
        options.priority = rng.between(0, 6) as i64 - 3;
    }
    if rng.chance(own) {
        any = true;
        options.timeout = rng.coin().then(|| Duration::from_nanos(rng.span(MILLISECOND, 10 * SECOND)));
        options.retries = rng.coin().then(|| rng.between(0, 3) as u32);
    }
    any.then(|| Box::new(options))
}
