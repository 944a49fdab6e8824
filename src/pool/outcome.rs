//! The end of an attempt: another one, or the record. Every record of a job is made here.

use super::deadline::Timer;
use super::flight::{Cancel, Flight, Said};
use super::job_table::{JobKey, JobState};
use super::judge::{Attempt, Ending, stopped_between, was_cancelled, was_not_begun};
use super::stop::{self, Stop};
use super::{Action, Pool};
use crate::config::Halt;
use crate::exit::ExitCode;
use crate::ids::{JobId, WorkerId};
use crate::job::{Invalid, Job, UserId};
use crate::json::Json;
use crate::protocol::{Outcome, encode};
use crate::record::{Record, Spill, Status};
use crate::status::ExitStatus;
use crate::time::Wall;
use memchr::memmem::Finder;
use serde_json::json;
use std::sync::LazyLock;
use std::time::Duration;

/// The longest delay between two attempts.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3600);

/// Members of a command's result, to be looked for in each of them.
static LOST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"lost\":true"));
static SPILLED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_spill\":\""));

/// What a record says of a job that nobody can say more of.
const OUTCOME_UNKNOWN: &str =
    "outcome unknown: it was running when an earlier run broke off; --retry-unknown runs it again";

impl Pool {
    /// Ends a request: a second attempt, or the record. A flight whose record was made before only ends.
    pub(super) fn end_flight(&mut self, id: WorkerId, wire_id: u64, mut flight: Flight, ending: Ending<'_>) {
        let job = flight.job.take();
        if flight.cancel == Some(Cancel::Timeout) && self.had_ended(&ending) {
            flight.cancel = None;
        }
        let never_begun = job.is_some_and(|key| self.was_never_begun(key, &flight, &ending));
        let well = matches!(ending, Ending::Answered(_)) && flight.cancel < Some(Cancel::Timeout);
        self.release_shared(id, wire_id, well || never_begun);
        let Some(key) = job else { return self.let_go_of_late_output(id, wire_id, &ending) };
        if never_begun {
            self.not_begun(key);
            return;
        }
        if let Ending::WorkerLost { among_others: true, .. } = ending {
            self.jobs.get_mut(key).suspect = true;
        }
        let attempt = self.judge(id, key, &mut flight, ending);
        let begun = flight.begun.unwrap_or(self.now);
        let duration = self.now.time.since(begun.time);
        self.stats.job_time += duration;
        self.workers[id.index()].jobs_ended += 1;
        let spill = self.spill_of(id, wire_id, &attempt);
        let mut record = self.record_of_attempt((id, key), (begun.wall, duration), flight.said, attempt);
        if record.status != Status::Ok && self.may_retry(key, record.status) {
            if let Some(spill) = spill {
                self.release(spill);
            }
            self.jobs.get_mut(key).last = Some(Box::new(record));
            self.retry_later(key);
        } else {
            if spill.is_some() {
                record.rare_mut().spill = spill;
            }
            self.finish(key, record);
        }
    }

    /// Whether the answer is of a command that had ended by itself when the worker was asked to stop it: what it had left
    /// behind had its grace, or its answer was on its way. Only of our own worker is it known that it says of all others
    /// that they were cancelled, whatever their exit code.
    fn had_ended(&self, ending: &Ending<'_>) -> bool {
        let Ending::Answered(answer) = ending else { return false };
        let stopped = matches!(answer, Outcome::Error(error) if was_cancelled(error));
        self.config.target.is_command() && !stopped
    }

    /// Whether the worker had the job and never began it.
    fn was_never_begun(&mut self, key: JobKey, flight: &Flight, ending: &Ending<'_>) -> bool {
        let timed_out = flight.cancel == Some(Cancel::Timeout);
        match ending {
            // Only of what it was asked to stop can a worker say so, and when its time had passed only once, or it could hand
            // a job back for ever. Our own, which can start nothing any more, leaves then.
            Ending::Answered(Outcome::Error(error))
                if (flight.cancel.is_some() || self.config.target.is_command()) && was_not_begun(error) =>
            {
                !timed_out || !std::mem::replace(&mut self.jobs.get_mut(key).came_back_late, true)
            }
            Ending::WorkerLost { .. } => flight.begun.is_none() && !timed_out,
            // Of a worker that does not answer nobody knows what it has begun since.
            Ending::Answered(_) | Ending::Overdue => false,
        }
    }

