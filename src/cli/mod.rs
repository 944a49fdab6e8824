//! The command line: words in, an [`Invocation`] or a [`UsageError`] out. Owns flags, help and their meaning; runs nothing and
//! writes nothing.

mod args;
mod check;
mod cores;
mod environment;
mod help;
mod man;
mod options;
mod resolve;
mod settle;
#[cfg(test)]
mod tests;
mod values;
mod words;

use crate::config::Config;
use crate::exit::ExitCode;
use crate::lock::Order;
use args::{Cli, Subcommands};
use clap::FromArgMatches;
use clap::error::{ContextKind, ErrorKind};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::IsTerminal;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run a job list.
    Spawn(Box<Config>),
    /// Check a program.
    Check(crate::check::Options),
    /// Be the built-in worker, with these arguments.
    Worker(Vec<OsString>),
    /// Be a guard, with these arguments.
    Guard(Vec<OsString>),
    /// Run a command while it has a lock of the run it is part of.
    Lock(Order),
    /// Print this on standard output: help, version, completions, the manual page.
    Print(String),
}

/// A command line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    text: String,
}

impl UsageError {
    /// From a sentence that says what is wrong with `spawn`.
    fn new(message: String) -> Self {
        Self::of("spawn", &message)
    }

    /// The same with the command that was typed, whose help says more.
    fn of(command: &str, message: &str) -> Self {
        UsageError { text: format!("error: {message}\n\nFor more information, try 'supervisor {command} --help'.\n") }
    }

    /// The code to exit with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

impl fmt::Display for UsageError {
    /// All that is to be said on standard error, lines ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for UsageError {}

/// Understands a command line, the program's own name first.
///
/// # Errors
///
/// When it makes no sense; the error holds the whole text for the user.
pub fn parse(mut argv: Vec<OsString>) -> Result<Invocation, UsageError> {
    // Workers and guards are started many times and must be there at once: no table of flags is built for them.
    match argv.get(1).and_then(|name| name.to_str()) {
        Some("guard") => return Ok(Invocation::Guard(argv.split_off(2))),
        Some("worker") => return Ok(Invocation::Worker(argv.split_off(2))),
        _ => {}
    }
    let arguments = split_arguments(&mut argv);
    understand(&argv, arguments, Vec::new())
}

/// The same without the words after `:::` and without the variables that are left `aside`.
fn understand(
    argv: &[OsString],
    arguments: Option<Vec<OsString>>,
    mut aside: Vec<&'static str>,
) -> Result<Invocation, UsageError> {
    let mut definition = args::command(&aside, environment::has_options());
    let mut matches = match definition.try_get_matches_from_mut(argv) {
        Ok(matches) => matches,
        Err(error) => return not_matched(error, argv),
    };
    if let Some(("spawn", given)) = matches.subcommand() {
        let more = settle::settle(&settle::Given { matches: given, words: arguments.is_some() })?;
        if !more.is_empty() {
            // What is left aside may have been what another variable goes with.
            aside.extend(more);
            return understand(argv, arguments, aside);
        }
    }
    let cli = Cli::from_arg_matches_mut(&mut matches);
    let cli = cli.map_err(|error| UsageError { text: error.render().to_string() })?;
    match cli.command {
        Subcommands::Spawn(spawn) => {
            let config = resolve::resolve(*spawn, arguments, environment::machine())?;
            // Some thousand small pieces, which would be given back one by one while the first job waits.
            std::mem::forget((definition, matches));
            Ok(Invocation::Spawn(Box::new(config)))
        }
        Subcommands::Lock(lock) => {
            Ok(Invocation::Lock(Order { name: lock.name, timeout: lock.timeout, command: lock.command }))
        }
        Subcommands::Check(check) => check.resolve().map(Invocation::Check),
        Subcommands::Worker(raw) => Ok(Invocation::Worker(raw.args)),
        Subcommands::Guard(raw) => Ok(Invocation::Guard(raw.args)),
        Subcommands::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::shown(&definition), "supervisor", &mut script);
            Ok(Invocation::Print(String::from_utf8_lossy(&script).into_owned()))
        }
        Subcommands::Man { subcommand } => man::page(definition, subcommand.as_deref()).map(Invocation::Print),
    }
}

/// Cuts off the words after the first bare `:::`, as in GNU parallel. They are jobs and never flags.
fn split_arguments(argv: &mut Vec<OsString>) -> Option<Vec<OsString>> {
    if !is_spawn(argv) {
        return None;
    }
    let at = argv.iter().position(|word| word == OsStr::new(":::"))?;
    let words = argv.split_off(at + 1);
    argv.pop();
    Some(words)
}

fn is_spawn(argv: &[OsString]) -> bool {
    argv.get(1).is_some_and(|name| name == "spawn")
}

/// Behind `--` stands the command to run, so that clap's own advice for what it does not know would start something else.
const TIP: &str = "\n\n  tip: a command stands after --, jobs after :::";

fn not_matched(mut error: clap::Error, argv: &[OsString]) -> Result<Invocation, UsageError> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let is_styled = std::io::stdout().is_terminal() && environment::color() != crate::config::When::Never;
        let text = error.render();
        return Ok(Invocation::Print(if is_styled { text.ansi().to_string() } else { text.to_string() }));
    }
    let is_unknown = error.kind() == ErrorKind::UnknownArgument && is_spawn(argv);
    if is_unknown {
        error.remove(ContextKind::Suggested);
    }
    let mut text = error.render().to_string();
    let mut end_of_line = text.find('\n').unwrap_or(text.len());
    if let Some(variable) = environment::variable_at_fault(&error, argv) {
        let source = format!(" (the value of the variable {variable})");
        text.insert_str(end_of_line, &source);
        end_of_line += source.len();
    }
    if is_unknown && !text.contains("tip:") {
        text.insert_str(end_of_line, TIP);
    }
    Err(UsageError { text })
}
