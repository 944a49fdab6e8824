//! Black-box tests of the binary, one file a theme.

mod harness;
#[path = "../support/schema.rs"]
mod schema;

mod check;
mod commands;
mod crashes;
mod exit_codes;
mod job_lists;
mod output;
mod running;
mod serve;
mod signals;
mod ten_lines;
mod tutorial;