    /// The worker never began it: it waits again, at no charge.
    fn not_begun(&mut self, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        entry.attempts -= 1;
        self.take_back(key);
        if self.stop > Stop::Running { self.finish_waiting(key) } else { self.put_back(key) }
    }

    /// No worker has it any more and it has no record: a journal forgets who had it, but not that it was begun.
    fn take_back(&mut self, key: JobKey) {
        let entry = self.jobs.get(key);
        if entry.job.past.is_some() {
            self.actions.push_back(Action::TakeBack { number: entry.job.number, attempts: entry.attempts });
        }
    }

    /// The job will not be begun (again), because the run is being stopped. One that was tried before and had another attempt
    /// to come was stopped on its way, like one that runs: it has not failed for good.
    pub(super) fn finish_waiting(&mut self, key: JobKey) {
        match self.jobs.get_mut(key).last.take() {
            Some(mut record) => {
                record.status = Status::Cancelled;
                let last = record.error.as_deref().map_or("", Json::get);
                record.error = Some(Box::new(stopped_between(&self.stop.cause(), last)));
                self.finish(key, *record);
            }
            None => self.finish_unrun(key, Status::Skipped, &self.stop.cause()),
        }
    }

    fn may_retry(&self, key: JobKey, status: Status) -> bool {
        let entry = self.jobs.get(key);
        let own = entry.job.options.as_ref().and_then(|options| options.retries);
        let retries = own.unwrap_or(self.config.retries);
        let retryable = matches!(status, Status::Failed | Status::Timeout | Status::Crashed | Status::Oom);
        retryable && entry.attempts <= retries && self.stop == Stop::Running
    }

    /// Another attempt, after a delay that doubles with each, half of it by chance so that many do not come at once.
    fn retry_later(&mut self, key: JobKey) {
        self.take_back(key);
        let entry = self.jobs.get_mut(key);
        let base = self.config.retry_delay;
        if base.is_zero() {
            self.make_ready(key);
            return;
        }
        let doubled = base.saturating_mul(1 << (entry.attempts - 1).min(20)).min(RETRY_DELAY_MAX);
        let chance = scramble(self.config.seed ^ scramble(entry.job.number.0 ^ (u64::from(entry.attempts) << 48)));
        let delay = doubled.mul_f64(0.5 + 0.5 * (chance >> 11) as f64 / (1u64 << 53) as f64);
        entry.state = JobState::Delayed;
        self.delayed += 1;
        self.deadlines.set(&mut entry.retry_at, self.now.time.after(delay), Timer::Retry(key));
    }

    /// Notes that the worker holds a file with the job's whole output open until it is told to let go of it
    /// ([`Pool::release`]).
    fn spill_of(&mut self, id: WorkerId, request: u64, attempt: &Attempt) -> Option<Spill> {
        if !self.config.target.is_command() {
            return None;
        }
        // A quote inside a string is escaped, so these are members and never output that looks like them.
        let said = attempt.result.as_ref().or(attempt.error.as_deref())?.get().as_bytes();
        if LOST.find(said).is_some() {
            self.exit = self.exit.max(ExitCode::OutputLost);
        }
        SPILLED.find(said)?;
        let worker = &mut self.workers[id.index()];
        worker.spills += 1;
        Some(Spill { worker: id, generation: worker.generation, request })
    }

    /// Nobody will ask for the output of a job that had its record before its answer came.
    fn let_go_of_late_output(&mut self, id: WorkerId, request: u64, ending: &Ending<'_>) {
        let Ending::Answered(answer) = ending else { return };
        if self.config.target.is_command() && SPILLED.find(answer.text().as_bytes()).is_some() {
            self.say(id, |out| encode::notification_about(out, "$/release", request));
        }
    }

