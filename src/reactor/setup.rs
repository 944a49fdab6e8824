//! What is opened before a run begins: the journal and the job log. Owns which of them there are.

use super::joblog::JobLog;
use super::keeper::Keeper;
use crate::config::{Config, Output, Sync};
use crate::edge::{Durable, Syncing, Wake};
use crate::journal::{self, Ledger};
use crate::report::stderr::say;

/// Opens the journal, where one is asked for: who keeps it, and what earlier runs know.
pub(super) fn journal(config: &Config, wake: &Wake) -> anyhow::Result<Option<(Keeper, Ledger)>> {
    let Some(settings) = &config.output.journal else { return Ok(None) };
    let opened = journal::open(settings, config.pool.workers).map_err(anyhow::Error::msg)?;
    if !config.output.volume.is_quiet() {
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

/// Opens the job log, where one is asked for.
pub(super) fn joblog(output: &Output, wake: &Wake) -> anyhow::Result<Option<JobLog>> {
    let resumes = output.journal.as_ref().is_some_and(|journal| journal.resume.is_some());
    output.joblog.as_deref().map(|path| JobLog::open(path, resumes, wake)).transpose()
}
