//! The end of an attempt: another one, or the record. Every record of a job is made here.

use super::deadline::Timer;
use super::flight::{Cancel, Flight, Said};
use super::job_table::{JobKey, JobState};
use super::stop::{self, Stop};
use super::{Action, Pool};
use crate::exit::ExitCode;
use crate::ids::{JobId, WorkerId};
use crate::job::UserId;
use crate::protocol::{Outcome, REQUEST_CANCELLED, encode};
use crate::record::{Record, Spill, Status};
use crate::status::{ExitStatus, SignalName};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::time::Duration;

/// The longest delay between two attempts.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3600);

/// How a request ended.
#[derive(Debug)]
pub(super) enum Ending<'a> {
    /// The worker answered it.
    Answered(Outcome<'a>),
    /// The worker is gone, or was found unfit.
    WorkerLost {
        /// How its process ended, if it has.
        status: Option<ExitStatus>,
        /// Others were in flight with it.
        among_others: bool,
    },
    /// It was to stop and the worker did not answer in time.
    Overdue,
}

/// How an attempt ended: what the record will say if it was the last.
struct Attempt {
    status: Status,
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

impl Pool {
    /// Ends a request: a second attempt, or the record. A flight whose record was made before only ends.
    pub(super) fn end_flight(&mut self, id: WorkerId, wire_id: u64, mut flight: Flight, ending: Ending<'_>) {
        let Some(key) = flight.job.take() else { return };
        let never_begun = match &ending {
            // Only of what it was asked to stop can a worker say so, or it could hand a job back for ever.
            Ending::Answered(Outcome::Error(error)) => flight.cancel.is_some() && was_not_begun(error),
            Ending::Answered(Outcome::Result(_)) => false,
            Ending::WorkerLost { .. } | Ending::Overdue => flight.begun.is_none(),
        };
        if never_begun && flight.cancel != Some(Cancel::Timeout) {
            self.not_begun(key);
            return;
        }
        if let Ending::WorkerLost { among_others: true, .. } = ending {
            self.jobs.get_mut(key).suspect = true;
        }
        let attempt = self.judge(id, key, &mut flight, ending);
        let begun = flight.begun.unwrap_or(self.now);
        self.stats.job_time += self.now.time.since(begun.time);
        self.workers[id.index()].jobs_ended += 1;
        let spill = self.spill_of(id, wire_id, &attempt);
        if attempt.status != Status::Ok && self.may_retry(key, attempt.status) {
            if let Some(spill) = spill {
                self.release(spill);
            }
            self.retry_later(key);
        } else {
            self.finish_attempt(id, key, flight, attempt, |record| {
                record.start = Some(begun.wall);
                record.spill = spill;
            });
        }
    }

    /// The worker never began it: it waits again, at no charge.
    fn not_begun(&mut self, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        entry.attempts -= 1;
        if self.stop > Stop::Running {
            self.finish_stopped(key);
        } else {
            self.put_back(key);
        }
    }

    fn judge(&self, id: WorkerId, key: JobKey, flight: &mut Flight, ending: Ending<'_>) -> Attempt {
        let failed = |status, error: Value| Attempt { status, result: None, error: Some(raw(&error)) };
        let stuck = flight.said.as_mut().and_then(|said| said.stuck.take());
        match ending {
            Ending::Answered(Outcome::Result(result)) if flight.cancel < Some(Cancel::Timeout) => {
                Attempt { status: Status::Ok, result: Some(result.to_owned()), error: None }
            }
            // The run is being stopped, but this one made it.
            Ending::Answered(Outcome::Result(result)) if flight.cancel == Some(Cancel::Stop) => {
                Attempt { status: Status::Ok, result: Some(result.to_owned()), error: None }
            }
            Ending::Answered(Outcome::Error(error)) if flight.cancel < Some(Cancel::Timeout) => {
                Attempt { status: Status::Failed, result: None, error: Some(error.to_owned()) }
            }
            Ending::WorkerLost { status, .. } if flight.cancel < Some(Cancel::Timeout) => {
                failed(Status::Crashed, self.crash_error(id, status))
            }
            ending => {
                let (status, message) = match flight.cancel {
                    Some(Cancel::Stop) => (Status::Cancelled, self.stop.cause()),
                    _ => (Status::Timeout, format!("ran longer than {}", seconds(self.timeout_of(key)))),
                };
                let mut data = match ending {
                    Ending::Answered(Outcome::Error(error) | Outcome::Result(error)) => answer_data(error),
                    _ => None,
                };
                if let Some(stack) = stuck {
                    data.get_or_insert_with(|| json!({}))["traceback"] = stack.into();
                }
                let data = data.map_or(json!({"message": message}), |data| json!({"message": message, "data": data}));
                failed(status, data)
            }
        }
    }

