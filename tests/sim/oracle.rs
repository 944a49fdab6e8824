//! The oracle: a naive model that knows only what went into the core, what came out of it, and what the actors really
//! did. It judges; it never looks inside.

use crate::options::Options;
use std::collections::{BTreeMap, BTreeSet};
use supervisor::exit::ExitCode;
use supervisor::ids::{Generation, WorkerId};
use supervisor::job::{Invalid, Job, UserId};
use supervisor::pool::Notice;
use supervisor::record::{Record, Status};

/// What is known of one job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    invalid: bool,
    needs: Vec<u64>,
    retries: u32,
    has_timeout: bool,
    record: Option<Status>,
    /// Requests that were sent for it.
    sent: u32,
    /// How often an actor really began it.
    begun: u32,
    /// Answers that actors wrote for it, whole.
    said_ok: u32,
    said_failed: u32,
    /// It was open at a worker that died or broke the protocol.
    exposed: bool,
    /// A worker that had it broke the protocol, so that nobody can know what it had begun.
    muddled: bool,
    locks: Vec<Box<str>>,
    runs_on: Option<(WorkerId, Generation)>,
    /// Who began it last.
    begun_by: Option<(WorkerId, Generation)>,
    /// It has its record from an earlier run.
    passed: bool,
    /// It was running when an earlier run ended, and may not run again.
    unknown: bool,
    /// A worker has it, as later runs would find.
    entrusted: bool,
}

/// The whole account.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    jobs: Vec<Ledger>,
    /// The job that was begun last under each lock.
    holders: BTreeMap<Box<str>, u64>,
    keep_order: bool,
    concurrency: u32,
    measures: bool,
    records: u64,
    last_in_order: u64,
    before: u64,
    before_not_ok: u64,
    counts: [u64; Status::ALL.len()],
    stopping: bool,
    given_up: bool,
    output_lost: bool,
    bad_input: bool,
    signals: Vec<i32>,
    fail_on_no_jobs: bool,
}

impl Oracle {
    pub(crate) fn new(options: &Options) -> Self {
        Oracle {
            keep_order: options.config.keep_order,
            concurrency: options.config.concurrency,
            measures: options.config.memory_max.is_some(),
            fail_on_no_jobs: options.config.fail_on_no_jobs,
            ..Oracle::default()
        }
    }

    fn job(&mut self, number: u64) -> &mut Ledger {
        &mut self.jobs[number as usize - 1]
    }

    // What went in.

    pub(crate) fn job_arrived(&mut self, job: &Job, options: &Options) {
        assert_eq!(job.number.0, self.jobs.len() as u64 + 1);
        let own = job.options.as_deref();
        self.jobs.push(Ledger {
            needs: own.map_or_else(Vec::new, |own| own.needs.iter().filter_map(number_of).collect()),
            locks: own.map_or_else(Vec::new, |own| own.locks.clone()),
            retries: own.and_then(|own| own.retries).unwrap_or(options.config.retries),
            has_timeout: own.and_then(|own| own.timeout).or(options.config.timeout).is_some(),
            ..Ledger::default()
        });
    }

    pub(crate) fn invalid_arrived(&mut self, invalid: &Invalid) {
        assert_eq!(invalid.number.0, self.jobs.len() as u64 + 1);
        self.bad_input = true;
        self.jobs.push(Ledger { invalid: true, ..Ledger::default() });
    }

    pub(crate) fn ended_before(&mut self, job: &Job, status: Status) {
        assert_eq!(job.number.0, self.jobs.len() as u64 + 1);
        self.before += 1;
        self.before_not_ok += u64::from(status != Status::Ok);
        self.jobs.push(Ledger { record: Some(status), passed: true, ..Ledger::default() });
    }

    pub(crate) fn unknown_arrived(&mut self, job: &Job) {
        assert_eq!(job.number.0, self.jobs.len() as u64 + 1);
        self.jobs.push(Ledger { unknown: true, ..Ledger::default() });
    }

    pub(crate) fn entrusted(&mut self, number: u64) {
        assert!(self.job(number).record.is_none(), "job {number} is entrusted after its record");
        self.job(number).entrusted = true;
    }

    pub(crate) fn taken_back(&mut self, number: u64) {
        assert!(self.job(number).entrusted, "job {number} was with nobody");
        self.job(number).entrusted = false;
    }

    pub(crate) fn input_failed(&mut self) {
        self.bad_input = true;
    }

