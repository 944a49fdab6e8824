//! An invented worker: what it has read, what runs in it, what it has written, and its character. What it does when is
//! arranged by the world.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use supervisor::ids::{Generation, WorkerId};
use supervisor::status::ExitStatus;

/// What a request will come to, drawn when it is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    Fail,
    Crash,
    TornAnswer,
    Never,
    Twice,
    WrongId,
    Oversize,
    BadUtf8,
    CloseStdout,
    LieNotBegun,
}

/// A request the actor has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) wire_id: u64,
    pub(crate) job: u64,
    pub(crate) fate: Fate,
}

/// An invented process.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) worker: WorkerId,
    pub(crate) generation: Generation,
    pub(crate) announces: bool,
    pub(crate) concurrency: usize,
    pub(crate) reads: bool,
    pub(crate) ignores_term: bool,
    pub(crate) ignores_eof: bool,
    pub(crate) ignores_cancel: bool,
    pub(crate) unkillable: bool,
    /// It runs no further instruction; its end has not been told yet.
    pub(crate) dead: Option<ExitStatus>,
    /// It was ordered to end by force.
    pub(crate) condemned: bool,
    /// It wrote something that is no proper answer.
    pub(crate) broke_protocol: bool,
    /// The end of its output was told.
    pub(crate) end_told: bool,
    pub(crate) stdin: Vec<u8>,
    /// How much of `stdin` it has read.
    pub(crate) read: usize,
    /// Requests it was sent and has not answered, with their jobs.
    pub(crate) open: BTreeMap<u64, u64>,
    pub(crate) requests: u64,
    pub(crate) stdin_closed: bool,
    pub(crate) stdout_closed: bool,
    pub(crate) reading_planned: bool,
    pub(crate) delivery_planned: bool,
    pub(crate) running: Vec<Run>,
    pub(crate) waiting: VecDeque<(u64, u64)>,
    /// Requests it was told to cancel.
    pub(crate) told_to_cancel: BTreeSet<u64>,
    /// Requests whose large output it holds open in a file, with their jobs.
    pub(crate) spills: BTreeMap<u64, u64>,
    /// It held one at some time, so it may have got more jobs than its share.
    pub(crate) held_a_file: bool,
    /// Written and not delivered.
    pub(crate) stdout: Vec<u8>,
    /// It may hold back what it says: the shell has its shelf open.
    pub(crate) has_shelf: bool,
    /// Said and not written: it lies on the shelf.
    pub(crate) held: Vec<u8>,
}

impl Actor {
    pub(crate) fn new(worker: WorkerId, generation: Generation) -> Self {
        Actor {
            worker,
            generation,
            announces: false,
            concurrency: 1,
            reads: true,
            ignores_term: false,
            ignores_eof: false,
            ignores_cancel: false,
            unkillable: false,
            dead: None,
            condemned: false,
            broke_protocol: false,
            end_told: false,
            stdin: Vec::new(),
            read: 0,
            open: BTreeMap::new(),
            requests: 0,
            stdin_closed: false,
            stdout_closed: false,
            reading_planned: false,
            delivery_planned: false,
            running: Vec::new(),
            waiting: VecDeque::new(),
            told_to_cancel: BTreeSet::new(),
            spills: BTreeMap::new(),
            held_a_file: false,
            stdout: Vec::new(),
            has_shelf: false,
            held: Vec::new(),
        }
    }

    /// Takes the next whole line off its standard input.
    pub(crate) fn read_line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.stdin[self.read..];
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].to_vec();
        self.read += end + 1;
        if self.read == self.stdin.len() {
            self.stdin.clear();
            self.read = 0;
        }
        Some(line)
    }

    /// Bytes it was sent and has not read.
    pub(crate) fn unread(&self) -> usize {
        self.stdin.len() - self.read
    }
}

/// A message as the worker reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) method: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) params: Option<&'a RawValue>,
}

impl Incoming<'_> {
    /// The number of the job, which stands between number signs.
    pub(crate) fn job(&self) -> Option<u64> {
        self.params?.get().split('#').nth(1)?.parse().ok()
    }

    /// The request that a notification is about.
    pub(crate) fn about(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct About {
            id: u64,
        }
        Some(serde_json::from_str::<About>(self.params?.get()).ok()?.id)
    }
}

/// All messages of a line. What the supervisor sends is always well-formed, and a plain worker gets no arrays.
pub(crate) fn parse(line: &[u8], knows_batches: bool) -> Vec<Incoming<'_>> {
    if line.first() == Some(&b'[') {
        assert!(knows_batches, "an array was sent to a worker that takes none");
        serde_json::from_slice(line).expect("supervisor sends JSON")
    } else {
        vec![serde_json::from_slice(line).expect("supervisor sends JSON")]
    }
}
