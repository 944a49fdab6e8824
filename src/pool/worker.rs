//! A slot and the process in it: what it is doing, what it was sent, what it may be sent.

use super::flight::Flights;
use super::prefetch::Prefetch;
use super::unread::Unread;
use crate::ids::{Generation, WorkerId};
use crate::json::Counting;
use crate::protocol::LineDecoder;
use crate::time::Time;

/// How much of a worker's standard error is kept to explain its death.
pub(super) const STDERR_TAIL_BYTES: usize = 4096;

/// While more than this waits for a worker whose pipe is full, it is sent no further job.
pub(super) const BACKLOG_BYTES_MAX: usize = 256 << 10;

/// What a slot is doing. The order is the order of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No process, none asked for.
    Empty,
    /// No process until the delay after a failed start is over.
    Resting,
    /// A process was asked for.
    Spawning,
    /// The process is there and has not said that it is ready.
    Starting,
    /// It is being sent the messages of `--init`; this one is next or not yet answered.
    Initialising {
        /// Index of the message.
        message: usize,
    },
    /// It takes jobs.
    Up,
    /// Its standard output has ended: it should be gone in a moment.
    Mute,
    /// Its standard input was closed: it should end by itself.
    Draining,
    /// It was asked to end.
    Terminating,
    /// It was killed.
    Killed,
}

impl State {
    /// Whether a process is in the slot.
    pub(super) fn has_process(self) -> bool {
        !matches!(self, State::Empty | State::Resting | State::Spawning)
    }

    /// Whether the process was told to end.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, State::Draining | State::Terminating | State::Killed)
    }
}

/// A slot.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) generation: Generation,
    pub(super) state: State,
    /// Deadline of the state.
    pub(super) timer: Option<Time>,
    /// The process that was started.
    pub(super) pid: u32,
    /// The process shown to people, when the worker named another one.
    pub(super) shown_pid: u32,
    pub(super) decoder: LineDecoder,
    pub(super) flights: Flights,
    /// Writes the ids of its requests.
    pub(super) wire_ids: Counting,
    /// How many jobs it runs at a time.
    pub(super) concurrency: usize,
    /// The message of `--init` that was open when it was told to end: its answer may still come.
    pub(super) init_left_open: Option<usize>,
    /// It takes jobs strictly in turn, so some may be sent ahead.
    pub(super) takes_in_turn: bool,
    /// It takes them in turn and writes down which it has begun, for whoever comes after us.
    pub(super) tells_begun: bool,
    /// It gives back what it has not begun while it runs something else.
    pub(super) gives_back: bool,
    /// It says of each cancelled request that it goes on, if it does: silence means that nothing in it can go on.
    pub(super) tells_stuck: bool,
    /// It takes arrays of requests.
    pub(super) takes_batches: bool,
    /// It has said `ready`, so it knows this protocol and its notifications.
    pub(super) announced: bool,
    /// It is an MCP server that refused the handshake because it knows no sessions.
    pub(super) stateless: bool,
    /// It has begun or answered something: its program works.
    pub(super) did_work: bool,
    /// It gets no further job, whatever else happens.
    pub(super) condemned: bool,
    /// Nothing it says counts any longer: it broke the protocol.
    pub(super) deaf: bool,
    /// A suspect runs in it, alone.
    pub(super) alone: bool,
    /// Records that were not given out yet whose output it holds open.
    pub(super) spills: usize,
    /// Jobs sent to it.
    pub(super) jobs_sent: u64,
    /// Jobs it ended.
    pub(super) jobs_ended: u64,
    /// Its standard input was closed, by us or by itself, so nothing can be sent any more.
    pub(super) stdin_closed: bool,
    /// Bytes to be sent at the end of this turn.
    pub(super) outgoing: Vec<u8>,
    /// How many there were the last times: about as many there will be again.
    pub(super) outgoing_before: usize,
    /// The wire id of the first request of the array that is being written, if one is.
    pub(super) batch_from: Option<u64>,
    /// Bytes sent so far, `outgoing` not counted.
    pub(super) sent: u64,
    /// Bytes of its output taken in so far.
    pub(super) received: u64,
    /// It may hold answers back where the shell can see them ([`super::shelf`]).
    pub(super) has_shelf: bool,
    /// Deadline of [`super::deadline::Timer::Shelf`].
    pub(super) shelf_at: Option<Time>,
    /// Bytes that wait because its pipe is full.
    pub(super) backlog: usize,
    /// Answers to what it asked, as far as they may wait there.
    pub(super) unread: Unread,
    /// The end of what it wrote to standard error.
    pub(super) stderr_tail: Vec<u8>,
    /// What of it belongs to no job and was not shown yet: all until it is up, then a line that has no end yet.
    pub(super) untold: Vec<u8>,
    /// It was up, now or earlier.
    pub(super) was_up: bool,
    pub(super) prefetch: Prefetch,
    /// When its last answer came, or the oldest open request was begun.
    pub(super) last_progress: Time,
    /// Deadline of [`super::deadline::Timer::Recall`].
    pub(super) recall_at: Option<Time>,
    /// It was killed because it and what it started took so many bytes of memory.
    pub(super) excess: Option<u64>,
    /// Since when it is stopped from outside.
    pub(super) stopped_since: Option<Time>,
    /// Why it was killed, when that explains its end better than the signal.
    pub(super) blame: Option<String>,
}

