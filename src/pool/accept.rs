//! The way in: jobs are accepted, and from that moment owed exactly one record.

use super::deadline::Timer;
use super::job_table::{JobEntry, JobKey, JobState};
use super::needs::{BLOCKED_JOBS_MAX, Verdict};
use super::stop::Stop;
use super::{Action, Notice, Pool, Reading, request};
use crate::exit::ExitCode;
use crate::ids::JobId;
use crate::job::{Call, Invalid, Job, UserId};
use crate::record::Status;

/// Most jobs that wait for a worker. Enough that many workers with many short jobs each find work between two reads of
/// the list; ten million jobs take the memory of these.
pub(super) const QUEUE_JOBS_MAX: usize = 1_024;

/// The same, where it matters how far ahead the list is known: once a job has had a priority, and for the jobs that wait
/// for their locks or for the delay before their next attempt, behind which may be others that could run.
pub(super) const FAR_JOBS_MAX: usize = 16_384;

/// Most bytes of jobs that wait in memory (one longer job alone may exceed it).
pub(super) const QUEUE_BYTES_MAX: usize = 512 << 10;

/// While more bytes of records than this wait to be written, no job is begun and none is read. Whoever writes them says
/// so when they are fewer again.
pub const OUTPUT_BACKLOG_BYTES_MAX: usize = 128 << 10;

impl Pool {
    /// Whether the next job of the list may be handed in. When not, ask again after the next turn.
    pub fn wants_job(&self) -> bool {
        let parked = self.delayed + self.locked.len();
        let ready_max = if self.queue.has_priorities() { FAR_JOBS_MAX } else { QUEUE_JOBS_MAX };
        self.input == Reading::Open
            && !self.output_is_behind
            && self.queue.len() < ready_max
            && parked < FAR_JOBS_MAX
            && (self.queued_bytes < QUEUE_BYTES_MAX || self.queue.len() + parked == 0)
            && (self.order.as_ref().is_none_or(|order| !order.window_is_full()) || self.head_waits_for_others())
    }

    pub(super) fn accept(&mut self, job: Job) {
        let attempts = job.past.as_deref().map_or(0, |past| past.attempts);
        if attempts > 0 {
            let id = job.id.to_string();
            self.notice(Notice::Warning {
                message: format!("job {id}: outcome unknown, it was running when an earlier run ended; it runs again"),
            });
        }
        self.admit(job, attempts);
    }

    /// Takes in a job whose outcome in an earlier run nobody knows: its record says so.
    pub(super) fn accept_unknown(&mut self, job: Job) {
        let attempts = job.past.as_deref().map_or(0, |past| past.attempts);
        self.stats.accepted += 1;
        let key = self.enter(job, attempts);
        self.finish_unknown(key, attempts);
    }

    fn admit(&mut self, job: Job, attempts: u32) {
        self.stats.accepted += 1;
        let fault = if self.stop > Stop::Running {
            Some((Status::Skipped, self.stop.cause()))
        } else if let Err(why) = request::suits(&job, &self.config.target) {
            Some((Status::Invalid, why))
        } else if self.needs.blocked() >= BLOCKED_JOBS_MAX {
            Some((Status::Skipped, format!("more than {BLOCKED_JOBS_MAX} jobs wait for others")))
        } else {
            None
        };
        let number = job.number;
        let needs = job.options.as_ref().map(|options| options.needs.clone()).unwrap_or_default();
        if !needs.is_empty() && !self.needs.used() {
            self.needs.begin(self.jobs.iter().map(|(_, entry)| entry.job.id.clone()));
        }
        let key = self.enter(job, attempts);
        match fault {
            Some((status, why)) => self.finish_unrun(key, status, &why),
            None if needs.is_empty() => self.make_ready(key),
            None => self.block(key, number, &needs),
        }
    }