    fn crash_error(&self, id: WorkerId, status: Option<ExitStatus>) -> Value {
        let worker = &self.workers[id.index()];
        let mut data = json!({});
        if let Some(status) = status {
            data["exit_code"] = status.exit_code().into();
            if let ExitStatus::Signal(number) = status {
                data["signal"] = SignalName(number).to_string().into();
            }
        }
        data["stderr"] = String::from_utf8_lossy(&worker.stderr_tail).into_owned().into();
        let message = match (&worker.blame, status) {
            (Some(blame), _) => blame.clone(),
            (None, Some(ExitStatus::Signal(number))) => format!("worker {} was killed by {}", id.0, SignalName(number)),
            (None, Some(ExitStatus::Code(code))) => {
                format!("worker {} ended with exit code {code} in the middle of the job", id.0)
            }
            (None, None) => format!("worker {} was lost", id.0),
        };
        json!({"message": message, "data": data})
    }

    fn timeout_of(&self, key: JobKey) -> Duration {
        let own = self.jobs.get(key).job.options.as_ref().and_then(|options| options.timeout);
        own.or(self.config.timeout).unwrap_or_default()
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
        let said = attempt.result.as_ref().or(attempt.error.as_ref())?.get();
        // A quote inside a string is escaped, so this is the name of a member and never output that looks like one.
        if !self.config.target.is_command() || memchr::memmem::find(said.as_bytes(), b"_spill\":\"").is_none() {
            return None;
        }
        let worker = &mut self.workers[id.index()];
        worker.spills += 1;
        Some(Spill { worker: id, generation: worker.generation, request })
    }

    fn finish_attempt(
        &mut self,
        id: WorkerId,
        key: JobKey,
        flight: Flight,
        attempt: Attempt,
        more: impl FnOnce(&mut Record),
    ) {
        let begun = flight.begun.unwrap_or(self.now);
        let mut said = flight.said;
        let mut printed = |stdout: bool| {
            let said = said.as_mut()?;
            Said::take(if stdout { &mut said.stdout } else { &mut said.stderr })
        };
        let (stdout, stderr) = (printed(true), printed(false));
        self.finish(key, |pool| {
            let pid = pool.workers[id.index()].shown_pid;
            let duration = pool.now.time.since(begun.time);
            move |record: &mut Record| {
                record.status = attempt.status;
                record.result = attempt.result;
                record.error = attempt.error;
                record.stdout = stdout;
                record.stderr = stderr;
                record.worker = Some(id);
                record.pid = Some(pid);
                record.duration = duration;
                more(record);
            }
        });
    }

    /// The record of a job that was never begun, or whose attempts are over without a worker.
    pub(super) fn finish_unrun(&mut self, key: JobKey, status: Status, why: &str) {
        let error = raw(&json!({"message": why}));
        self.finish(key, |_| {
            move |record: &mut Record| {
                record.status = status;
                record.error = Some(error);
            }
        });
    }

    /// The record of a job that waits while the run is being stopped: it is `skipped`, or `cancelled` when it had an
    /// attempt before and was waiting for the next.
    pub(super) fn finish_stopped(&mut self, key: JobKey) {
        let tried = self.jobs.get(key).attempts > 0;
        let status = if tried { Status::Cancelled } else { Status::Skipped };
        self.finish_unrun(key, status, &self.stop.cause());
    }

    /// The one place where a job leaves the table and its record is made.
    fn finish<F: FnOnce(&mut Record)>(&mut self, key: JobKey, fill: impl FnOnce(&Self) -> F) {
        let fill = fill(self);
        let entry = self.jobs.remove(key);
        let mut record = Box::new(Record {
            id: entry.job.id.clone(),
            status: Status::Skipped,
            result: None,
            error: None,
            stdout: None,
            stderr: None,
            label: Box::default(),
            worker: None,
            pid: None,
            attempts: entry.attempts,
            start: None,
            duration: Duration::ZERO,
            line: None,
            tags: None,
            spill: None,
        });
        fill(&mut record);
        if self.config.labels || record.status != Status::Ok {
            record.label = entry.job.label().into();
        }
        if let Some(options) = entry.job.options {
            record.tags = options.tags;
        }
        self.just_ended.push_back((entry.job.id, record.status == Status::Ok));
        self.emit(entry.job.number, record);
    }

