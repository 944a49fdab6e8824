//! `--keep-order`, when too much is held back: which jobs the one at the head of the list waits for (`needs`, `locks`), and
//! that only those are begun. Never holds the run up: where no such job can be named, everything may begin.

use super::Pool;
use super::accept::priority;
use super::job_table::{JobEntry, JobKey, JobState, JobTable};
use super::needs::{self, Waiting};
use super::order::Order;
use crate::ids::JobId;
use crate::job::UserId;
use std::collections::{BTreeMap, BTreeSet};

/// The jobs that the head of the list waits for, itself among them. Made when they are asked for the first time.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    head: Option<JobId>,
    /// Ids that it needs, or that those need, and so on.
    ids: BTreeSet<u64>,
    /// The jobs of these ids that have been read, ended ones too until somebody looks.
    jobs: Vec<Waiting>,
    /// All open jobs by id: what is needed may stand anywhere in the list.
    open: BTreeMap<u64, Vec<Waiting>>,
}

impl Awaited {
    fn new(jobs: &JobTable) -> Self {
        let mut awaited = Awaited::default();
        for (key, entry) in jobs.iter() {
            awaited.enter(&entry.job.id, (key, entry.job.number));
        }
        awaited
    }

    fn enter(&mut self, id: &UserId, job: Waiting) -> u64 {
        let id = needs::hash(id);
        self.open.entry(id).or_default().push(job);
        id
    }

    /// A job was read.
    pub(super) fn accepted(&mut self, job: Waiting, jobs: &JobTable) {
        let id = self.enter(&jobs.get(job.0).job.id, job);
        if self.ids.contains(&id) {
            self.follow(job, jobs);
        }
    }

    /// A job has its record.
    pub(super) fn ended(&mut self, id: &UserId, number: JobId) {
        let id = needs::hash(id);
        if let Some(namesakes) = self.open.get_mut(&id) {
            namesakes.retain(|&(_, other)| other != number);
            if namesakes.is_empty() {
                self.open.remove(&id);
            }
        }
    }

    /// This is the head now: forgets what an earlier one waited for, and those that have ended.
    fn look(&mut self, head: Waiting, jobs: &JobTable) {
        if self.head == Some(head.1) {
            self.jobs.retain(|&(key, number)| jobs.has(key, number));
            return;
        }
        self.head = Some(head.1);
        // Who comes back to the head goes in a circle.
        self.ids = BTreeSet::from([needs::hash(&jobs.get(head.0).job.id)]);
        self.jobs.clear();
        self.follow(head, jobs);
    }

    /// Adds a job and what it waits for.
    fn follow(&mut self, job: Waiting, jobs: &JobTable) {
        let mut ways = vec![job];
        while let Some(job) = ways.pop() {
            self.jobs.push(job);
            let entry = jobs.get(job.0);
            if !matches!(entry.state, JobState::Blocked(_)) {
                continue;
            }
            for need in needs_of(entry).iter().map(needs::hash) {
                if self.ids.insert(need) {
                    ways.extend(self.open.get(&need).into_iter().flatten());
                }
            }
        }
    }
}

fn needs_of(entry: &JobEntry) -> &[UserId] {
    entry.job.options.as_ref().map(|options| options.needs.as_slice()).unwrap_or_default()
}

impl Pool {
    /// So many records are held back that only the job at the head may make progress, and those it waits for. `false` where
    /// none of them can: then everything may begin.
    pub(super) fn dispatch_for_head(&mut self) -> bool {
        let Some(head) = self.order.as_ref().and_then(Order::head) else { return true };
        if self.jobs.get(head).state == JobState::Ready {
            self.begin_out_of_turn(head);
        }
        // It may stand in line for its locks now.
        match self.jobs.get(head).state {
            JobState::Ready | JobState::Sent | JobState::Delayed => true,
            JobState::Blocked(_) | JobState::Locked => self.dispatch_awaited(head),
        }
    }

    fn dispatch_awaited(&mut self, head: JobKey) -> bool {
        // A job that runs and waits for a lock, an event, an item of a queue may get it from any other.
        if self.shared.is_waited_for() {
            return false;
        }
        let mut awaited = self.awaited.take().unwrap_or_else(|| Box::new(Awaited::new(&self.jobs)));
        awaited.look((head, self.jobs.get(head).job.number), &self.jobs);
        for &(key, _) in &awaited.jobs {
            if self.jobs.get(key).state == JobState::Ready {
                self.begin_out_of_turn(key);
            }
        }
        let states = awaited.jobs.iter().map(|&(key, _)| self.jobs.get(key).state);
        let is_locked = states.clone().any(|state| state == JobState::Locked);
        let goes_on = states.clone().any(|state| matches!(state, JobState::Ready | JobState::Sent | JobState::Delayed));
        let all = awaited.jobs.clone();
        self.awaited = Some(awaited);
        if is_locked {
            return self.dispatch_holders(&all);
        }
        if goes_on || self.wants_job() {
            return true;
        }
        if !self.reads() && !all.is_empty() {
            self.settle_unmet_needs(&all);
            return true;
        }
        false
    }

    /// Begins the jobs that have their locks already, since one that is awaited stands in line for them. `false` where a
    /// lock is held by none: a worker itself or a guest may give it up for any reason.
    fn dispatch_holders(&mut self, awaited: &[Waiting]) -> bool {
        self.dispatch_suspects();
        while let Some(key) = self.queue.first_granted() {
            if !self.begin_out_of_turn(key) {
                break;
            }
        }
        awaited.iter().filter(|(key, _)| self.jobs.get(*key).state == JobState::Locked).all(|&(key, _)| {
            let options = self.jobs.get(key).job.options.as_ref();
            options.is_some_and(|options| self.shared.are_held_by_jobs(&options.locks))
        })
    }

    /// Sends a ready job if a worker has room for it, or lets it stand in line for its locks. `false` where it stays as it is.
    fn begin_out_of_turn(&mut self, key: JobKey) -> bool {
        let entry = self.jobs.get(key);
        let Some((load, worker)) = self.offers.first() else { return false };
        let has_locks = entry.job.options.as_ref().is_some_and(|options| !options.locks.is_empty());
        if entry.suspect && load > 0 || has_locks && !self.begins_at_once(worker, load) {
            return false;
        }
        let (suspect, taken) = (entry.suspect, self.queue.take(priority(entry), key));
        assert!(taken, "a ready job is in the queue");
        if self.has_locks(key) {
            self.workers[worker.index()].alone |= suspect;
            self.send_job(worker, key);
        }
        true
    }
}
