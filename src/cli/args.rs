//! What can be typed: the subcommands, and the options of `spawn` that say what runs and where jobs come from.
//! A field's comment is its help: the first paragraph for `-h`, all of it for `--help`. What it means is decided in
//! [`super::resolve`].

use super::check::CheckArgs;
use super::help;
use super::options::{FailingArgs, OutputArgs, RunningArgs};
use super::values;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::value::RawValue;
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs a job list on worker processes and accounts for every job.
///
/// Each job that goes in comes out as exactly one record, whatever happens to the workers; nothing is left running, and
/// the exit code says how it went.
#[derive(Debug, Parser)]
#[command(name = "supervisor", version, after_help = help::AFTER_MAIN, disable_help_subcommand = true, max_term_width = 110)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Subcommands,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Run a job list on worker processes
    ///
    /// Starts the workers, hands them the jobs of the list as they become free, and joins them when the list has ended.
    /// Each job's output comes out in one piece, failures and a summary go to standard error.
    #[command(after_help = help::AFTER_SPAWN, after_long_help = help::AFTER_SPAWN_LONG)]
    #[command(disable_help_flag = true)]
    #[command(override_usage = "supervisor spawn [OPTIONS] [-- COMMAND [ARG]...] [::: JOB...]")]
    Spawn(Box<SpawnArgs>),
    /// Run a command while it has a lock, inside a job
    ///
    /// The lock is kept by the supervisor of the run and shared with its functions: `Lock(NAME)` in Python is the same. It
    /// is free again when the command has ended, or was killed.
    #[command(after_help = help::AFTER_LOCK)]
    Lock(LockArgs),
    /// Say whether a program keeps the protocol of workers
    ///
    /// Starts the program as a worker and asks it what a run may ask, one line for each check: pass, warn (works, but something
    /// else is promised), fail or skip. The exit code is 0 when none failed, 1 when some did, 5 when it cannot be started.
    #[command(override_usage = "supervisor check [OPTIONS] -- PROGRAM [ARG]...")]
    Check(CheckArgs),
    /// The built-in command worker, started by `spawn`
    #[command(hide = true)]
    Worker(RawArgs),
    /// The guard in front of a worker, started by `spawn`
    #[command(hide = true)]
    Guard(RawArgs),
    /// Print the completions of a shell
    ///
    /// For bash: supervisor completions bash > ~/.local/share/bash-completion/completions/supervisor
    Completions {
        /// The shell they are for.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    ///
    /// To read it: supervisor man spawn | man -l -
    Man {
        /// The subcommand the page is about; the program itself when not given.
        #[arg(value_name = "SUBCOMMAND")]
        subcommand: Option<String>,
    },
}

/// Arguments that are somebody else's.
#[derive(Debug, Args)]
pub(super) struct RawArgs {
    /// Passed on as they are.
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) args: Vec<OsString>,
}

/// The options of `lock`.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// Name of the lock; it need not exist
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) name: String,
    /// How long to wait for the lock; 0 does not wait [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(super) timeout: Option<std::time::Duration>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(super) command: Vec<OsString>,
}

/// The options of `spawn`.
#[derive(Debug, Args)]
pub(super) struct SpawnArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) jobs: JobArgs,
    #[command(flatten)]
    pub(super) running: RunningArgs,
    #[command(flatten)]
    pub(super) failing: FailingArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// Print help; -h the short one, --help all of it
    #[arg(short, long, action = ArgAction::Help, help_heading = "Other")]
    pub(super) help: Option<bool>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What runs")]