    pub(crate) fn output_lost(&mut self) {
        self.output_lost = true;
    }

    pub(crate) fn signalled(&mut self, signal: i32) {
        self.signals.push(signal);
    }

    // What the actors really did.

    pub(crate) fn sent(&mut self, number: u64) {
        assert!(self.signals.len() < 2, "no job is sent after the second signal");
        assert!(!self.stopping && !self.given_up, "no job is sent once the run is being stopped");
        let jobs: Vec<u64> = self.job(number).needs.clone();
        let keep_order = self.keep_order;
        for need in jobs {
            let job = self.job(need);
            // Under --keep-order the record may be held back.
            let ok = job.record.map_or(keep_order && job.said_ok > 0, |status| status == Status::Ok);
            assert!(ok, "job {number} was sent before job {need}, which it needs");
        }
        let job = self.job(number);
        assert!(job.record.is_none(), "job {number} was sent after its record");
        assert!(job.entrusted, "job {number} was sent before it was noted for later runs");
        job.sent += 1;
    }

    /// An actor begins a job. Gives the jobs that were the last to hold one of its locks and have not stopped running.
    pub(crate) fn begun(&mut self, number: u64, by: (WorkerId, Generation)) -> Vec<(u64, (WorkerId, Generation))> {
        let mut others = Vec::new();
        for lock in self.job(number).locks.clone() {
            let before = self.holders.insert(lock, number).filter(|&before| before != number);
            others.extend(before.and_then(|before| Some((before, self.job(before).runs_on?))));
        }
        let job = self.job(number);
        job.begun += 1;
        job.runs_on = Some(by);
        job.begun_by = Some(by);
        others
    }

    /// An actor that has not read for long begins what it is told to cancel further on: an attempt that may be given up
    /// by now, so that it holds nothing and the next one runs elsewhere.
    pub(crate) fn begun_late(&mut self, number: u64) {
        self.job(number).begun += 1;
    }

    pub(crate) fn runs_on(&mut self, number: u64) -> Option<(WorkerId, Generation)> {
        self.job(number).runs_on
    }

    pub(crate) fn stopped_running(&mut self, number: u64, by: (WorkerId, Generation)) {
        let job = self.job(number);
        if job.runs_on == Some(by) {
            job.runs_on = None;
        }
    }

    pub(crate) fn answered(&mut self, number: u64, ok: bool) {
        let job = self.job(number);
        if ok { job.said_ok += 1 } else { job.said_failed += 1 }
    }

    /// A worker said that it had not begun this job although it had.
    pub(crate) fn lied_about(&mut self, number: u64) {
        self.job(number).muddled = true;
    }

    /// A worker that had this job open died, or was ordered to.
    pub(crate) fn exposed(&mut self, number: u64, muddled: bool) {
        let job = self.job(number);
        job.exposed = true;
        job.muddled |= muddled;
    }

    // What came out.

    /// The end of this process is not waited for: what it said of its jobs is never heard.
    pub(crate) fn abandoned(&mut self, process: (WorkerId, Generation)) {
        for job in self.jobs.iter_mut().filter(|job| job.begun_by == Some(process) && job.record.is_none()) {
            (job.exposed, job.muddled) = (true, true);
        }
    }

