//! The requests that are open at one worker, in the order they were sent.
//!
//! A worker that takes jobs strictly in turn has begun the first `concurrency` of them and none of the others:
//! this is how the account of a crash stays exact although jobs are sent ahead.

use super::job_table::JobKey;
use crate::record::Printed;
use crate::time::{Now, Time};
use std::collections::{BTreeMap, VecDeque};

/// One open request.
#[derive(Debug)]
pub(super) struct Flight {
    /// The job; `None` once its record is made although the worker has not answered: a late answer is then swallowed.
    pub(super) job: Option<JobKey>,
    /// How many bytes had been sent to the worker after this request.
    pub(super) end_offset: u64,
    /// When the worker began it, as far as can be known from here; `None` while it only waits in the worker's pipe.
    pub(super) begun: Option<Now>,
    /// When its attempt must have ended, or, once cancelled, when the worker must have answered.
    pub(super) deadline: Option<Time>,
    /// Its answer was looked for on the worker's shelf when the deadline came.
    pub(super) looked_for: bool,
    /// Whether the worker was asked to stop it, and why.
    pub(super) cancel: Option<Cancel>,
    /// What the function has printed, and where it was stuck; for most jobs nothing.
    pub(super) said: Option<Box<Said>>,
}

/// What came from the worker about an open request before its answer.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) stdout: Printed,
    pub(super) stderr: Printed,
    /// The stack of a function that was asked to stop.
    pub(super) stuck: Option<String>,
    /// The worker has said that the others in it go on meanwhile.
    pub(super) lets_others_run: bool,
}

/// Why a request was cancelled. The greater reason wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cancel {
    /// It waits behind a long job and could run elsewhere.
    Recall,
    /// It ran too long.
    Timeout,
    /// The run is being stopped.
    Stop,
}

/// How many answered requests may stand among the open ones, beyond twice as many as these are: so few that nobody minds,
/// so many that answers which come nearly in turn never have any put aside.
const HOLES_MAX: usize = 64;

/// The open requests of one worker.
#[derive(Debug, Default)]
pub(super) struct Flights {
    /// By wire id, from `base`; `None` where already answered.
    slots: VecDeque<Option<Flight>>,
    base: u64,
    /// Open ones below `base`: they stay open while many behind them are answered, and are put aside so that these can be
    /// forgotten.
    aside: BTreeMap<u64, Flight>,
    open: usize,
    begun: usize,
    /// Wire id of the first request that may not have been begun.
    first_not_begun: u64,
}

impl Flights {
    /// The id the next request will have.
    pub(super) fn next_id(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// Adds the newest request, behind which so many bytes have been sent.
    #[inline(always)]
    pub(super) fn push(&mut self, job: JobKey, end_offset: u64) -> u64 {
        let id = self.next_id();
        let flight = Flight {
            job: Some(job),
            end_offset,
            begun: None,
            deadline: None,
            looked_for: false,
            cancel: None,
            said: None,
        };
        self.slots.push_back(Some(flight));
        self.open += 1;
        id
    }

    /// An open request.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Flight> {
        match id.checked_sub(self.base) {
            Some(at) => self.slots.get_mut(usize::try_from(at).ok()?)?.as_mut(),
            None => self.aside.get_mut(&id),
        }
    }

    /// Takes an open request out: it was answered, or its worker is gone.
    #[inline(always)]
    pub(super) fn take(&mut self, id: u64) -> Option<Flight> {
        let flight = match id.checked_sub(self.base) {
            // The oldest one, as most are: what stands there is open.
            Some(0) => {
                let first = self.slots.pop_front()?;
                self.base += 1;
                first?
            }
            Some(at) => self.slots.get_mut(usize::try_from(at).ok()?)?.take()?,
            None => self.aside.remove(&id)?,
        };
        self.open -= 1;
        self.begun -= usize::from(flight.begun.is_some());
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
        if !self.is_compact() {
            self.put_aside();
        }
        Some(flight)
    }

    /// Each request is put aside once at most, and its place is given up for good.
    #[cold]
    fn put_aside(&mut self) {
        while !self.is_compact() {
            if let Some(Some(flight)) = self.slots.pop_front() {
                self.aside.insert(self.base, flight);
            }
            self.base += 1;
        }
    }

