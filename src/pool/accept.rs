//! The way in: jobs are accepted, and from that moment owed exactly one record.

use super::deadline::Timer;
use super::job_table::{JobEntry, JobKey, JobState};
use super::needs::{BLOCKED_JOBS_MAX, Verdict};
use super::stop::Stop;
use super::{Action, Notice, Pool, Reading, request};
use crate::exit::ExitCode;
use crate::ids::JobId;
use crate::job::{Argument, Call, Invalid, Job, JobOptions, UserId};
use crate::record::Status;

/// Most bytes of jobs that wait in memory (one longer job alone may exceed it).
pub(super) const QUEUE_BYTES_MAX: usize = 512 << 10;

/// What one of many small pieces takes beside its text.
const PIECE_BYTES: usize = 16;

/// So much of a job's id and options is not counted, or jobs with a short id could not be read as far ahead as others.
const FREE_BYTES: usize = 64;

/// While more bytes of records than this wait to be written, no job is begun and none is read. Whoever writes them says
/// so when they are fewer again.
pub const OUTPUT_BACKLOG_BYTES_MAX: usize = 128 << 10;

impl Pool {
    /// Whether the next job of the list may be handed in. When not, ask again after the next turn.
    #[inline(always)]
    pub fn wants_job(&self) -> bool {
        let parked = self.delayed + self.locked.len();
        let limits = &self.config.limits;
        let is_far = self.queue.has_priorities() || self.awaited.is_some();
        let ready_max = if is_far { limits.far_jobs } else { limits.queue_jobs };
        self.input == Reading::Open
            && !self.output_is_behind
            && self.queue.len() < ready_max
            && parked < limits.far_jobs
            && (self.queued_bytes < QUEUE_BYTES_MAX || self.queue.len() + parked == 0)
            && (self.order.as_ref().is_none_or(|order| !order.is_full(limits.held_bytes))
                || self.head_waits_for_others())
    }

    #[inline(always)]
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

    #[inline(always)]
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
        let needs =
            job.options.as_ref().filter(|options| !options.needs.is_empty()).map(|options| options.needs.clone());
        if needs.is_some() && !self.needs.used() {
            self.needs.begin(self.jobs.iter().map(|(_, entry)| entry.job.id.clone()));
        }
        let key = self.enter(job, attempts);
        match (fault, needs) {
            (Some((status, why)), _) => self.finish_unrun(key, status, &why),
            (None, None) => self.make_ready(key),
            (None, Some(needs)) => self.block(key, number, &needs),
        }
    }

    /// From here on the job is owed a record.
    #[inline(always)]
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
        if let Some(awaited) = &mut self.awaited {
            awaited.accepted((key, number), &self.jobs);
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
    #[inline(always)]
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

/// What a job takes in memory, roughly: all of it that has the length the list gave it.
#[inline(always)]
fn weight(job: &Job) -> usize {
    let call = match &job.call {
        Call::Line(line) => line.len(),
        Call::Function(call) => call.bytes(),
        Call::Command(command) => {
            let argument = match &command.argument {
                Argument::Argv(words) => words.iter().map(|word| PIECE_BYTES + word.len()).sum(),
                Argument::Shell(line) => line.len(),
            };
            let env: usize = command.env.iter().map(|(name, value)| 2 * PIECE_BYTES + name.len() + value.len()).sum();
            let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            argument + env + text(&command.cwd) + text(&command.stdin)
        }
    };
    let told = id_bytes(&job.id) + job.options.as_deref().map_or(0, options_weight);
    call + 16 + told.saturating_sub(FREE_BYTES)
}

/// What is asked for a job alone. Each of its locks is noted by name once more while it is held.
fn options_weight(options: &JobOptions) -> usize {
    let needs: usize = options.needs.iter().map(|id| PIECE_BYTES + id_bytes(id)).sum();
    let locks: usize = options.locks.iter().map(|name| PIECE_BYTES + name.len()).sum();
    needs + 2 * locks + options.tags.as_ref().map_or(0, |tags| tags.get().len())
}

fn id_bytes(id: &UserId) -> usize {
    match id {
        UserId::Number(_) => 0,
        UserId::Json(text) => text.len(),
    }
}

fn need_failed(id: &UserId) -> String {
    format!("needs {id}, which did not end ok")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Command, FunctionCall};
    use crate::json::Json;

    const LONG: usize = 100_000;

    fn job(call: Call, options: Option<JobOptions>) -> Job {
        Job { number: JobId(1), id: UserId::Number(1), call, options: options.map(Box::new), past: None }
    }

    fn line() -> Call {
        Call::Line((*b"x").into())
    }

    fn with(change: impl FnOnce(&mut JobOptions)) -> Job {
        let mut options = JobOptions::default();
        change(&mut options);
        job(line(), Some(options))
    }

    #[test]
    fn whatever_may_be_long_in_a_job_is_counted() {
        let long = || "y".repeat(LONG);
        let id = || UserId::Json(long().into());
        let tags = || Json::parse(&format!("[\"{}\"]", long())).unwrap();
        let command = |change: &dyn Fn(&mut Command)| {
            let argument = Argument::Shell((*b"x").into());
            let mut command = Command { argument, cwd: None, env: Vec::new(), stdin: None };
            change(&mut command);
            job(Call::Command(Box::new(command)), None)
        };
        for (what, job) in [
            ("line", job(Call::Line(long().into_bytes().into()), None)),
            ("params", job(Call::Function(FunctionCall::new(Some("f"), &tags())), None)),
            ("id", Job { id: id(), ..job(line(), None) }),
            ("tags", with(|options| options.tags = Some(tags()))),
            ("needs", with(|options| options.needs = vec![id()])),
            ("many needs", with(|options| options.needs = vec![UserId::Number(1); LONG / PIECE_BYTES])),
            ("locks", with(|options| options.locks = vec![long().into()])),
            ("words", command(&|command| command.argument = Argument::Argv(vec![long().into_bytes().into()]))),
            ("many words", command(&|command| command.argument = Argument::Argv(vec![Box::default(); LONG / 16]))),
            ("shell line", command(&|command| command.argument = Argument::Shell(long().into_bytes().into()))),
            ("cwd", command(&|command| command.cwd = Some(long()))),
            ("env", command(&|command| command.env = vec![(long(), String::new())])),
            ("stdin", command(&|command| command.stdin = Some(long()))),
        ] {
            assert!(weight(&job) + FREE_BYTES >= LONG, "{what}: {}", weight(&job));
        }
        assert!(weight(&job(line(), None)) < 100);
    }
}
