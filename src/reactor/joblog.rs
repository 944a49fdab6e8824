//! The job log during a run: lines to the edge that writes them. Owns what it is called in messages, and at the end looks
//! whether the file is still there; knows nothing of what is written.

use super::keeper::was_removed;
use crate::edge::{self, Piece, Wake, fault_text};
use crate::report::JOBLOG_HEADER;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Where lines of the job log go.
#[derive(Debug)]
pub(super) struct JobLog {
    output: edge::Output,
    /// The same file, where it had a name when the run began.
    named: Option<File>,
    name: String,
    /// Why lines were lost although they were written.
    fault: Option<&'static str>,
}

impl JobLog {
    /// Opens it: a run that `resumes` goes on with it, any other begins anew.
    pub(super) fn open(path: &Path, resumes: bool, wake: &Wake) -> anyhow::Result<Self> {
        let name = format!("the job log {}", path.display());
        let fault = |error: io::Error| anyhow::anyhow!("cannot open {name}: {}", fault_text(&error));
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(fault)?;
        if !resumes {
            // What is no regular file has no length to be cut.
            let _ = file.set_len(0);
        }
        let facts = file.metadata().map_err(fault)?;
        let named = (facts.nlink() > 0).then(|| file.try_clone()).transpose().map_err(fault)?;
        let mut output = edge::Output::start(file.into(), wake.clone());
        if facts.len() == 0 {
            output.push(Piece::Bytes(JOBLOG_HEADER.as_bytes().to_vec()));
        }
        Ok(JobLog { output, named, name, fault: None })
    }

    /// Hands lines over; never waits.
    pub(super) fn push(&mut self, lines: &[u8]) {
        self.output.push(Piece::Bytes(lines.to_vec()));
    }

    /// Bytes that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.output.backlog()
    }

    /// Why lines cannot be kept any more.
    pub(super) fn error(&self) -> Option<String> {
        let fault = self.output.error().map(|error| fault_text(&error)).or_else(|| self.fault.map(str::to_owned));
        fault.map(|fault| format!("{}: {fault}", self.name))
    }

    /// No line will follow.
    pub(super) fn close(&mut self) {
        self.output.close();
        self.fault = self.named.as_ref().and_then(was_removed);
    }

    /// Whether all lines are written, or never will be.
    pub(super) fn is_settled(&self) -> bool {
        self.output.is_settled()
    }
}
