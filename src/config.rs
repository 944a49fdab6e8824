//! The settings of a run: validated, typed, immutable. Built by [`crate::cli`] or by tests; later code
//! cannot hold a bad value.

use crate::job::Template;
use serde_json::value::RawValue;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the core decides by.
    pub pool: PoolConfig,
    /// How worker processes are started.
    pub launch: Launch,
    /// Where jobs come from.
    pub input: Input,
    /// Where records go and how they look.
    pub output: Output,
}

/// What the core decides by.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Worker processes, at least 1.
    pub workers: u32,
    /// Jobs in flight inside one worker, at least 1.
    pub concurrency: u32,
    /// What a worker executes: how a job becomes a request.
    pub target: Target,
    /// Whether workers announce themselves with `ready` (ours do); others are ready at once.
    pub announces_ready: bool,
    /// How long a worker that announces itself may take to do so.
    pub start_timeout: Duration,
    /// Whether records come in the order of the list (`--keep-order`).
    pub keep_order: bool,
    /// How long an attempt may take; no limit when missing.
    pub timeout: Option<Duration>,
    /// Extra attempts after a failure.
    pub retries: u32,
    /// Delay before the first extra attempt; doubles with each further one, with jitter.
    pub retry_delay: Duration,
    /// How long something that was asked to stop may take before it is killed.
    pub grace: Duration,
    /// When to stop because of failures.
    pub halt: Halt,
    /// A worker is replaced after this many jobs.
    pub max_jobs_per_worker: Option<u64>,
    /// Messages each worker gets before its first job: JSON-RPC requests (with `id`) or notifications, one object each.
    pub init: Vec<Box<RawValue>>,
    /// More deaths of workers that never did any work than this within `restart_window`, and the run gives up.
    pub max_restarts: u32,
    /// The window of `max_restarts`.
    pub restart_window: Duration,
    /// Longest line a worker may send, in bytes.
    pub max_message: usize,
    /// Most bytes kept of what a function prints, per stream.
    pub max_output: usize,
    /// Most memory of a worker and all it started, in bytes.
    pub memory_max: Option<u64>,
    /// No job is begun while the machine has less memory than this to give, in bytes.
    pub memory_free: Option<u64>,
    /// How long a worker may be stopped from outside before it is given up.
    pub heartbeat: Option<Duration>,
    /// Whether records carry what the job is called although it ended ok (text output shows it).
    pub labels: bool,
    /// Whether records of what was begun carry the whole command (the job log shows it).
    pub commands: bool,
    /// Whether an empty list is a failure (`--no-jobs fail`).
    pub fail_on_no_jobs: bool,
    /// Seed of the core's only randomness, the jitter of retry delays.
    pub seed: u64,
    /// How much may wait in memory.
    pub limits: Limits,
}

/// How much may wait in memory. No option changes it; the simulator does, so that its small worlds reach the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most jobs that wait for a worker. Enough that many workers with many short jobs each find work between two reads of
    /// the list; ten million jobs take the memory of these.
    pub queue_jobs: usize,
    /// The same, where it matters how far ahead the list is known: once a job has had a priority or the first of a kept
    /// order waits for later ones, and for the jobs that wait for their locks or for the delay before their next attempt,
    /// behind which may be others that could run.
    pub far_jobs: usize,
    /// Most bytes of records held back by `keep_order`. Beyond it only the job at the head is begun, and those it waits for.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { queue_jobs: 1_024, far_jobs: 16_384, held_bytes: 32 << 20 }
    }
}

/// What a worker executes, as far as the core needs to know to write requests.
#[derive(Debug, Clone)]
pub enum Target {
    /// The built-in command worker; a plain line is a shell command.
    Shell,
    /// The built-in command worker; a plain line fills the template.
    Template(Template),
    /// Functions; a plain line is the only parameter. `default` is called by jobs that name no method.
    Function {
        /// Method for jobs that name none.
        default: Option<Box<str>>,
    },
    /// Tools of servers of the Model Context Protocol, called by name. `PoolConfig::init` begins with their handshake.
    Tool,
}

impl Target {
    /// Whether jobs are commands run by the built-in worker.
    pub fn is_command(&self) -> bool {
        matches!(self, Target::Shell | Target::Template(_))
    }
}

