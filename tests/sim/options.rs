//! Swarm: the seed first draws which world it is, and which faults exist in it at all and how often.

use crate::prng::Prng;
use serde_json::value::RawValue;
use std::time::Duration;
use supervisor::config::{Failures, Halt, Limits, PoolConfig, Target};

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// How often each fault happens, in 1024 opportunities; 0 where it does not exist in this world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) spawn_short: u32,
    pub(crate) spawn_permanent: u32,
    pub(crate) never_ready: u32,
    pub(crate) slow_ready: u32,
    pub(crate) refuses_to_start: u32,
    pub(crate) dies_before_ready: u32,
    pub(crate) refuses_init: u32,
    pub(crate) dies_idle: u32,
    pub(crate) never_reads: u32,
    pub(crate) ignores_term: u32,
    pub(crate) ignores_eof: u32,
    pub(crate) ignores_cancel: u32,
    pub(crate) unkillable: u32,
    pub(crate) fails: u32,
    pub(crate) crashes: u32,
    pub(crate) torn_answer: u32,
    pub(crate) slow: u32,
    pub(crate) never_answers: u32,
    pub(crate) answers_twice: u32,
    pub(crate) wrong_id: u32,
    pub(crate) stray: u32,
    pub(crate) oversize: u32,
    pub(crate) bad_utf8: u32,
    pub(crate) prints: u32,
    pub(crate) asks: u32,
    pub(crate) error_without_id: u32,
    pub(crate) closes_stdout: u32,
    pub(crate) stuck: u32,
    pub(crate) lies_not_begun: u32,
    pub(crate) spills: u32,
    pub(crate) torn_reads: u32,
    pub(crate) stdin_backlog: u32,
    pub(crate) output_backlog: u32,
    pub(crate) clock_stall: u32,
    pub(crate) ties: u32,
    pub(crate) spurious_deadline: u32,
    pub(crate) input_pause: u32,
    pub(crate) invalid: u32,
    pub(crate) input_error: bool,
    pub(crate) output_lost: bool,
    /// Whether somebody stops the run.
    pub(crate) stops: u32,
}

/// A world before anything has happened in it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) config: PoolConfig,
    pub(crate) faults: Faults,
    pub(crate) jobs: u64,
    /// Events before the faults are switched off.
    pub(crate) safety_steps: u64,
    /// What the workers say of themselves, when they announce themselves.
    pub(crate) prefetch: bool,
    pub(crate) batch: bool,
    pub(crate) shelf: bool,
    /// Longest job that is not slow.
    pub(crate) job_span_max: u64,
    pub(crate) needs: u32,
    pub(crate) locks: u32,
    pub(crate) priorities: u32,
    pub(crate) own_options: u32,
    /// Nanoseconds between arrivals of jobs, at most.
    pub(crate) arrival_max: u64,
}

impl Options {
    /// Whether workers say that they tell of cancelled requests which go on: half of the worlds, without a draw of its own,
    /// so that the worlds of the seeds stay what they were.
    pub(crate) fn tells_stuck(&self) -> bool {
        self.batch
    }

    pub(crate) fn draw(rng: &mut Prng) -> Self {
        let faults = Faults::draw(rng);
        let announces_ready = rng.chance(700);
        let some = |rng: &mut Prng, rate: u32| if rng.coin() { 0 } else { rate };
        let config = draw_config(rng, announces_ready);
        Options {
            config: PoolConfig { limits: draw_limits(config.seed), ..config },
            jobs: if rng.chance(20) { 0 } else { rng.span(1, 600) },
            safety_steps: rng.span(20, 8000),
            prefetch: rng.chance(768),
            batch: rng.coin(),
            shelf: rng.coin(),
            job_span_max: *rng.pick(&[20 * MICROSECOND, MILLISECOND, 50 * MILLISECOND, SECOND]),
            needs: if rng.chance(256) { rng.between(1, 500) as u32 } else { 0 },
            locks: if rng.chance(200) { rng.between(1, 1000) as u32 } else { 0 },
            priorities: some(rng, 300),
            own_options: some(rng, 200),
            arrival_max: rng.span(1, 20 * MILLISECOND),
            faults,
        }
    }
}

