//! Barriers: all wait until so many have come.

use super::params::{Params, Refusal};
use super::{Asked, Kind, Party, Shared, Waiter};
use crate::protocol::INVALID_PARAMS;
use serde_json::json;

#[derive(Debug, Default)]
pub(super) struct Barrier {
    waiters: Vec<Waiter>,
}

impl Shared {
    /// The last of `parties` opens it for all. Then it stands closed again for the next round.
    pub(super) fn barrier_wait(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let parties = params.parties.filter(|&parties| parties > 0);
        let parties = parties.ok_or((INVALID_PARAMS, "\"parties\" must be a number from 1".to_owned()))? as usize;
        let name = params.name.as_ref();
        let waiting = self.barriers.entry(name.into()).or_default().waiters.len();
        if waiting + 1 < parties {
            let waiter = self.wait(asked, Kind::Barrier, params)?;
            self.barriers.get_mut(name).expect("it is there").waiters.push(waiter);
            return Ok(());
        }
        let waiters = std::mem::take(&mut self.barriers.get_mut(name).expect("it is there").waiters);
        for (index, waiter) in waiters.iter().enumerate() {
            self.answer_waiter(waiter, Kind::Barrier, name, json!({"index": index}));
        }
        self.answer(asked.party, asked.id, json!({"index": waiting}));
        Ok(())
    }

    /// One of those who wait will not: the others would wait for ever.
    pub(super) fn barrier_broken(&mut self, name: &str) {
        let Some(barrier) = self.barriers.get_mut(name) else { return };
        for waiter in std::mem::take(&mut barrier.waiters) {
            self.answer_waiter(&waiter, Kind::Barrier, name, json!({"broken": true}));
        }
    }

    pub(super) fn barrier_party_ended(&mut self, name: &str, party: Party) {
        let Some(barrier) = self.barriers.get_mut(name) else { return };
        let (gone, staying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut barrier.waiters).into_iter().partition(|waiter| waiter.party == party);
        barrier.waiters = staying;
        for waiter in &gone {
            self.end_wait(waiter, Kind::Barrier, name);
        }
        if !gone.is_empty() {
            self.barrier_broken(name);
        }
    }
}
