//! What the core wants done: orders, in the imperative.

use crate::exit::ExitCode;
use crate::ids::{Generation, JobId, WorkerId};
use crate::job::Fingerprint;
use crate::part::Part;
use crate::protocol::ShelfPlace;
use crate::record::Record;
use crate::status::ExitStatus;

/// Something the shell has to do. It does it and decides nothing.
#[derive(Debug, Clone)]
pub enum Action {
    /// Start a process in a slot; answer with `Spawned` or `SpawnFailed`.
    Spawn {
        /// The slot.
        worker: WorkerId,
        /// The generation the process will have.
        generation: Generation,
    },
    /// Write to a worker's standard input.
    Send {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
        /// Whole lines, or a piece of one that others continue.
        bytes: Vec<u8>,
    },
    /// The same with a part of a large text, in the memory it is in.
    SendPart {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
        /// Parameters, inside of a line.
        part: Part,
    },
    /// Note for later runs, before anything else is sent, that a worker is about to have this job. Only of jobs with a past.
    Entrust(Entrusted),
    /// No worker has the job of an [`Action::Entrust`] any more, and it will be given out again or get its record.
    TakeBack {
        /// The job's number in the list.
        number: JobId,
        /// Attempts that were begun. Without any the note is void; otherwise it says that the job was begun so often.
        attempts: u32,
    },
    /// Close a worker's standard input once all that was sent is written.
    CloseStdin {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Ask a worker and all it started to end (SIGTERM, then SIGCONT so that stopped ones hear it).
    Terminate {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// End a worker and all it started at once (SIGKILL).
    Kill {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Look how many of the bytes sent to a worker it has not read; answer with `Unread`.
    Probe {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Look at a worker from outside; answer with `Looked`.
    Look {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
        /// Where a rough figure of its memory is above this, an exact one is wanted.
        exact_above: u64,
    },
    /// Look how much memory the machine has to give; answer with `MemoryAvailable`.
    LookAround,
    /// Open the memory in which a worker holds answers back; answer with `ShelfTaken` when that worked.
    TakeShelf {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
        /// The process that has it open.
        pid: u32,
        /// Where it is.
        shelf: ShelfPlace,
        /// How many bytes of the worker's output came before what the shelf counts.
        from: u64,
    },
    /// Look whether a worker holds answers back; hand them in as `Output`, and drop them when they come again.
    LookAtShelf {
        /// The slot.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Send something to a guest.
    SendGuest {
        /// The connection.
        guest: u64,
        /// A whole line.
        bytes: Vec<u8>,
    },
    /// End the connection of a guest; `GuestLeft` is not wanted for it.
    DropGuest {
        /// The connection.
        guest: u64,
    },
    /// A job has ended; this is its record, the only one.
    Emit(Record),
    /// Never read the job list again: whatever was not handed in is not wanted.
    DropInput,
    /// Tell the user.
    Notice(Notice),
    /// The run is over: every accepted job has its record and every worker is joined.
    Finish(ExitCode),
}

impl Action {
    /// The process that an order is for.
    #[inline(always)]
    pub(super) fn addressee(&self) -> Option<(WorkerId, Generation)> {
        match *self {
            Action::Send { worker, generation, .. }
            | Action::SendPart { worker, generation, .. }
            | Action::CloseStdin { worker, generation }
            | Action::Terminate { worker, generation }
            | Action::Kill { worker, generation }
            | Action::Look { worker, generation, .. }
            | Action::TakeShelf { worker, generation, .. }
            | Action::LookAtShelf { worker, generation }
            | Action::Probe { worker, generation } => Some((worker, generation)),
            // A slot that is to be filled has no process yet; the others name none.
            Action::Spawn { .. }
            | Action::Entrust(_)
            | Action::TakeBack { .. }
            | Action::LookAround
            | Action::SendGuest { .. }
            | Action::DropGuest { .. }
            | Action::Emit(_)
            | Action::DropInput
            | Action::Notice(_)
            | Action::Finish(_) => None,
        }
    }
}

/// Which job a worker is about to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrusted {
    /// The job's number in the list.
    pub number: JobId,
    /// What the job is the same as in other runs.
    pub content: Fingerprint,
    /// Which attempt this is, those of earlier runs included.
    pub attempt: u32,
    /// The worker's slot.
    pub worker: WorkerId,
    /// The id of the request, from 0 for each process.
    pub request: u64,
    /// The worker notes itself which requests it has begun; otherwise it has begun this one as soon as it is sent.
    pub tells_begun: bool,
}

/// Something the user may want to be told on standard error while the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A worker's process is there (shown with `-v`).
    WorkerStarted {
        /// Its slot.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// A worker ended although nobody asked it to.
    WorkerDied {
        /// Its slot.
        worker: WorkerId,
        /// Its process.
        pid: u32,
        /// How.
        status: ExitStatus,
        /// What it wrote to standard error, as far as it belongs to no job and was not shown before.
        stderr: Vec<u8>,
    },
    /// A worker broke the protocol and is being replaced.
    ProtocolBroken {
        /// Its slot.
        worker: WorkerId,
        /// What it did.
        message: String,
        /// The first bytes of the offending line.
        excerpt: Vec<u8>,
    },
    /// A line on a worker's standard output that is no message.
    StrayOutput {
        /// Its slot.
        worker: WorkerId,
        /// The line.
        line: Vec<u8>,
        /// Whether it is the first one of this run, worth a warning.
        first: bool,
    },
    /// What a worker wrote to standard error while no single job was running in it.
    WorkerStderr {
        /// Its slot.
        worker: WorkerId,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// A worker's own log message.
    Log {
        /// Its slot.
        worker: WorkerId,
        /// `error`, `warning`, `info` or `debug`.
        level: String,
        /// The text.
        message: String,
    },
    /// Workers cannot be started or keep dying: the run gives up.
    GivingUp {
        /// Why, with the worker's own words where there are some.
        message: String,
    },
    /// What makes the exit code another than 0 or 1 and stands in no record.
    Fault {
        /// What is wrong, and why.
        message: String,
    },
    /// Something to know that fits none of the above.
    Warning {
        /// The text.
        message: String,
    },
    /// The run is being stopped.
    Stopping {
        /// Why, and what happens next.
        message: String,
    },
}
