//! The program: parse, run, end by the exit code.

use std::process::ExitCode;
use supervisor::cli::{self, Invocation};
use supervisor::process::guard;
use supervisor::worker::command;
use supervisor::{check, exit, lock, report};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().collect()) {
        Ok(Invocation::Guard(args)) => guard::main_from_args(&args),
        Ok(Invocation::Worker(args)) => match command::Options::parse(&args) {
            Ok(options) => ExitCode::from(command::main(options)),
            Err(message) => fail(exit::ExitCode::Usage, &format!("supervisor worker: {message}\n")),
        },
        Ok(Invocation::Check(options)) => {
            let mut printed = exit::ExitCode::Success;
            // What cannot be written is told once.
            let code = check::run(&options, &mut |line| {
                if printed == exit::ExitCode::Success {
                    printed = supervisor::print(line);
                }
            });
            end(code.max(printed))
        }
        Ok(Invocation::Print(text)) => end(supervisor::print(&text)),
        Ok(Invocation::Spawn(config)) => match supervisor::run(*config) {
            Ok(code) => end(code),
            Err(error) => fail(exit::ExitCode::Usage, &format!("error: {error:#}\n")),
        },
        Ok(Invocation::Lock(order)) => match lock::run(&order) {
            Ok(status) => guard::end_like(status),
            Err(fault) => {
                report::stderr::say(&format!("supervisor lock: {}\n", fault.message));
                ExitCode::from(u8::try_from(fault.code).unwrap_or(125))
            }
        },
        Err(error) => fail(error.exit_code(), &error.to_string()),
    }
}

fn fail(code: exit::ExitCode, text: &str) -> ExitCode {
    report::stderr::say(text);
    end(code)
}

/// A run that a signal stopped ends by that signal, so that a shell sees why.
fn end(code: exit::ExitCode) -> ExitCode {
    if let exit::ExitCode::Signal(number) = code {
        guard::end_like(supervisor::status::ExitStatus::Signal(number));
    }
    ExitCode::from(u8::try_from(code.number()).unwrap_or(70))
}
