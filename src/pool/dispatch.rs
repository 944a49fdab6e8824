//! Who gets which job: the least loaded worker gets the next one; a slot is filled when a job waits for it.

use super::deadline::Timer;
use super::flight::Cancel;
use super::job_table::{JobKey, JobState};
use super::needs::Waiting;
use super::stop::Stop;
use super::watch::plan_look;
use super::worker::{BACKLOG_BYTES_MAX, State};
use super::{Action, Entrusted, Pool, Reading, request};
use crate::config::Halt;
use crate::ids::WorkerId;
use crate::part::Part;
use crate::protocol::encode;

/// Most requests in one array: beyond it the gain is small and the worker's answers come late.
const BATCH_REQUESTS_MAX: u64 = 128;

/// Most memory that is asked for before it is known to be needed, because the last requests took as much. A buffer that
/// grows from nothing is the seventh part of what a job costs here when one is sent at a time.
const OUTGOING_RESERVE_MAX: usize = 64 << 10;

impl Pool {
    /// Hands waiting jobs to workers with room, and asks for processes for those that are left.
    pub(super) fn dispatch(&mut self) {
        if self.stop > Stop::Running || self.output_is_behind || self.lacks_memory() {
            return;
        }
        if self.order.as_ref().is_some_and(|order| order.held_bytes() > self.config.limits.held_bytes)
            && self.dispatch_for_head()
        {
            return self.fill_slots();
        }
        self.dispatch_suspects();
        while self.queue.len_ordinary() > 0 {
            let Some((load, worker)) = self.offers.first() else { break };
            let Some(key) = self.queue.pop() else { break };
            if !self.has_locks(key) {
                continue;
            }
            if self.jobs.get(key).granted && !self.begins_at_once(worker, load) {
                self.queue.push_granted_front(key);
                break;
            }
            self.send_job(worker, key);
        }
        self.fill_slots();
        self.recall_for_idle_workers();
    }

    /// Whether a job that is sent there now is begun, and not sent ahead. What holds locks has to be: the job in front of it
    /// may ask for one of them, and would wait for what stands behind it.
    pub(super) fn begins_at_once(&self, worker: WorkerId, load: usize) -> bool {
        load < self.workers[worker.index()].concurrency
    }

    /// Suspects run alone: each needs a worker with nothing else, and while one waits, the least loaded worker gets
    /// nothing new, so that it becomes empty.
    pub(super) fn dispatch_suspects(&mut self) {
        while self.queue.has_suspect() {
            let Some((load, worker)) = self.offers.first() else { break };
            if load > 0 {
                self.withdraw(worker);
                break;
            }
            let key = self.queue.pop_suspect().expect("one is there");
            if !self.has_locks(key) {
                continue;
            }
            self.workers[worker.index()].alone = true;
            self.send_job(worker, key);
        }
    }

    /// Under `--keep-order`: whether the job that holds up all others waits for one of them (`needs`, `locks`). Then the
    /// limit on how far the list is read must not keep that one from being read.
    pub(super) fn head_waits_for_others(&self) -> bool {
        let head = self.order.as_ref().and_then(super::order::Order::head);
        head.is_some_and(|key| matches!(self.jobs.get(key).state, JobState::Blocked(_) | JobState::Locked))
    }

    pub(super) fn send_job(&mut self, id: WorkerId, key: JobKey) {
        let entry = self.jobs.get_mut(key);
        self.queued_bytes -= entry.bytes;
        entry.state = JobState::Sent;
        entry.attempts += 1;
        let has_locks = entry.granted;
        let worker = &mut self.workers[id.index()];
        if worker.outgoing.is_empty() {
            self.dirty.push(id);
            worker.outgoing.reserve(worker.outgoing_before.min(OUTGOING_RESERVE_MAX));
        }
        let wire_id = worker.flights.next_id();
        if worker.takes_batches {
            let full = worker.batch_from.is_some_and(|from| wire_id - from >= BATCH_REQUESTS_MAX);
            if full {
                close_batch(worker);
            }
            worker.outgoing.push(if worker.batch_from.is_none() { b'[' } else { b',' });
            worker.batch_from.get_or_insert(wire_id);
        }
        let stateless = worker.stateless;
        let sending = request::Sending { job: &entry.job, attempt: entry.attempts, worker: id, stateless };
        let memory = (&mut self.opening, &mut worker.wire_ids);
        let part = request::write(&mut worker.outgoing, wire_id, sending, &self.config.target, memory);
        if !worker.takes_batches && part.is_none() {
            worker.outgoing.push(b'\n');
        }
        if worker.flights.open() == 0 {
            worker.last_progress = self.now.time;
        }
        worker.jobs_sent += 1;
        let generation = worker.generation;
        if let Some(past) = entry.job.past.as_deref() {
            self.actions.push_back(Action::Entrust(Entrusted {
                number: entry.job.number,
                content: past.content,
                attempt: entry.attempts,
                worker: id,
                request: wire_id,
                tells_begun: worker.tells_begun,
            }));
        }
        if let Some(part) = part {
            self.send_part(id, part);
        }
        let worker = &mut self.workers[id.index()];
        let pushed = worker.flights.push(key, worker.sent + worker.outgoing.len() as u64);
        debug_assert_eq!(pushed, wire_id);
        self.open_requests += 1;
        if has_locks {
            self.hand_locks_over(key, id, generation, wire_id);
        }
        self.begin_flights(id);
        self.plan_shelf(id);
        self.offer(id);
    }