fn draw_config(rng: &mut Prng, announces_ready: bool) -> PoolConfig {
    let target = match rng.below(3) {
        0 => Target::Shell,
        _ => Target::Function { default: Some("work".into()) },
    };
    let count = rng.between(1, 5);
    let share = rng.between(1, 100) as u8;
    let failures = if rng.coin() { Failures::Count(count) } else { Failures::Percent(share) };
    let halt = *rng.pick(&[
        Halt::Never,
        Halt::Never,
        Halt::Never,
        Halt::Never,
        Halt::Never,
        Halt::Soon(failures),
        Halt::Now(failures),
    ]);
    let init =
        ["{\"jsonrpc\":\"2.0\",\"id\":\"init-0\",\"method\":\"init\"}", "{\"method\":\"told\",\n \"params\":[1]}"];
    let init = (0..if rng.chance(200) { rng.between(1, 3) } else { 0 })
        .map(|_| RawValue::from_string((*rng.pick(&init)).to_owned()).expect("it is JSON"))
        .collect();
    PoolConfig {
        workers: rng.between(1, 8) as u32,
        concurrency: if rng.coin() { 1 } else { rng.between(2, 4) as u32 },
        target,
        announces_ready,
        start_timeout: Duration::from_nanos(rng.span(SECOND, 30 * SECOND)),
        keep_order: rng.chance(300),
        timeout: rng.coin().then(|| Duration::from_nanos(rng.span(5 * MILLISECOND, 10 * SECOND))),
        retries: if rng.coin() { 0 } else { rng.between(1, 4) as u32 },
        retry_delay: if rng.coin() { Duration::ZERO } else { Duration::from_nanos(rng.span(MILLISECOND, SECOND)) },
        grace: if rng.chance(100) { Duration::ZERO } else { Duration::from_nanos(rng.span(MILLISECOND, 5 * SECOND)) },
        halt,
        max_jobs_per_worker: rng.chance(200).then(|| rng.span(1, 50)),
        init,
        max_restarts: *rng.pick(&[0, 5, 5, 5, 1000, 1000, 1000]),
        restart_window: Duration::from_secs(30),
        max_message: *rng.pick(&[2000, 2000, 1 << 20]),
        memory_max: rng.chance(200).then_some(1000),
        memory_free: rng.chance(100).then_some(1000),
        heartbeat: rng.chance(200).then(|| Duration::from_nanos(rng.span(100 * MILLISECOND, 5 * SECOND))),
        max_output: 1000,
        labels: rng.coin(),
        commands: false,
        fail_on_no_jobs: rng.coin(),
        seed: rng.next(),
        limits: Limits::default(),
    }
}

/// In half of the worlds so little may wait in memory that small lists reach the limits. Drawn by what was drawn already, so
/// that the other worlds are what they were.
fn draw_limits(seed: u64) -> Limits {
    if seed % 2 == 0 {
        return Limits::default();
    }
    let mut rng = Prng::new(seed);
    let queue_jobs = rng.between(1, 40) as usize;
    Limits { queue_jobs, far_jobs: queue_jobs * rng.between(1, 3) as usize, held_bytes: rng.below(5000) as usize }
}

impl Faults {
    fn draw(rng: &mut Prng) -> Self {
        // Some worlds are perfect: there the oracle is at its strictest.
        if rng.chance(100) {
            return Faults::default();
        }
        let mut rate = |often: u32| match rng.below(4) {
            0 => often.div_ceil(8),
            1 => often,
            _ => 0,
        };
        Faults {
            spawn_short: rate(200),
            spawn_permanent: rate(3),
            never_ready: rate(60),
            slow_ready: rate(300),
            refuses_to_start: rate(8),
            dies_before_ready: rate(100),
            refuses_init: rate(60),
            dies_idle: rate(100),
            never_reads: rate(40),
            ignores_term: rate(300),
            ignores_eof: rate(300),
            ignores_cancel: rate(300),
            unkillable: rate(20),
            fails: rate(200),
            crashes: rate(60),
            torn_answer: rate(30),
            slow: rate(60),
            never_answers: rate(20),
            answers_twice: rate(20),
            wrong_id: rate(20),
            stray: rate(100),
            oversize: rate(10),
            bad_utf8: rate(20),
            prints: rate(200),
            asks: rate(100),
            error_without_id: rate(50),
            closes_stdout: rate(20),
            stuck: rate(500),
            lies_not_begun: rate(30),
            spills: rate(300),
            torn_reads: rate(400),
            stdin_backlog: rate(100),
            output_backlog: rate(20),
            clock_stall: rate(20),
            ties: rate(400),
            spurious_deadline: rate(50),
            input_pause: rate(20),
            invalid: rate(60),
            input_error: rate(1) > 0,
            output_lost: rate(1) > 0 && rate(1) > 0 && rate(1) > 0,
            stops: u32::from(rate(1) > 0 && rate(1) > 0),
        }
    }
}
