//! The seeded simulator: the real core and the real loop body against invented workers that crash, stall, lie and
//! babble, under a virtual clock. A seed is a world; a world that breaks is shown with all that led to it, and comes
//! back with its seed.
//!
//! ```text
//! cargo test --test sim                          # the fixed seeds, then fresh worlds from SIM_SEED
//! cargo test --test sim -- --seed 0x1f2e         # one world
//! cargo test --test sim -- --steps 100000000     # a long night; --seed says where it begins
//! ```

mod actor;
mod deeds;
mod options;
mod oracle;
mod outside;
mod prng;
mod world;

use outside::Coverage;
use prng::Prng;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;
use supervisor::record::Status;
use world::{Outcome, World};

/// Events in a run that was not told how many.
const STEPS_DEFAULT: u64 = 3_000_000;

/// Seeds that once found a defect.
const REGRESSIONS: &str = include_str!("seeds.txt");

struct Arguments {
    seed: Option<u64>,
    steps: Option<u64>,
    worlds: Option<u64>,
    verbose: bool,
}

#[derive(Default)]
struct Total {
    steps: u64,
    worlds: u64,
    jobs: u64,
    counts: [u64; Status::ALL.len()],
    coverage: Coverage,
}

fn main() -> ExitCode {
    let arguments = match parse_arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("sim: {message}"));
            return ExitCode::from(2);
        }
    };
    // A world that breaks is run once more with its log, so the first panic says nothing.
    std::panic::set_hook(Box::new(|_| {}));
    let began = clock();
    let mut total = Total::default();
    let good = match arguments.seed {
        Some(seed) if arguments.worlds.is_none() && arguments.steps.is_none() => {
            run_world(seed, &mut total, arguments.verbose)
        }
        _ => run_worlds(&arguments, &mut total),
    };
    let seconds = began.elapsed().as_secs_f64();
    report(&total, seconds);
    say(&format!("test result: {} passed, {} failed", total.worlds - u64::from(!good), u64::from(!good)));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The fixed seeds first, then fresh ones until there were enough events.
fn run_worlds(arguments: &Arguments, total: &mut Total) -> bool {
    for line in REGRESSIONS.lines() {
        let seed = line.split_whitespace().next().filter(|word| !word.starts_with('#'));
        if seed.is_some_and(|seed| !run_world(parse_seed(seed), total, arguments.verbose)) {
            return false;
        }
    }
    let first = arguments.seed.unwrap_or_else(seed_from_environment);
    say(&format!("sim: fresh worlds from seed {first:#x}"));
    let mut seeds = Prng::new(first);
    let steps = arguments.steps.unwrap_or(STEPS_DEFAULT);
    while arguments.worlds.map_or(total.steps < steps, |worlds| total.worlds < worlds) {
        if !run_world(seeds.next(), total, arguments.verbose) {
            return false;
        }
    }
    true
}

fn run_world(seed: u64, total: &mut Total, verbose: bool) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| World::new(seed, false).run()));
    total.worlds += 1;
    match outcome {
        Ok(Outcome { steps, jobs, counts, coverage }) => {
            if verbose {
                say(&format!("seed {seed:#018x}: {steps} events, {jobs} jobs, {counts:?}"));
            }
            total.steps += steps;
            total.jobs += jobs;
            for (sum, count) in total.counts.iter_mut().zip(counts) {
                *sum += count;
            }
            total.coverage.add(&coverage);
            true
        }
        Err(_) => {
            show_failure(seed);
            false
        }
    }
}

/// Runs a broken world again, with its log.
fn show_failure(seed: u64) {
    let (sender, message) = std::sync::mpsc::channel();
    std::panic::set_hook(Box::new(move |info| {
        let _ = sender.send(info.to_string());
    }));
    let mut world = World::new(seed, true);
    let _ = catch_unwind(AssertUnwindSafe(|| world.run()));
    std::panic::set_hook(Box::new(|_| {}));
    say(&format!("{:#?}", world.options()));
    for line in world.log() {
        say(&line);
    }
    say(&format!("sim: world {seed:#x} broke after {} events:", world.steps()));
    say(&message.recv().unwrap_or_else(|_| "it did not break the second time: something is not deterministic".into()));
    say(&format!("run it again: cargo test --test sim -- --seed {seed:#x}"));
}

fn report(total: &Total, seconds: f64) {
    let ended: Vec<String> =
        Status::ALL.iter().zip(total.counts).map(|(status, count)| format!("{status} {count}")).collect();
    say(&format!("sim: jobs {}: {}", total.jobs, ended.join(", ")));
    say(&format!("sim: {:?}", total.coverage));
    say(&format!(
        "sim: {} steps in {} worlds, {seconds:.1} s, {:.0} steps/s",
        total.steps,
        total.worlds,
        total.steps as f64 / seconds
    ));
}

fn parse_arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { seed: None, steps: None, worlds: None, verbose: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.replace('_', "").parse().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--seed" => arguments.seed = Some(parse_seed(&value()?)),
            "--steps" => arguments.steps = Some(number(value()?)?),
            "--worlds" => arguments.worlds = Some(number(value()?)?),
            "--verbose" => arguments.verbose = true,
            // What cargo's test runner is asked for beside the simulator; there is nothing to list.
            "--list" => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(arguments))
}

/// A decimal number, a hexadecimal one with `0x`, or any other text, such as the hash of a commit.
fn parse_seed(text: &str) -> u64 {
    let hexadecimal = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    text.parse().ok().or(hexadecimal).unwrap_or_else(|| {
        // FNV-1a: any text is a seed, and the same one everywhere.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    })
}

#[expect(clippy::disallowed_methods, reason = "the simulator's seed comes from outside; nothing else does")]
fn seed_from_environment() -> u64 {
    std::env::var("SIM_SEED").map_or(1, |seed| parse_seed(&seed))
}

#[expect(clippy::disallowed_methods, reason = "only to say how fast the simulator is; the worlds have their own clock")]
fn clock() -> Instant {
    Instant::now()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

impl Coverage {
    fn add(&mut self, other: &Coverage) {
        self.kills += other.kills;
        self.terms += other.terms;
        self.abandoned += other.abandoned;
        self.probes += other.probes;
        self.looks += other.looks;
        self.seen_on_shelves += other.seen_on_shelves;
        self.left_on_shelves += other.left_on_shelves;
        self.broken += other.broken;
        self.recalls_begun += other.recalls_begun;
        self.recalls_waiting += other.recalls_waiting;
        self.cancelled_in_vain += other.cancelled_in_vain;
        self.exits += other.exits;
        self.gave_up += other.gave_up;
    }
}
