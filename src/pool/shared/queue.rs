//! Queues: first in, first out, with a limit if one is wanted.

use super::params::{Params, Refusal};
use super::{Asked, Kind, Party, Shared, Ticket, Waiter};
use serde_json::json;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Box<str>>,
    /// Those who wait for an item.
    getters: VecDeque<Waiter>,
    /// Those who wait for room, with what they bring.
    putters: VecDeque<(Waiter, Box<str>)>,
}

impl Shared {
    pub(super) fn queue_put(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let (name, item) = (params.name.as_ref(), params.item()?);
        let max = params.maxsize.filter(|&max| max > 0).unwrap_or(usize::MAX);
        let queue = self.queues.entry(name.into()).or_default();
        if let Some(getter) = queue.getters.pop_front() {
            self.answer_waiter(&getter, Kind::QueueGet, name, got(item));
        } else if queue.items.len() < max {
            self.keep_bytes(item.len(), 0)?;
            self.queues.get_mut(name).expect("it is there").items.push_back(item.into());
        } else if params.is_impatient() {
            self.answer(asked.party, asked.id, json!({"ok": false}));
            return Ok(());
        } else {
            self.may_wait(asked)?;
            self.keep_bytes(item.len(), 0)?;
            let waiter = self.wait(asked, Kind::QueuePut, params)?;
            self.queues.get_mut(name).expect("it is there").putters.push_back((waiter, item.into()));
            return Ok(());
        }
        self.answer(asked.party, asked.id, json!({"ok": true}));
        Ok(())
    }

    pub(super) fn queue_get(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let queue = self.queues.entry(name.into()).or_default();
        if let Some(item) = queue.items.pop_front() {
            self.bytes -= item.len();
            self.queue_refill(name);
            self.answer(asked.party, asked.id, got(&item));
        } else if params.is_impatient() {
            self.answer(asked.party, asked.id, json!({"ok": false}));
        } else {
            let waiter = self.wait(asked, Kind::QueueGet, params)?;
            self.queues.get_mut(name).expect("it is there").getters.push_back(waiter);
        }
        Ok(())
    }

    /// There is room for one more.
    fn queue_refill(&mut self, name: &str) {
        let queue = self.queues.get_mut(name).expect("it is there");
        if let Some((putter, item)) = queue.putters.pop_front() {
            queue.items.push_back(item);
            self.answer_waiter(&putter, Kind::QueuePut, name, json!({"ok": true}));
        }
    }

    pub(super) fn queue_size(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let size = self.queues.entry(params.name.as_ref().into()).or_default().items.len();
        self.answer(asked.party, asked.id, json!({"size": size}));
        Ok(())
    }

    pub(super) fn queue_timed_out(&mut self, name: &str, ticket: Ticket) {
        let gone = self.queue_remove(name, |waiter| waiter.ticket == ticket);
        for (waiter, kind) in gone {
            self.disengage(waiter.party, kind, name);
            self.answer(waiter.party, &waiter.id, json!({"ok": false}));
        }
    }

    pub(super) fn queue_party_ended(&mut self, name: &str, party: Party) {
        let gone = self.queue_remove(name, |waiter| waiter.party == party);
        for (waiter, kind) in gone {
            self.end_wait(&waiter, kind, name);
        }
    }

    fn queue_remove(&mut self, name: &str, goes: impl Fn(&Waiter) -> bool) -> Vec<(Waiter, Kind)> {
        let Some(queue) = self.queues.get_mut(name) else { return Vec::new() };
        let mut gone = Vec::new();
        queue.getters.retain(|waiter| {
            if goes(waiter) {
                gone.push((waiter.clone(), Kind::QueueGet));
            }
            !goes(waiter)
        });
        let bytes = &mut self.bytes;
        queue.putters.retain(|(waiter, item)| {
            if goes(waiter) {
                gone.push((waiter.clone(), Kind::QueuePut));
                *bytes -= item.len();
            }
            !goes(waiter)
        });
        gone
    }
}

/// The answer to one who takes an item, which is handed on as the text it came as.
fn got(item: &str) -> String {
    format!(r#"{{"item":{item},"ok":true}}"#)
}
