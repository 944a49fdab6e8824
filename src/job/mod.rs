//! What a job is, and how job lists are read. Bytes in, [`Job`]s out; no I/O.

mod alike;
mod arguments;
mod array;
mod buffer;
mod detect;
mod elements;
mod fingerprint;
mod json;
mod label;
mod lines;
mod members;
mod model;
mod plain;
mod reader;
mod shells;
mod template;
#[cfg(test)]
mod tests;
mod typed;
pub mod units;

pub use arguments::from_arguments;
pub use fingerprint::Fingerprint;
pub use label::LABEL_BYTES_MAX;
pub use model::{Argument, Call, Command, FunctionCall, Invalid, Job, JobOptions, Past, UserId, id_text};
pub use reader::{EXCERPT_BYTES_MAX, End, Entry, LINE_BYTES_MAX_DEFAULT, Reader};
pub use template::{Template, TemplateError};