    /// Gives out what the worker is to be sent so far, and these parameters behind it.
    fn send_part(&mut self, id: WorkerId, part: Part) {
        self.give_out_bytes(id);
        let worker = &mut self.workers[id.index()];
        worker.sent += part.len() as u64;
        worker.outgoing.push(request::AFTER_PARAMS);
        if !worker.takes_batches {
            worker.outgoing.push(b'\n');
        }
        self.actions.push_back(Action::SendPart { worker: id, generation: worker.generation, part });
    }

    /// The worker has begun whatever it has room for.
    #[inline(always)]
    pub(super) fn begin_flights(&mut self, id: WorkerId) {
        let worker = &self.workers[id.index()];
        if worker.flights.begun() < worker.concurrency || !worker.untold.is_empty() {
            self.begin_more(id);
        }
    }

    #[inline(always)]
    fn begin_more(&mut self, id: WorkerId) {
        if !self.workers[id.index()].untold.is_empty() {
            self.show_untold(id);
        }
        let worker = &mut self.workers[id.index()];
        while let Some((wire_id, job)) = worker.flights.begin_next(worker.concurrency, self.now) {
            // Where the run is being stopped, a request can be given up before its turn comes.
            let Some(job) = job else { continue };
            self.stats.running += 1;
            plan_look(&self.config, &mut self.deadlines, &mut self.look_at, self.now.time);
            let entry = self.jobs.get(job);
            let own = entry.job.options.as_ref().and_then(|options| options.timeout);
            if let Some(timeout) = own.or(self.config.timeout) {
                let flight = worker.flights.get_mut(wire_id).expect("just begun");
                let timer = Timer::Flight(id, worker.generation, wire_id);
                self.deadlines.set(&mut flight.deadline, self.now.time.after(timeout), timer);
            }
        }
    }

    /// Keeps the worker's place among those with room up to date. To be called after whatever may change it.
    #[inline]
    pub(super) fn offer(&mut self, id: WorkerId) {
        let worker = &self.workers[id.index()];
        let load = worker.flights.open();
        // What is sent ahead a worker begins by itself, before we can know that the job before it failed.
        let ahead = self.config.halt == Halt::Never;
        let has_room = worker.state == State::Up
            && !worker.condemned
            && worker.backlog <= BACKLOG_BYTES_MAX
            && load < worker.limit(ahead)
            && !self.is_worn_out(id);
        self.offers.set(id, has_room.then_some(load));
    }

    pub(super) fn withdraw(&mut self, id: WorkerId) {
        self.offers.set(id, None);
    }

    /// Asks for as many processes as there are jobs that wait for one.
    fn fill_slots(&mut self) {
        let concurrency = self.config.concurrency as usize;
        while self.queue.len() > self.starting * concurrency {
            let Some(id) = self.empty.pop_first() else { break };
            assert_eq!(self.offers.load(id), None, "an empty slot has no room");
            self.workers[id.index()].renew(self.config.max_message);
            self.starting += 1;
            let generation = self.workers[id.index()].generation;
            self.actions.push_back(Action::Spawn { worker: id, generation });
        }
    }

    /// Whether further jobs of the list may come and be begun.
    pub(super) fn reads(&self) -> bool {
        self.input == Reading::Open && self.stop == Stop::Running
    }

    /// Once nothing more will be begun: closes the standard input of idle workers, so that they end.
    pub(super) fn drain_idle_workers(&mut self) {
        let reading = self.reads();
        if !reading && self.needs.blocked() > 0 && self.needs.blocked() == self.jobs.len() {
            let all: Vec<Waiting> = self.jobs.iter().map(|(key, entry)| (key, entry.job.number)).collect();
            self.settle_unmet_needs(&all);
        }
        if reading || (self.stop == Stop::Running && self.jobs.len() > 0) {
            return;
        }
        for index in 0..self.workers.len() {
            let worker = &self.workers[index];
            let busy = worker.flights.open() > 0 || worker.spills > 0;
            if !busy && worker.state.has_process() && !worker.state.is_ending() {
                self.drain(worker.id);
            }
        }
    }

