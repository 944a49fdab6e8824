//! Where everything that is to be told arrives. Owns which report gets what; the reports own the wording.

use super::answer::Fault;
use super::failure::Failures;
use super::joblog::JobLog;
use super::json::RecordWriter;
use super::notice::{self, Audience};
use super::progress::Progress;
use super::rows::Rows;
use super::streams::Streams;
use super::style::Style;
use super::text::Text;
use super::{Stderr, Surroundings, running, summary};
use crate::config::{Format, Output, When};
use crate::edge::Way;
use crate::exit::ExitCode;
use crate::part::LARGE_BYTES;
use crate::pool::{Joined, Notice, Running, Stats};
use crate::record::{Record, Status};
use crate::time::Time;
use std::time::Duration;

/// How a run ended, for the summary.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The final figures.
    pub stats: &'a Stats,
    /// Every worker process there was.
    pub joined: &'a [Joined],
    /// How long the run took, in active time.
    pub wall: Duration,
    /// How it ends.
    pub exit: ExitCode,
}

/// Collects what is to be written while the reactor handles events; [`Hub::flush`] hands it over once per turn.
#[derive(Debug)]
pub struct Hub {
    format: Format,
    text: Text,
    records: RecordWriter,
    rows: Option<Rows>,
    joblog: Option<JobLog>,
    failures: Failures,
    audience: Audience,
    style: Style,
    streams: Streams,
    progress: Option<Progress>,
}

/// What reports have to know of the jobs of a run.
#[derive(Debug, Clone, Copy)]
pub struct Jobs {
    /// Results are those of commands, so that text shows their output and not the JSON.
    pub is_command: bool,
    /// What they leave behind lives on (`--keep-leftovers`).
    pub keeps_leftovers: bool,
}

impl Hub {
    /// For a run of such jobs.
    pub fn new(output: &Output, jobs: Jobs, around: Surroundings) -> Self {
        let is_command = jobs.is_command;
        let style = Style::new(match output.color {
            When::Always => true,
            When::Never => false,
            When::Auto => around.stderr_is_terminal && !around.is_dumb,
        });
        Hub {
            format: output.format,
            text: Text { jobs, has_tags: output.tag, is_quiet: output.volume.is_quiet() },
            records: RecordWriter::default(),
            rows: output.journal.is_some().then(Rows::default),
            joblog: output.joblog.is_some().then(|| JobLog::new(is_command)),
            failures: Failures::new(style, output.format == Format::Json),
            audience: Audience { volume: output.volume, is_command },
            style,
            streams: Streams::new(around.is_one_terminal),
            progress: Progress::new(output, &around),
        }
    }

    /// Takes the record of a job that has ended; its result is taken out where it is large. A file that it names is opened
    /// before this returns.
    #[inline(always)]
    pub fn take(&mut self, record: &mut Record) {
        let is_large = record.result.as_ref().is_some_and(|result| result.len() >= LARGE_BYTES);
        if !is_large || self.format != Format::Json {
            return self.record(record);
        }
        self.keep(record);
        if let Some(result) = record.result.take() {
            self.records.write_around(record, result, self.streams.stdout());
        }
    }

    /// Notes it where more than standard output is kept.
    #[inline]
    fn keep(&mut self, record: &Record) {
        if let Some(rows) = &mut self.rows {
            rows.push(record);
        }
        if let Some(joblog) = &mut self.joblog {
            joblog.push(record);
        }
    }

    /// The same as [`Hub::take`] with a record that somebody else needs as well.
    #[inline]
    pub fn record(&mut self, record: &Record) {
        self.keep(record);
        match self.format {
            Format::Text => self.text.record(record, &mut self.failures, &mut self.streams),
            Format::Json => {
                self.records.write(record, self.streams.stdout().bytes());
                if record.status != Status::Ok && self.failures.admits(record.status) {
                    self.failures.push_line(record, &Fault::of(record), self.streams.message());
                }
            }
        }
    }

    /// The rows of the journal since the last call, if one is kept.
    pub fn rows(&mut self) -> Option<&mut Rows> {
        self.rows.as_mut()
    }

    /// The lines of the job log since the last call, if one is kept.
    pub fn joblog(&mut self) -> Option<&mut JobLog> {
        self.joblog.as_mut()
    }

    /// Takes something the user may want to be told.
    pub fn notice(&mut self, notice: &Notice) {
        if self.audience.admits(notice) {
            notice::push(notice, self.style, self.streams.message());
        }
    }

    /// Draws the progress line anew if that is due. Says when to call next; never, when there is no such line.
    pub fn progress(&mut self, stats: &Stats, now: Time) -> Option<Time> {
        let progress = self.progress.as_mut()?;
        if now >= progress.due() {
            let line = progress.draw(stats, now);
            self.streams.set_bar(&line);
        }
        Some(progress.due())
    }

    /// Removes the progress line until it is due again, so that the terminal is clean while the run is suspended.
    pub fn hide_progress(&mut self) {
        self.streams.set_bar(b"");
    }

    /// Whether the progress line and messages go through standard output, since both streams are one terminal.
    pub fn is_one_terminal(&self) -> bool {
        self.streams.is_one_terminal()
    }

    /// Tells what is running (SIGUSR1).
    pub fn running(&mut self, stats: &Stats, jobs: &[Running]) {
        running::push(stats, jobs, self.streams.message());
    }

    /// The run is over: the progress line goes, the summary comes. To be called once, after the last record.
    pub fn finish(&mut self, ending: &Ending<'_>) {
        self.progress = None;
        self.streams.set_bar(b"");
        let mut text = Vec::new();
        self.failures.push_untold(&mut text);
        if !self.audience.volume.is_quiet() {
            summary::push(ending, self.style, &mut text);
        }
        if !text.is_empty() {
            self.streams.message().extend_from_slice(&text);
        }
    }

    /// Hands over everything that was collected.
    pub fn flush(&mut self, stdout: &mut impl Way, stderr: &mut Stderr) {
        self.streams.draw();
        if self.streams.has_stdout() {
            let buffer = stdout.buffer();
            self.streams.drain_stdout(buffer, |piece| stdout.push(piece));
        }
        if self.streams.has_stderr() {
            let buffer = stderr.buffer();
            self.streams.drain_stderr(buffer, |piece| stderr.push(piece));
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
pub(super) mod tests;
