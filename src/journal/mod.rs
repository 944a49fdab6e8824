//! The journal of a run (`--output`): the file of records, and beside it the marks of what is running, so that a later run
//! can go on where this one ended, however it ended.
//!
//! `ledger` says what earlier runs know of a job; `rows` reads and mends the file; `marks` is the small file beside it.
//! Records are written by a thread of [`crate::edge`]; who is asked to run what is decided by the core.

mod ledger;
mod lock;
mod marks;
mod open;
mod rows;
#[cfg(test)]
mod tests;

/// Takes bytes for a row, and for marks: for tests of the decoders.
#[doc(hidden)]
pub fn understand(bytes: &[u8]) {
    rows::judge(bytes, crate::config::Resume { failed: true, unknown: true });
    marks::parse(bytes, 0);
}

pub use ledger::{Known, Ledger};
pub use marks::Marks;
pub use open::{Opened, beside, open, peek};
