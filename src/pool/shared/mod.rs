//! Shared state: locks, semaphores, events, barriers, values and queues, by name, for workers of any language.
//!
//! A worker asks over its own channel; everything is kept here. Waiting is first come, first served. What a party holds
//! is released in the moment it ends, however it ends, and the next holder of a lock can learn that. A wait that could
//! never end, because those who wait hold what the others wait for, is refused instead.
//!
//! It knows parties and answers, neither workers nor jobs: who a party is, and when it ends, is told by the pool.

mod barrier;
mod event;
mod lock;
mod params;
mod queue;
mod semaphore;
mod value;

use crate::ids::{Generation, WorkerId};
use crate::json::Json;
use crate::protocol::INVALID_PARAMS;
use params::{Params, Refusal};
use serde_json::json;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Most objects of all kinds together. But for locks that nobody holds they are not removed while the run lasts, so names
/// made up per job have an end.
pub(super) const OBJECTS_MAX: usize = 100_000;

/// Most bytes of values and queued items together.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// Most waits of a worker's at a time, for all of its jobs together: twice as many as it may run jobs.
pub(super) const WAITS_MAX: usize = 20_000;

/// The same for a guest, which mostly waits once.
const GUEST_WAITS_MAX: usize = 16;

/// Longest id of a request that has to wait, in bytes: it is kept for the answer.
const ID_BYTES_MAX: usize = 1024;

/// JSON-RPC error: waiting would be a deadlock.
const DEADLOCK: i64 = -32010;

/// JSON-RPC error: a limit of the shared state is reached.
pub(super) const LIMIT_REACHED: i64 = -32011;

/// JSON-RPC error: not held by the one who releases it.
const NOT_HELD: i64 = -32012;

/// Who holds or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// A job running in a worker, by the id of its request; or the worker itself, outside any job.
    Worker(WorkerId, Generation, Option<u64>),
    /// A job that is held back until it has its `locks`, by its number.
    Waiting(u64),
    /// A process inside the run that asks over a connection of its own, by the connection's number.
    Guest(u64),
}

impl Party {
    /// Whose requests its are: the worker for all of its jobs.
    fn asker(self) -> Party {
        match self {
            Party::Worker(worker, generation, _) => Party::Worker(worker, generation, None),
            other => other,
        }
    }

    fn is_in(self, worker: WorkerId, generation: Generation) -> bool {
        matches!(self, Party::Worker(w, g, _) if w == worker && g == generation)
    }
}

/// What a request brings about: answers, to its asker or to others, and waits with an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The answer to a request.
    Answer {
        /// Who asked.
        party: Party,
        /// The id it gave, as JSON text.
        id: Box<str>,
        /// `Ok`: the result as JSON text. `Err`: code and message.
        body: Result<String, (i64, String)>,
    },
    /// The wait of this ticket is to end after this span, by [`Shared::timed_out`].
    Wait(Ticket, Duration),
    /// The wait of this ticket has ended.
    WaitEnded(Ticket),
    /// A job that was held back has all its locks now.
    Granted(u64),
}

/// Names one wait.
pub(super) type Ticket = u64;

/// Somebody who waits for an answer.
#[derive(Debug, Clone)]
struct Waiter {
    ticket: Ticket,
    party: Party,
    id: Box<str>,
    has_timeout: bool,
    /// It waits for ever, however that was said.
    is_endless: bool,
}

/// What a ticket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Lock,
    Semaphore,
    Event,
    Barrier,
    QueuePut,
    QueueGet,
}

/// All shared state of a run.
#[derive(Debug, Default)]
pub(super) struct Shared {
    locks: BTreeMap<Box<str>, lock::Lock>,
    semaphores: BTreeMap<Box<str>, semaphore::Semaphore>,
    events: BTreeMap<Box<str>, event::Event>,
    barriers: BTreeMap<Box<str>, barrier::Barrier>,
    values: BTreeMap<Box<str>, Json>,
    queues: BTreeMap<Box<str>, queue::Queue>,
    bytes: usize,
    /// Waits by ticket, with who asked.
    waits: BTreeMap<Ticket, (Kind, Box<str>, Party)>,
    /// How many of them each asker has.
    waits_of: BTreeMap<Party, usize>,
    /// Parties that hold or wait for something, with the names, so that their end costs no search; and how often, since a
    /// job may have many threads.
    engaged: BTreeMap<(Party, Kind, Box<str>), u32>,
    /// In whom a guest runs: while it waits, that one waits too.
    within: BTreeMap<u64, Party>,
    next_ticket: Ticket,
    effects: VecDeque<Effect>,
}

