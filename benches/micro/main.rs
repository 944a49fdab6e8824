//! The parts of supervisor that are pure, by themselves: how long an item takes, and how many instructions.
//!
//!     cargo bench --bench micro            times, by divan
//!     benches/count.py                     instructions, by valgrind: the same on a busy machine
//!
//! Owns the two ways to run a [`Workload`]; the workloads are in the modules.

mod core;
mod decoders;
mod path;
mod records;
mod workload;

use divan::counter::ItemsCount;
use std::io::Write;
use workload::Workload;

/// All of them, in the order of the table.
const WORKLOADS: &[Workload] = &[
    decoders::LINES,
    decoders::CALLS,
    decoders::OPTIONS,
    decoders::RESULTS,
    decoders::ERRORS,
    core::ON_TWO_WORKERS,
    core::ON_A_THOUSAND_WORKERS,
    records::AS_JSON,
    records::AS_TEXT,
    path::CALLS,
    path::COMMANDS,
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--names"] => names(),
        ["--count", name, rounds] => count(name, rounds.parse().expect("a number of rounds")),
        _ => divan::main(),
    }
}

#[divan::bench(args = WORKLOADS)]
fn items(bencher: divan::Bencher<'_, '_>, workload: &Workload) {
    let mut round = (workload.start)();
    bencher.counter(ItemsCount::new(workload::ITEMS)).bench_local(&mut *round);
}

/// A line for each workload: its name, and the items of a round.
fn names() {
    let mut out = std::io::stdout().lock();
    for workload in WORKLOADS {
        writeln!(out, "{}\t{}", workload.name, workload::ITEMS).expect("the names can be written");
    }
}

/// Runs so many rounds of one workload and nothing else, to be counted from outside.
fn count(name: &str, rounds: usize) {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name).expect("a name that --names prints");
    let mut round = (workload.start)();
    (0..rounds).for_each(|_| round());
}
