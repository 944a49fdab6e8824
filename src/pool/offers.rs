//! The workers that have room, by how much they have to do: the least loaded comes first, and of equals the first slot.
//!
//! A tournament: each node above two others names the better of them, so that a change costs a step for every doubling
//! of the number of workers, in one piece of memory. A balanced tree of pairs took a twentieth of what a job costs.

use crate::ids::WorkerId;

/// No room, or no such worker.
const NONE: usize = usize::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Offers {
    /// How much each slot has to do, [`NONE`] where it has no room; as many as the next power of two.
    loads: Vec<usize>,
    /// The slot that wins below each node. Node 1 is the root; below node n are 2n and 2n + 1, or the slots themselves.
    winners: Vec<usize>,
}

impl Offers {
    /// Nobody has room, among so many slots.
    pub(super) fn new(workers: usize) -> Self {
        let size = workers.next_power_of_two().max(2);
        let mut offers = Offers { loads: vec![NONE; size], winners: vec![0; size] };
        (1..size).rev().for_each(|node| offers.decide(node));
        offers
    }

    /// The least loaded worker with room, and its load.
    pub(super) fn first(&self) -> Option<(usize, WorkerId)> {
        let slot = self.winners[1];
        let load = self.loads[slot];
        (load != NONE).then(|| (load, WorkerId::from_index(slot)))
    }

    /// What a worker with room has to do.
    pub(super) fn load(&self, worker: WorkerId) -> Option<usize> {
        Some(self.loads[worker.index()]).filter(|&load| load != NONE)
    }

    /// The worker has room and so much to do, or no room.
    pub(super) fn set(&mut self, worker: WorkerId, load: Option<usize>) {
        let slot = worker.index();
        let load = load.unwrap_or(NONE);
        if std::mem::replace(&mut self.loads[slot], load) == load {
            return;
        }
        let mut node = (self.loads.len() + slot) / 2;
        while node > 0 {
            self.decide(node);
            node /= 2;
        }
    }

    #[inline(always)]
    fn decide(&mut self, node: usize) {
        let (left, right) = (self.winner(2 * node), self.winner(2 * node + 1));
        self.winners[node] = if self.loads[right] < self.loads[left] { right } else { left };
    }

    fn winner(&self, node: usize) -> usize {
        node.checked_sub(self.loads.len()).unwrap_or_else(|| self.winners[node])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_is_the_least_loaded_and_of_equals_the_first_slot(
            workers in 1usize..70,
            changes in prop::collection::vec((0usize..70, prop::option::of(0usize..5)), 0..200),
        ) {
            let mut offers = Offers::new(workers);
            let mut plain = vec![None; workers];
            for (slot, load) in changes {
                let slot = slot % workers;
                offers.set(WorkerId::from_index(slot), load);
                plain[slot] = load;
                let least = plain.iter().enumerate().filter_map(|(slot, load)| Some((load.as_ref()?, slot))).min();
                prop_assert_eq!(offers.first(), least.map(|(load, slot)| (*load, WorkerId::from_index(slot))));
                prop_assert_eq!(offers.load(WorkerId::from_index(slot)), load);
            }
        }
    }
}
