//! The program: parse, run, exit.

use std::ffi::OsString;

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // The guard comes before everything else: it stands in front of each worker and must start at once.
    if args.first().is_some_and(|first| first == "guard") {
        supervisor::process::guard::main_from_args(&args[1..]);
    }
}