    /// What the record says of an attempt.
    #[inline(always)]
    fn record_of_attempt(
        &self,
        (id, key): (WorkerId, JobKey),
        (start, duration): (Wall, Duration),
        said: Option<Box<Said>>,
        attempt: Attempt,
    ) -> Record {
        let mut record = Record {
            id: UserId::Number(0),
            status: attempt.status,
            result: attempt.result,
            error: attempt.error,
            worker: Some(id),
            pid: Some(self.workers[id.index()].shown_pid),
            attempts: self.jobs.get(key).attempts,
            start: Some(start),
            duration,
            number: JobId(0),
            rare: None,
        };
        if let Some(mut said) = said {
            let (stdout, stderr) = (Said::take(&mut said.stdout), Said::take(&mut said.stderr));
            if stdout.is_some() || stderr.is_some() {
                (record.rare_mut().stdout, record.rare_mut().stderr) = (stdout, stderr);
            }
        }
        record
    }

    /// The record of a job that was never begun.
    pub(super) fn finish_unrun(&mut self, key: JobKey, status: Status, why: &str) {
        let attempts = self.jobs.get(key).attempts;
        if status == Status::Skipped && attempts > 0 {
            // What it did in an earlier run is as unknown as before.
            return self.finish_unknown(key, attempts);
        }
        let mut record = blank(status);
        // The user is told once, a program that reads records from each of them.
        let error = match (status, self.stop) {
            (Status::Skipped, Stop::GivenUp) => json!({"message": why, "data": {"cause": self.given_up}}),
            _ => json!({"message": why}),
        };
        record.error = Some(Box::new(Json::from(&error)));
        self.finish(key, record);
    }

    /// The one place where a job leaves the table: its record is what it leaves.
    #[inline(always)]
    fn finish(&mut self, key: JobKey, mut record: Record) {
        let job = self.jobs.remove(key).job;
        if self.config.labels || record.status != Status::Ok {
            record.rare_mut().label = job.label();
        }
        if let (true, Some(worker)) = (self.config.commands, record.worker) {
            record.rare_mut().command = job.as_command(&self.config.target, worker.0);
        }
        if let Some(tags) = job.options.and_then(|options| options.tags) {
            record.rare_mut().tags = Some(tags);
        }
        if let Some(past) = job.past {
            record.rare_mut().content = Some(past.content);
        }
        record.id = job.id;
        if let Some(awaited) = &mut self.awaited {
            awaited.ended(&record.id, job.number);
        }
        self.note_end(&record.id, record.status == Status::Ok);
        self.emit(job.number, record);
    }

    /// Jobs that wait for this one go on once all facts of the turn are known; until a job of the list waits for any, it is
    /// only remembered.
    #[inline(always)]
    fn note_end(&mut self, id: &UserId, ok: bool) {
        if self.needs.used() {
            self.just_ended.push_back((id.clone(), ok));
        } else {
            self.needs.remember(id, ok);
        }
    }

    /// The job was running when an earlier run ended, and may not be run again.
    pub(super) fn finish_unknown(&mut self, key: JobKey, attempts: u32) {
        let mut record = blank(Status::Crashed);
        let error = json!({"message": OUTCOME_UNKNOWN, "data": {"outcome": "unknown"}});
        record.error = Some(Box::new(Json::from(&error)));
        record.attempts = attempts;
        self.finish(key, record);
    }

    /// The job has its record from an earlier run, which counts for what follows from it.
    pub(super) fn ended_before(&mut self, job: Job, status: Status) {
        self.stats.accepted += 1;
        self.stats.before += 1;
        let ok = status == Status::Ok;
        if !ok {
            self.stats.before_not_ok += 1;
            self.exit = self.exit.max(ExitCode::JobsFailed);
        }
        if self.needs.used() {
            self.needs.accepted(&job.id);
        }
        self.note_end(&job.id, ok);
        if let Some(order) = &mut self.order {
            order.pass(job.number);
        }
        self.release_in_order();
    }

    /// The record of something that is no job.
    pub(super) fn emit_invalid(&mut self, invalid: Invalid) {
        let data = json!({"line": invalid.line, "column": invalid.column});
        let mut record = blank(Status::Invalid);
        record.id = invalid.id.unwrap_or(UserId::Number(invalid.number.0));
        record.error = Some(Box::new(Json::from(&json!({"message": invalid.message, "data": data}))));
        record.rare_mut().label = invalid.excerpt.into();
        record.rare_mut().line = Some(invalid.line);
        self.note_end(&record.id, false);
        self.emit(invalid.number, record);
    }