impl Worker {
    pub(super) fn new(id: WorkerId, line_bytes_max: usize) -> Self {
        Worker {
            id,
            generation: Generation(0),
            state: State::Empty,
            timer: None,
            pid: 0,
            shown_pid: 0,
            decoder: LineDecoder::new(line_bytes_max),
            flights: Flights::default(),
            wire_ids: Counting::default(),
            concurrency: 1,
            init_left_open: None,
            takes_in_turn: false,
            tells_begun: false,
            gives_back: false,
            tells_stuck: false,
            takes_batches: false,
            announced: false,
            stateless: false,
            did_work: false,
            condemned: false,
            deaf: false,
            alone: false,
            spills: 0,
            jobs_sent: 0,
            jobs_ended: 0,
            stdin_closed: false,
            outgoing: Vec::new(),
            outgoing_before: 0,
            batch_from: None,
            sent: 0,
            received: 0,
            has_shelf: false,
            shelf_at: None,
            backlog: 0,
            unread: Unread::default(),
            stderr_tail: Vec::new(),
            untold: Vec::new(),
            was_up: false,
            prefetch: Prefetch::default(),
            last_progress: Time::ZERO,
            recall_at: None,
            excess: None,
            stopped_since: None,
            blame: None,
        }
    }

    /// The slot as it is before a new process: a new generation, nothing known of it, except how long jobs take.
    pub(super) fn renew(&mut self, line_bytes_max: usize) {
        assert!(self.flights.open() == 0 && self.timer.is_none() && self.recall_at.is_none());
        assert!(self.shelf_at.is_none());
        let fresh = Worker::new(self.id, line_bytes_max);
        let generation = Generation(self.generation.0 + 1);
        let prefetch = std::mem::take(&mut self.prefetch);
        *self = Worker { generation, prefetch, state: State::Spawning, ..fresh };
    }

    /// How many requests may be open at it now; `ahead`: some may be sent ahead of those that run.
    pub(super) fn limit(&self, ahead: bool) -> usize {
        if self.alone {
            return 1;
        }
        self.concurrency + if ahead && self.takes_in_turn { self.prefetch.depth(self.gives_back) } else { 0 }
    }

    /// Keeps the end of what it writes to standard error.
    pub(super) fn remember_stderr(&mut self, bytes: &[u8]) {
        self.stderr_tail.extend_from_slice(bytes);
        let surplus = self.stderr_tail.len().saturating_sub(STDERR_TAIL_BYTES);
        self.stderr_tail.drain(..surplus);
    }
}