/// When failures end the run (`--halt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Never.
    Never,
    /// After enough failures; running jobs may finish.
    Soon(Failures),
    /// After enough failures; running jobs are stopped.
    Now(Failures),
}

/// How many failures are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// This many jobs, at least 1.
    Count(u64),
    /// This share of the jobs ended so far, 1 to 100; counted from the third ended job, as GNU parallel does.
    Percent(u8),
}

/// How worker processes are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program that runs in a slot.
    pub program: Program,
    /// What jobs leave running lives on when a worker ends in order (`--keep-leftovers`).
    pub keep_leftovers: bool,
    /// Temporary directory for large outputs; the system's when missing.
    pub temp_dir: Option<PathBuf>,
}

/// The program that runs in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// `supervisor worker`, which runs commands and contains them itself. The arguments follow the subcommand's name.
    Builtin(Vec<OsString>),
    /// Any other program, started behind a guard that contains it.
    Guarded {
        /// Program and arguments; never empty.
        argv: Vec<OsString>,
        /// Variables to set for it.
        env: Vec<(OsString, OsString)>,
        /// Whether it writes down which requests it has begun (`SPV_MARKS`): our own do.
        marks_begun: bool,
        /// A library that it can load from the file that `SPV_LIBRARY` names.
        library: Option<&'static [u8]>,
    },
}

/// Where jobs come from.
#[derive(Debug, Clone)]
pub struct Input {
    /// The stream.
    pub source: Source,
    /// How it is cut into jobs.
    pub format: InputFormat,
    /// Longest line of the list in bytes; a longer one is an invalid job.
    pub max_line: usize,
}

/// The stream jobs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file (`--job-file`).
    File(PathBuf),
    /// Words after `:::`, one job each.
    Arguments(Vec<OsString>),
}

/// How the stream is cut into jobs (`--input`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// JSON when the first byte that is no blank is `{` or `[`, lines otherwise.
    Auto,
    /// A line is a job.
    Lines,
    /// A job ends at a NUL byte.
    Null,
    /// One JSON job a line, or one array of jobs.
    Json,
}

/// Where records go and how they look.
#[derive(Debug, Clone)]
pub struct Output {
    /// What standard output holds.
    pub format: Format,
    /// Prefix each line of a job's output with the job (`--tag`).
    pub tag: bool,
    /// Whether a progress line is drawn.
    pub progress: When,
    /// Whether colours are used.
    pub color: When,
    /// How much is told besides results.
    pub volume: Volume,
    /// Most bytes of one stream of one job kept in memory and in its record.
    pub max_output: usize,
    /// Where larger outputs are kept (`--output-dir`).
    pub output_dir: Option<PathBuf>,
    /// Show what would run, run nothing.
    pub dry_run: bool,
    /// The file of records that a later run can go on with (`--output`).
    pub journal: Option<Journal>,
    /// A table with GNU parallel's columns (`--joblog`).
    pub joblog: Option<PathBuf>,
}

/// The file of records of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Where it is.
    pub path: PathBuf,
    /// Go on with what is in it; `None` begins anew.
    pub resume: Option<Resume>,
    /// When records are made safe against the machine's own death.
    pub sync: Sync,
}

/// What a resumed run runs besides the jobs without a record (`--resume`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Jobs that did not end ok (`--retry-failed`).
    pub failed: bool,
    /// Jobs that were running when an earlier run ended without a word (`--retry-unknown`).
    pub unknown: bool,
}

/// When records are made safe against the machine's own death (`--sync`). They survive that of the process in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before they are shown and count, as many as there are at a time.
    Always,
    /// Several times a second.
    Batch,
    /// When the system gets to it.
    Never,
}

/// How much is told on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// `-q`: neither progress nor summary nor warnings; failures are still told.
    Quiet,
    /// All that is worth knowing.
    Usual,
    /// `-v`: each start of a worker as well, and what workers log for their authors.
    Verbose,
}

impl Volume {
    /// Whether nothing is told but failures.
    pub fn is_quiet(self) -> bool {
        self == Volume::Quiet
    }
}

/// What standard output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Each job's own output.
    Text,
    /// One record a line.
    Json,
}

/// `auto`, `always`, `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Where it makes sense: on a terminal, outside CI.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
