//! Guests: processes inside a run that are no workers and ask for locks over a connection of their own, as
//! `supervisor lock` does for a shell. What they hold is free when their connection ends.

use super::shared::{Asked, Party};
use super::{Action, Pool};
use crate::ids::WorkerId;
use crate::protocol::{Line, LineDecoder, METHOD_NOT_FOUND, Message, encode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest line a guest may send.
const LINE_BYTES_MAX: usize = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Guest {
    decoder: LineDecoder,
    /// The number it gave itself, by which those that run below it name it.
    calls_itself: Option<u64>,
}

/// What a guest says of itself beside what it asks for: where it runs, so that waiting for oneself is seen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    party: Option<u64>,
    within: Option<u64>,
    worker: Option<u32>,
}

impl Pool {
    pub(super) fn guest_asked(&mut self, number: u64, bytes: &[u8]) {
        let fresh = || Guest { decoder: LineDecoder::new(LINE_BYTES_MAX), calls_itself: None };
        // Taken out so that lines can be borrowed from its decoder while the pool changes.
        let mut guest = self.guests.remove(&number).unwrap_or_else(fresh);
        let mut input = bytes;
        let mut well = true;
        while let Some(line) = guest.decoder.next(&mut input) {
            well = match line.map(Line::parse) {
                Ok(Line::One(Message::Request { id, method, params })) => {
                    let params = params.map_or("{}", RawValue::get);
                    guest.calls_itself = self.place_guest(number, params).or(guest.calls_itself);
                    self.serve_guest(number, id.get(), &method, params);
                    true
                }
                _ => false,
            };
            if !well {
                break;
            }
        }
        self.guests.insert(number, guest);
        if !well {
            self.actions.push_back(Action::DropGuest { guest: number });
            self.guest_left(number);
        }
    }

    fn serve_guest(&mut self, number: u64, id: &str, method: &str, params: &str) {
        let known = matches!(method, "lock.acquire" | "lock.release");
        if known && self.shared.ask(&Asked { party: Party::Guest(number), id, method, params }) {
            self.settle_shared();
        } else {
            let message = format!("supervisor does not serve {method} here");
            let mut bytes = Vec::new();
            encode::error(&mut bytes, id, METHOD_NOT_FOUND, &message);
            self.actions.push_back(Action::SendGuest { guest: number, bytes });
        }
    }

    /// Notes where a guest runs: below another guest, or in the only job that runs in a worker. Gives its own number.
    fn place_guest(&mut self, number: u64, params: &str) -> Option<u64> {
        let place: Place = serde_json::from_str(params).unwrap_or_default();
        let named = |name| self.guests.iter().find(|(_, guest)| guest.calls_itself == Some(name));
        // An older one only: so nobody can be within himself.
        let above = place.within.and_then(named).map(|(&above, _)| above).filter(|&above| above < number);
        let job = || {
            let at = usize::try_from(place.worker?.checked_sub(1)?).ok()?;
            let worker = self.workers.get(at)?;
            match worker.flights.begun_ids()[..] {
                [only] => Some(Party::Worker(WorkerId(place.worker?), worker.generation, Some(only))),
                _ => None,
            }
        };
        if let Some(party) = above.map(Party::Guest).or_else(job) {
            self.shared.place(number, party);
        }
        place.party
    }

    /// A guest's connection has ended: whatever it held is free.
    pub(super) fn guest_left(&mut self, number: u64) {
        if self.guests.remove(&number).is_some() {
            self.shared.guest_left(number);
            self.settle_shared();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Invocation, parse};
    use crate::pool::{Action, Event, Pool};
    use crate::time::Now;

    fn pool() -> Pool {
        let argv = ["supervisor", "spawn", "-w", "2"].map(Into::into).to_vec();
        let Ok(Invocation::Spawn(config)) = parse(argv) else { panic!("it is a run") };
        Pool::new(config.pool)
    }

    fn tell(pool: &mut Pool, event: Event<'_>) -> Vec<(u64, String)> {
        pool.handle(Now::default(), event);
        let mut said = Vec::new();
        while let Some(action) = pool.next_action() {
            match action {
                Action::SendGuest { guest, bytes } => said.push((guest, String::from_utf8(bytes).unwrap())),
                Action::DropGuest { guest } => said.push((guest, "dropped".into())),
                _ => {}
            }
        }
        said
    }

    fn ask(pool: &mut Pool, guest: u64, name: &str, place: &str) -> Vec<(u64, String)> {
        let line = format!(r#"{{"id":1,"method":"lock.acquire","params":{{"name":"{name}"{place}}}}}{}"#, "\n");
        tell(pool, Event::GuestAsked { guest, bytes: line.as_bytes() })
    }

    #[test]
    fn a_guest_that_leaves_frees_its_lock_for_the_next_who_learns_of_it() {
        let mut pool = pool();
        assert!(ask(&mut pool, 1, "a", "")[0].1.contains(r#""acquired":true"#));
        assert!(ask(&mut pool, 2, "a", "").is_empty());
        let said = tell(&mut pool, Event::GuestLeft { guest: 1 });
        assert_eq!(said.len(), 1);
        assert!(said[0].0 == 2 && said[0].1.contains(r#""previous_holder_died":true"#), "{said:?}");
    }

    #[test]
    fn waiting_for_oneself_is_refused() {
        let mut pool = pool();
        ask(&mut pool, 1, "a", r#","party":101"#);
        assert!(ask(&mut pool, 2, "a", r#","party":102,"within":101"#)[0].1.contains("deadlock"));
        ask(&mut pool, 3, "b", r#","party":103"#);
        // What runs under the lock a waits for b; then what runs under b asks for a.
        assert!(ask(&mut pool, 4, "b", r#","party":104,"within":101"#).is_empty());
        assert!(ask(&mut pool, 5, "a", r#","party":105,"within":103"#)[0].1.contains("deadlock"));
        assert!(ask(&mut pool, 6, "a", r#","party":106"#).is_empty(), "a stranger may wait");
    }

    #[test]
    fn what_is_no_request_for_a_lock_is_not_served() {
        let mut pool = pool();
        let other = b"{\"id\":1,\"method\":\"value.get\",\"params\":{\"name\":\"n\"}}\n";
        assert!(tell(&mut pool, Event::GuestAsked { guest: 1, bytes: other })[0].1.contains("-32601"));
        assert_eq!(tell(&mut pool, Event::GuestAsked { guest: 1, bytes: b"hello\n" })[0].1, "dropped");
        assert_eq!(tell(&mut pool, Event::GuestAsked { guest: 2, bytes: &[b'x'; 20_000] })[0].1, "dropped");
    }
}
