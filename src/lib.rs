//! `supervisor` runs a list of jobs on worker processes and accounts for every one of them:
//! each job that goes in comes out as exactly one [`record::Record`], whatever happens to the workers.
//!
//! # Map of the crate
//!
//! | module | owns | never |
//! | --- | --- | --- |
//! | [`time`], [`ids`], [`status`] | the small types everything else speaks in | any system call |
//! | [`json`] | JSON text passed on as it is | values |
//! | [`config`] | the validated settings of a run | parsing of flags (that is [`cli`]) |
//! | [`job`] | what a job is, reading job lists, command templates | I/O |
//! | [`protocol`] | framing and messages of the worker protocol | I/O |
//! | [`record`] | how a job ended: the one format of all results | |
//! | [`pool`] | **the core**: every decision; events in, actions out | clocks, system calls, threads |
//! | [`drive`] | the one loop body shared by reality and simulator | |
//! | [`reactor`] | **the shell**: readiness to events, actions to system calls | decisions |
//! | [`edge`] | the threads that move bytes: the list in, results, messages and the journal out | decisions |
//! | [`process`] | spawning, signalling, reaping, containment | policy |
//! | [`worker`] | the built-in command worker, and `serve` for workers in Rust | [`pool`] |
//! | [`journal`] | the file of records that a later run goes on with, and the marks of what is running | who runs again (that is [`pool`]) |
//! | [`report`] | everything that consumes records | [`pool`], [`reactor`] |
//! | [`shims`] | the embedded workers for Python's and Node's functions | the user's files |
//! | [`run`](mod@run), [`dry_run`] | one invocation, before the reactor takes over | |
//! | [`lock`] | `supervisor lock`: asks the supervisor of the run it is part of | locks themselves (that is [`pool`]) |
//! | [`check`] | what `supervisor check` asks of a program | jobs |
//! | [`cli`] | flags to [`config`] | |

pub mod check;
pub mod cli;
pub mod config;
pub mod drive;
pub mod dry_run;
pub mod edge;
pub mod exit;
pub mod ids;
pub mod job;
pub mod journal;
pub mod json;
pub mod lock;
pub mod part;
pub mod places;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod reactor;
pub mod record;
pub mod report;
pub mod run;
pub mod shims;
pub mod status;
pub mod time;
pub mod worker;

pub use process::Process;
pub use run::{print, run};
