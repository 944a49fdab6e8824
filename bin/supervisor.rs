//! The program: parse, run, exit.

use std::ffi::OsString;
use std::process::ExitCode;
use supervisor::worker::command;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|name| name.to_str()) {
        // The guard comes before everything else: it stands in front of each worker and must start at once.
        Some("guard") => supervisor::process::guard::main_from_args(&args[1..]),
        Some("worker") => match command::Options::parse(&args[1..]) {
            Ok(options) => ExitCode::from(command::main(options)),
            Err(_) => ExitCode::from(2),
        },
        _ => ExitCode::from(2),
    }
}
