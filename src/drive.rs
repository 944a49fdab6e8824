//! The two halves of a turn: facts go into the core, orders come out. The reactor and the simulator both run these, so that the
//! order of calls which is tested is the order that is shipped. It does no I/O and decides nothing.

use crate::pool::{Action, Event, Pool};
use crate::time::{Now, Time};

/// Whoever carries out what the core orders: the reactor with system calls, the simulator with invented workers.
pub trait Shell {
    /// Carries out one order. What comes of it is told to the core as an event of a later turn.
    fn perform(&mut self, action: Action);
}

/// Hands in jobs for as long as the core wants any. `next` gives what was read next, a job or something that is none,
/// or nothing when there is nothing to be had now.
pub fn hand_in(pool: &mut Pool, now: Now, mut next: impl FnMut() -> Option<Event<'static>>) {
    while pool.wants_job() {
        match next() {
            Some(event) => pool.handle(now, event),
            None => break,
        }
    }
}

/// Ends a turn, after all its events were handled: carries out everything the core wants done, and says when the core
/// wants to hear [`Event::DeadlineReached`] at the latest.
pub fn finish_turn(pool: &mut Pool, shell: &mut impl Shell) -> Option<Time> {
    while let Some(action) = pool.next_action() {
        shell.perform(action);
    }
    pool.next_deadline()
}