    #[inline(always)]
    fn emit(&mut self, number: JobId, mut record: Record) {
        record.number = number;
        self.stats.ended[record.status as usize] += 1;
        match record.status {
            Status::Ok => {}
            Status::Invalid => self.exit = self.exit.max(ExitCode::BadInput),
            _ => self.exit = self.exit.max(ExitCode::JobsFailed),
        }
        match &mut self.order {
            None => self.give_out(record),
            Some(order) => {
                order.hold(number, record);
                self.release_in_order();
            }
        }
        // The record first: what follows from a failure is told after it. A share can be reached by a job that ended well,
        // as the first that shares are judged from.
        if self.config.halt != Halt::Never {
            let (failed, ended) = (self.stats.failed(), self.stats.begun_and_ended());
            let reason = stop::after_failures(self.config.halt, failed, ended);
            self.halt(reason);
        }
    }

    fn release_in_order(&mut self) {
        while let Some(record) = self.order.as_mut().and_then(super::order::Order::release) {
            self.give_out(record);
        }
    }

    #[inline(always)]
    fn give_out(&mut self, record: Record) {
        let spill = record.rare.as_ref().and_then(|rare| rare.spill);
        self.actions.push_back(Action::Emit(record));
        if let Some(spill) = spill {
            self.release(spill);
        }
    }

    /// Tells the worker that the file with a job's whole output is not needed any more.
    fn release(&mut self, spill: Spill) {
        let Spill { worker: id, generation, request } = spill;
        let worker = &mut self.workers[id.index()];
        if worker.generation == generation && worker.state.has_process() {
            worker.spills -= 1;
            self.say(id, |out| encode::notification_about(out, "$/release", request));
            self.offer(id);
            self.drain_if_worn_out(id);
        }
    }

    /// The requests in the last `unread` bytes sent to a worker, which it will never read, go back.
    pub(super) fn put_unread_back(&mut self, id: WorkerId, unread: usize) {
        let worker = &mut self.workers[id.index()];
        let read_up_to = worker.sent.saturating_sub(unread as u64);
        let lost: Vec<u64> = worker
            .flights
            .iter()
            .filter(|(_, flight)| flight.end_offset > read_up_to)
            .map(|(wire_id, _)| wire_id)
            .collect();
        for wire_id in lost.into_iter().rev() {
            let mut flight = self.take_flight(id, wire_id).expect("it is open");
            flight.begun = None;
            self.end_flight(id, wire_id, flight, Ending::WorkerLost { status: None, among_others: false });
        }
    }

    /// All requests of a worker end because it is lost. The last `unread` bytes sent to it were never read; where that is
    /// not known, because its end and its last words were not waited for, nobody knows either what it has begun.
    pub(super) fn lose_flights(&mut self, id: WorkerId, status: Option<ExitStatus>, unread: Option<usize>) {
        let worker = &mut self.workers[id.index()];
        let read_up_to = worker.sent.saturating_sub(unread.unwrap_or_default() as u64);
        let open: Vec<u64> = worker.flights.iter().map(|(wire_id, _)| wire_id).collect();
        let mut lost = Vec::with_capacity(open.len());
        for wire_id in open {
            let mut flight = self.take_flight(id, wire_id).expect("it is open");
            if flight.end_offset > read_up_to {
                flight.begun = None;
            }
            if unread.is_none() {
                flight.begun.get_or_insert(self.now);
            }
            lost.push((wire_id, flight));
        }
        self.release_all_shared(id);
        let begun = lost.iter().filter(|(_, flight)| flight.begun.is_some() && flight.job.is_some()).count();
        // From the newest to the oldest, because those that go back are put in front.
        for (wire_id, flight) in lost.into_iter().rev() {
            self.end_flight(id, wire_id, flight, Ending::WorkerLost { status, among_others: begun > 1 });
        }
    }
}

/// A record of which nothing but the status is known.
fn blank(status: Status) -> Record {
    Record {
        id: UserId::Number(0),
        status,
        result: None,
        error: None,
        worker: None,
        pid: None,
        attempts: 0,
        start: None,
        duration: Duration::ZERO,
        number: JobId(0),
        rare: None,
    }
}

/// SplitMix64's finaliser: every bit of the input moves every bit of the output.
fn scramble(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
