//! Jobs given on the command line, after `:::`.

use super::model::{Call, Job, UserId};
use crate::ids::JobId;
use std::ffi::OsString;

/// One plain job for each word. The words are taken as they are, empty ones too; they cannot hold NUL.
pub fn from_arguments(words: &[OsString]) -> Vec<Job> {
    let job = |(number, word): (u64, &OsString)| Job {
        number: JobId(number),
        id: UserId::Number(number),
        call: Call::Line(word.as_encoded_bytes().into()),
        options: None,
        past: None,
    };
    (1..).zip(words).map(job).collect()
}