/// A request as it was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    pub(super) party: Party,
    /// The asker's id, as JSON text.
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    /// JSON text.
    pub(super) params: &'a str,
}

impl Shared {
    /// Serves a request. `false` when the method is none of ours.
    pub(super) fn ask(&mut self, asked: &Asked<'_>) -> bool {
        let serve = match asked.method {
            "lock.acquire" => Self::lock_acquire,
            "lock.release" => Self::lock_release,
            "semaphore.acquire" => Self::semaphore_acquire,
            "semaphore.release" => Self::semaphore_release,
            "event.set" | "event.clear" | "event.is_set" => Self::event_change,
            "event.wait" => Self::event_wait,
            "barrier.wait" => Self::barrier_wait,
            "value.get" | "value.set" | "value.add" | "value.cas" => Self::value_change,
            "queue.put" => Self::queue_put,
            "queue.get" => Self::queue_get,
            "queue.size" => Self::queue_size,
            _ => return false,
        };
        let served = Params::parse(asked.params).and_then(|params| {
            if !self.is_known(asked.method, &params.name) && self.objects() >= OBJECTS_MAX {
                return Err((LIMIT_REACHED, format!("there are {OBJECTS_MAX} shared objects already")));
            }
            serve(self, asked, &params)
        });
        if let Err(error) = served {
            self.effects.push_back(Effect::Answer { party: asked.party, id: asked.id.into(), body: Err(error) });
        }
        true
    }

