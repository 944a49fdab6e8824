//! What the core is told: facts, in the past tense.

use crate::ids::{Generation, WorkerId};
use crate::job::{Invalid, Job};
use crate::record::Status;
use crate::status::ExitStatus;

/// Something that happened outside the core.
///
/// Every event of a worker names the slot and the generation; one that names a process no longer there is ignored.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A job was read from the list.
    JobArrived(Job),
    /// A job was read that has its record from an earlier run.
    JobEndedBefore {
        /// The job.
        job: Job,
        /// What the record says.
        status: Status,
    },
    /// A job was read that was running when an earlier run ended, and that may not be run again. It gets its record now.
    JobUnknown(Job),
    /// A piece of the list is no job.
    JobInvalid(Invalid),
    /// The list has ended; `error` says why when it did not end well.
    InputClosed {
        /// The fault that ended it early, in words.
        error: Option<String>,
    },
    /// The process of a slot is there.
    Spawned {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// Its process id.
        pid: u32,
    },
    /// The process of a slot could not be started.
    SpawnFailed {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// Whether trying again may help.
        fault: SpawnFault,
        /// What went wrong, in words.
        message: String,
    },
    /// A worker wrote to its standard output.
    Output {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// What it wrote; lines may be cut anywhere.
        bytes: &'a [u8],
    },
    /// A worker wrote to its standard error.
    Stderr {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// What it wrote.
        bytes: &'a [u8],
        /// Nothing new has come on its standard output, where that was looked for afterwards: whatever ran then still runs.
        in_step: bool,
    },
    /// A worker's standard output has ended. It may still live.
    StdoutClosed {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
    },
    /// A worker's process has ended and all it wrote was delivered before.
    Exited {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// How it ended.
        status: ExitStatus,
        /// How many of the last bytes sent to it were never read by it.
        unread: usize,
    },
    /// The answer to [`super::Action::Probe`]: so many of the bytes sent to a worker were not read by it.
    Unread {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// Bytes it has not read, those that still wait for room in its pipe included.
        bytes: usize,
    },
    /// The memory in which a worker holds answers back is open: [`super::Action::TakeShelf`] has succeeded.
    ShelfTaken {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
    },
    /// So many bytes for this worker wait because its pipe is full; 0 when it has taken all.
    StdinBacklog {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// Bytes that wait.
        bytes: usize,
    },
    /// This worker has closed its standard input, or is ending.
    StdinBroken {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// How many of the bytes sent to it it has never read.
        unread: usize,
    },
    /// The answer to [`super::Action::Look`].
    Looked {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
        /// Resident memory of it and all it started, in bytes.
        memory: u64,
        /// It is stopped (SIGSTOP), so that it does nothing.
        stopped: bool,
    },
    /// The answer to [`super::Action::LookAround`]: so many bytes of memory can be had.
    MemoryAvailable {
        /// Bytes.
        bytes: u64,
    },
    /// The kernel has ended processes for want of memory, and this worker was killed at that time. Its end follows.
    KernelWasShort {
        /// Its slot.
        worker: WorkerId,
        /// Its generation.
        generation: Generation,
    },
    /// A guest sent something over its connection.
    GuestAsked {
        /// The connection.
        guest: u64,
        /// What it sent; lines may be cut anywhere.
        bytes: &'a [u8],
    },
    /// A guest's connection has ended.
    GuestLeft {
        /// The connection.
        guest: u64,
    },
    /// So many bytes of records wait to be written.
    OutputBacklog {
        /// Bytes that wait.
        bytes: usize,
    },
    /// Records can no longer be written.
    OutputLost {
        /// Why, in words.
        message: String,
    },
    /// A signal asks the run to stop; the second one asks for it at once.
    StopRequested {
        /// The signal.
        signal: i32,
    },
    /// The deadline given by `next_deadline` has come. Harmless when it has not.
    DeadlineReached,
}

/// Why a process could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnFault {
    /// The machine is short of something (processes, memory, descriptors): later it may work.
    Shortage,
    /// It will not work later either: no such program, not executable.
    Permanent,
}
