//! Semaphores: so many holders at a time.

use super::params::{Params, Refusal};
use super::{Asked, Kind, NOT_HELD, Party, Shared, Ticket, Waiter, acquired, timed_out_acquiring};
use serde_json::json;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Semaphore {
    free: u64,
    /// One entry for each time it is held.
    holders: Vec<Party>,
    waiters: VecDeque<Waiter>,
}

impl Shared {
    pub(super) fn semaphore_acquire(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let count = params.count()?;
        let name = params.name.as_ref();
        let semaphore = self.semaphores.entry(name.into()).or_insert_with(|| Semaphore {
            free: count,
            holders: Vec::new(),
            waiters: VecDeque::new(),
        });
        if semaphore.free > 0 {
            semaphore.free -= 1;
            semaphore.holders.push(asked.party);
            self.engage(asked.party, Kind::Semaphore, name);
            self.answer(asked.party, asked.id, acquired(false));
        } else if params.is_impatient() {
            self.answer(asked.party, asked.id, timed_out_acquiring());
        } else {
            let waiter = self.wait(asked, Kind::Semaphore, params)?;
            self.semaphores.get_mut(name).expect("it is there").waiters.push_back(waiter);
        }
        Ok(())
    }

    pub(super) fn semaphore_release(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let semaphore = self.semaphores.get_mut(name);
        let held = semaphore.and_then(|semaphore| {
            let at = semaphore.holders.iter().position(|holder| *holder == asked.party)?;
            Some(semaphore.holders.swap_remove(at))
        });
        let Some(holder) = held else {
            return Err((NOT_HELD, format!("semaphore {name:?} is not held by the one who releases it")));
        };
        self.disengage(holder, Kind::Semaphore, name);
        self.answer(asked.party, asked.id, json!({}));
        self.semaphore_free(name);
        Ok(())
    }

    /// One holder less: the first in line takes its place.
    fn semaphore_free(&mut self, name: &str) {
        let Some(semaphore) = self.semaphores.get_mut(name) else { return };
        match semaphore.waiters.pop_front() {
            None => semaphore.free += 1,
            Some(waiter) => {
                semaphore.holders.push(waiter.party);
                self.answer_waiter(&waiter, Kind::Semaphore, name, acquired(false));
                self.engage(waiter.party, Kind::Semaphore, name);
            }
        }
    }

    pub(super) fn semaphore_timed_out(&mut self, name: &str, ticket: Ticket) {
        let Some(semaphore) = self.semaphores.get_mut(name) else { return };
        let at = semaphore.waiters.iter().position(|waiter| waiter.ticket == ticket);
        if let Some(waiter) = at.and_then(|at| semaphore.waiters.remove(at)) {
            self.disengage(waiter.party, Kind::Semaphore, name);
            self.answer(waiter.party, &waiter.id, timed_out_acquiring());
        }
    }

    pub(super) fn semaphore_party_ended(&mut self, name: &str, party: Party) {
        let Some(semaphore) = self.semaphores.get_mut(name) else { return };
        let (gone, staying): (VecDeque<Waiter>, _) =
            std::mem::take(&mut semaphore.waiters).into_iter().partition(|w| w.party == party);
        semaphore.waiters = staying;
        let before = semaphore.holders.len();
        semaphore.holders.retain(|holder| *holder != party);
        let freed = before - semaphore.holders.len();
        for waiter in gone {
            self.end_wait(&waiter, Kind::Semaphore, name);
        }
        for _ in 0..freed {
            self.semaphore_free(name);
        }
    }
}
