//! `--dry-run`: shows what would run, one line a job, and runs nothing.

use crate::config::{Config, Source, Target};
use crate::edge::{Standard, fault_text, take_copy};
use crate::exit::ExitCode;
use crate::job::{Call, End, Entry, Fingerprint, Job, Reader, UserId, from_arguments};
use crate::journal::{self, Known, Ledger};
use crate::pool;
use crate::record::Status;
use crate::report::stderr::say;
use anyhow::Context;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write};

/// Bytes of the list read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Prints each job of the list as it would run.
///
/// # Errors
///
/// When the job file cannot be opened, or the run could not go on with its records.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let list: io::Result<Box<dyn Read>> = match &config.input.source {
        Source::Arguments(_) => Ok(Box::new(io::empty())),
        Source::Stdin => take_copy(Standard::Input).map(|stdin| Box::new(File::from(stdin)) as Box<dyn Read>),
        Source::File(path) => {
            let file = File::open(path).with_context(|| format!("cannot read the job list {}", path.display()))?;
            Ok(Box::new(file))
        }
    };
    let ledger = ledger(config)?;
    let shown = take_copy(Standard::Output).and_then(|stdout| {
        let out = BufWriter::new(File::from(stdout));
        let mut preview = Preview { config, out, ledger, ended: 0, ended_badly: BTreeSet::new(), code: None };
        if let Source::Arguments(words) = &config.input.source {
            from_arguments(words).into_iter().try_for_each(|job| preview.show(&Entry::Job(job)))?;
        } else {
            preview.show_list(list)?;
        }
        preview.finish()
    });
    shown.or_else(|error| {
        say(&format!("supervisor: results cannot be written: {}\n", fault_text(&error)));
        Ok(ExitCode::OutputLost)
    })
}

/// What a run that goes on would know.
fn ledger(config: &Config) -> anyhow::Result<Option<Ledger>> {
    let Some(journal) = &config.output.journal else { return Ok(None) };
    let Some(resume) = journal.resume else { return Ok(None) };
    let (ledger, notes) = journal::peek(&journal.path, resume).map_err(anyhow::Error::msg)?;
    notes.iter().for_each(|note| remark(config, &format!("warning: {note}")));
    Ok(Some(ledger))
}

/// Tells what is worth knowing and no fault.
fn remark(config: &Config, text: &str) {
    if !config.output.volume.is_quiet() {
        say(&format!("supervisor: {text}\n"));
    }
}

/// The list on its way to standard output.
struct Preview<'a, W> {
    config: &'a Config,
    out: W,
    /// What earlier runs know, where one would be gone on with.
    ledger: Option<Ledger>,
    /// How many jobs have their records from earlier runs.
    ended: u64,
    /// Those of them that did not end ok, and what needs them: as far as the list was read, by id.
    ended_badly: BTreeSet<String>,
    /// None before the first job.
    code: Option<ExitCode>,
}

impl<W: Write> Preview<'_, W> {
    fn show_list(&mut self, list: io::Result<impl Read>) -> io::Result<()> {
        let mut reader = Reader::new(self.config.input.format, self.config.input.max_line);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut ended = false;
        let mut list = match list {
            Ok(list) => list,
            Err(error) => {
                self.list_lost(&error);
                return Ok(());
            }
        };
        loop {
            for entry in reader.by_ref() {
                self.show(&entry)?;
            }
            if ended {
                return Ok(());
            }
            match list.read(&mut chunk) {
                Ok(0) => {
                    reader.finish(End::Complete);
                    ended = true;
                }
                Ok(count) => reader.push(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.list_lost(&error);
                    reader.finish(End::Torn);
                    ended = true;
                }
            }
        }
    }

    fn list_lost(&mut self, error: &io::Error) {
        say(&format!("supervisor: the job list could not be read: {}\n", fault_text(error)));
        self.merge(ExitCode::BadInput);
    }

    fn merge(&mut self, code: ExitCode) {
        self.code = self.code.max(Some(code));
    }

    /// Shows a job that would run, or says why it would not.
    fn show(&mut self, entry: &Entry) -> io::Result<()> {
        let fault = match entry {
            Entry::Job(job) if !self.would_run(job) => {
                self.merge(ExitCode::Success);
                return Ok(());
            }
            Entry::Job(job) => match pool::suits(job, &self.config.pool.target) {
                Ok(()) => {
                    self.merge(ExitCode::Success);
                    self.out.write_all(&as_typed(job, &self.config.pool.target))?;
                    return self.out.write_all(b"\n");
                }
                Err(why) => format!("job {}: {why}", job.id),
            },
            Entry::Invalid(invalid) => format!("line {}, column {}: {}", invalid.line, invalid.column, invalid.message),
        };
        self.merge(ExitCode::BadInput);
        self.out.flush()?;
        say(&format!("supervisor: {fault}\n"));
        Ok(())
    }

    /// Whether what earlier runs know lets a job run.
    fn would_run(&mut self, job: &Job) -> bool {
        let Some(ledger) = &mut self.ledger else { return true };
        let known = ledger.claim(Fingerprint::of(job), job);
        let bad = match known {
            None => {
                let needs = job.options.iter().flat_map(|options| &options.needs);
                let bad = needs.map(UserId::to_string).find(|id| self.ended_badly.contains(id));
                bad.map(|id| format!("it needs {id}, which did not end ok, and would be skipped"))
            }
            Some(Known::Ended(status)) => {
                self.ended += 1;
                if status != Status::Ok {
                    self.ended_badly.insert(job.id.to_string());
                }
                return false;
            }
            Some(Known::Unknown { again: true, .. }) => {
                remark(self.config, &format!("job {}: {BEGUN}; it would run again", job.id));
                return true;
            }
            Some(Known::Unknown { again: false, .. }) => {
                Some(format!("{BEGUN}; it would not run (--retry-unknown runs it again)"))
            }
        };
        if let Some(why) = &bad {
            remark(self.config, &format!("job {}: {why}", job.id));
            self.ended_badly.insert(job.id.to_string());
        }
        bad.is_none()
    }

    fn finish(mut self) -> io::Result<ExitCode> {
        self.out.flush()?;
        if self.ended > 0 {
            remark(self.config, &format!("{} of the jobs ended in an earlier run and would not run", self.ended));
        }
        Ok(match self.code {
            Some(code) => code,
            None if self.config.pool.fail_on_no_jobs => {
                say("supervisor: the job list is empty\n");
                ExitCode::NoJobs
            }
            None => {
                remark(self.config, "warning: the job list is empty");
                ExitCode::Success
            }
        })
    }
}

const BEGUN: &str = "outcome unknown, it was begun and has no record";

/// The job as one would type it: a command with its words quoted for a shell, a call as `method(params)`.
fn as_typed(job: &Job, target: &Target) -> Vec<u8> {
    let default = if let Target::Function { default } = target { default.as_deref() } else { None };
    match &job.call {
        Call::Line(line) if matches!(target, Target::Function { .. }) => {
            let mut text = default.unwrap_or("?").as_bytes().to_vec();
            text.push(b'(');
            crate::protocol::encode::bytes(&mut text, line);
            text.push(b')');
            text
        }
        Call::Function(call) => format!("{}{}", call.method().or(default).unwrap_or("?"), call.params()).into_bytes(),
        Call::Line(_) | Call::Command(_) => job.as_command(target, 1).unwrap_or_default(),
    }
}
