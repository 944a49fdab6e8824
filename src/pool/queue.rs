//! The jobs that are ready, in the order they are to be begun: higher priority first, then the order of the list.

use super::job_table::JobKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// The ready jobs. Suspects stand apart, because each of them runs alone.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Those of the usual priority, as nearly all are.
    usual: VecDeque<JobKey>,
    /// Those of any other; none of the lanes is empty.
    lanes: BTreeMap<Reverse<i64>, VecDeque<JobKey>>,
    suspects: VecDeque<JobKey>,
    /// Jobs that hold their locks: the sooner they run, the shorter others wait.
    granted: VecDeque<JobKey>,
    len: usize,
    has_priorities: bool,
}

impl Queue {
    /// Adds a job behind those of its priority.
    #[inline(always)]
    pub(super) fn push_back(&mut self, priority: i64, key: JobKey) {
        self.has_priorities |= priority != 0;
        self.lane(priority).push_back(key);
        self.len += 1;
    }

    /// Puts a job back in front: it was sent, but never begun.
    pub(super) fn push_front(&mut self, priority: i64, key: JobKey) {
        self.lane(priority).push_front(key);
        self.len += 1;
    }

    #[inline(always)]
    fn lane(&mut self, priority: i64) -> &mut VecDeque<JobKey> {
        if priority == 0 { &mut self.usual } else { self.lanes.entry(Reverse(priority)).or_default() }
    }

    /// Adds a job that holds its locks.
    pub(super) fn push_granted(&mut self, key: JobKey) {
        self.granted.push_back(key);
        self.len += 1;
    }

    /// Puts a job back that holds its locks: no worker could begin it at once.
    pub(super) fn push_granted_front(&mut self, key: JobKey) {
        self.granted.push_front(key);
        self.len += 1;
    }

    /// Adds a suspect.
    pub(super) fn push_suspect(&mut self, key: JobKey) {
        self.suspects.push_back(key);
        self.len += 1;
    }

    /// Whether any job so far has had another priority than the usual one.
    pub(super) fn has_priorities(&self) -> bool {
        self.has_priorities
    }

    /// The next job that may run beside others.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<JobKey> {
        let key = match self.granted.pop_front() {
            Some(key) => key,
            None if self.lanes.is_empty() => self.usual.pop_front()?,
            None => self.pop_by_priority()?,
        };
        self.len -= 1;
        Some(key)
    }

    fn pop_by_priority(&mut self) -> Option<JobKey> {
        let first = self.lanes.first_entry();
        let Some(mut lane) = first.filter(|lane| lane.key().0 > 0 || self.usual.is_empty()) else {
            return self.usual.pop_front();
        };
        let key = lane.get_mut().pop_front();
        if lane.get().is_empty() {
            lane.remove();
        }
        key
    }

    /// The next suspect.
    pub(super) fn pop_suspect(&mut self) -> Option<JobKey> {
        let key = self.suspects.pop_front()?;
        self.len -= 1;
        Some(key)
    }

    /// Whether a suspect waits.
    pub(super) fn has_suspect(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// The first job that holds its locks.
    pub(super) fn first_granted(&self) -> Option<JobKey> {
        self.granted.front().copied()
    }

    /// The jobs that may hold their locks although they are not begun.
    pub(super) fn unbegun_holders(&self) -> impl Iterator<Item = JobKey> {
        self.granted.iter().chain(&self.suspects).copied()
    }

    /// Takes one certain job out of turn; whether it was there.
    pub(super) fn take(&mut self, priority: i64, key: JobKey) -> bool {
        let lane = if priority == 0 { Some(&mut self.usual) } else { self.lanes.get_mut(&Reverse(priority)) };
        let found = lane.into_iter().chain([&mut self.suspects, &mut self.granted]).any(|jobs| {
            let at = jobs.iter().position(|&waiting| waiting == key);
            at.and_then(|at| jobs.remove(at)).is_some()
        });
        if self.lanes.get(&Reverse(priority)).is_some_and(VecDeque::is_empty) {
            self.lanes.remove(&Reverse(priority));
        }
        self.len -= usize::from(found);
        found
    }

    /// How many jobs are ready.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of them may run beside others.
    pub(super) fn len_ordinary(&self) -> usize {
        self.len - self.suspects.len()
    }

    /// All of them, for the check of cross-references.
    pub(super) fn iter(&self) -> impl Iterator<Item = JobKey> {
        self.lanes.values().flatten().chain(&self.usual).chain(&self.suspects).chain(&self.granted).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::job::{Call, Job, UserId};
    use crate::pool::job_table::{JobEntry, JobState, JobTable};

    fn keys(count: u64) -> Vec<JobKey> {
        let mut table = JobTable::default();
        (1..=count)
            .map(|number| {
                let job = Job {
                    past: None,
                    number: JobId(number),
                    id: UserId::Number(number),
                    call: Call::Line((*b"x").into()),
                    options: None,
                };
                let state = JobState::Ready;
                table.insert(JobEntry {
                    job,
                    attempts: 0,
                    suspect: false,
                    came_back_late: false,
                    granted: false,
                    state,
                    bytes: 0,
                    retry_at: None,
                    last: None,
                })
            })
            .collect()
    }

    #[test]
    fn priority_first_then_the_order_of_the_list() {
        let key = keys(6);
        let mut queue = Queue::default();
        for (priority, key) in [(0, key[0]), (-1, key[1]), (5, key[2]), (0, key[3]), (5, key[4])] {
            queue.push_back(priority, key);
        }
        queue.push_front(0, key[5]);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [key[2], key[4], key[5], key[0], key[3], key[1]]);
        assert_eq!(queue.len(), 0);
        assert!(queue.pop().is_none());
    }

    #[test]
    fn suspects_stand_apart_and_anything_can_be_taken_out_of_turn() {
        let key = keys(3);
        let mut queue = Queue::default();
        queue.push_suspect(key[0]);
        queue.push_back(0, key[1]);
        queue.push_back(0, key[2]);
        assert_eq!((queue.len(), queue.len_ordinary()), (3, 2));
        assert!(queue.take(0, key[2]));
        assert!(!queue.take(0, key[2]));
        assert_eq!(queue.pop(), Some(key[1]));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.pop_suspect(), Some(key[0]));
        assert_eq!(queue.len(), 0);
    }
}
