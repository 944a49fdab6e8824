//! What workers ask of us: shared state. Who asks is told to [`super::shared`], and its answers go to the workers.

use super::accept::priority;
use super::deadline::Timer;
use super::job_table::{JobKey, JobState};
use super::shared::{Asked, Effect, LIMIT_REACHED, Party};
use super::unread::UNREAD_BYTES_MAX;
use super::{Action, Pool};
use crate::config::Target;
use crate::ids::{Generation, WorkerId};
use crate::protocol::{METHOD_NOT_FOUND, encode};
use serde::Deserialize;

impl Pool {
    /// Serves a worker's request, now or when its turn comes.
    pub(super) fn serve(&mut self, id: WorkerId, request: &str, method: &str, params: &str) {
        let worker = &mut self.workers[id.index()];
        // A job that has ended, or never was, holds nothing: the worker itself asks then.
        let job =
            asking_job(params).filter(|&wire_id| worker.flights.get_mut(wire_id).is_some_and(|f| f.job.is_some()));
        let party = Party::Worker(id, worker.generation, job);
        if self.has_much_to_read(id) {
            let message = format!("answers of more than {UNREAD_BYTES_MAX} bytes wait to be read: read them first");
            self.reply(id, |out| encode::error(out, request, LIMIT_REACHED, &message));
        } else if self.shared.ask(&Asked { party, id: request, method, params }) {
            self.settle_shared();
        } else if method == "ping" && matches!(self.config.target, Target::Tool) {
            // A server of tools may look whether its client is there, and give up when it is not.
            self.reply(id, |out| encode::result(out, request, "{}"));
        } else {
            let message = format!("supervisor does not serve {method}");
            self.reply(id, |out| encode::error(out, request, METHOD_NOT_FOUND, &message));
        }
    }

    /// Passes on what follows from what was asked.
    pub(super) fn settle_shared(&mut self) {
        while let Some(effect) = self.shared.next_effect() {
            match effect {
                Effect::Answer { party: Party::Worker(id, generation, _), id: request, body } => {
                    let worker = &self.workers[id.index()];
                    if worker.generation == generation && worker.state.has_process() {
                        self.reply(id, |out| match body {
                            Ok(result) => encode::result(out, &request, &result),
                            Err((code, message)) => encode::error(out, &request, code, &message),
                        });
                    }
                }
                Effect::Answer { party: Party::Guest(guest), id: request, body } => {
                    let mut bytes = Vec::new();
                    match body {
                        Ok(result) => encode::result(&mut bytes, &request, &result),
                        Err((code, message)) => encode::error(&mut bytes, &request, code, &message),
                    }
                    self.actions.push_back(Action::SendGuest { guest, bytes });
                }
                Effect::Answer { party: Party::Waiting(_), .. } => unreachable!("a job that waits asks nothing"),
                Effect::Wait(ticket, span) => {
                    let mut slot = None;
                    self.deadlines.set(&mut slot, self.now.time.after(span), Timer::Wait(ticket));
                    self.waits.insert(ticket, slot);
                }
                Effect::WaitEnded(ticket) => {
                    if let Some(mut slot) = self.waits.remove(&ticket) {
                        self.deadlines.clear(&mut slot, Timer::Wait(ticket));
                    }
                }
                Effect::Granted(number) => {
                    let key = self.locked.remove(&number).expect("a job that waits for its locks");
                    let entry = self.jobs.get_mut(key);
                    entry.granted = true;
                    entry.state = JobState::Ready;
                    if entry.suspect { self.queue.push_suspect(key) } else { self.queue.push_granted(key) }
                }
            }
        }
    }

    /// Whether a job that is to be sent has its `locks`; otherwise it stands in line for them.
    #[inline(always)]
    pub(super) fn has_locks(&mut self, key: JobKey) -> bool {
        let entry = self.jobs.get_mut(key);
        let Some(options) = entry.job.options.as_ref().filter(|options| !options.locks.is_empty()) else { return true };
        let number = entry.job.number.0;
        if entry.granted || self.shared.claim(number, &options.locks) {
            entry.granted = true;
            return true;
        }
        entry.state = JobState::Locked;
        self.locked.insert(number, key);
        false
    }

    /// Jobs that have their locks, but no worker that could begin them, give them back if one that runs waits for one of
    /// them: it may be just that one whose end they wait for. Whether any did.
    pub(super) fn give_way(&mut self) -> bool {
        if !self.shared.is_waited_for() {
            return false;
        }
        let holders: Vec<JobKey> = self.queue.unbegun_holders().filter(|&key| self.jobs.get(key).granted).collect();
        let mut any = false;
        for key in holders {
            let entry = self.jobs.get_mut(key);
            let (number, priority) = (entry.job.number.0, priority(entry));
            let Some(options) = &entry.job.options else { continue };
            if self.shared.is_asked_for(&options.locks) {
                self.shared.give_back(number, &options.locks);
                (entry.granted, entry.state) = (false, JobState::Locked);
                let taken = self.queue.take(priority, key);
                assert!(taken, "a job that was granted its locks is in the queue");
                self.locked.insert(number, key);
                any = true;
            }
        }
        self.settle_shared();
        any
    }

    /// The job that has its locks was sent: it holds them as the request it has become.
    pub(super) fn hand_locks_over(&mut self, key: JobKey, id: WorkerId, generation: Generation, wire_id: u64) {
        let entry = self.jobs.get_mut(key);
        if let (true, Some(options)) = (std::mem::take(&mut entry.granted), entry.job.options.as_ref()) {
            let party = Party::Worker(id, generation, Some(wire_id));
            self.shared.hand_over(entry.job.number.0, &options.locks, party);
        }
    }

    /// A job that will not be begun neither holds nor waits for locks.
    pub(super) fn forget_locks(&mut self, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        let number = entry.job.number.0;
        if let Some(options) = entry.job.options.as_ref().filter(|options| !options.locks.is_empty()) {
            self.locked.remove(&number);
            self.shared.forget_job(number, &options.locks);
            self.settle_shared();
        }
    }

    /// A request has ended: whatever its job held is free.
    #[inline(always)]
    pub(super) fn release_shared(&mut self, id: WorkerId, wire_id: u64, well: bool) {
        if self.shared.is_engaged() {
            self.shared.job_ended(id, self.workers[id.index()].generation, wire_id, well);
            self.settle_shared();
        }
    }

    /// A worker has ended: whatever it held is free.
    pub(super) fn release_all_shared(&mut self, id: WorkerId) {
        self.shared.worker_ended(id, self.workers[id.index()].generation);
        self.settle_shared();
    }
}

fn asking_job(params: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Job {
        job: Option<u64>,
    }
    serde_json::from_str::<Job>(params).ok()?.job
}
