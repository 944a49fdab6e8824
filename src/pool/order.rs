//! `--keep-order`: records leave in the order of the list, as a prefix without gaps.

use super::job_table::JobKey;
use crate::ids::JobId;
use crate::json::Json;
use crate::record::Record;
use std::collections::VecDeque;

/// Most jobs between the oldest record that is still owed and the newest job read. Beyond it reading pauses, so that
/// one slow job at the head does not make the rest pile up.
pub(super) const WINDOW_JOBS_MAX: usize = 65_536;

/// Most bytes of records held back. Beyond it only the job at the head is begun.
pub(super) const HELD_BYTES_MAX: usize = 32 << 20;

/// The window of jobs whose records are still owed or held back.
#[derive(Debug)]
pub(super) struct Order {
    /// The number of the first slot.
    next: JobId,
    slots: VecDeque<Slot>,
    held_bytes: usize,
}

#[derive(Debug)]
enum Slot {
    Pending(Option<JobKey>),
    Held(Box<Record>),
    /// Its record left in an earlier run.
    Passed,
}

impl Default for Order {
    fn default() -> Self {
        Order { next: JobId(1), slots: VecDeque::new(), held_bytes: 0 }
    }
}

impl Order {
    /// A job (or something that is none, without a key) was accepted.
    pub(super) fn accept(&mut self, number: JobId, key: Option<JobKey>) {
        assert_eq!(number.0, self.next.0 + self.slots.len() as u64, "jobs are numbered without gaps");
        self.slots.push_back(Slot::Pending(key));
    }

    /// A record was made: it is held until all before it have left.
    pub(super) fn hold(&mut self, number: JobId, record: Record) {
        self.held_bytes += weight(&record);
        self.slots[(number.0 - self.next.0) as usize] = Slot::Held(Box::new(record));
    }

    /// The next job of the list has its record already.
    pub(super) fn pass(&mut self, number: JobId) {
        self.accept(number, None);
        *self.slots.back_mut().expect("just added") = Slot::Passed;
    }

    /// The next record that may leave.
    pub(super) fn release(&mut self) -> Option<Record> {
        while let Some(Slot::Passed) = self.slots.front() {
            self.slots.pop_front();
            self.next.0 += 1;
        }
        if !matches!(self.slots.front()?, Slot::Held(_)) {
            return None;
        }
        let Some(Slot::Held(record)) = self.slots.pop_front() else { unreachable!("it was just looked at") };
        self.next.0 += 1;
        self.held_bytes -= weight(&record);
        Some(*record)
    }

    /// The job that holds up all others.
    pub(super) fn head(&self) -> Option<JobKey> {
        match self.slots.front()? {
            Slot::Pending(key) => *key,
            Slot::Held(_) | Slot::Passed => None,
        }
    }

    /// Whether reading should pause.
    pub(super) fn window_is_full(&self) -> bool {
        self.slots.len() >= WINDOW_JOBS_MAX
    }

    /// Whether only the head may be begun.
    pub(super) fn holds_too_much(&self) -> bool {
        self.held_bytes > HELD_BYTES_MAX
    }
}

fn weight(record: &Record) -> usize {
    let json = |value: &Option<Json>| value.as_ref().map_or(0, |value| value.get().len());
    let printed = |value: &Option<crate::record::Printed>| value.as_ref().map_or(0, |value| value.bytes.len());
    256 + json(&record.result) + json(&record.error) + printed(&record.rare().stdout) + printed(&record.rare().stderr)
}
