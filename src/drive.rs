//! The one loop body: what follows on the events of a turn, in reality and in the simulator alike.

use crate::pool::{Action, Pool};
use crate::time::Time;

/// Whoever carries out what the core wants done.
pub trait Shell {
    /// Carries out one action. What comes of it is told to the core as events of a later turn.
    fn perform(&mut self, action: Action);
}

/// Ends a turn: carries out every action that follows from its events, and says when the next turn is due at the latest.
pub fn finish_turn(pool: &mut Pool, shell: &mut impl Shell) -> Option<Time> {
    while let Some(action) = pool.next_action() {
        shell.perform(action);
    }
    pool.next_deadline()
}
