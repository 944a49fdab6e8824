//! One invocation of `spawn`, from settings to exit code: what is looked at before the reactor takes over.

use crate::config::{Config, Source};
use crate::exit::ExitCode;
use crate::process::limits::allow_descriptors;
use crate::report::stderr::say;
use crate::{dry_run, reactor};
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Descriptors a worker takes: its standard input, output and error.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// Descriptors everything else takes: the standard three, the poller, edges, lifeline, files of large outputs.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Runs a job list as configured.
///
/// # Errors
///
/// When the run could not begin, in words.
pub fn run(mut config: Config) -> anyhow::Result<ExitCode> {
    if config.output.dry_run {
        return dry_run::run(&config);
    }
    if let Some(code) = fit_descriptors(&mut config) {
        return Ok(code);
    }
    if config.input.source == Source::Stdin && io::stdin().is_terminal() && !config.output.quiet {
        say("supervisor: reading jobs from the terminal, one a line; Ctrl-D ends the list\n");
    }
    or_defect(|| reactor::run(config))
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
    say(&format!(
        "supervisor: warning: {fits} workers instead of {workers}, since ulimit -n allows {allowed} descriptors\n"
    ));
    config.pool.workers = fits;
    None
}

/// Prints help and the like on standard output; a reader that has gone away is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::OutputLost,
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
