//! What a worker holds back: answers that lie in memory which the shell can read too, until they are worth a write. When
//! the worker dies the shell delivers them before its end, so a death needs nothing from here. This part decides when
//! they are looked for while it lives: when it was silent for long, and before a job is called overdue.

use super::deadline::Timer;
use super::{Action, Pool};
use crate::ids::WorkerId;
use crate::protocol::ShelfPlace;
use std::time::Duration;

/// A worker that says nothing for so long, with more than one request open, may be in a long job behind short ones whose
/// answers it holds. Longer than a worker with short jobs is silent, and as long as a follower waits for its recall.
const LOOK_AFTER: Duration = Duration::from_millis(2);

/// Looks that find nothing come ever more seldom, but not less often than this: an answer is not held longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Pool {
    /// The worker said that it has a shelf.
    pub(super) fn take_shelf(&mut self, id: WorkerId, shelf: ShelfPlace) {
        let worker = &self.workers[id.index()];
        let (generation, pid, from) = (worker.generation, worker.shown_pid, worker.received);
        self.actions.push_back(Action::TakeShelf { worker: id, generation, pid, shelf, from });
    }

    /// The shell has it open: from now on the worker may hold answers back.
    pub(super) fn shelf_taken(&mut self, id: WorkerId) {
        self.workers[id.index()].has_shelf = true;
        self.plan_shelf(id);
    }

    /// Plans the next look, if there may be something to be seen: with one request open nothing is held back.
    pub(super) fn plan_shelf(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        if worker.has_shelf && worker.shelf_at.is_none() && worker.flights.open() > 1 {
            let at = worker.last_progress.max(self.now.time).after(LOOK_AFTER);
            self.deadlines.set(&mut worker.shelf_at, at, Timer::Shelf(id, worker.generation));
        }
    }

    /// The worker has spoken: what had become seldom begins anew.
    pub(super) fn shelf_sooner(&mut self, id: WorkerId) {
        let at = self.now.time.after(LOOK_AFTER);
        let worker = &mut self.workers[id.index()];
        if worker.shelf_at.is_some_and(|planned| planned > at) {
            self.deadlines.set(&mut worker.shelf_at, at, Timer::Shelf(id, worker.generation));
        }
    }

    /// The time to look has come, unless the worker has spoken since.
    pub(super) fn shelf_due(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        if worker.flights.open() < 2 || !worker.state.has_process() {
            return;
        }
        let silent = self.now.time.since(worker.last_progress);
        let timer = Timer::Shelf(id, worker.generation);
        if silent < LOOK_AFTER {
            self.deadlines.set(&mut worker.shelf_at, worker.last_progress.after(LOOK_AFTER), timer);
        } else {
            self.deadlines.set(&mut worker.shelf_at, self.now.time.after(silent.min(LOOK_EVERY)), timer);
            self.look_on_shelf(id);
        }
    }

    /// A job is overdue as far as is known here. Its answer may lie on the shelf: it is looked for first, once. Whether
    /// that has to be waited for.
    pub(super) fn look_on_shelf_first(&mut self, id: WorkerId, wire_id: u64) -> bool {
        let worker = &mut self.workers[id.index()];
        let may_hold = worker.has_shelf && worker.flights.open() > 1;
        let Some(flight) = worker.flights.get_mut(wire_id).filter(|flight| may_hold && !flight.looked_for) else {
            return false;
        };
        flight.looked_for = true;
        // What is found comes as output in the next turn, before this.
        let at = self.now.time.after(LOOK_AFTER);
        self.deadlines.set(&mut flight.deadline, at, Timer::Flight(id, worker.generation, wire_id));
        self.look_on_shelf(id);
        true
    }

    fn look_on_shelf(&mut self, id: WorkerId) {
        let generation = self.workers[id.index()].generation;
        self.actions.push_back(Action::LookAtShelf { worker: id, generation });
    }
}
