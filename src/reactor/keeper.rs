//! The journal during a run: rows to the thread that writes them, marks before jobs are sent, and standard output behind
//! both: what a record says is shown when the record is safe. Owns that order; decides nothing.

use crate::edge::{self, Durable, Piece, Way, fault_text};
use crate::ids::{JobId, WorkerId};
use crate::journal::{self, Marks};
use crate::pool::Entrusted;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

/// That a file has no name any more, in words: what was written to it is nowhere.
pub(super) fn was_removed(file: &File) -> Option<&'static str> {
    let is_removed = file.metadata().is_ok_and(|facts| facts.nlink() == 0);
    is_removed.then_some("the file was removed while the run went on")
}

/// Keeps the journal.
#[derive(Debug)]
pub(super) struct Keeper {
    durable: Durable,
    marks: Option<Marks>,
    /// How the file is called in messages.
    name: String,
    file: File,
    /// Bytes in the file, with those that are handed over.
    length: u64,
    /// Jobs whose records are handed over and not safe, with their groups.
    unsafe_yet: VecDeque<(u64, JobId)>,
    /// Jobs whose records are not handed over.
    ended: Vec<JobId>,
    /// Why marks could not be written.
    fault: Option<String>,
}

impl Keeper {
    /// For the `file` that `durable` appends to.
    pub(super) fn new(durable: Durable, marks: Option<Marks>, name: String, file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let (unsafe_yet, ended, fault) = (VecDeque::new(), Vec::new(), None);
        Ok(Keeper { durable, marks, name, file, length, unsafe_yet, ended, fault })
    }

    /// A worker is about to have a job.
    pub(super) fn entrust(&mut self, entrusted: &Entrusted) {
        if let Some(marks) = &mut self.marks {
            marks.set(entrusted);
        }
    }

    /// No worker has the job, of which so many attempts were begun.
    pub(super) fn take_back(&mut self, number: JobId, attempts: u32) {
        if let Some(marks) = &mut self.marks {
            marks.take_back(number, attempts);
        }
    }

    /// The job was met again; its mark is at this place.
    pub(super) fn adopt(&mut self, number: JobId, mark: usize) {
        if let Some(marks) = &mut self.marks {
            marks.adopt(number, mark);
        }
    }

    /// Writes the marks that have changed: before anything is sent, and before rows are written. Whether all of them are in
    /// the file.
    pub(super) fn write_marks(&mut self) -> bool {
        match self.marks.as_mut().map(Marks::flush) {
            Some(Err(error)) => {
                self.fault.get_or_insert_with(|| fault_text(&error));
                false
            }
            _ => true,
        }
    }

    /// A process is about to start in a slot. Gives what it inherits, and the place of its word in it.
    pub(super) fn renew(&mut self, worker: WorkerId) -> Option<(BorrowedFd<'_>, u64)> {
        let marks = self.marks.as_mut()?;
        if let Err(error) = marks.renew(worker) {
            self.fault.get_or_insert_with(|| fault_text(&error));
        }
        Some(marks.word_of(worker))
    }

    /// A job's record was made; the turn's rows, its own among them, have so many bytes now.
    pub(super) fn ended(&mut self, number: JobId, rows: usize) {
        self.ended.push(number);
        if let Some(marks) = &mut self.marks {
            marks.end(number, self.length + rows as u64);
        }
    }

    /// Hands the turn's rows over. What standard output shows of them has to wait for the group that this gives.
    pub(super) fn hand_over(&mut self, rows: &[u8]) -> u64 {
        self.write_marks();
        self.length += rows.len() as u64;
        let group = self.durable.push(rows);
        self.unsafe_yet.extend(self.ended.drain(..).map(|number| (group, number)));
        group
    }

    /// Forgets what has become safe. Gives the last group that has; with a broken journal nothing is waited for.
    pub(super) fn settle(&mut self) -> u64 {
        let safe = self.durable.safe();
        while let Some(&(group, number)) = self.unsafe_yet.front() {
            if group > safe {
                break;
            }
            self.unsafe_yet.pop_front();
            if let Some(marks) = &mut self.marks {
                marks.clear(number);
            }
        }
        if self.error().is_some() { u64::MAX } else { safe }
    }

    /// How the file of marks is called in messages.
    pub(super) fn marks_name(&self) -> String {
        journal::beside(self.name.as_ref()).display().to_string()
    }

    /// Bytes of rows that are not safe.
    pub(super) fn backlog(&self) -> usize {
        self.durable.backlog()
    }

    /// Why records cannot be kept any more.
    pub(super) fn error(&self) -> Option<String> {
        let fault = self.durable.error().map(|error| fault_text(&error)).or_else(|| self.fault.clone());
        fault.map(|fault| format!("{}: {fault}", self.name))
    }

    /// No record will follow. What was written is nowhere if the file has been removed meanwhile.
    pub(super) fn close(&mut self) {
        self.durable.close();
        if let Some(removed) = was_removed(&self.file) {
            self.fault.get_or_insert_with(|| removed.into());
        }
    }

    /// Whether all records are in the file, or never will be.
    pub(super) fn is_settled(&self) -> bool {
        self.durable.is_settled()
    }

    /// The run is over. Marks are left behind where records are missing, or where `marks_count` still.
    pub(super) fn finish(mut self, marks_count: bool) {
        let whole = self.durable.is_settled() && self.error().is_none() && !marks_count;
        match self.marks.take() {
            Some(marks) if whole => marks.remove(),
            Some(mut marks) => drop(marks.flush()),
            None => {}
        }
    }
}

/// Standard output, which waits for the journal where there is one.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) output: edge::Output,
    /// The group of what is pushed now.
    group: u64,
    /// The last group that may be shown.
    open: u64,
    held: VecDeque<(u64, Piece)>,
    held_bytes: usize,
}

impl Gate {
    pub(super) fn new(output: edge::Output) -> Self {
        Gate { output, group: 0, open: 0, held: VecDeque::new(), held_bytes: 0 }
    }

    /// What is pushed from now on belongs to this group.
    pub(super) fn set_group(&mut self, group: u64) {
        self.group = group;
    }

    /// Groups up to this one may be shown.
    pub(super) fn open_to(&mut self, group: u64) {
        self.open = group;
        while self.held.front().is_some_and(|(group, _)| *group <= self.open) {
            if let Some((_, piece)) = self.held.pop_front() {
                self.held_bytes -= piece.weight();
                self.output.push(piece);
            }
        }
    }

    /// Whether something waits for the journal.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn backlog(&self) -> usize {
        self.output.backlog().saturating_add(self.held_bytes)
    }
}

impl Way for Gate {
    fn buffer(&mut self) -> Vec<u8> {
        self.output.buffer()
    }

    fn push(&mut self, piece: Piece) {
        if self.group <= self.open && self.held.is_empty() {
            self.output.push(piece);
        } else {
            self.held_bytes += piece.weight();
            self.held.push_back((self.group, piece));
        }
    }
}
