//! Locks: one holder, a line of waiters, and jobs that are held back until they have all of theirs.

use super::params::{Params, Refusal};
use super::{Asked, Effect, Kind, NOT_HELD, Party, Shared, Waiter, acquired, deadlock, timed_out_acquiring};
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Lock {
    holder: Option<Party>,
    /// It was taken for a job that named it in `locks`: the end of the job is its release, unless that was no good one.
    by_job: bool,
    /// The last holder ended without releasing it.
    orphaned: bool,
    waiters: VecDeque<Claim>,
}

/// A place in the line.
#[derive(Debug)]
enum Claim {
    Request(Waiter),
    /// A job that needs all of these, by its number.
    Job {
        number: u64,
        names: Arc<[Box<str>]>,
    },
}

impl Shared {
    pub(super) fn lock_acquire(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        let lock = self.locks.entry(name.into()).or_default();
        if lock.holder.is_none() {
            (lock.holder, lock.by_job) = (Some(asked.party), false);
            let orphaned = std::mem::take(&mut lock.orphaned);
            self.engage(asked.party, Kind::Lock, name);
            self.answer(asked.party, asked.id, acquired(orphaned));
        } else if params.is_impatient() {
            self.answer(asked.party, asked.id, timed_out_acquiring());
        } else if params.is_endless() && self.would_deadlock(asked.party, name, params.timeout().is_some()) {
            return Err(deadlock(name));
        } else {
            let waiter = self.wait(asked, Kind::Lock, params)?;
            self.locks.get_mut(name).expect("it is there").waiters.push_back(Claim::Request(waiter));
        }
        Ok(())
    }

