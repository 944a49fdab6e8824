//! The core.

mod action;
mod event;

pub use action::{Action, Notice};
pub use event::{Event, SpawnFault};

use crate::ids::WorkerId;
use crate::record::Status;
use crate::status::ExitStatus;
use std::time::Duration;

/// The figures of a run at one moment, for progress and summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs read from the list so far, invalid ones included.
    pub accepted: u64,
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
}

/// One process as `join` tells of it, for the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its slot.
    pub worker: WorkerId,
    /// Its process.
    pub pid: u32,
    /// Jobs it ended, however they ended.
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