    pub(super) fn emit_invalid(
        &mut self,
        number: JobId,
        id: UserId,
        message: &str,
        data: &Value,
        line: u64,
        excerpt: Box<[u8]>,
    ) {
        let record = Box::new(Record {
            id: id.clone(),
            status: Status::Invalid,
            result: None,
            error: Some(raw(&json!({"message": message, "data": data}))),
            stdout: None,
            stderr: None,
            label: excerpt,
            worker: None,
            pid: None,
            attempts: 0,
            start: None,
            duration: Duration::ZERO,
            line: Some(line),
            tags: None,
            spill: None,
        });
        self.just_ended.push_back((id, false));
        self.emit(number, record);
    }

    fn emit(&mut self, number: JobId, record: Box<Record>) {
        self.stats.ended[record.status as usize] += 1;
        match record.status {
            Status::Ok => {}
            Status::Invalid => self.exit = self.exit.max(ExitCode::BadInput),
            _ => self.exit = self.exit.max(ExitCode::JobsFailed),
        }
        if record.status != Status::Ok {
            let reason = stop::after_failures(self.config.halt, self.stats.not_ok(), self.stats.done());
            self.halt(reason);
        }
        match &mut self.order {
            None => self.give_out(record),
            Some(order) => {
                order.hold(number, record);
                while let Some(record) = self.order.as_mut().and_then(super::order::Order::release) {
                    self.give_out(record);
                }
            }
        }
    }

    fn give_out(&mut self, record: Box<Record>) {
        let spill = record.spill;
        self.actions.push_back(Action::Emit(record));
        if let Some(spill) = spill {
            self.release(spill);
        }
    }

    /// Nobody wants the file with a job's whole output any longer.
    fn release(&mut self, spill: Spill) {
        let Spill { worker: id, generation, request } = spill;
        let worker = &mut self.workers[id.index()];
        if worker.generation == generation && worker.state.has_process() {
            worker.spills -= 1;
            self.say(id, |out| encode::notification_about(out, "$/release", request));
            self.drain_if_worn_out(id);
        }
    }

    /// All requests of a worker end because it is lost. The last `unread` bytes sent to it were never read.
    pub(super) fn lose_flights(&mut self, id: WorkerId, status: Option<ExitStatus>, unread: usize) {
        let worker = &mut self.workers[id.index()];
        let read_up_to = worker.sent.saturating_sub(unread as u64);
        let open: Vec<u64> = worker.flights.iter().map(|(wire_id, _)| wire_id).collect();
        let mut lost = Vec::with_capacity(open.len());
        for wire_id in open {
            let mut flight = self.take_flight(id, wire_id).expect("it is open");
            if flight.end_offset > read_up_to {
                flight.begun = None;
            }
            lost.push((wire_id, flight));
        }
        let begun = lost.iter().filter(|(_, flight)| flight.begun.is_some() && flight.job.is_some()).count();
        // From the newest to the oldest, because those that go back are put in front.
        for (wire_id, flight) in lost.into_iter().rev() {
            self.end_flight(id, wire_id, flight, Ending::WorkerLost { status, among_others: begun > 1 });
        }
    }
}

/// Whether the answer says that the job was called back before it was begun.
fn was_not_begun(error: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Error {
        code: i64,
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        begun: Option<bool>,
    }
    // Looked at for every failure, so the common ones are told apart before they are parsed.
    error.get().contains("\"begun\"")
        && serde_json::from_str::<Error>(error.get()).is_ok_and(|error| {
            error.code == REQUEST_CANCELLED && error.data.is_some_and(|data| data.begun == Some(false))
        })
}

/// What an answer to a cancelled request holds beside its message: partial output, or the result that came too late.
fn answer_data(answer: &RawValue) -> Option<Value> {
    let value: Value = serde_json::from_str(answer.get()).ok()?;
    match value.get("data") {
        Some(data) => Some(data.clone()),
        None if value.get("exit_code").is_some() => Some(value),
        None => None,
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("a JSON value can be written")
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

/// SplitMix64's finaliser: every bit of the input moves every bit of the output.
fn scramble(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