    /// The same of a process whose end came in that very turn: which jobs it had open is no longer known here, only that
    /// they were exposed. What was sent ahead to it counts as begun.
    pub(crate) fn abandoned_and_ended(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.exposed && job.record.is_none()) {
            job.muddled = true;
        }
    }

    pub(crate) fn noticed(&mut self, notice: &Notice) {
        match notice {
            Notice::Stopping { .. } => self.stopping = true,
            Notice::GivingUp { .. } => self.given_up = true,
            _ => {}
        }
    }

    pub(crate) fn emitted(&mut self, record: &Record) {
        let number = number_of(&record.id).expect("the id of a record is one that was given");
        assert!(number >= 1 && number <= self.jobs.len() as u64, "a record for job {number}, which never was");
        if self.keep_order {
            while self.jobs[self.last_in_order as usize].passed {
                self.last_in_order += 1;
            }
            assert_eq!(number, self.last_in_order + 1, "--keep-order: records leave in order, without gaps");
            self.last_in_order = number;
        }
        self.records += 1;
        self.counts[record.status as usize] += 1;
        let stopping = self.stopping || self.given_up || !self.signals.is_empty() || self.output_lost;
        let (concurrency, measures) = (self.concurrency, self.measures);
        // After the second signal the end is not waited for, so the last that workers did may never be heard.
        let in_haste = self.signals.len() >= 2;
        let job = self.job(number);
        assert!(job.record.is_none(), "job {number} has a second record");
        job.record = Some(record.status);
        if job.unknown {
            assert_eq!((record.status, record.attempts), (Status::Crashed, 1), "nobody knows what job {number} did");
            return;
        }
        let attempts = record.attempts;
        assert!(attempts <= 1 + job.retries, "job {number}: {attempts} attempts with {} retries", job.retries);
        assert!(attempts <= job.sent, "job {number}: {attempts} attempts, sent {} times", job.sent);
        if !job.muddled && !in_haste {
            assert!(job.begun <= attempts, "job {number}: begun {} times, {attempts} attempts accounted", job.begun);
        }
        assert_eq!(record.result.is_some(), record.status == Status::Ok);
        assert_eq!(record.error.is_some(), record.status != Status::Ok);
        let began = !matches!(record.status, Status::Skipped | Status::Invalid);
        assert_eq!(attempts > 0, began, "job {number}: {attempts} attempts and yet {}", record.status);
        match record.status {
            Status::Ok => {
                assert!(job.said_ok > 0, "job {number} is ok although nobody said so");
                let marker = format!("#{number}#");
                let result = record.result.as_ref().expect("checked above");
                assert!(result.get().contains(&marker), "job {number} has the result of another: {result}");
            }
            Status::Failed => assert!(job.said_failed > 0, "job {number} failed although nobody said so"),
            Status::Timeout => assert!(job.has_timeout, "job {number} has no timeout to run over"),
            Status::Crashed => {
                assert!(job.exposed, "job {number} crashed although no worker died under it");
                if concurrency == 1 && !job.muddled {
                    assert!(job.begun > 0, "job {number} crashed although it was never begun");
                }
            }
            Status::Oom => assert!(job.exposed && measures, "job {number} took no memory"),
            Status::Cancelled => assert!(stopping, "job {number} was cancelled although nothing was stopped"),
            Status::Skipped => {
                let failed_need = !job.needs.is_empty();
                assert!(stopping || failed_need, "job {number} was skipped without a reason");
            }
            Status::Invalid => assert!(job.invalid, "job {number} was a job"),
        }
        assert_eq!(job.invalid, record.status == Status::Invalid);
    }

    pub(crate) fn finished(&self, code: ExitCode) {
        let accepted = self.jobs.len() as u64;
        assert_eq!(self.records + self.before, accepted, "every accepted job has its record when the run ends");
        let mut expected = ExitCode::Success;
        let not_ok = self.before_not_ok + self.records
            - self.counts[Status::Ok as usize]
            - self.counts[Status::Invalid as usize];
        let stopping = self.stopping || self.given_up || !self.signals.is_empty() || self.output_lost;
        for (holds, code) in [
            (not_ok > 0, ExitCode::JobsFailed),
            (accepted == 0 && self.fail_on_no_jobs && !stopping, ExitCode::NoJobs),
            (self.bad_input, ExitCode::BadInput),
            (self.given_up, ExitCode::NoWorkers),
            (self.output_lost, ExitCode::OutputLost),
        ] {
            if holds {
                expected = expected.max(code);
            }
        }
        if let Some(&signal) = self.signals.first() {
            expected = ExitCode::Signal(signal);
        }
        // A run can give up while it is being stopped already; then there is no notice of it.
        if code == ExitCode::NoWorkers && stopping {
            return;
        }
        assert_eq!(code, expected, "the exit code says what happened");
    }

    /// Jobs without a record, for the report of a world that hangs.
    pub(crate) fn missing(&self) -> BTreeSet<usize> {
        (0..self.jobs.len()).filter(|&at| self.jobs[at].record.is_none()).map(|at| at + 1).collect()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.jobs.len() as u64
    }

    pub(crate) fn counts(&self) -> [u64; Status::ALL.len()] {
        self.counts
    }
}

/// The number of a job from its id: `17`, or `"j17"`.
fn number_of(id: &UserId) -> Option<u64> {
    match id {
        UserId::Number(number) => Some(*number),
        UserId::Json(text) => text.trim_matches(['"', 'j']).parse().ok(),
    }
}
