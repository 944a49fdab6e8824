//! What a job is, and how job lists are read. Bytes in, [`Job`]s out; no I/O.

mod model;
mod template;

pub use model::{Argument, Call, Command, Invalid, Job, JobOptions, UserId};
pub use template::Template;

impl Job {
    /// Replaced by the real one.
    pub fn label(&self) -> Vec<u8> {
        Vec::new()
    }
}
