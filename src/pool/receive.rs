//! What workers say: answers, notifications, requests of their own, broken protocol. What they print is in `printed`.

use super::flight::{Cancel, Flight};
use super::initialising::StartFailure;
use super::judge::Ending;
use super::worker::State;
use super::{Notice, Pool};
use crate::ids::WorkerId;
use crate::json;
use crate::part::LARGE_BYTES;
use crate::protocol::{Line, LineDecoder, Message, Outcome, ReadyParams, owned_result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// How much of an offending or stray line is shown.
const EXCERPT_BYTES: usize = 200;

impl Pool {
    pub(super) fn receive(&mut self, id: WorkerId, bytes: &[u8]) {
        let mut input = bytes;
        let mut answered = 0;
        let before = self.workers[id.index()].received;
        let is_large = |line: &[u8]| line.len() >= LARGE_BYTES && !bytes.as_ptr_range().contains(&line.as_ptr());
        // The decoder is taken out so that lines can be borrowed from it while the pool changes.
        let mut decoder = std::mem::replace(&mut self.workers[id.index()].decoder, LineDecoder::new(0));
        while !self.workers[id.index()].deaf {
            let line = decoder.next(&mut input);
            self.workers[id.index()].received = before + (bytes.len() - input.len()) as u64;
            match line {
                Some(Ok(line)) if is_large(line) => {
                    let line = decoder.take_line().expect("what is not in the input is in memory of its own");
                    answered += u64::from(self.receive_large(id, line));
                }
                Some(Ok(line)) => answered += u64::from(self.receive_line(id, line)),
                Some(Err(too_long)) => {
                    let message = format!("sent a line of more than {} bytes (--max-message)", self.config.max_message);
                    self.protocol_broken(id, message, too_long.excerpt);
                }
                None => break,
            }
        }
        let worker = &mut self.workers[id.index()];
        worker.decoder = decoder;
        if answered > 0 {
            self.answers_came(id, answered);
        }
    }

    /// The worker made progress: what that says about its pace, and what it may be sent now.
    fn answers_came(&mut self, id: WorkerId, answered: u64) {
        let now = self.now.time;
        let worker = &mut self.workers[id.index()];
        worker.prefetch.observe(answered, now.since(worker.last_progress));
        worker.last_progress = now;
        worker.alone = false;
        self.shelf_sooner(id);
        self.drain_if_worn_out(id);
        self.kill_if_useless(id);
        self.offer(id);
    }

    /// Takes in one line; whether it ended a job.
    #[inline(always)]
    fn receive_line(&mut self, id: WorkerId, line: &[u8]) -> bool {
        match Line::parse(line) {
            // As nearly all of them are.
            Line::One(Message::Answer { id: Some(request), outcome }) => {
                self.receive_answer(id, request, outcome, line)
            }
            Line::One(message) => self.receive_message(id, message, line),
            Line::Batch(messages) => {
                messages.into_iter().fold(false, |ended, message| self.receive_message(id, message, line) | ended)
            }
            Line::Stray => self.receive_stray(id, line),
        }
    }

    /// Takes in one line with its memory.
    fn receive_large(&mut self, id: WorkerId, line: Vec<u8>) -> bool {
        let excerpt = line[..EXCERPT_BYTES].to_vec();
        match owned_result(line) {
            Ok((request, result)) => self.receive_answer(id, &request, Outcome::LargeResult(result), &excerpt),
            Err(line) => self.receive_line(id, &line),
        }
    }

    fn receive_message(&mut self, id: WorkerId, message: Message<'_>, line: &[u8]) -> bool {
        if self.workers[id.index()].deaf {
            return false;
        }
        match message {
            Message::Answer { id: Some(request), outcome } => self.receive_answer(id, request, outcome, line),
            // An error that names no request says that something we sent was not understood; it ends nothing.
            Message::Answer { id: None, outcome } => {
                let message = format!("answered no request in particular: {}", shorten(outcome.text()));
                self.notice(Notice::Log { worker: id, level: "warning".into(), message });
                false
            }
            Message::Malformed { id: request, fault } => self.receive_malformed(id, &request, &fault, line),
            Message::Stray(text) => self.receive_stray(id, text.as_bytes()),
            Message::Notification { method, params } => self.receive_notification(id, &method, params),
            Message::Request { .. } if self.leaves_unread(id, line) => false,
            Message::Request { id: request, method, params } => {
                self.serve(id, request.get(), &method, params.map_or("{}", RawValue::get));
                false
            }
        }
    }

    #[inline(always)]
    fn receive_answer(&mut self, id: WorkerId, request: &str, outcome: Outcome<'_>, line: &[u8]) -> bool {
        if let State::Initialising { message } = self.workers[id.index()].state {
            if self.is_answer_to_init(message, request) {
                self.init_answered(id, message, outcome);
            } else {
                let request = shorten(request);
                let message = format!("answered request {request} although only the --init request was open");
                self.protocol_broken(id, message, line);
            }
            return false;
        }
        let Some(wire_id) = wire_id(request) else { return self.receive_unasked(id, request, line) };
        let Some(flight) = self.take_flight(id, wire_id) else { return self.receive_unasked(id, request, line) };
        self.worked(id);
        let ended = flight.job.is_some();
        self.end_flight(id, wire_id, flight, Ending::Answered(outcome));
        self.begin_flights(id);
        ended
    }

    /// An answer to a request that is not open.
    #[cold]
    fn receive_unasked(&mut self, id: WorkerId, request: &str, line: &[u8]) -> bool {
        if !self.is_late_init_answer(id, request) {
            let message = format!("answered request {}, which is not open", shorten(request));
            self.protocol_broken(id, message, line);
        }
        false
    }

    /// Takes a request off a worker's account.
    #[inline(always)]
    pub(super) fn take_flight(&mut self, id: WorkerId, wire_id: u64) -> Option<Flight> {
        let worker = &mut self.workers[id.index()];
        let mut flight = worker.flights.take(wire_id)?;
        self.open_requests -= 1;
        if flight.begun.is_some() && flight.job.is_some() {
            self.stats.running -= 1;
        }
        let timer = super::deadline::Timer::Flight(id, worker.generation, wire_id);
        self.deadlines.clear(&mut flight.deadline, timer);
        Some(flight)
    }

    fn receive_notification(&mut self, id: WorkerId, method: &str, params: Option<&RawValue>) -> bool {
        let params = params.map_or("{}", RawValue::get);
        match method {
            "ready" => {
                let told = serde_json::from_str(params);
                if let Err(error) = &told {
                    let message = format!("its `ready` cannot be understood, so nothing in it counts: {error}");
                    self.notice(Notice::Log { worker: id, level: "warning".into(), message });
                }
                self.ready(id, told.unwrap_or_default());
            }
            "failed" => {
                let failure: StartFailure = understood(params).unwrap_or_default();
                self.start_refused(id, &failure);
            }
            "output" => self.receive_printed(id, params),
            "stuck" => self.receive_stuck(id, params),
            "log" => {
                let Ok(LogParams { level, message }) = understood(params) else { return false };
                self.notice(Notice::Log { worker: id, level, message });
            }
            _ => {}
        }
        false
    }

    /// Where a function is that was asked to stop. When it cannot be stopped, there is no use in waiting for it.
    fn receive_stuck(&mut self, id: WorkerId, params: &str) {
        let Ok(stuck) = understood::<Stuck>(params) else { return };
        let Some(flight) = self.workers[id.index()].flights.get_mut(stuck.id) else { return };
        let said = flight.said.get_or_insert_default();
        if !stuck.traceback.is_empty() {
            said.stuck = Some(stuck.traceback);
        }
        said.lets_others_run = !stuck.blocking;
        let cancel = flight.cancel;
        match cancel {
            _ if stuck.interruptible => {}
            // What the function has started is to hear of it too.
            Some(Cancel::Stop) if self.workers[id.index()].state == State::Up => self.terminate(id, self.config.grace),
            Some(Cancel::Stop | Cancel::Timeout) => self.give_flight_up(id, stuck.id),
            Some(Cancel::Recall) | None => {}
        }
    }

    /// What looks like an answer and is none: of an open request, whose job would wait for ever, it breaks the protocol; of
    /// any other it is somebody's print.
    fn receive_malformed(&mut self, id: WorkerId, request: &str, fault: &str, line: &[u8]) -> bool {
        let worker = &mut self.workers[id.index()];
        let is_open = match worker.state {
            State::Initialising { message } => self.is_answer_to_init(message, request),
            _ => wire_id(request).is_some_and(|wire_id| worker.flights.get_mut(wire_id).is_some()),
        };
        if !is_open {
            return self.receive_stray(id, line);
        }
        self.protocol_broken(id, format!("answered request {} {fault}", shorten(request)), line);
        false
    }

    /// The worker broke the protocol: whatever runs there is charged, and the worker is replaced.
    pub(super) fn protocol_broken(&mut self, id: WorkerId, message: String, line: &[u8]) {
        let excerpt = line[..line.len().min(EXCERPT_BYTES)].to_vec();
        let worker = &mut self.workers[id.index()];
        worker.deaf = true;
        let shown = String::from_utf8_lossy(&excerpt).into_owned();
        worker.blame = Some(format!("worker {} broke the protocol: it {message}: {shown}", id.0));
        self.notice(Notice::ProtocolBroken { worker: id, message, excerpt });
        // Killed first: what its jobs' records set free must not be handed to it, and what is put back must not run twice.
        self.kill(id);
        self.lose_flights(id, None, Some(0));
    }
}

/// Parameters of `stuck`: the stack of a function that was asked to stop.
#[derive(Deserialize)]
struct Stuck {
    id: u64,
    /// It may still notice that it was asked to stop.
    #[serde(default)]
    interruptible: bool,
    /// Nothing else in the worker can go on meanwhile.
    #[serde(default)]
    blocking: bool,
    #[serde(default)]
    traceback: String,
}

#[derive(Deserialize)]
#[serde(default)]
struct LogParams {
    level: String,
    message: String,
}

impl Default for LogParams {
    fn default() -> Self {
        LogParams { level: "info".into(), message: String::new() }
    }
}

/// As many digits make a number that fits.
const DIGITS_MAX: usize = 19;

/// The number of a request of ours, from the JSON text of an id.
#[inline]
fn wire_id(id: &str) -> Option<u64> {
    match id.len() {
        1..=DIGITS_MAX => id.bytes().try_fold(0, |number, byte| {
            let digit = u64::from(byte.wrapping_sub(b'0'));
            (digit < 10).then_some(number * 10 + digit)
        }),
        _ => id.parse().ok(),
    }
}

/// What a worker tells. Half of a surrogate pair in a text is no reason not to hear the rest.
fn understood<T: DeserializeOwned>(params: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(params).or_else(|_| serde_json::from_str(&json::without_halves(params)))
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT_BYTES).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl Pool {
    /// The worker said `ready`.
    fn ready(&mut self, id: WorkerId, params: ReadyParams) {
        let worker = &mut self.workers[id.index()];
        if worker.announced {
            return;
        }
        worker.announced = true;
        let own = params.concurrency.max(1) as usize;
        let allowed = self.config.concurrency as usize;
        // A plain worker may find its words late, when more is begun in it than it now says it can run.
        worker.concurrency = own.min(allowed).max(worker.flights.begun());
        // One that runs more at a time than is asked of it would begin what was only sent ahead.
        worker.takes_in_turn = params.prefetch && own <= allowed;
        worker.gives_back = params.recall;
        worker.takes_batches = params.batch;
        worker.tells_stuck = params.stuck;
        worker.tells_begun = worker.takes_in_turn && params.marks;
        worker.shown_pid = params.pid.unwrap_or(worker.pid);
        if worker.state == State::Starting {
            self.begin_initialising(id);
        }
        if let Some(shelf) = params.shelf {
            self.take_shelf(id, shelf);
        }
        self.offer(id);
    }
}
