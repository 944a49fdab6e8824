//! The life of every job that is owed a record: accepted, waiting, running, ended.
//!
//! A job is removed from the table in the moment its record is made, so a second record cannot be.

use crate::ids::JobId;
use crate::job::Job;
use crate::record::Record;
use crate::time::Time;

/// Where a job stands in the table. Only valid while the job is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct JobKey(u32);

/// A job that is owed a record.
#[derive(Debug)]
pub(super) struct JobEntry {
    pub(super) job: Job,
    /// How often it was begun.
    pub(super) attempts: u32,
    /// It was in flight with others when a worker died, so its next attempt runs alone.
    pub(super) suspect: bool,
    /// A worker gave it back when its time had passed, and said that it had never begun it.
    pub(super) came_back_late: bool,
    /// It holds its `locks`, so that it can be sent.
    pub(super) granted: bool,
    pub(super) state: JobState,
    /// What it counts for against the limit of the queue.
    pub(super) bytes: usize,
    /// The end of the delay before its next attempt, while it is [`JobState::Delayed`].
    pub(super) retry_at: Option<Time>,
    /// What its last attempt would leave as record, while another one is allowed.
    pub(super) last: Option<Box<Record>>,
}

/// What a job is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    /// For other jobs to end (`needs`); so many are still missing.
    Blocked(u32),
    /// For the delay before its next attempt.
    Delayed,
    /// For its locks.
    Locked,
    /// For a worker.
    Ready,
    /// Sent to a worker: its flight knows the rest.
    Sent,
}

/// All jobs that are owed a record.
#[derive(Debug, Default)]
pub(super) struct JobTable {
    entries: Vec<Option<JobEntry>>,
    free: Vec<u32>,
}

impl JobTable {
    #[inline(always)]
    pub(super) fn insert(&mut self, entry: JobEntry) -> JobKey {
        match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                JobKey(index)
            }
            None => {
                self.entries.push(Some(entry));
                JobKey(u32::try_from(self.entries.len() - 1).expect("the limits of the queue keep the table small"))
            }
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, key: JobKey) -> &JobEntry {
        self.entries[key.0 as usize].as_ref().expect("a key is used only while its job is in the table")
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, key: JobKey) -> &mut JobEntry {
        self.entries[key.0 as usize].as_mut().expect("a key is used only while its job is in the table")
    }

    /// The job of a key that may be out of date: the number tells.
    pub(super) fn find(&mut self, key: JobKey, number: JobId) -> Option<&mut JobEntry> {
        self.entries[key.0 as usize].as_mut().filter(|entry| entry.job.number == number)
    }

    /// Whether the job of a key that may be out of date is still in the table.
    pub(super) fn has(&self, key: JobKey, number: JobId) -> bool {
        self.entries[key.0 as usize].as_ref().is_some_and(|entry| entry.job.number == number)
    }

    /// Ends the life of a job: whoever calls this makes its record.
    #[inline(always)]
    pub(super) fn remove(&mut self, key: JobKey) -> JobEntry {
        self.free.push(key.0);
        self.entries[key.0 as usize].take().expect("a job ends once")
    }

    /// How many jobs are owed a record.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// All of them, in the order of the table.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobKey, &JobEntry)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| Some((JobKey(index as u32), entry.as_ref()?)))
    }
}