    /// Follows the chain from a lock to its holder, to the locks that one and those who run in it wait for, and so on,
    /// to see whether it comes back to the asker. One that says "for ever" by a number is a thread or task of a job whose
    /// others have locks and go on: it is stopped only by what its job has as a whole, by the list.
    fn would_deadlock(&self, asker: Party, name: &str, goes_on: bool) -> bool {
        let mut seen = BTreeSet::from([name]);
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some(lock) = self.locks.get(name) else { continue };
            let Some(holder) = lock.holder else { continue };
            if self.is_within(asker, holder) {
                if lock.by_job || !goes_on {
                    return true;
                }
                continue;
            }
            let guests = self.within.keys().map(|&guest| Party::Guest(guest));
            let inside = guests.filter(|&guest| guest != holder && self.is_within(guest, holder));
            let next = std::iter::once(holder).chain(inside).flat_map(|party| self.waits_for(party, lock.by_job));
            open.extend(next.filter(|name| seen.insert(name)));
        }
        false
    }

    /// The locks that a party waits for without a limit in time; `all`: its threads too that are in no circle by themselves.
    fn waits_for(&self, party: Party, all: bool) -> impl Iterator<Item = &str> {
        let range = self.engaged.range((party, Kind::Lock, Box::default())..);
        let names = range
            .take_while(move |((other, kind, _), _)| *other == party && *kind == Kind::Lock)
            .map(|((.., name), _)| name);
        let is_one = move |waiter: &Waiter| waiter.party == party && waiter.is_endless && (all || !waiter.has_timeout);
        names.map(AsRef::as_ref).filter(move |name| {
            let claims = self.locks.get(*name).into_iter().flat_map(|lock| &lock.waiters);
            claims.into_iter().any(|claim| matches!(claim, Claim::Request(waiter) if is_one(waiter)))
        })
    }

    pub(super) fn lock_release(&mut self, asked: &Asked<'_>, params: &Params<'_>) -> Result<(), Refusal> {
        let name = params.name.as_ref();
        if self.locks.get(name).and_then(|lock| lock.holder) != Some(asked.party) {
            return Err((NOT_HELD, format!("lock {name:?} is not held by the one who releases it")));
        }
        self.disengage(asked.party, Kind::Lock, name);
        self.answer(asked.party, asked.id, json!({}));
        self.lock_free(name, false);
        Ok(())
    }

    /// The lock has no holder any more: the first in line that can take it does.
    fn lock_free(&mut self, name: &str, orphaned: bool) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        lock.holder = None;
        lock.orphaned |= orphaned;
        let mut at = 0;
        while let Some(claim) = self.locks.get(name).and_then(|lock| lock.waiters.get(at)) {
            match claim {
                Claim::Request(_) => return self.grant_request(name, at),
                // It may need others too; while it does not have them, those behind it need not wait.
                Claim::Job { number, names } => {
                    let (number, names) = (*number, Arc::clone(names));
                    if self.take_all(number, &names) {
                        self.effects.push_back(Effect::Granted(number));
                        return;
                    }
                    at += 1;
                }
            }
        }
        self.forget_lock_unless_used(name);
    }

    /// Gives a free lock to the request at this place in the line.
    fn grant_request(&mut self, name: &str, at: usize) {
        let lock = self.locks.get_mut(name).expect("it is there");
        let Some(Claim::Request(waiter)) = lock.waiters.remove(at) else { unreachable!("just seen") };
        (lock.holder, lock.by_job) = (Some(waiter.party), false);
        let orphaned = std::mem::take(&mut lock.orphaned);
        self.answer_waiter(&waiter, Kind::Lock, name, acquired(orphaned));
        self.engage(waiter.party, Kind::Lock, name);
    }

    /// A lock of which nothing is to be remembered is as good as one that was never named: lists may name one for each job.
    fn forget_lock_unless_used(&mut self, name: &str) {
        let used = |lock: &Lock| lock.holder.is_some() || lock.orphaned || !lock.waiters.is_empty();
        if self.locks.get(name).is_some_and(|lock| !used(lock)) {
            self.locks.remove(name);
        }
    }

    /// A job that needs locks takes all of them at once, or stands in line for each.
    pub(in crate::pool) fn claim(&mut self, number: u64, names: &[Box<str>]) -> bool {
        for name in names {
            self.locks.entry(name.clone()).or_default();
        }
        if self.take_all(number, names) {
            return true;
        }
        let all: Arc<[Box<str>]> = names.into();
        for name in names {
            let claim = Claim::Job { number, names: Arc::clone(&all) };
            self.locks.get_mut(name).expect("just made").waiters.push_back(claim);
        }
        false
    }

    fn take_all(&mut self, number: u64, names: &[Box<str>]) -> bool {
        if names.iter().any(|name| self.locks.get(name).is_some_and(|lock| lock.holder.is_some())) {
            return false;
        }
        let party = Party::Waiting(number);
        for name in names {
            let lock = self.locks.get_mut(name).expect("made when it was claimed");
            (lock.holder, lock.by_job) = (Some(party), true);
            lock.waiters.retain(|claim| !matches!(claim, Claim::Job { number: other, .. } if *other == number));
            self.engage(party, Kind::Lock, name);
        }
        true
    }

    /// Whether somebody who runs waits for one of these locks.
    pub(in crate::pool) fn is_asked_for(&self, names: &[Box<str>]) -> bool {
        let mut locks = names.iter().filter_map(|name| self.locks.get(name));
        locks.any(|lock| lock.waiters.iter().any(|claim| matches!(claim, Claim::Request(_))))
    }

    /// A job that has its locks, and was not begun, lets those have them who ask for them while they run. It stands first in
    /// line for each of them again.
    pub(in crate::pool) fn give_back(&mut self, number: u64, names: &[Box<str>]) {
        let all: Arc<[Box<str>]> = names.into();
        for name in names {
            self.engaged.remove(&(Party::Waiting(number), Kind::Lock, name.clone()));
            let lock = self.locks.get_mut(name).expect("it is held");
            lock.holder = None;
            lock.waiters.push_front(Claim::Job { number, names: Arc::clone(&all) });
        }
        // First of all those who ask: else the job would take all of them again.
        for name in names {
            let lock = &self.locks[name];
            let asks = lock.waiters.iter().position(|claim| matches!(claim, Claim::Request(_)));
            if let (None, Some(at)) = (lock.holder, asks) {
                self.grant_request(name, at);
            }
        }
        for name in names {
            if self.locks[name].holder.is_none() {
                self.lock_free(name, false);
            }
        }
    }

    /// A job that has its locks was handed to a worker: it holds them under another name now. A list may name one twice.
    pub(in crate::pool) fn hand_over(&mut self, number: u64, names: &[Box<str>], party: Party) {
        for name in names {
            if let Some(lock) = self.locks.get_mut(name).filter(|lock| lock.holder == Some(Party::Waiting(number))) {
                (lock.holder, lock.orphaned) = (Some(party), false);
                self.engaged.remove(&(Party::Waiting(number), Kind::Lock, name.clone()));
                self.engage(party, Kind::Lock, name);
            }
        }
    }

    /// Whether each of these locks that is held is held by a job, so that it is free when that one has ended.
    pub(in crate::pool) fn are_held_by_jobs(&self, names: &[Box<str>]) -> bool {
        let holders = names.iter().filter_map(|name| self.locks.get(name)?.holder);
        holders.into_iter().all(|holder| matches!(holder, Party::Waiting(_) | Party::Worker(_, _, Some(_))))
    }

    /// A job will not be begun: it neither holds nor waits.
    pub(in crate::pool) fn forget_job(&mut self, number: u64, names: &[Box<str>]) {
        for name in names {
            if let Some(lock) = self.locks.get_mut(name) {
                lock.waiters.retain(|claim| !matches!(claim, Claim::Job { number: other, .. } if *other == number));
                self.forget_lock_unless_used(name);
            }
        }
        self.party_ended(Party::Waiting(number), true);
    }

    pub(super) fn lock_timed_out(&mut self, name: &str, ticket: super::Ticket) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        let at = lock.waiters.iter().position(|claim| matches!(claim, Claim::Request(w) if w.ticket == ticket));
        if let Some(Claim::Request(waiter)) = at.and_then(|at| lock.waiters.remove(at)) {
            self.disengage(waiter.party, Kind::Lock, name);
            self.answer(waiter.party, &waiter.id, timed_out_acquiring());
        }
    }

    pub(super) fn lock_party_ended(&mut self, name: &str, party: Party, well: bool) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        let held = lock.holder == Some(party);
        let orphaned = !(well && lock.by_job);
        let mut gone = Vec::new();
        lock.waiters.retain(|claim| match claim {
            Claim::Request(waiter) if waiter.party == party => {
                gone.push(waiter.clone());
                false
            }
            _ => true,
        });
        for waiter in gone {
            self.end_wait(&waiter, Kind::Lock, name);
        }
        if held {
            self.lock_free(name, orphaned);
        }
    }
}