    /// Whether a worker has had all the jobs it may have (`--max-jobs-per-worker`). While it holds files for records that
    /// `--keep-order` holds back it cannot be replaced, so it takes more: the job all wait for may need a worker.
    pub(super) fn is_worn_out(&self, id: WorkerId) -> bool {
        let worker = &self.workers[id.index()];
        self.config.max_jobs_per_worker.is_some_and(|max| worker.jobs_sent >= max) && worker.spills == 0
    }

    /// Lets a worker end that has had all its jobs, once they are answered and their output is taken.
    pub(super) fn drain_if_worn_out(&mut self, id: WorkerId) {
        let worker = &self.workers[id.index()];
        if worker.flights.open() == 0 && worker.state == State::Up && self.is_worn_out(id) {
            self.drain(id);
        }
    }

    /// A worker is idle and nothing waits for it, while jobs stand behind a long one elsewhere: look after them.
    fn recall_for_idle_workers(&mut self) {
        let followers = self.open_requests as u64 > self.stats.running;
        let idle = self.offers.first().is_some_and(|(load, _)| load == 0);
        if !followers || !idle || self.queue.len() > 0 {
            return;
        }
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.recall_at.is_none() && worker.flights.has_followers() {
                let at = worker.last_progress.after(worker.prefetch.patience()).max(self.now.time);
                let timer = Timer::Recall(worker.id, worker.generation);
                self.deadlines.set(&mut worker.recall_at, at, timer);
            }
        }
    }

    /// The time to look after the followers of a long job has come: they are called back, unless it made progress.
    pub(super) fn recall_followers(&mut self, id: WorkerId) {
        let idle = self.offers.first().is_some_and(|(load, _)| load == 0);
        let worker = &mut self.workers[id.index()];
        if !idle || self.queue.len() > 0 || !worker.flights.has_followers() {
            return;
        }
        let at = worker.last_progress.after(worker.prefetch.patience());
        if at > self.now.time {
            let timer = Timer::Recall(id, worker.generation);
            self.deadlines.set(&mut worker.recall_at, at, timer);
            return;
        }
        for wire_id in worker.flights.followers() {
            self.cancel_flight(id, wire_id, Cancel::Recall);
        }
    }

    /// Tells the worker to stop a request; nothing more than telling.
    pub(super) fn cancel_flight(&mut self, id: WorkerId, wire_id: u64, reason: Cancel) {
        let worker = &mut self.workers[id.index()];
        let Some(flight) = worker.flights.get_mut(wire_id) else { return };
        // A recall is heard only before the job is begun; what must stop in any case has to be told again.
        let told = flight.cancel >= Some(reason.min(Cancel::Timeout));
        flight.cancel = flight.cancel.max(Some(reason));
        if !told && worker.announced {
            let method = if reason == Cancel::Recall { "$/recall" } else { "$/cancelRequest" };
            self.say(id, |out| encode::notification_about(out, method, wire_id));
        }
    }

    /// Appends whole lines to what a worker is sent at the end of the turn.
    pub(super) fn say(&mut self, id: WorkerId, write: impl FnOnce(&mut Vec<u8>)) {
        let worker = &mut self.workers[id.index()];
        if worker.outgoing.is_empty() {
            self.dirty.push(id);
        }
        close_batch(worker);
        write(&mut worker.outgoing);
    }

    /// Gives out what the workers are to be sent.
    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let worker = &mut self.workers[id.index()];
            close_batch(worker);
            self.give_out_bytes(id);
        }
    }

    fn give_out_bytes(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        let bytes = std::mem::take(&mut worker.outgoing);
        if bytes.is_empty() || !worker.state.has_process() || worker.stdin_closed {
            return;
        }
        let is_first = worker.sent == 0;
        worker.sent += bytes.len() as u64;
        worker.outgoing_before = bytes.len().max(worker.outgoing_before - worker.outgoing_before / 8);
        self.actions.push_back(Action::Send { worker: id, generation: worker.generation, bytes });
        if is_first && worker.state == State::Up && !worker.announced {
            // From now on there is something it should read.
            self.set_timer(id, self.config.start_timeout);
        }
    }
}

/// Ends the array of requests that is being written. Its requests count as read only when the whole line was.
fn close_batch(worker: &mut super::worker::Worker) {
    if let Some(from) = worker.batch_from.take() {
        worker.outgoing.extend_from_slice(b"]\n");
        let end = worker.sent + worker.outgoing.len() as u64;
        for wire_id in from..worker.flights.next_id() {
            if let Some(flight) = worker.flights.get_mut(wire_id) {
                flight.end_offset = end;
            }
        }
    }
}
