//! Events: a flag that many can wait for.

use super::params::{Params, Refusal};
use super::{Asked, Kind, Party, Shared, Ticket, Waiter};
use serde_json::json;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Event {
    set: bool,
    waiters: VecDeque<Waiter>,
}

impl Shared {
    pub(super) fn event_change(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let event = self.events.entry(name.into()).or_default();
        match asked.method {
            "event.set" => {
                event.set = true;
                let waiters = std::mem::take(&mut event.waiters);
                self.answer(asked.party, asked.id, json!({}));
                for waiter in waiters {
                    self.answer_waiter(&waiter, Kind::Event, name, json!({"set": true}));
                }
            }
            "event.clear" => {
                event.set = false;
                self.answer(asked.party, asked.id, json!({}));
            }
            _ => {
                let set = event.set;
                self.answer(asked.party, asked.id, json!({"set": set}));
            }
        }
        Ok(())
    }

    pub(super) fn event_wait(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let set = self.events.entry(name.into()).or_default().set;
        if set || params.is_impatient() {
            self.answer(asked.party, asked.id, json!({"set": set}));
        } else {
            let waiter = self.wait(asked, Kind::Event, params)?;
            self.events.get_mut(name).expect("it is there").waiters.push_back(waiter);
        }
        Ok(())
    }

    pub(super) fn event_timed_out(&mut self, name: &str, ticket: Ticket) {
        let Some(event) = self.events.get_mut(name) else { return };
        let at = event.waiters.iter().position(|waiter| waiter.ticket == ticket);
        if let Some(waiter) = at.and_then(|at| event.waiters.remove(at)) {
            self.disengage(waiter.party, Kind::Event, name);
            self.answer(waiter.party, &waiter.id, json!({"set": false}));
        }
    }

    pub(super) fn event_party_ended(&mut self, name: &str, party: Party) {
        let Some(event) = self.events.get_mut(name) else { return };
        let (gone, staying): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut event.waiters).into_iter().partition(|waiter| waiter.party == party);
        event.waiters = staying;
        for waiter in gone {
            self.end_wait(&waiter, Kind::Event, name);
        }
    }
}