    /// From here on the job is owed a record.
    fn enter(&mut self, job: Job, attempts: u32) -> JobKey {
        if self.needs.used() {
            self.needs.accepted(&job.id);
        }
        let (number, bytes) = (job.number, weight(&job));
        let key = self.jobs.insert(JobEntry {
            job,
            attempts,
            suspect: false,
            came_back_late: false,
            granted: false,
            state: JobState::Blocked(0),
            bytes,
            retry_at: None,
            last: None,
        });
        if let Some(order) = &mut self.order {
            order.accept(number, Some(key));
        }
        key
    }

    fn block(&mut self, key: JobKey, number: JobId, needs: &[UserId]) {
        match self.needs.enlist((key, number), needs) {
            Verdict::Ready => self.make_ready(key),
            Verdict::Blocked(missing) => self.jobs.get_mut(key).state = JobState::Blocked(missing),
            Verdict::Failed(id) => self.finish_unrun(key, Status::Skipped, &need_failed(&id)),
        }
    }

    /// Jobs have ended: those that waited for them go on or are skipped.
    pub(super) fn settle_needs(&mut self) {
        while let Some((id, ok)) = self.just_ended.pop_front() {
            for (key, number) in self.needs.ended(&id, ok) {
                let Some(entry) = self.jobs.find(key, number) else { continue };
                let JobState::Blocked(missing) = entry.state else { continue };
                if !ok {
                    self.needs.unblocked();
                    self.finish_unrun(key, Status::Skipped, &need_failed(&id));
                } else if missing > 1 {
                    entry.state = JobState::Blocked(missing - 1);
                } else {
                    self.needs.unblocked();
                    self.make_ready(key);
                }
            }
        }
    }

    pub(super) fn accept_invalid(&mut self, invalid: Invalid) {
        self.stats.accepted += 1;
        self.exit = self.exit.max(ExitCode::BadInput);
        if let Some(order) = &mut self.order {
            order.accept(invalid.number, None);
        }
        self.emit_invalid(invalid);
    }

    /// The job waits for a worker.
    pub(super) fn make_ready(&mut self, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        entry.state = JobState::Ready;
        self.queued_bytes += entry.bytes;
        if entry.suspect { self.queue.push_suspect(key) } else { self.queue.push_back(priority(entry), key) }
    }

    /// The job was sent to a worker that never began it.
    pub(super) fn put_back(&mut self, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        entry.state = JobState::Ready;
        self.queued_bytes += entry.bytes;
        if entry.suspect { self.queue.push_suspect(key) } else { self.queue.push_front(priority(entry), key) }
    }

    pub(super) fn input_closed(&mut self, error: Option<String>) {
        if self.input == Reading::Open {
            self.input = Reading::Ended;
            self.stats.input_closed = true;
            let mut timer = self.stop_reading_at.take();
            self.deadlines.clear(&mut timer, Timer::StopReading);
        }
        if let Some(error) = error {
            self.exit = self.exit.max(ExitCode::BadInput);
            self.notice(Notice::Fault { message: format!("the job list could not be read to its end: {error}") });
        }
    }

    /// No further job of the list is wanted.
    pub(super) fn drop_input(&mut self) {
        if self.input == Reading::Open {
            self.input = Reading::Dropped;
            self.stats.input_closed = true;
            self.deadlines.clear(&mut self.stop_reading_at, Timer::StopReading);
            self.actions.push_back(Action::DropInput);
        }
    }
}

pub(super) fn priority(entry: &JobEntry) -> i64 {
    entry.job.options.as_ref().map_or(0, |options| options.priority)
}

/// What a job takes in memory, roughly.
fn weight(job: &Job) -> usize {
    let call = match &job.call {
        Call::Line(line) => line.len(),
        Call::Function(call) => call.method().map_or(0, str::len) + call.params().len(),
        Call::Command(command) => {
            let argument = match &command.argument {
                crate::job::Argument::Argv(words) => words.iter().map(|word| word.len()).sum(),
                crate::job::Argument::Shell(line) => line.len(),
            };
            let env: usize = command.env.iter().map(|(name, value)| name.len() + value.len()).sum();
            argument + env + command.stdin.as_ref().map_or(0, String::len)
        }
    };
    call + 16
}

fn need_failed(id: &UserId) -> String {
    format!("needs {id}, which did not end ok")
}
