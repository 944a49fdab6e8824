//! `supervisor check`: says whether a program keeps the protocol of workers, one line for each thing that matters. Owns the
//! list of checks and what each is called; prints nothing itself and never runs a job list.

mod bench;
mod ends;
mod messages;
mod session;

use crate::exit::ExitCode;
use crate::process::{self, SpawnError};
use bench::{Bench, Findings, Mark};
use serde::Serialize;
use std::ffi::OsString;
use std::time::Duration;

/// What is checked, and how it is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// How long each answer, and each end, is waited for.
    pub timeout: Duration,
    /// Calls that must succeed: method, and parameters as JSON text.
    pub calls: Vec<(String, String)>,
}

type Check = fn(&mut Bench<'_>) -> Result<Findings, SpawnError>;

/// All checks, in the order they are made. Their names are promised: scripts select by them.
const CHECKS: &[(&str, Check)] = &[
    ("start", messages::start),
    ("ready", messages::ready),
    ("answers", messages::answers),
    ("integer-id", messages::integer_id),
    ("string-id", messages::string_id),
    ("unknown-method", messages::unknown_method),
    ("order", messages::order),
    ("unicode", messages::unicode),
    ("big-message", messages::big_message),
    ("batch", messages::batch),
    ("unknown-notification", messages::unknown_notification),
    ("cancel-unknown", messages::cancel_unknown),
    ("parse-error", messages::parse_error),
    ("invalid-request", messages::invalid_request),
    ("garbage-in", messages::garbage_in),
    ("answer-once", ends::answer_once),
    ("stray-output", ends::stray_output),
    ("eof", ends::eof),
    ("eof-answers", ends::eof_answers),
    ("sigterm", ends::sigterm),
];

/// One line of the report.
#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    result: &'a str,
    detail: &'a str,
}

/// Makes all checks and hands out a line for each. The code is 0 when none failed, 1 when some did, and 5 when the
/// program could not be started.
pub fn run(options: &Options, print: &mut dyn FnMut(&str)) -> ExitCode {
    process::close_inherited();
    // Without it a program that leaves its session could outlive its check; everything else works.
    let _ = process::become_subreaper();
    let mut bench = Bench::new(options);
    let mut code = ExitCode::Success;
    for (name, check) in CHECKS {
        let Findings { mark, detail } = match check(&mut bench) {
            Ok(findings) => findings,
            Err(error) => {
                code = ExitCode::NoWorkers;
                Findings::new(Mark::Fail, error.message)
            }
        };
        print(&told(options.json, name, mark, &detail));
        if mark == Mark::Fail {
            code = code.max(ExitCode::JobsFailed);
            if *name == "start" {
                return if bench.has_ended { ExitCode::NoWorkers } else { code };
            }
        }
    }
    code
}

fn told(json: bool, check: &str, mark: Mark, detail: &str) -> String {
    let result = mark.name();
    if json {
        serde_json::to_string(&Line { check, result, detail }).unwrap_or_default() + "\n"
    } else {
        // Text of the program must not break the lines.
        let detail: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{result}  {check:<20}  {detail}\n")
    }
}