pub(super) struct TargetArgs {
    /// The command each job fills; without any target each line is a shell command
    ///
    /// {} is the job, {.} the job without its extension, {/} its last part, {//} its directory, {/.} its last part without
    /// extension, {#} the job's number, {%} the worker's. Without any of them the job becomes the last argument. No shell is
    /// involved and nothing has to be quoted; a placeholder inside the script of `sh -c` is refused.
    #[arg(value_name = "COMMAND", last = true)]
    pub(super) command: Vec<OsString>,
    /// A Python file or module whose functions are called
    ///
    /// Jobs name a function by "method", or give parameters alone for the FUNCTION named here: --python tasks.py:resize.
    #[arg(long, value_name = "FILE[:FUNCTION]")]
    pub(super) python: Option<OsString>,
    /// The Python interpreter
    ///
    /// One from a virtual environment sees its packages: --python-bin .venv/bin/python.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(super) python_bin: OsString,
    /// A JavaScript file whose exported functions are called
    ///
    /// Synchronous and async ones: --node tasks.mjs:resize. Runs on the node found in PATH.
    #[arg(long, value_name = "FILE[:FUNCTION]")]
    pub(super) node: Option<OsString>,
    /// A program that speaks JSON-RPC 2.0, one message a line, on its stdin and stdout
    ///
    /// It is cut into words as a shell would, and run without one.
    #[arg(long, value_name = "'PROGRAM ARGS'")]
    pub(super) worker: Option<String>,
    /// An MCP server whose tools are called
    ///
    /// It is started as many times as there are workers. Speaks the protocol's stdio transport, with sessions or without. A job is {"method":"TOOL","params":{...}}; a result with
    /// isError is a failure.
    #[arg(long, value_name = "'SERVER ARGS'")]
    pub(super) mcp: Option<String>,
    /// A message each worker gets before its first job; may be given several times
    ///
    /// A JSON-RPC request (with "id"), which the worker must answer first, or a notification. Sent to replaced workers too.
    #[arg(long, value_name = "JSON", value_parser = values::init)]
    pub(super) init: Vec<Box<RawValue>>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Jobs")]
pub(super) struct JobArgs {
    /// Read the job list from this file instead of standard input (-)
    #[arg(short = 'a', long, value_name = "FILE")]
    pub(super) job_file: Option<PathBuf>,
    /// How the list is cut into jobs
    ///
    /// auto takes a list that starts with { or [ for JSON (one job a line, or one array of jobs), anything else for lines. Blank
    /// lines are skipped. null ends jobs at NUL bytes, as `find -print0` does, so that any file name is one job.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = InputArg::Auto)]
    pub(super) input: InputArg,
    /// Jobs end at NUL bytes; the same as --input null
    #[arg(short = '0', long)]
    pub(super) null: bool,
    /// Longest line of the list; a longer one is reported and skipped
    #[arg(long, value_name = "SIZE", value_parser = values::line_size, default_value = "128MiB")]
    pub(super) max_line: usize,
    /// What an empty list means
    ///
    /// warn says so and exits 0, fail exits 4: in CI an empty list is often a mistake.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = NoJobsArg::Warn)]
    pub(super) no_jobs: NoJobsArg,
    /// Show what would run and run nothing
    ///
    /// One line for each job, as one would type it, whatever --format says: there are no records of what does not run.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// `--input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputArg {
    /// By the first byte: JSON or lines.
    Auto,
    /// A line is a job.
    Lines,
    /// A job ends at a NUL byte.
    Null,
    /// JSON, one job a line or one array.
    Json,
}

/// `--no-jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum NoJobsArg {
    /// Say so, exit 0.
    Warn,
    /// Exit 4.
    Fail,
}

/// The definition of the command line. Every option of `spawn` gets its environment variable here, by its own name; but
/// those that are to be left `aside`, and none where nothing is `inherited`: to look for each takes longer than all the rest.
pub(super) fn command(aside: &[&str], inherited: bool) -> clap::Command {
    Cli::command().mut_subcommand("spawn", |spawn| {
        spawn.mut_args(|arg| {
            if arg.get_long().is_none() || arg.get_id() == "help" || aside.contains(&arg.get_id().as_str()) {
                return arg;
            }
            // A number below zero is a bad value of this option, and not an option of its own.
            let takes_values = arg.get_action().takes_values();
            let arg = arg.allow_negative_numbers(takes_values);
            if inherited { with_variable(arg) } else { arg }
        })
    })
}

/// The same option, which takes its value from its variable when it was not typed.
fn with_variable(arg: clap::Arg) -> clap::Arg {
    let name = variable(arg.get_long().unwrap_or_default());
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg };
    arg.env(name).hide_env(true)
}

/// The definition without the commands that are not meant for people: completions would offer them.
pub(super) fn shown(definition: &clap::Command) -> clap::Command {
    let shown = definition.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let version = definition.get_version().unwrap_or_default().to_owned();
    clap::Command::new("supervisor")
        .version(version)
        .disable_help_subcommand(true)
        .subcommands(shown.collect::<Vec<_>>())
}

/// How the names of all our variables begin.
pub(super) const VARIABLE_PREFIX: &str = "SPV_";

/// The variable of an option: `SPV_JOB_FILE` for `--job-file` or its field.
pub(super) fn variable(option: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", option.to_ascii_uppercase().replace('-', "_"))
}
