//! The options of `spawn` that say how jobs run, what a failure means, and what comes out.

use super::values::{self, Workers};
use crate::config::Halt;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub(super) struct RunningArgs {
    /// Worker processes; a number or a share of the cores [default: the cores usable here]
    ///
    /// The default counts what the CPU affinity and the quotas of control groups allow, so it is right inside containers.
    #[arg(short, long, value_name = "N|N%", value_parser = values::workers, visible_short_aliases = ['j', 'P'])]
    pub(super) workers: Option<Workers>,
    /// Jobs in flight inside one worker
    ///
    /// More than 1 is for jobs that wait: async functions run on one event loop, others in threads, commands side by side.
    #[arg(short, long, value_name = "M", value_parser = values::concurrency, default_value_t = 1)]
    pub(super) concurrency: u32,
    /// Write results in the order of the list
    #[arg(short, long)]
    pub(super) keep_order: bool,
    /// Replace a worker after this many jobs
    ///
    /// For functions that leak memory.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_jobs_per_worker: Option<u64>,
    /// How long a worker may take to get ready
    #[arg(long, value_name = "DURATION", value_parser = values::positive_duration, default_value = "60s")]
    pub(super) start_timeout: Duration,
    /// How many workers may die before doing any work, within --restart-window, until the run gives up
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(super) max_restarts: u32,
    /// The time over which --max-restarts counts
    #[arg(long, value_name = "DURATION", value_parser = values::positive_duration, default_value = "30s")]
    pub(super) restart_window: Duration,
    /// Most memory a worker may take, with everything it started; above it its job ends with the status oom
    ///
    /// Resident memory, looked at ten times a second; kept by the kernel too where control groups can be made. The worker
    /// is killed and replaced; where it ran several jobs, each of them is suspected and runs alone when it may run again.
    #[arg(long, value_name = "SIZE", value_parser = values::positive_size)]
    pub(super) memory_max: Option<u64>,
    /// Begin no job while the machine has less memory than this to give
    #[arg(long, value_name = "SIZE", value_parser = values::positive_size)]
    pub(super) memory_free: Option<u64>,
    /// Let processes that a job leaves running live on
    ///
    /// Without it they are named in the job's record (leaked) and killed. With it they are named, and live on when the run
    /// ends in order; when supervisor is killed they end with everything else.
    #[arg(long)]
    pub(super) keep_leftovers: bool,
    /// Give up a worker that somebody has stopped (SIGSTOP) for longer than this
    ///
    /// Its job is crashed, or runs again with --retries. A timeout finds stopped workers too, but has to be as long as the
    /// longest job.
    #[arg(long, value_name = "DURATION", value_parser = values::positive_duration)]
    pub(super) heartbeat: Option<Duration>,
    /// Longest message a worker may send; a longer one gets it replaced
    #[arg(long, value_name = "SIZE", value_parser = values::message_size, default_value = "256MiB")]
    pub(super) max_message: usize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Failing")]
pub(super) struct FailingArgs {
    /// Stop a job that runs longer; 0 is no limit
    ///
    /// It is asked to end (SIGTERM), killed after --grace, and its record says timeout. Other jobs are not touched.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(super) timeout: Option<Duration>,
    /// How long something that was asked to end may take before it is killed
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "5s")]
    pub(super) grace: Duration,
    /// Extra attempts for a job that failed, timed out or lost its worker
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) retries: u32,
    /// Wait before the first extra attempt; doubles with each further one
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "0s")]
    pub(super) retry_delay: Duration,
    /// Stop because of failures: never, now,fail=N, soon,fail=N, or a share as in now,fail=10%
    ///
    /// now stops the jobs that run, soon lets them finish; the rest of the list is skipped, each job with its record.
    /// A share counts from the third job on.
    #[arg(long, value_name = "WHEN,fail=N", value_parser = values::halt)]
    pub(super) halt: Option<Halt>,
    /// Begin nothing more after the first failure; the same as --halt soon,fail=1
    #[arg(long)]
    pub(super) fail_fast: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// What standard output holds
    ///
    /// text is each job's own output, grouped and never mixed; json is one record a line, also for jobs that failed.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
    /// One JSON record a line; the same as --format json
    #[arg(long)]
    pub(super) json: bool,
    /// Begin each line of output with the job it comes from
    #[arg(long)]
    pub(super) tag: bool,
    /// Most bytes of a job's output kept in its record, for each stream
    ///
    /// What is cut is never cut silently. What commands print is always whole in text output; what functions print is cut there
    /// too.
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "1MiB")]
    pub(super) max_output: usize,
    /// Keep outputs of commands above --max-output as files here
    ///
    /// What functions print is not kept: let them write files of their own, or raise --max-output.
    #[arg(long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
    /// Keep the records in this file, one JSON record a line, so that --resume can go on with it
    ///
    /// Whatever standard output holds. A record is in the file before its job is shown as ended, whoever is killed when.
    /// While the run lasts, FILE.running beside it says what is running, and keeps a second run from the same file.
    /// Without --resume a file that is there is begun anew, unless a killed run has left it.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Run only the jobs that have no record in the file of --output, and append theirs
    ///
    /// Jobs are known by what they are and by their id, wherever they stand: the list may be edited, reordered, extended.
    /// Jobs that were stopped or skipped run again. Jobs that were running when the last run was killed are told apart
    /// (outcome unknown) and get a record that says so, unless --retry-unknown lets them run again.
    #[arg(long)]
    pub(super) resume: bool,
    /// As --resume, and run the jobs that did not end ok again
    #[arg(long)]
    pub(super) retry_failed: bool,
    /// As --resume, and run the jobs of unknown outcome again; the default with --retries above 0
    #[arg(long)]
    pub(super) retry_unknown: bool,
    /// When the records of --output are safe on the disk: always, batch, none
    ///
    /// They survive the death of supervisor in any case; this is about the machine's. always: before a job counts as ended,
    /// as many at a time as there are; batch: five times a second; none: when the system gets to it.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = SyncArg::Batch)]
    pub(super) sync: SyncArg,
    /// Write a line for each job that was begun in the columns of GNU parallel's job log
    #[arg(long, value_name = "FILE")]
    pub(super) joblog: Option<PathBuf>,
    /// Whether a progress line is drawn; auto is on a terminal, outside CI
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = WhenArg::Auto)]
    pub(super) progress: WhenArg,
    /// Whether colours are used; NO_COLOR and CLICOLOR_FORCE are heard
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = WhenArg::Auto)]
    pub(super) color: WhenArg,
    /// Neither progress nor summary nor warnings; failures are still told
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Tell of each worker's start too, and what workers log as debug
    #[arg(short, long, overrides_with = "verbose")]
    pub(super) verbose: bool,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// Each job's own output.
    Text,
    /// One record a line.
    Json,
}

/// `--sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SyncArg {
    /// Before they count.
    Always,
    /// Several times a second.
    Batch,
    /// When the system gets to it.
    None,
}

/// `auto`, `always`, `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenArg {
    /// Where it makes sense.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
