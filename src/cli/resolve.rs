//! From what was typed to what it means: arguments in, a valid [`Config`] out. Reads nothing; what it needs to know of the
//! machine is handed in.

use super::UsageError;
use super::args::{InputArg, NoJobsArg, SpawnArgs, TargetArgs};
use super::options::{FailingArgs, FormatArg, OutputArgs, SyncArg, WhenArg};
use super::values::Workers;
use super::words;
use crate::config::{
    Config, Failures, Format, Halt, Input, InputFormat, Journal, Launch, Limits, Output, PoolConfig, Program, Resume,
    Source, Sync, Target, Volume, When,
};
use crate::job::Template;
use crate::protocol::mcp;
use crate::shims;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the machine and the environment contribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Counts the cores this process may use, which takes the reading of some files.
    pub(super) cores: fn() -> u32,
    /// What NO_COLOR and its kind ask for.
    pub(super) color: When,
    /// Seed of the jitter of retry delays.
    pub(super) seed: u64,
}

/// Gives the arguments of `spawn` their meaning. `arguments` are the words after `:::`, if it was there.
///
/// # Errors
///
/// When options contradict each other or name something impossible.
pub(super) fn resolve(
    args: SpawnArgs,
    arguments: Option<Vec<OsString>>,
    machine: Machine,
) -> Result<Config, UsageError> {
    let SpawnArgs { target, jobs, running, failing, output, .. } = args;
    let mut init = target.init.clone();
    if target.mcp.is_some() {
        init.splice(0..0, mcp::handshake());
    }
    let format = if output.json || output.format == FormatArg::Json { Format::Json } else { Format::Text };
    let journal = journal(&output, failing.retries)?;
    let joblog = file(output.joblog.clone(), "--joblog")?;
    let builtin = || {
        let mut args = builtin_args(running.concurrency, failing.grace, &output, format);
        args.extend(running.keep_leftovers.then(|| "--keep-leftovers".into()));
        args
    };
    let (target, program, announces_ready) = worker(target, running.concurrency, builtin)?;
    Ok(Config {
        pool: PoolConfig {
            workers: running.workers.unwrap_or(Workers::Percent(100)).on(machine.cores),
            concurrency: running.concurrency,
            target,
            announces_ready,
            start_timeout: running.start_timeout,
            keep_order: running.keep_order,
            timeout: failing.timeout.filter(|timeout| !timeout.is_zero()),
            retries: failing.retries,
            retry_delay: failing.retry_delay,
            grace: failing.grace,
            halt: halt(&failing),
            max_jobs_per_worker: running.max_jobs_per_worker,
            init,
            max_restarts: running.max_restarts,
            restart_window: running.restart_window,
            max_message: running.max_message,
            max_output: output.max_output,
            memory_max: running.memory_max,
            memory_free: running.memory_free,
            heartbeat: running.heartbeat,
            labels: output.tag || joblog.is_some(),
            commands: joblog.is_some(),
            fail_on_no_jobs: jobs.no_jobs == NoJobsArg::Fail,
            seed: machine.seed,
            limits: Limits::default(),
        },
        launch: Launch { program, keep_leftovers: running.keep_leftovers, temp_dir: None },
        input: Input {
            source: source(jobs.job_file.as_deref(), arguments)?,
            format: if jobs.null { InputFormat::Null } else { input_format(jobs.input) },
            max_line: jobs.max_line,
        },
        output: Output {
            format,
            tag: output.tag,
            progress: when(output.progress),
            color: color(output.color, machine),
            volume: volume(&output),
            max_output: output.max_output,
            output_dir: output.output_dir,
            dry_run: jobs.dry_run,
            journal,
            joblog,
        },
    })
}

/// What runs in the slots, and whether it says when it is ready.
fn worker(
    args: TargetArgs,
    concurrency: u32,
    builtin: impl Fn() -> Vec<OsString>,
) -> Result<(Target, Program, bool), UsageError> {
    if let Some(line) = args.worker {
        return Ok((Target::Function { default: None }, program(&line, "--worker")?, false));
    }
    if let Some(line) = args.mcp {
        return Ok((Target::Tool, program(&line, "--mcp")?, false));
    }
    let functions = match (args.python, args.node) {
        (Some(spec), _) => {
            Some(shims::python(&spec, &args.python_bin, concurrency, super::environment::caches().as_deref()))
        }
        (None, Some(spec)) => Some(shims::node(&spec, OsStr::new("node"), concurrency)),
        (None, None) => None,
    };
    if let Some(launch) = functions {
        let launch = launch.map_err(UsageError::new)?;
        let default = launch.default_method.map(String::into_boxed_str);
        return Ok((
            Target::Function { default },
            Program::Guarded { argv: launch.argv, env: launch.env, marks_begun: true, library: launch.library },
            true,
        ));
    }
    let target = if args.command.is_empty() {
        Target::Shell
    } else {
        let words = args.command.into_iter().map(|word| word.into_encoded_bytes().into()).collect();
        Target::Template(Template::parse(words).map_err(|error| UsageError::new(error.to_string()))?)
    };
    Ok((target, Program::Builtin(builtin()), true))
}

