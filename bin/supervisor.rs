//! The program: parse, run, exit.

use std::process::ExitCode;
use supervisor::worker::command;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|name| name.to_str()) {
        Some("worker") => match command::Options::parse(&args[1..]) {
            Ok(options) => ExitCode::from(command::main(options)),
            Err(_) => ExitCode::from(2),
        },
        _ => ExitCode::from(2),
    }
}
