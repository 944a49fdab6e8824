//! Names of things inside a run, as types of their own so that they cannot be mixed up.

/// A job of this run: its number in the job list, from 1. What the user called it is [`crate::job::UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A worker's slot, 1 to N. It keeps its number when the process in it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

impl WorkerId {
    /// Position of the slot in a table, from 0.
    pub fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// The slot at this position of a table.
    pub(crate) fn from_index(index: usize) -> Self {
        WorkerId(index as u32 + 1)
    }
}

/// Which process this is in its slot, from 1. Every event of a worker carries slot and generation;
/// news of a process that is no longer there is recognised by its stale generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);
