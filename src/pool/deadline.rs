//! The table of deadlines: what must be looked at when. Equal moments are resolved by the key, never by chance.

use super::job_table::JobKey;
use crate::ids::{Generation, WorkerId};
use crate::time::Time;
use std::collections::BTreeSet;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An attempt may take no longer, or what was asked to stop must have stopped.
    Flight(WorkerId, Generation, u64),
    /// The state of a worker (starting, draining, stopping) may last no longer.
    Worker(WorkerId, Generation),
    /// Look whether followers of a long job should be called back.
    Recall(WorkerId, Generation),
    /// Look whether a silent worker holds answers back.
    Shelf(WorkerId, Generation),
    /// A failed job's delay before its next attempt is over.
    Retry(JobKey),
    /// A slot may be filled again.
    Restart(WorkerId),
    /// Look at workers and machine from outside.
    Look,
    /// A worker waits no longer for shared state.
    Wait(u64),
    /// The list has been read long enough for the sake of its records.
    StopReading,
    /// Everything was killed; nothing is waited for any longer.
    GiveUpWaiting,
}

/// All deadlines. Setting and clearing cost the logarithm of how many there are, and none outlives its cause.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Time, Timer)>);

impl Deadlines {
    /// Sets a deadline in the field its owner keeps, replacing the one that is there.
    pub(super) fn set(&mut self, slot: &mut Option<Time>, at: Time, timer: Timer) {
        self.clear(slot, timer);
        self.0.insert((at, timer));
        *slot = Some(at);
    }

    /// Takes back the deadline in the owner's field, if there is one.
    pub(super) fn clear(&mut self, slot: &mut Option<Time>, timer: Timer) {
        if let Some(at) = slot.take() {
            let was_there = self.0.remove(&(at, timer));
            debug_assert!(was_there, "the owner's field and the table agree: {timer:?}");
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes one deadline that has come. The owner's field must be cleared by whoever handles it.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let &(at, timer) = self.0.first()?;
        (at <= now).then(|| {
            self.0.pop_first();
            timer
        })
    }

    /// Whether exactly this deadline is set.
    pub(super) fn contains(&self, at: Time, timer: Timer) -> bool {
        self.0.contains(&(at, timer))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
