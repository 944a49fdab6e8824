//! One invocation of `spawn`, from settings to exit code: what is looked at before the reactor takes over.

use crate::config::{Config, Program, Source};
use crate::edge::{Standard, fault_text, take_copy};
use crate::exit::ExitCode;
use crate::process::limits::allow_descriptors;
use crate::process::room::room;
use crate::report::stderr::say;
use crate::{dry_run, places, reactor};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Descriptors a worker takes: its standard input, output and error.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// Descriptors everything else takes: the standard three, the poller, edges, lifeline, files of large outputs.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Processes everything else takes: this one's threads, and something to spare.
const PROCESSES_BESIDE: u64 = 6;

/// Runs a job list as configured.
///
/// # Errors
///
/// When the run could not begin, in words.
pub fn run(mut config: Config) -> anyhow::Result<ExitCode> {
    if config.output.dry_run {
        tell_of_terminal(&config);
        return dry_run::run(&config);
    }
    places::check(&config)?;
    if let Some(code) = fit_descriptors(&mut config) {
        return Ok(code);
    }
    fit_processes(&mut config);
    tell_of_terminal(&config);
    or_defect(|| reactor::run(config))
}

/// Whoever has forgotten the list is told what is waited for.
fn tell_of_terminal(config: &Config) {
    if config.input.source == Source::Stdin && io::stdin().is_terminal() && !config.output.volume.is_quiet() {
        say("supervisor: reading jobs from the terminal, one a line; Ctrl-D ends the list\n");
    }
}

/// A defect must not look like anything else that can happen. Workers end by themselves when we are gone.
fn or_defect(run: impl FnOnce() -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        say("supervisor: this is a defect in supervisor, not in your jobs; please report it with the lines above\n");
        Ok(ExitCode::Defect)
    })
}

/// More workers than descriptors allow would fail one by one: better to say so at once and run with fewer.
fn fit_descriptors(config: &mut Config) -> Option<ExitCode> {
    let workers = config.pool.workers;
    let wanted = DESCRIPTORS_BESIDE + DESCRIPTORS_PER_WORKER * u64::from(workers);
    let allowed = allow_descriptors(wanted);
    if allowed >= wanted {
        return None;
    }
    let fits = u32::try_from(allowed.saturating_sub(DESCRIPTORS_BESIDE) / DESCRIPTORS_PER_WORKER).unwrap_or(workers);
    if fits == 0 {
        say(&format!("supervisor: {allowed} descriptors (ulimit -n) are too few for even one worker\n"));
        return Some(ExitCode::NoWorkers);
    }
    if !config.output.volume.is_quiet() {
        say(&format!(
            "supervisor: warning: {fits} workers instead of {workers}, since ulimit -n allows {allowed} descriptors\n"
        ));
    }
    config.pool.workers = fits;
    None
}

/// Where few processes may be started, workers must not take those that their jobs need: a shell that cannot fork fails
/// its job, and nobody else can see why.
fn fit_processes(config: &mut Config) {
    let workers = config.pool.workers;
    let concurrency = u64::from(config.pool.concurrency);
    let per_worker = match config.launch.program {
        // The worker, and for each command a shell and what it runs.
        Program::Builtin(_) => 1 + 2 * concurrency,
        // A guard, the program, and something that each job starts: a process or a thread.
        Program::Guarded { .. } => 2 + concurrency,
    };
    let Some(room) = room(PROCESSES_BESIDE + per_worker * u64::from(workers)) else { return };
    let fits = room.processes.saturating_sub(PROCESSES_BESIDE) / per_worker;
    // One is always tried: what its job needs is a guess.
    config.pool.workers = u32::try_from(fits).unwrap_or(workers).clamp(1, workers);
    if config.pool.workers < workers && !config.output.volume.is_quiet() {
        say(&format!(
            "supervisor: warning: {} of {workers} workers, since {} allows {} more processes\n",
            config.pool.workers, room.limit, room.processes
        ));
    }
}

/// Prints help and the like on standard output, and says why when that fails; a reader that has gone away is no failure.
pub fn print(text: &str) -> ExitCode {
    let written = take_copy(Standard::Output).and_then(|stdout| File::from(stdout).write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("supervisor: cannot write to standard output: {}\n", fault_text(&error)));
            ExitCode::OutputLost
        }
        _ => ExitCode::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_is_code_70() {
        let code = or_defect(|| panic!("a defect, for the sake of this test")).unwrap();
        assert_eq!(code.number(), 70);
        assert_eq!(or_defect(|| Ok(ExitCode::JobsFailed)).unwrap(), ExitCode::JobsFailed);
    }
}
