//! What is opened before a run begins: the journal and the job log. Owns what they are called in messages.

use super::keeper::Keeper;
use crate::config::{Config, Output, Sync};
use crate::edge::{self, Durable, Piece, Syncing, Wake, fault_text};
use crate::journal::{self, Ledger};
use crate::report::{JOBLOG_HEADER, stderr::say};
use std::fs::OpenOptions;
use std::path::Path;

/// Opens the journal, where one is asked for: who keeps it, and what earlier runs know.
pub(super) fn journal(config: &Config, wake: &Wake) -> anyhow::Result<Option<(Keeper, Ledger)>> {
    let Some(settings) = &config.output.journal else { return Ok(None) };
    let opened = journal::open(settings, config.pool.workers).map_err(anyhow::Error::msg)?;
    if !config.output.quiet {
        opened.notes.iter().for_each(|note| say(&format!("supervisor: warning: {note}\n")));
    }
    let syncing = match settings.sync {
        Sync::Always => Syncing::Always,
        Sync::Batch => Syncing::Batch,
        Sync::Never => Syncing::Never,
    };
    let same_file = opened.file.try_clone()?;
    let durable = Durable::start(opened.file, syncing, wake.clone())?;
    let keeper = Keeper::new(durable, opened.marks, settings.path.display().to_string(), same_file)?;
    Ok(Some((keeper, opened.ledger)))
}

/// Opens the job log: a resumed run goes on with it, any other begins anew.
pub(super) fn joblog(path: &Path, output: &Output, wake: &Wake) -> anyhow::Result<edge::Output> {
    let resumes = output.journal.as_ref().is_some_and(|journal| journal.resume.is_some());
    let fault = |error| anyhow::anyhow!("cannot open the job log {}: {}", path.display(), fault_text(&error));
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(fault)?;
    if !resumes {
        // What is no regular file has no length to be cut.
        let _ = file.set_len(0);
    }
    let is_empty = file.metadata().map_err(fault)?.len() == 0;
    let mut log = edge::Output::start(file.into(), wake.clone());
    if is_empty {
        log.push(Piece::Bytes(JOBLOG_HEADER.as_bytes().to_vec()));
    }
    Ok(log)
}