/// A program that was given as one line.
fn program(line: &str, option: &str) -> Result<Program, UsageError> {
    let argv = words::split(line).map_err(|error| UsageError::new(format!("{option}: {error}")))?;
    if argv.is_empty() {
        return Err(UsageError::new(format!("{option} needs a program, as in {option} 'node server.mjs'")));
    }
    let argv = argv.into_iter().map(OsString::from).collect();
    Ok(Program::Guarded { argv, env: Vec::new(), marks_begun: false, library: None })
}

/// What follows `supervisor worker`.
fn builtin_args(concurrency: u32, grace: Duration, output: &OutputArgs, format: Format) -> Vec<OsString> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let mut args: Vec<OsString> = vec![
        "--concurrency".into(),
        concurrency.to_string().into(),
        "--max-output".into(),
        output.max_output.to_string().into(),
        "--grace-ms".into(),
        grace_ms.to_string().into(),
        "--lifeline".into(),
    ];
    if format == Format::Text {
        args.push("--spill".into());
    }
    if let Some(directory) = &output.output_dir {
        args.extend(["--output-dir".into(), directory.into()]);
    }
    args
}

fn source(file: Option<&Path>, arguments: Option<Vec<OsString>>) -> Result<Source, UsageError> {
    match (file, arguments) {
        (_, Some(words)) if words.iter().any(|word| word == ":::" || word == "::::" || word == ":::+") => {
            Err(UsageError::new("only one ::: may be given; for combinations let a script write the list".into()))
        }
        (_, Some(words)) => Ok(Source::Arguments(words)),
        (Some(file), None) if file.as_os_str() == "-" => Ok(Source::Stdin),
        (Some(file), None) => Ok(Source::File(file.into())),
        (None, None) => Ok(Source::Stdin),
    }
}

/// The journal, and what of it is gone on with.
fn journal(output: &OutputArgs, retries: u32) -> Result<Option<Journal>, UsageError> {
    let resumes = output.resume || output.retry_failed || output.retry_unknown;
    let resume = Resume { failed: output.retry_failed, unknown: output.retry_unknown || retries > 0 };
    let sync = match output.sync {
        SyncArg::Always => Sync::Always,
        SyncArg::Batch => Sync::Batch,
        SyncArg::None => Sync::Never,
    };
    let path = file(output.output.clone(), "--output")?;
    Ok(path.map(|path| Journal { path, resume: resumes.then_some(resume), sync }))
}

/// What an option writes to; elsewhere `-` stands for standard output, and here it would be a file of that name.
fn file(path: Option<PathBuf>, option: &str) -> Result<Option<PathBuf>, UsageError> {
    match path {
        Some(path) if path.as_os_str() == "-" => {
            Err(UsageError::new(format!("{option} takes a file; records on standard output are --json")))
        }
        path => Ok(path),
    }
}

fn halt(failing: &FailingArgs) -> Halt {
    match (failing.fail_fast, failing.halt) {
        (true, _) => Halt::Soon(Failures::Count(1)),
        (false, halt) => halt.unwrap_or(Halt::Never),
    }
}

fn input_format(input: InputArg) -> InputFormat {
    match input {
        InputArg::Auto => InputFormat::Auto,
        InputArg::Lines => InputFormat::Lines,
        InputArg::Null => InputFormat::Null,
        InputArg::Json => InputFormat::Json,
    }
}

fn volume(output: &OutputArgs) -> Volume {
    match (output.quiet, output.verbose) {
        (true, _) => Volume::Quiet,
        (false, true) => Volume::Verbose,
        (false, false) => Volume::Usual,
    }
}

fn color(asked: WhenArg, machine: Machine) -> When {
    match when(asked) {
        When::Auto => machine.color,
        asked => asked,
    }
}

fn when(when: WhenArg) -> When {
    match when {
        WhenArg::Auto => When::Auto,
        WhenArg::Always => When::Always,
        WhenArg::Never => When::Never,
    }
}
