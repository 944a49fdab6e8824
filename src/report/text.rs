//! `--format text`: each job's own output, grouped, never mixed. Owns what of a record goes to standard output
//! and what to standard error; the jobs' bytes pass unchanged.

use super::answer::{Ended, Fault, Stream, text_of};
use super::escape;
use super::failure::{self, Failures};
use super::hub::Jobs;
use super::sink::Sink;
use super::streams::Streams;
use super::style::{PREFIX, count};
use crate::edge::fault_text;
use crate::record::{Printed, Record, Status};
use std::fs::File;
use std::path::Path;

/// Turns records into text.
#[derive(Debug)]
pub(super) struct Text {
    /// What they are.
    pub(super) jobs: Jobs,
    /// `--tag`.
    pub(super) has_tags: bool,
    /// `-q`.
    pub(super) is_quiet: bool,
}

/// One stream of one job, wherever it is.
struct Printout<'a> {
    stream: Option<Stream<'a>>,
    /// How many bytes the job wrote; more than are here when it was cut.
    total: Option<u64>,
    /// A file that has them all.
    spill: Option<&'a str>,
    tag: Option<&'a [u8]>,
    /// Which options would have kept more.
    options: &'static str,
}

impl Text {
    /// Tells how a job ended.
    pub(super) fn record(&self, record: &Record, failures: &mut Failures, streams: &mut Streams) {
        let fault = Fault::of(record);
        let ended = Ended::of(record, &fault, self.jobs.is_command);
        let tag = self.has_tags.then(|| tag_of(record));
        // What functions print is in no file.
        let options = if self.jobs.is_command { "--max-output, --output-dir" } else { "--max-output" };
        let stdout = Printout {
            stream: stream_of(record.rare().stdout.as_ref(), ended.stdout),
            total: total_of(record.rare().stdout.as_ref()).or(ended.stdout_bytes),
            spill: ended.stdout_spill.as_deref(),
            tag: tag.as_deref(),
            options,
        };
        let missing_stdout = stdout.write_to(streams, Streams::stdout);
        if !self.jobs.is_command && record.status == Status::Ok {
            push_value(record, tag.as_deref(), streams);
        }
        if record.status != Status::Ok && failures.admits(record.status) {
            failures.push_line(record, &fault, streams.message());
        }
        if let Some(missing) = missing_stdout {
            push_note(record, &format!("standard output: {missing}"), streams);
        }
        let stderr = Printout {
            stream: stream_of(record.rare().stderr.as_ref(), ended.stderr),
            total: total_of(record.rare().stderr.as_ref()).or(ended.stderr_bytes),
            spill: ended.stderr_spill.as_deref(),
            tag: tag.as_deref(),
            options,
        };
        if let Some(missing) = stderr.write_to(streams, Streams::stderr) {
            push_note(record, &format!("standard error: {missing}"), streams);
        }
        if let Some(traceback) = ended.traceback {
            push_traceback(&text_of(traceback.get()), streams);
        }
        if let Some(text) = failure::leftovers(&ended.leaked, self.jobs.keeps_leftovers).filter(|_| !self.is_quiet) {
            push_note(record, &text, streams);
        }
    }
}

impl Printout<'_> {
    /// Writes the stream; says what is missing of it.
    fn write_to(self, streams: &mut Streams, pick: fn(&mut Streams) -> &mut Sink) -> Option<String> {
        let trouble = match (self.spill, self.total) {
            (Some(path), Some(bytes)) => match self.push_file(path.as_ref(), bytes, pick(streams)) {
                Ok(()) => return None,
                Err(trouble) => Some(trouble),
            },
            _ => None,
        };
        let here = match self.stream {
            None => 0,
            Some(Stream::Kept { ref file, bytes }) => {
                return self.push_file(file.as_ref(), bytes, pick(streams)).err();
            }
            Some(Stream::Bytes(ref bytes)) => {
                if !bytes.is_empty() {
                    push_tagged(bytes, self.tag, pick(streams).bytes());
                }
                bytes.len() as u64
            }
        };
        let total = self.total.filter(|&total| total > here)?;
        let why = trouble.unwrap_or_else(|| format!("see {}", self.options));
        Some(format!("only the first {here} of {} are here ({why})", count(total, "byte")))
    }

    /// A spill file is gone as soon as its worker hears that the record is out: it is opened now.
    fn push_file(&self, path: &Path, bytes: u64, sink: &mut Sink) -> Result<(), String> {
        let file = File::open(path).map_err(|error| {
            format!("cannot open {}: {}", escape::to_line(path.as_os_str().as_encoded_bytes()), fault_text(&error))
        })?;
        match self.tag {
            Some(tag) => sink.lines(file, bytes, tag),
            None => sink.file(file, bytes),
        }
        Ok(())
    }
}

fn stream_of<'a>(printed: Option<&'a Printed>, raw: Option<&'a serde_json::value::RawValue>) -> Option<Stream<'a>> {
    match printed {
        Some(printed) => Some(Stream::Bytes(printed.bytes.as_slice().into())),
        None => raw.map(Stream::parse),
    }
}

fn total_of(printed: Option<&Printed>) -> Option<u64> {
    printed.map(|printed| printed.total)
}

/// What `--tag` puts in front of each line, as GNU parallel does.
fn tag_of(record: &Record) -> Vec<u8> {
    let mut tag = Vec::with_capacity(record.rare().label.len() + 1);
    escape::one_line(&record.rare().label, &mut tag);
    tag.push(b'\t');
    tag
}

/// A last line without line feed stays without one.
fn push_tagged(bytes: &[u8], tag: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(tag) = tag else { return out.extend_from_slice(bytes) };
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        out.extend_from_slice(tag);
        out.extend_from_slice(line);
    }
}

/// A function's result: a string as it is, anything else as JSON, null as nothing.
fn push_value(record: &Record, tag: Option<&[u8]>, streams: &mut Streams) {
    let Some(result) = record.result.as_deref().filter(|&result| result != "null") else { return };
    let mut value = text_of(result).into_owned();
    value.push(b'\n');
    push_tagged(&value, tag, streams.stdout().bytes());
}

fn push_note(record: &Record, text: &str, streams: &mut Streams) {
    let out = streams.message();
    out.extend_from_slice(PREFIX.as_bytes());
    failure::push_job(record, out);
    out.extend_from_slice(b": ");
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn push_traceback(traceback: &[u8], streams: &mut Streams) {
    let out = streams.message();
    escape::multi_line(traceback.trim_ascii_end(), out);
    out.push(b'\n');
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
