//! Everything that consumes records: results for standard output, failures, notices, progress and the closing
//! summary for standard error.
//!
//! It is told plain data ([`crate::record::Record`], the figures and notices of the run) and turns it into
//! bytes; it reads no clock, decides nothing about the run, and writes nothing itself: the reactor takes the
//! pieces and hands them to the edges. Only [`stderr::say`], for the time before and after a run, writes.

mod answer;
pub mod escape;
mod failure;
#[cfg(test)]
mod fixtures;
mod hub;
mod joblog;
pub mod json;
mod notice;
mod progress;
mod rows;
mod running;
mod sink;
pub mod stderr;
mod streams;
mod style;
mod summary;
pub mod terminal;
mod text;

pub use hub::{Ending, Hub, Jobs};
pub use joblog::HEADER as JOBLOG_HEADER;
pub use stderr::Stderr;
pub use terminal::Surroundings;
