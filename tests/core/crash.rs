//! What the death of a worker costs, and whom.

use crate::script::{Script, seconds};
use supervisor::exit::ExitCode;
use supervisor::pool::Event;
use supervisor::record::Status;

/// A worker that takes two at a time and any number ahead.
const TWO_AT_A_TIME: &str = r#"{"method":"ready","params":{"concurrency":2,"prefetch":true}}"#;

#[test]
fn one_job_in_flight_is_charged_and_the_slot_is_filled_again() {
    let mut t = Script::running(|_| {}, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]).dies_by(9);
    let record = t.record("a1", Status::Crashed);
    assert_eq!(record.attempts, 1);
    assert!(record.error.unwrap().get().contains("worker 1 was killed by SIGKILL"));
    t.all_start();
    t.worker(1).gets(&["a2"]).answers("a2");
    t.record("a2", Status::Ok);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn a_crashed_job_is_tried_again_as_often_as_allowed() {
    let mut t = Script::running(|config| config.retries = 2, &["a1"]);
    for _ in 0..2 {
        t.worker(1).gets(&["a1"]).dies_by(11);
        t.all_start();
    }
    t.worker(1).gets(&["a1"]).dies_by(11);
    assert_eq!(t.record("a1", Status::Crashed).attempts, 3);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn what_was_only_sent_ahead_goes_back_at_no_charge() {
    let mut t = Script::running(|_| {}, &["a1", "a2", "a3"]);
    // One quick answer, and the next two are sent together.
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]).dies_by(9);
    t.record("a1", Status::Ok);
    t.record("a2", Status::Crashed);
    t.all_start();
    t.worker(1).gets(&["a3"]).answers("a3");
    assert_eq!(t.record("a3", Status::Ok).attempts, 1);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn what_the_dead_never_read_was_never_begun() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).dies_before_reading("a1", 9);
    t.passes(seconds(1));
    t.all_start();
    t.worker(1).gets(&["a1"]).answers("a1");
    assert_eq!(t.record("a1", Status::Ok).attempts, 1);
    t.ends(ExitCode::Success);
}

#[test]
fn several_in_flight_are_suspects_and_run_alone() {
    let mut t = Script::new(|config| (config.concurrency, config.retries) = (2, 1));
    t.reads(&["a1", "a2"]);
    t.list_ends();
    t.worker(1).starts().says(TWO_AT_A_TIME).gets(&["a1", "a2"]).dies_by(9);
    t.worker(1).starts().says(TWO_AT_A_TIME).gets(&["a2"]).answers("a2").gets(&["a1"]).dies_by(9);
    assert_eq!(t.record("a2", Status::Ok).attempts, 2);
    assert_eq!(t.record("a1", Status::Crashed).attempts, 2);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn exit_code_0_with_a_job_open_is_a_crash_too() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).exits(0);
    let record = t.record("a1", Status::Crashed);
    assert!(record.error.unwrap().get().contains("exit code 0 in the middle of the job"));
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn what_a_dying_worker_wrote_is_told_once_and_as_its_owners() {
    let mut t = Script::running(|_| {}, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]).writes_stderr(b"Segmentation fault\n").dies_by(11);
    t.record("a1", Status::Ok);
    let record = t.record("a2", Status::Crashed);
    assert_eq!(record.rare().stderr.as_ref().unwrap().bytes, b"Segmentation fault\n");
    assert!(record.error.unwrap().get().contains("Segmentation fault"));
    t.was_told("stderr: []");
    t.was_not_told("bytes:");
}

#[test]
fn an_unfinished_last_line_is_told_with_the_end() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]).answers("a1").writes_stderr(b"one\ntwo").dies_by(9);
    t.record("a1", Status::Ok);
    t.was_told(&format!("bytes: {:?}", b"one\n"));
    t.was_told(&format!("stderr: {:?}", b"two"));
}

#[test]
fn an_answer_that_came_before_the_death_counts() {
    let mut t = Script::running(|_| {}, &["a1"]);
    let mut worker = t.worker(1);
    worker.gets(&["a1"]).answers("a1").hangs_up().dies_by(9);
    t.record("a1", Status::Ok);
    t.finishes(ExitCode::Success);
}

#[test]
fn many_poison_jobs_are_not_the_programs_fault() {
    let mut t = Script::running(|config| config.max_restarts = 0, &["a1", "a2", "a3"]);
    for name in ["a1", "a2", "a3"] {
        t.worker(1).gets(&[name]).says(r#"{"id":99,"result":1}"#).is_killed().dies_by(9);
        t.record(name, Status::Crashed);
        if name != "a3" {
            t.all_start();
        }
    }
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn a_worker_that_closes_its_output_and_lives_is_ended() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).closes_stdout();
    t.passes(seconds(1));
    t.worker(1).is_terminated();
    t.passes(seconds(1));
    t.worker(1).is_killed().dies_by(9);
    t.record("a1", Status::Crashed);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn the_end_of_output_and_the_death_in_one_turn() {
    let mut t = Script::running(|_| {}, &["a1", "a2"]);
    let mut slot = t.worker(1);
    slot.gets(&["a1"]);
    let (worker, generation) = (slot.worker, slot.generation);
    let status = supervisor::status::ExitStatus::Signal(9);
    t.turn(vec![Event::StdoutClosed { worker, generation }, Event::Exited { worker, generation, status, unread: 0 }]);
    t.record("a1", Status::Crashed);
    t.worker(1).starts();
}

#[test]
fn a_process_that_does_not_die_costs_its_slot_and_the_last_one_the_run() {
    let mut t = Script::running(|config| config.timeout = Some(seconds(1)), &["a1", "a2"]);
    t.worker(1).gets(&["a1"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]);
    t.passes(seconds(5));
    t.worker(1).is_killed();
    t.record("a1", Status::Timeout);
    t.passes(seconds(10));
    t.was_told("does not die");
    t.was_told("GivingUp");
    t.record("a2", Status::Skipped);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn news_of_a_process_that_is_no_longer_there_is_ignored() {
    let mut t = Script::running(|config| config.retries = 1, &["a1"]);
    let mut slot = t.worker(1);
    let (worker, old) = (slot.worker, slot.generation);
    slot.gets(&["a1"]).dies_by(9);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.happens(Event::Output { worker, generation: old, bytes: b"{\"id\":0,\"result\":\"old\"}\n" });
    t.happens(Event::StdoutClosed { worker, generation: old });
    t.nothing_more();
    t.worker(1).answers("a1");
    assert_eq!(t.record("a1", Status::Ok).attempts, 2);
    t.ends(ExitCode::Success);
}

#[test]
fn of_a_process_whose_end_is_not_waited_for_nobody_knows_what_it_had_begun() {
    let mut t = Script::running(|config| config.timeout = Some(seconds(1)), &["a1", "a2", "a3"]);
    // One quick answer, and the next two are sent together. Then the worker goes on and its answers come too late.
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]);
    t.record("a1", Status::Ok);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a2"]);
    t.passes(seconds(5));
    t.record("a2", Status::Timeout);
    t.worker(1).gets(&["recall a3"]).is_killed();
    t.passes(seconds(10));
    t.was_told("does not die");
    t.record("a3", Status::Crashed);
    t.finishes(ExitCode::JobsFailed);
}
