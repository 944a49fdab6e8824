//! The invariants of the core, re-derived from scratch. For the simulator and tests; too slow for every turn of a run.

use super::Pool;
use super::deadline::Timer;
use super::job_table::JobState;
use super::worker::State;
use std::collections::BTreeSet;

impl Pool {
    /// Checks every cross-reference of the state.
    ///
    /// # Panics
    ///
    /// When the state contradicts itself: a defect.
    pub fn sanity_check(&self) {
        self.check_jobs();
        self.check_workers();
        self.check_deadlines();
        let ended = self.stats.before + self.stats.done();
        assert_eq!(self.stats.accepted, ended + self.jobs.len() as u64, "every job is open or ended");
    }

    fn check_jobs(&self) {
        let ready: BTreeSet<_> = self.queue.iter().collect();
        assert_eq!(ready.len(), self.queue.len(), "no job is queued twice, and the count is right");
        let sent: Vec<_> =
            self.workers.iter().flat_map(|worker| worker.flights.iter().filter_map(|(_, flight)| flight.job)).collect();
        let sent_once: BTreeSet<_> = sent.iter().copied().collect();
        assert_eq!(sent.len(), sent_once.len(), "a job is with one worker at a time");
        let (mut bytes, mut delayed, mut blocked) = (0, 0, 0);
        for (key, entry) in self.jobs.iter() {
            assert_eq!(entry.state == JobState::Ready, ready.contains(&key), "{key:?} {:?}", entry.state);
            assert_eq!(entry.state == JobState::Sent, sent_once.contains(&key), "{key:?} {:?}", entry.state);
            assert_eq!(entry.state == JobState::Locked, self.locked.get(&entry.job.number.0) == Some(&key));
            bytes += if matches!(entry.state, JobState::Ready | JobState::Locked) { entry.bytes } else { 0 };
            delayed += usize::from(entry.state == JobState::Delayed);
            blocked += usize::from(matches!(entry.state, JobState::Blocked(_)));
            assert_eq!(entry.retry_at.is_some(), entry.state == JobState::Delayed);
            let own = entry.job.options.as_ref().and_then(|options| options.retries);
            let before = entry.job.past.as_deref().map_or(0, |past| past.attempts);
            let allowed = 1 + own.unwrap_or(self.config.retries).max(before);
            assert!(entry.attempts <= allowed, "no attempt more than allowed");
        }
        assert_eq!((bytes, delayed, blocked), (self.queued_bytes, self.delayed, self.needs.blocked()));
    }

    fn check_workers(&self) {
        let mut starting = 0;
        let mut open = 0;
        let mut running = 0;
        for worker in &self.workers {
            starting +=
                usize::from(matches!(worker.state, State::Spawning | State::Starting | State::Initialising { .. }));
            open += worker.flights.open();
            running += worker.flights.iter().filter(|(_, f)| f.begun.is_some() && f.job.is_some()).count();
            assert!(worker.flights.begun() <= worker.concurrency, "no more is begun than the worker can run");
            assert!(worker.flights.is_compact(), "what was answered is forgotten");
            if let Some(load) = self.offers.load(worker.id) {
                assert_eq!(load, worker.flights.open(), "the offer says what the worker has to do");
                assert_eq!(worker.state, State::Up, "only workers that are up are offered");
            }
            assert!(worker.state.has_process() || worker.flights.open() == 0, "no request without a process");
            if worker.state == State::Empty && self.empty.contains(&worker.id) {
                assert!(worker.timer.is_none());
            }
        }
        assert_eq!(starting, self.starting);
        assert_eq!(open, self.open_requests);
        assert_eq!(running as u64, self.stats.running);
    }

    fn check_deadlines(&self) {
        let mut count = 0;
        let mut expect = |at: Option<crate::time::Time>, timer: Timer| {
            if let Some(at) = at {
                assert!(self.deadlines.contains(at, timer), "{timer:?} stands in the table");
                count += 1;
            }
        };
        for worker in &self.workers {
            let timer = match worker.state {
                State::Resting => Timer::Restart(worker.id),
                _ => Timer::Worker(worker.id, worker.generation),
            };
            expect(worker.timer, timer);
            expect(worker.recall_at, Timer::Recall(worker.id, worker.generation));
            expect(worker.shelf_at, Timer::Shelf(worker.id, worker.generation));
            for (wire_id, flight) in worker.flights.iter() {
                expect(flight.deadline, Timer::Flight(worker.id, worker.generation, wire_id));
            }
        }
        for (key, entry) in self.jobs.iter() {
            expect(entry.retry_at, Timer::Retry(key));
        }
        for (&ticket, &at) in &self.waits {
            expect(at, Timer::Wait(ticket));
        }
        expect(self.stop_reading_at, Timer::StopReading);
        expect(self.look_at, Timer::Look);
        expect(self.give_up_waiting_at, Timer::GiveUpWaiting);
        assert_eq!(count, self.deadlines.len(), "no deadline outlives its cause");
    }
}
