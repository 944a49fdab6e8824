//! Black-box tests of the binary, one file a theme.

mod captured;
mod harness;
#[path = "../support/schema.rs"]
mod schema;

mod check;
mod commands;
mod crashes;
mod exit_codes;
mod function_starts;
mod functions;
mod job_lists;
mod journal;
mod journal_places;
mod limits;
mod lock;
mod mcp;
mod output;
mod running;
mod serve;
mod shared_state;
mod signals;
mod ten_lines;
mod tutorial;
