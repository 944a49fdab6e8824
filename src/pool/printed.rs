//! What workers and functions print: whose it is, and how much of it is kept.

use super::flight::Said;
use super::worker::STDERR_TAIL_BYTES;
use super::{Notice, Pool};
use crate::ids::WorkerId;
use crate::json;
use crate::record::Printed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most bytes of a line on a worker's standard error that wait for its end.
const UNFINISHED_LINE_BYTES_MAX: usize = 4096;

impl Pool {
    /// Something a function printed: it belongs to its job, or, where that cannot be told, to the worker.
    pub(super) fn receive_printed(&mut self, id: WorkerId, params: &str) {
        let mended;
        let output = match serde_json::from_str::<OutputParams<'_>>(params) {
            Ok(output) => Ok(output),
            // Half of a surrogate pair is no text; the rest of it is.
            Err(_) => {
                mended = json::without_halves(params);
                serde_json::from_str(&mended)
            }
        };
        let output = match output {
            Ok(output) => output,
            Err(error) => return self.output_lost_in(id, &error.to_string()),
        };
        let data = match &output.data {
            Data::Text(text) => Cow::Borrowed(text.as_bytes()),
            Data::Base64 { base64 } => match STANDARD.decode(base64.as_ref()) {
                Ok(data) => Cow::Owned(data),
                Err(error) => return self.output_lost_in(id, &format!("no base64: {error}")),
            },
        };
        let on_stderr = output.stream == "stderr";
        let limit = self.config.max_output;
        let wire_id = output.id.and_then(|raw| raw.get().parse().ok());
        let flight = wire_id.and_then(|wire_id| self.workers[id.index()].flights.get_mut(wire_id));
        match flight {
            Some(flight) => {
                let said = flight.said.get_or_insert_default();
                append(if on_stderr { &mut said.stderr } else { &mut said.stdout }, &data, limit);
            }
            None if on_stderr => self.show_stderr(id, &data),
            None => self.notice(Notice::StrayOutput { worker: id, line: data.into_owned(), first: false }),
        }
    }

    /// An `output` that nobody can understand. Each would say the same, so it is told once.
    fn output_lost_in(&mut self, id: WorkerId, why: &str) {
        if !std::mem::replace(&mut self.output_fault_told, true) {
            let message = format!("its `output` cannot be understood, so what was printed is lost: {why}");
            self.notice(Notice::Log { worker: id, level: "warning".into(), message });
        }
    }

    /// What a worker writes to standard error belongs to the job that runs, when there is just one. Its answers come on
    /// another way: with more jobs open it can be told only where they were read in step.
    pub(super) fn receive_stderr(&mut self, id: WorkerId, bytes: &[u8], in_step: bool) {
        let limit = self.config.max_output;
        let is_command = self.config.target.is_command();
        let worker = &mut self.workers[id.index()];
        worker.remember_stderr(bytes);
        let running = if in_step || worker.flights.open() == 1 { worker.flights.begun_ids() } else { Vec::new() };
        if let ([only], false) = (running.as_slice(), is_command) {
            let flight = worker.flights.get_mut(*only).expect("it is open");
            append(&mut flight.said.get_or_insert_default().stderr, bytes, limit);
        } else if worker.was_up {
            self.show_stderr(id, bytes);
        } else {
            // Kept for the message of a failed start, or shown once the start has succeeded.
            worker.untold.extend_from_slice(bytes);
            let surplus = worker.untold.len().saturating_sub(STDERR_TAIL_BYTES);
            if surplus > 0 {
                let bytes = worker.untold.drain(..surplus).collect();
                self.notice(Notice::WorkerStderr { worker: id, bytes });
            }
        }
    }

    /// Shows whole lines. What is written in pieces, by several workers perhaps, waits for its end, but not while it grows
    /// without one.
    fn show_stderr(&mut self, id: WorkerId, bytes: &[u8]) {
        let worker = &mut self.workers[id.index()];
        worker.untold.extend_from_slice(bytes);
        let whole = memchr::memrchr(b'\n', &worker.untold).map_or(0, |end| end + 1);
        let is_long = worker.untold.len() - whole > UNFINISHED_LINE_BYTES_MAX;
        let shown = if is_long { worker.untold.len() } else { whole };
        if shown > 0 {
            let bytes = worker.untold.drain(..shown).collect();
            self.notice(Notice::WorkerStderr { worker: id, bytes });
        }
    }

    /// Shows what still waits: the worker is up now, or begins a job, to which belongs what it writes from then on.
    pub(super) fn show_untold(&mut self, id: WorkerId) {
        let bytes = std::mem::take(&mut self.workers[id.index()].untold);
        if !bytes.is_empty() {
            self.notice(Notice::WorkerStderr { worker: id, bytes });
        }
    }

    /// A line that is no message: somebody's print, shown and not fatal.
    pub(super) fn receive_stray(&mut self, id: WorkerId, line: &[u8]) -> bool {
        if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
            let first = !std::mem::replace(&mut self.stray_output_told, true);
            let line = line[..line.len().min(self.config.max_output)].to_vec();
            self.notice(Notice::StrayOutput { worker: id, line, first });
        }
        false
    }
}

/// Parameters of `output`.
#[derive(Deserialize)]
struct OutputParams<'a> {
    /// Any JSON: what answers an `--init` request has the id that the user gave it.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Data<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Base64 {
        #[serde(borrow)]
        base64: Cow<'a, str>,
    },
}

fn append(printed: &mut Printed, bytes: &[u8], limit: usize) {
    let room = limit.saturating_sub(printed.bytes.len());
    printed.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    printed.total += bytes.len() as u64;
}

impl Said {
    /// What was printed on a stream, if anything was; cut between two characters where it was cut.
    pub(super) fn take(printed: &mut Printed) -> Option<Printed> {
        if printed.total > printed.bytes.len() as u64 {
            let whole = json::whole_characters(&printed.bytes).len();
            printed.bytes.truncate(whole);
        }
        (printed.total > 0).then(|| std::mem::take(printed))
    }
}