    /// The next thing that follows from what was asked.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether somebody waits for something that is not there yet.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waits.is_empty()
    }

    /// The span of a wait is over.
    pub(super) fn timed_out(&mut self, ticket: Ticket) {
        let Some((kind, name)) = self.forget_wait(ticket) else { return };
        match kind {
            Kind::Lock => self.lock_timed_out(&name, ticket),
            Kind::Semaphore => self.semaphore_timed_out(&name, ticket),
            Kind::Event => self.event_timed_out(&name, ticket),
            Kind::Barrier => self.barrier_broken(&name),
            Kind::QueuePut | Kind::QueueGet => self.queue_timed_out(&name, ticket),
        }
    }

    /// A job has ended; `well` says that it was not killed, lost or given up. A lock that it took itself and did not release
    /// is left behind all the same.
    pub(super) fn job_ended(&mut self, worker: WorkerId, generation: Generation, job: u64, well: bool) {
        self.party_ended(Party::Worker(worker, generation, Some(job)), well);
    }

    /// Whether anybody holds anything or waits for it.
    pub(super) fn is_engaged(&self) -> bool {
        !self.engaged.is_empty()
    }

    /// A worker has ended: whatever its jobs and itself held is free.
    pub(super) fn worker_ended(&mut self, worker: WorkerId, generation: Generation) {
        let first = (Party::Worker(worker, generation, None), Kind::Lock, Box::default());
        let parties: BTreeSet<Party> = self
            .engaged
            .range(first..)
            .map(|((party, ..), _)| *party)
            .take_while(|party| party.is_in(worker, generation))
            .collect();
        for party in parties {
            self.party_ended(party, false);
        }
    }

    /// Notes in whom a guest runs.
    pub(super) fn place(&mut self, guest: u64, within: Party) {
        self.within.insert(guest, within);
    }

    /// A guest has left; what it did not release itself it did not release well.
    pub(super) fn guest_left(&mut self, guest: u64) {
        self.party_ended(Party::Guest(guest), false);
        self.within.remove(&guest);
    }

    /// Whether a party is another one, or runs in it.
    fn is_within(&self, mut party: Party, other: Party) -> bool {
        loop {
            if party == other {
                return true;
            }
            let Party::Guest(guest) = party else { return false };
            let Some(&above) = self.within.get(&guest) else { return false };
            party = above;
        }
    }

    fn party_ended(&mut self, party: Party, well: bool) {
        let engagements: Vec<(Kind, Box<str>)> = self
            .engaged
            .range((party, Kind::Lock, Box::default())..)
            .take_while(|((other, ..), _)| *other == party)
            .map(|((_, kind, name), _)| (*kind, name.clone()))
            .collect();
        for (kind, name) in engagements {
            self.engaged.remove(&(party, kind, name.clone()));
            match kind {
                Kind::Lock => self.lock_party_ended(&name, party, well),
                Kind::Semaphore => self.semaphore_party_ended(&name, party),
                Kind::Event => self.event_party_ended(&name, party),
                Kind::Barrier => self.barrier_party_ended(&name, party),
                Kind::QueuePut | Kind::QueueGet => self.queue_party_ended(&name, party),
            }
        }
    }

    /// Answers with a result: a value, or the text of one.
    fn answer(&mut self, party: Party, id: &str, result: impl ToString) {
        self.effects.push_back(Effect::Answer { party, id: id.into(), body: Ok(result.to_string()) });
    }

    /// Answers somebody who waited.
    fn answer_waiter(&mut self, waiter: &Waiter, kind: Kind, name: &str, result: impl ToString) {
        self.end_wait(waiter, kind, name);
        self.answer(waiter.party, &waiter.id, result);
    }

    /// Somebody waits no longer.
    fn end_wait(&mut self, waiter: &Waiter, kind: Kind, name: &str) {
        self.forget_wait(waiter.ticket);
        self.disengage(waiter.party, kind, name);
        if waiter.has_timeout {
            self.effects.push_back(Effect::WaitEnded(waiter.ticket));
        }
    }

    /// A party holds or waits for something once more.
    fn engage(&mut self, party: Party, kind: Kind, name: &str) {
        *self.engaged.entry((party, kind, name.into())).or_default() += 1;
    }

    /// Once less. Of a party that has ended nothing is noted any more.
    fn disengage(&mut self, party: Party, kind: Kind, name: &str) {
        if let Entry::Occupied(mut times) = self.engaged.entry((party, kind, name.into())) {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
        }
    }

    /// Makes the asker wait, unless it does so too often.
    fn wait(&mut self, asked: &Asked<'_>, kind: Kind, params: &Params<'_>) -> Result<Waiter, Refusal> {
        self.may_wait(asked)?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let asker = asked.party.asker();
        self.waits.insert(ticket, (kind, params.name.as_ref().into(), asker));
        *self.waits_of.entry(asker).or_default() += 1;
        self.engage(asked.party, kind, params.name.as_ref());
        if let Some(span) = params.timeout() {
            self.effects.push_back(Effect::Wait(ticket, span));
        }
        Ok(Waiter {
            ticket,
            party: asked.party,
            id: asked.id.into(),
            has_timeout: params.timeout().is_some(),
            is_endless: params.is_endless(),
        })
    }

    /// Whether the asker may wait for one thing more.
    fn may_wait(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.id.len() > ID_BYTES_MAX {
            return Err((INVALID_PARAMS, format!("the id of a request that waits has at most {ID_BYTES_MAX} bytes")));
        }
        let max = if matches!(asked.party, Party::Guest(_)) { GUEST_WAITS_MAX } else { WAITS_MAX };
        if self.waits_of.get(&asked.party.asker()).is_some_and(|&count| count >= max) {
            return Err((LIMIT_REACHED, format!("{max} requests wait already")));
        }
        Ok(())
    }

    /// A wait has ended: what it was for.
    fn forget_wait(&mut self, ticket: Ticket) -> Option<(Kind, Box<str>)> {
        let (kind, name, asker) = self.waits.remove(&ticket)?;
        if let Entry::Occupied(mut count) = self.waits_of.entry(asker) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some((kind, name))
    }

    fn is_known(&self, method: &str, name: &str) -> bool {
        match method.split('.').next() {
            Some("lock") => self.locks.contains_key(name),
            Some("semaphore") => self.semaphores.contains_key(name),
            Some("event") => self.events.contains_key(name),
            Some("barrier") => self.barriers.contains_key(name),
            Some("value") => self.values.contains_key(name),
            _ => self.queues.contains_key(name),
        }
    }

    fn objects(&self) -> usize {
        self.locks.len()
            + self.semaphores.len()
            + self.events.len()
            + self.barriers.len()
            + self.values.len()
            + self.queues.len()
    }

    /// Counts bytes that are kept, unless that would be too many.
    fn keep_bytes(&mut self, more: usize, less: usize) -> Result<(), (i64, String)> {
        let bytes = (self.bytes + more).saturating_sub(less);
        if more > less && bytes > BYTES_MAX {
            let held = self.bytes;
            let why = format!(
                "{more} bytes are too many: shared values and queues hold {held} and may hold {BYTES_MAX} together; take \
                 items out, or keep large data in files and share their names"
            );
            return Err((LIMIT_REACHED, why));
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// The refusal of a wait that could never end.
fn deadlock(name: &str) -> (i64, String) {
    (DEADLOCK, format!("deadlock: {name:?} is held by one who waits for what the asker holds"))
}

fn acquired(previous_holder_died: bool) -> serde_json::Value {
    json!({"acquired": true, "previous_holder_died": previous_holder_died})
}

fn timed_out_acquiring() -> serde_json::Value {
    json!({"acquired": false, "previous_holder_died": false})
}

#[cfg(test)]
mod tests;
