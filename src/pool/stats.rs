//! What can be seen of a run from outside: figures, what is running, who was joined.

use super::Pool;
use crate::ids::WorkerId;
use crate::record::Status;
use crate::status::ExitStatus;
use crate::time::Time;
use std::time::Duration;

/// The figures of a run at one moment, for progress and summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs read from the list so far, invalid ones included.
    pub accepted: u64,
    /// Those of them that have their record from an earlier run.
    pub before: u64,
    /// Those of these that did not end `ok`.
    pub before_not_ok: u64,
    /// Ended jobs by status, in the order of [`Status::ALL`].
    pub ended: [u64; Status::ALL.len()],
    /// Jobs that are running now.
    pub running: u64,
    /// Whether the list has ended, so that `accepted` is the total.
    pub input_closed: bool,
    /// The time all attempts took together.
    pub job_time: Duration,
}

impl Stats {
    /// Jobs that have their record.
    pub fn done(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Jobs that ended otherwise than `ok`.
    pub fn not_ok(&self) -> u64 {
        self.done() - self.ended[Status::Ok as usize]
    }

    /// Jobs that failed, in whatever way: not those that were stopped, or never begun, nor what is no job.
    pub fn failed(&self) -> u64 {
        [Status::Failed, Status::Timeout, Status::Crashed, Status::Oom]
            .map(|status| self.ended[status as usize])
            .iter()
            .sum()
    }

    /// Jobs that have ended and were not skipped, what is no job left out.
    pub fn begun_and_ended(&self) -> u64 {
        self.done() - self.ended[Status::Skipped as usize] - self.ended[Status::Invalid as usize]
    }
}

/// One process as `join` tells of it, for the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its slot.
    pub worker: WorkerId,
    /// Its process, the last one.
    pub pid: u32,
    /// How many processes it has had.
    pub processes: u64,
    /// Jobs ended in this slot, by this process and those before it.
    pub jobs: u64,
    /// How it ended.
    pub exit: ExitStatus,
}

/// A job that is running now, for SIGUSR1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The worker that has it.
    pub worker: WorkerId,
    /// Its process.
    pub pid: u32,
    /// The job's id as JSON text.
    pub id: String,
    /// What it is, for people.
    pub label: Vec<u8>,
    /// For how long it has been running.
    pub since: Duration,
    /// Which attempt this is.
    pub attempt: u32,
}

impl Pool {
    /// The figures of this moment.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether all that was sent has been begun: nobody has anything to do but what he is at.
    pub fn awaits_each_answer(&self) -> bool {
        self.open_requests as u64 == self.stats.running
    }

    /// Whether a worker has more than one job, running or sent ahead.
    pub fn has_several_jobs(&self, worker: WorkerId) -> bool {
        self.workers[worker.index()].flights.open() > 1
    }

    /// The last process of each slot that had one and was joined.
    pub fn joined(&self) -> Vec<Joined> {
        self.joined.iter().flatten().cloned().collect()
    }

    /// The jobs that are running at this time, by worker.
    pub fn running(&self, now: Time) -> Vec<Running> {
        let flights = self.workers.iter().flat_map(|worker| {
            worker.flights.iter().filter_map(move |(_, flight)| Some((worker, flight.job?, flight.begun?)))
        });
        flights
            .map(|(worker, key, begun)| {
                let entry = self.jobs.get(key);
                Running {
                    worker: worker.id,
                    pid: worker.shown_pid,
                    id: entry.job.id.to_string(),
                    label: entry.job.label(),
                    since: now.since(begun.time),
                    attempt: entry.attempts,
                }
            })
            .collect()
    }
}