    /// The worker has room: marks the oldest request that was not begun as begun, and names it and its job.
    #[inline(always)]
    pub(super) fn begin_next(&mut self, concurrency: usize, now: Now) -> Option<(u64, Option<JobKey>)> {
        if self.begun >= concurrency {
            return None;
        }
        while self.first_not_begun < self.next_id() {
            let id = self.first_not_begun;
            self.first_not_begun += 1;
            if let Some(flight) = self.get_mut(id).filter(|flight| flight.begun.is_none()) {
                flight.begun = Some(now);
                let job = flight.job;
                self.begun += 1;
                return Some((id, job));
            }
        }
        None
    }

    /// Open requests with their ids, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Flight)> {
        let (base, aside) = (self.base, self.aside.iter().map(|(&id, flight)| (id, flight)));
        aside.chain(
            self.slots.iter().enumerate().filter_map(move |(at, flight)| Some((base + at as u64, flight.as_ref()?))),
        )
    }

    /// Whether the account is as small as its limit says, for the check of cross-references.
    pub(super) fn is_compact(&self) -> bool {
        self.slots.len() <= 2 * self.open + HOLES_MAX
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many of them are begun.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Ids of the open ones that are begun.
    pub(super) fn begun_ids(&self) -> Vec<u64> {
        self.iter().filter(|(_, flight)| flight.begun.is_some()).map(|(id, _)| id).collect()
    }

    /// Ids of the open ones that are not begun and were not called back yet.
    pub(super) fn followers(&self) -> Vec<u64> {
        let follows = |flight: &Flight| flight.begun.is_none() && flight.cancel.is_none();
        self.iter().filter(|(_, flight)| follows(flight)).map(|(id, _)| id).collect()
    }

    /// Whether there is any that [`Flights::followers`] would name. Requests are begun in turn, so those are last.
    pub(super) fn has_followers(&self) -> bool {
        let last = self.slots.iter().rev().flatten().next().or_else(|| self.aside.values().next_back());
        last.is_some_and(|flight| flight.begun.is_none() && flight.cancel.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::job::{Call, Job, UserId};
    use crate::pool::job_table::{JobEntry, JobState, JobTable};

    fn key() -> JobKey {
        let call = Call::Line((*b"x").into());
        let job = Job { past: None, number: JobId(1), id: UserId::Number(1), call, options: None };
        JobTable::default().insert(JobEntry {
            job,
            attempts: 0,
            suspect: false,
            came_back_late: false,
            granted: false,
            state: JobState::Sent,
            bytes: 0,
            retry_at: None,
            last: None,
        })
    }

    #[test]
    fn behind_a_request_that_stays_open_the_answered_ones_are_forgotten() {
        let (key, mut flights) = (key(), Flights::default());
        let long = flights.push(key, 0);
        for _ in 0..10_000 {
            let ids: Vec<u64> = (0..5).map(|_| flights.push(key, 0)).collect();
            while flights.begin_next(3, Now::default()).is_some() {}
            for id in ids.into_iter().rev() {
                assert!(flights.get_mut(id).is_some() && flights.take(id).is_some());
                assert!(flights.get_mut(id).is_none() && flights.take(id).is_none(), "it was answered");
            }
            assert!(flights.is_compact());
        }
        assert_eq!(flights.next_id(), 50_001);
        assert_eq!((flights.begun_ids(), flights.open()), (vec![long], 1));
        assert!(flights.slots.capacity() < 500, "{}", flights.slots.capacity());
        assert!(flights.take(long).is_some());
        assert!(flights.slots.is_empty() && flights.aside.is_empty() && flights.begun() == 0);
    }

    #[test]
    fn requests_are_found_however_they_are_answered() {
        let (key, mut flights) = (key(), Flights::default());
        let mut open = Vec::new();
        // Some stay open for long, others are answered soon, in no order.
        for round in 0..5_000_usize {
            open.push(flights.push(key, 0));
            if round % 7 != 0 {
                let id = open.remove(round * 31 % open.len());
                assert!(flights.take(id).is_some(), "{id}");
            }
            if round % 500 == 0 {
                assert!(flights.iter().map(|(id, _)| id).eq(open.iter().copied()));
                assert!(open.iter().all(|&id| flights.get_mut(id).is_some()));
            }
        }
        assert_eq!(flights.open(), open.len());
        assert!(flights.has_followers() && !flights.aside.is_empty());
        // What is put aside is begun in its turn all the same.
        while flights.begin_next(usize::MAX, Now::default()).is_some() {}
        assert_eq!(flights.begun_ids(), open);
        assert!(!flights.has_followers());
    }
}
