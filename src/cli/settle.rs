//! Options that exclude each other, and where a value came from: what was typed goes before what the environment says, so
//! that a variable set for all runs never forbids a flag of one run.

use super::UsageError;
use super::args::{InputArg, SpawnArgs, variable};
use super::options::{FormatArg, OutputArgs};
use clap::ArgMatches;
use clap::parser::ValueSource;

/// Options by the names of their fields; of each row one may be given.
const EXCLUSIVE: [&[&str]; 5] = [
    &["command", "python", "node", "worker", "mcp"],
    &["halt", "fail_fast"],
    &["format", "json"],
    &["input", "null"],
    &["quiet", "verbose"],
];

/// Leaves one option of each kind, or says which ones exclude each other.
pub(super) fn settle(args: &mut SpawnArgs, matches: &ArgMatches) -> Result<(), UsageError> {
    for row in EXCLUSIVE {
        let given = |source: ValueSource| move |id: &&&str| is_given(matches, id, source);
        let typed: Vec<_> = row.iter().filter(given(ValueSource::CommandLine)).collect();
        let inherited: Vec<_> = row.iter().filter(given(ValueSource::EnvVariable)).collect();
        match (&typed[..], &inherited[..]) {
            ([one, other, ..], _) if !agree(args, row) => {
                return Err(UsageError::new(format!("{} cannot be used with {}", shown(one), shown(other))));
            }
            ([], [one, other, ..]) if !agree(args, row) => {
                let message = format!("the variables {} and {} exclude each other", variable(one), variable(other));
                return Err(UsageError::new(message));
            }
            ([_, ..], inherited) => inherited.iter().for_each(|id| forget(args, id)),
            ([], _) => {}
        }
    }
    dependents(args, matches)
}

/// Options that make sense beside certain others only. From the environment they are left aside without a word.
fn dependents(args: &mut SpawnArgs, matches: &ArgMatches) -> Result<(), UsageError> {
    let typed = |id| is_given(matches, id, ValueSource::CommandLine);
    let target = &mut args.target;
    let has_functions =
        target.python.is_some() || target.node.is_some() || target.worker.is_some() || target.mcp.is_some();
    if typed("python_bin") && target.python.is_none() {
        return Err(UsageError::new("--python-bin needs --python, the functions to run".into()));
    }
    if !has_functions && !target.init.is_empty() {
        if typed("init") {
            return Err(UsageError::new(
                "--init is for --python, --node, --worker and --mcp; commands take no messages".into(),
            ));
        }
        target.init.clear();
    }
    if is_json(&args.output) && args.output.tag {
        if typed("tag") {
            return Err(UsageError::new(
                "--tag cannot be used with --json, whose records name their job anyway".into(),
            ));
        }
        args.output.tag = false;
    }
    Ok(())
}

/// Whether standard output holds records.
pub(super) fn is_json(output: &OutputArgs) -> bool {
    output.json || output.format == FormatArg::Json
}

/// Two options of a row that say the same are no conflict.
fn agree(args: &SpawnArgs, row: &[&str]) -> bool {
    match row[0] {
        "format" => args.output.json && args.output.format == FormatArg::Json,
        "input" => args.jobs.null && args.jobs.input == InputArg::Null,
        _ => false,
    }
}

fn is_given(matches: &ArgMatches, id: &str, source: ValueSource) -> bool {
    // A switch that the environment turns off (SPV_JSON=0) is not given.
    let is_off = matches!(matches.try_get_one::<bool>(id), Ok(Some(false)))
        || matches!(matches.try_get_one::<u8>(id), Ok(Some(0)));
    matches.value_source(id) == Some(source) && !is_off
}

fn shown(id: &str) -> String {
    match id {
        "command" => "a command after --".into(),
        id => format!("--{}", id.replace('_', "-")),
    }
}

/// Takes an option back that the environment set.
fn forget(args: &mut SpawnArgs, id: &str) {
    match id {
        "python" => args.target.python = None,
        "node" => args.target.node = None,
        "worker" => args.target.worker = None,
        "mcp" => args.target.mcp = None,
        "halt" => args.failing.halt = None,
        "fail_fast" => args.failing.fail_fast = false,
        "format" => args.output.format = FormatArg::Text,
        "json" => args.output.json = false,
        "input" => args.jobs.input = InputArg::Auto,
        "null" => args.jobs.null = false,
        "quiet" => args.output.quiet = false,
        "verbose" => args.output.verbose = 0,
        other => unreachable!("{other} is in no row that the environment can set"),
    }
}
