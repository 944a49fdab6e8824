//! The record: how one job ended. The only thing reports see, the one line of `--json`, the row of the journal.

use crate::ids::{Generation, JobId, WorkerId};
use crate::job::{Fingerprint, UserId};
use crate::json::Json;
use crate::time::Wall;
use std::fmt;
use std::time::Duration;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It did what was asked.
    Ok,
    /// The function raised, or the command's exit code was not 0.
    Failed,
    /// It ran longer than its timeout.
    Timeout,
    /// The worker died under it, or broke the protocol.
    Crashed,
    /// It needed more memory than allowed.
    Oom,
    /// It was stopped before it ended.
    Cancelled,
    /// It was never started.
    Skipped,
    /// The line of the list is no job.
    Invalid,
}

impl Status {
    /// All of them, in the order of summaries.
    pub const ALL: [Status; 8] = [
        Status::Ok,
        Status::Failed,
        Status::Timeout,
        Status::Crashed,
        Status::Oom,
        Status::Cancelled,
        Status::Skipped,
        Status::Invalid,
    ];

    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Timeout => "timeout",
            Status::Crashed => "crashed",
            Status::Oom => "oom",
            Status::Cancelled => "cancelled",
            Status::Skipped => "skipped",
            Status::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one job ended. JSON values are kept as the bytes the worker sent.
#[derive(Debug, Clone)]
pub struct Record {
    /// What the user called the job, or its number.
    pub id: UserId,
    /// How it ended.
    pub status: Status,
    /// What it returned: any JSON value; for a command `{"exit_code":0,"stdout":"…","stderr":"…",…}`. Only with [`Status::Ok`].
    pub result: Option<Json>,
    /// Why it did not end ok: `{"code":…,"message":"…","data":…}`; `code` and `data` may be missing. Never together with `result`.
    /// Kept apart, because few have one and a record is handed on by value many times.
    pub error: Option<Box<Json>>,
    /// The worker that had it last; none if it was never given to one.
    pub worker: Option<WorkerId>,
    /// That worker's process.
    pub pid: Option<u32>,
    /// How often it was begun.
    pub attempts: u32,
    /// When its last attempt began.
    pub start: Option<Wall>,
    /// How long its last attempt took, in active time.
    pub duration: Duration,
    /// Its number in the list. Not in the JSON, where an id may stand in its place.
    pub number: JobId,
    /// What most records do not have.
    pub rare: Option<Box<Rare>>,
}

impl Record {
    /// What most records do not have, empty where this one has nothing of it.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(const { &Rare::NONE })
    }

    /// The same, to be filled in.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::NONE))
    }
}

/// What most records do not have: kept apart, because a record is handed on by value many times.
#[derive(Debug, Clone)]
pub struct Rare {
    /// What a function printed on its standard output (commands have theirs in `result`).
    pub stdout: Option<Printed>,
    /// The same for standard error.
    pub stderr: Option<Printed>,
    /// What the job is called in text: the line, or the command, or the method with its parameters; shortened, for people. Not in the JSON.
    pub label: Vec<u8>,
    /// The command that was run, whole, as one would type it; only for the job log. Not in the JSON.
    pub command: Option<Vec<u8>>,
    /// The line of the list it stood on, from 1; only with [`Status::Invalid`].
    pub line: Option<u64>,
    /// The job's `tags`, as given: a JSON array.
    pub tags: Option<Json>,
    /// What the job is the same as in other runs of the list: the member `job` of a journal.
    pub content: Option<Fingerprint>,
    /// Set while the worker holds a file with the job's whole output open (`stdout_spill` in the result): whoever wants
    /// it opens it when the record is emitted. Not in the JSON.
    pub spill: Option<Spill>,
}

impl Rare {
    const NONE: Rare = Rare {
        stdout: None,
        stderr: None,
        label: Vec::new(),
        command: None,
        line: None,
        tags: None,
        content: None,
        spill: None,
    };
}

/// Whom to tell when a file with large output was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spill {
    /// The worker that holds it.
    pub worker: WorkerId,
    /// Its generation.
    pub generation: Generation,
    /// The id of the request.
    pub request: u64,
}

/// Something a function printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Printed {
    /// The bytes, at most `--max-output` of them.
    pub bytes: Vec<u8>,
    /// How many there were in all; more than `bytes.len()` when it was cut.
    pub total: u64,
}
