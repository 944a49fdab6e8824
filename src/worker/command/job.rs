//! The life of one command, from its start to its answer, as far as it can be told without system calls.

use super::answer::{self, Leaked};
use super::capture::{Limits, Stream};
use super::leftover::Marks;
use super::request::{ATTEMPT_PREFIX, JOB_PREFIX, Request};
use super::signals::Reaped;
use super::spill;
use crate::status::ExitStatus;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A place for one command at a time.
pub(super) struct Slot {
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) job: Option<Job>,
}

/// A command that was started and not answered yet.
pub(super) struct Job {
    pub(super) request: Box<Request>,
    pub(super) pid: i32,
    pub(super) phase: Phase,
    /// It has ended, like this.
    pub(super) ended: Option<Reaped>,
    /// Somebody asked for its end while it ran.
    pub(super) cancelled: bool,
    pub(super) leaked: Vec<Leaked>,
    /// The kernel has killed for want of memory while it ran, and it died of such a signal.
    pub(super) kernel_was_short: bool,
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs, for as long as it likes.
    Running,
    /// It was asked to end; until then it and what it started have time for that.
    Stopping { until: Instant },
    /// It has ended; until then what it left behind may end by itself.
    Lingering { until: Instant },
    /// All of it was killed; then it is looked at again, and at the end given up.
    Sweeping { again: Instant, end: Instant },
}

impl Job {
    /// A command that has just been started.
    pub(super) fn new(request: Box<Request>, pid: i32) -> Job {
        Job {
            request,
            pid,
            phase: Phase::Running,
            ended: None,
            cancelled: false,
            leaked: Vec::new(),
            kernel_was_short: false,
        }
    }
}

impl Phase {
    /// When something is to be done about it.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Phase::Running => None,
            Phase::Stopping { until } | Phase::Lingering { until } => Some(until),
            Phase::Sweeping { again, .. } => Some(again),
        }
    }

    /// The same, so much later: the time that passed while everything was frozen does not count.
    pub(super) fn moved(self, by: std::time::Duration) -> Phase {
        match self {
            Phase::Running => Phase::Running,
            Phase::Stopping { until } => Phase::Stopping { until: until + by },
            Phase::Lingering { until } => Phase::Lingering { until: until + by },
            Phase::Sweeping { again, end } => Phase::Sweeping { again: again + by, end: end + by },
        }
    }
}

impl Slot {
    /// An empty place.
    pub(super) fn new() -> Slot {
        Slot { stdout: Stream::new("stdout"), stderr: Stream::new("stderr"), job: None }
    }

    /// Reads what the command has written. What comes from nobody's command closes the pipe: somebody holds it who
    /// should not.
    pub(super) fn drain(&mut self, limits: &Limits, buffer: &mut [u8]) {
        let Some(job) = &self.job else {
            self.close_pipes();
            return;
        };
        let request = &job.request;
        let stem = || stem_of(request);
        self.stdout.drain(limits, buffer, &stem);
        self.stderr.drain(limits, buffer, &stem);
    }

    /// Lets the ends of both streams be seen.
    pub(super) fn close_write_ends(&mut self) {
        self.stdout.close_write_end();
        self.stderr.close_write_end();
    }

    /// Throws both pipes away.
    pub(super) fn close_pipes(&mut self) {
        self.stdout.close();
        self.stderr.close();
    }

    /// Whether nobody can write to the streams any more.
    pub(super) fn is_at_end(&self) -> bool {
        self.stdout.is_at_end() && self.stderr.is_at_end()
    }

    /// How to recognise what the command left behind.
    pub(super) fn marks<'a>(&'a self, job: &'a Job, alone: bool) -> Marks<'a> {
        let pipes = [self.stdout.reader(), self.stderr.reader()];
        Marks { pid: job.pid, job: job.request.job.as_deref(), pipes, alone }
    }

    /// Writes the answer and makes room for the next command. Gives back the job's id and the files that others may
    /// still want to read.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Option<(Job, Vec<OwnedFd>)> {
        let job = self.job.take_if(|job| job.ended.is_some())?;
        let ended = job.ended.as_ref()?;
        answer::ended(
            out,
            &answer::Ended {
                id: &job.request.id,
                status: exit_status(ended.status),
                cpu_us: ended.cpu_us,
                max_rss: ended.max_rss,
                stdout: self.stdout.captured(),
                stderr: self.stderr.captured(),
                leaked: &job.leaked,
                cancelled: job.cancelled,
                kernel_was_short: job.kernel_was_short,
            },
        );
        let files = self.stdout.reset().into_iter().chain(self.stderr.reset()).collect();
        Some((job, files))
    }
}

/// The result of `wait` in our words.
pub(super) fn exit_status(status: i32) -> ExitStatus {
    if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status))
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    }
}

fn stem_of(request: &Request) -> String {
    fn value<'a>(entry: &'a Option<CString>, prefix: &[u8]) -> Option<&'a [u8]> {
        entry.as_ref().and_then(|entry| entry.to_bytes().strip_prefix(prefix))
    }
    let job = value(&request.job, JOB_PREFIX).unwrap_or(request.id.as_bytes());
    let attempt = value(&request.attempt, ATTEMPT_PREFIX).unwrap_or(b"1");
    spill::stem(job, &String::from_utf8_lossy(attempt))
}
