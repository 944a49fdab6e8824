//! The tutorial that the project was asked for with: for commands, and for functions as in `examples/tutorial`.

use crate::harness::{Done, Run};
use std::path::Path;

/// Seconds that the start of an interpreter may take on a busy machine.
const START: f64 = 20.0;

/// A time is no proof of anything on a busy machine except when it is too short or far too long.
#[track_caller]
fn took_about(done: &Done, seconds: f64, other: f64) {
    let took = done.took.as_secs_f64();
    assert!(took >= seconds, "{took} s is less than the work takes");
    assert!(took < other, "{took} s: it did not run at the same time");
}

#[test]
fn two_waits_on_two_workers_take_as_long_as_one() {
    let done = Run::text(["-w", "2"]).stdin("sleep 3\nsleep 3\n").run().expect_code(0);
    took_about(&done, 3.0, 6.0);
}

#[test]
fn two_waits_in_one_worker_with_concurrency_take_as_long_as_one() {
    let done = Run::text(["-w", "1", "-c", "2"]).stdin("sleep 2\nsleep 3\n").run().expect_code(0);
    took_about(&done, 3.0, 5.0);
}

#[test]
fn two_waits_in_one_worker_take_both() {
    let done = Run::text(["-w", "1"]).stdin("sleep 1\nsleep 1\n").run().expect_code(0);
    took_about(&done, 2.0, 60.0);
}

/// The tutorial's functions and job lists, with what its README says of them.
fn example(options: &[&str], list: &str) -> Done {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tutorial");
    Run::text(options).args(["-a", list]).cwd(&directory).run().expect_code(0)
}

#[test]
fn gather_takes_as_long_as_the_longer_one() {
    let done = example(&["-w", "1", "-c", "2", "--python", "tasks.py:tugas"], "gather.jsonl");
    assert_eq!(
        done.text(),
        "Tugas 1 mulai\nTugas 1 selesai setelah 2 detik\nTugas 2 mulai\nTugas 2 selesai setelah 3 detik\n"
    );
    took_about(&done, 3.0, 5.0 + START);
}

#[test]
fn two_processes_take_as_long_as_one() {
    let done = example(&["-w", "2", "-k", "--python", "tasks.py:proses"], "processes.jsonl");
    assert_eq!(
        done.text(),
        "Proses 1 mulai\nProses 1 selesai setelah 2 detik\nProses 2 mulai\nProses 2 selesai setelah 2 detik\n"
    );
    took_about(&done, 2.0, 4.0 + START);
}

#[test]
fn two_threads_with_numbers_and_letters() {
    let done = example(&["-w", "1", "-c", "2", "-k", "--python", "tasks.py"], "threads.jsonl");
    let expected: String =
        (1..=5).zip('a'..='e').map(|(number, letter)| format!("Number: {number}\nLetter: {letter}\n")).collect();
    assert_eq!(done.text(), expected);
    took_about(&done, 1.0, 2.0 + START);
}

#[test]
fn a_shared_counter_with_a_lock_loses_nothing_and_without_one_it_does() {
    let with = example(&["-w", "4", "--python", "tasks.py"], "counter-with-lock.jsonl");
    assert_eq!(with.text(), "1000\n");
    let without = example(&["-w", "4", "--python", "tasks.py"], "counter-without-lock.jsonl");
    let counted: i64 = without.text().trim().parse().expect("a number");
    // At least one worker's own additions are there; that others are lost is what a busy machine may spare us.
    assert!((250..=1000).contains(&counted), "{counted}");
}

#[test]
fn threads_do_not_help_work_for_the_processor_and_processes_do() {
    let run = |workers: &str, concurrency: &str| {
        let options = ["--json", "-w", workers, "-c", concurrency, "--python", "tasks.py:primes_timed"];
        example(&options, "primes.jsonl")
    };
    let cpu_seconds = |done: &Done| {
        let records = done.records();
        assert!(records.iter().all(|record| record["result"]["primes"] == 17_984), "{records:?}");
        records.iter().map(|record| record["result"]["cpu_seconds"].as_f64().expect("a number")).sum::<f64>()
    };
    // Whatever else the machine does: threads of one interpreter cannot use more processor time than time goes by.
    let threads = run("1", "2");
    assert!(threads.took.as_secs_f64() >= cpu_seconds(&threads), "{:?}", threads.took);
    let processes = run("2", "1");
    let records = processes.records();
    assert_ne!(records[0]["pid"], records[1]["pid"]);
    assert!(cpu_seconds(&processes) > 0.0);
}
