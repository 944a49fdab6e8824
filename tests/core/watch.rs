//! Memory, and workers that somebody has stopped: what is looked at from outside while jobs run.

use crate::script::{Script, seconds};
use std::time::Duration;
use supervisor::exit::ExitCode;
use supervisor::record::Status;

const MOMENT: Duration = Duration::from_millis(100);

#[test]
fn a_worker_that_takes_too_much_memory_costs_its_job_and_is_replaced() {
    let mut t = Script::running(|config| config.memory_max = Some(1000), &["a1", "a2"]);
    t.worker(1).gets(&["a1"]);
    t.passes(MOMENT);
    t.worker(1).is_seen(1000, false);
    t.passes(MOMENT);
    t.worker(1).is_seen(2000, false).is_killed().dies_by(9);
    let error = t.record("a1", Status::Oom).error.unwrap();
    assert!(error.get().contains("\"memory\":2000"), "{error}");
    t.all_start();
    t.worker(1).gets(&["a2"]).answers("a2");
    t.record("a2", Status::Ok);
    t.passes(MOMENT);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn an_answer_that_came_before_the_end_counts() {
    let mut t = Script::running(|config| config.memory_max = Some(1000), &["a1"]);
    t.worker(1).gets(&["a1"]);
    t.passes(MOMENT);
    t.worker(1).is_seen(2000, false).is_killed().answers("a1").dies_by(9);
    t.record("a1", Status::Ok);
    t.finishes(ExitCode::Success);
}

#[test]
fn a_stopped_worker_is_given_up_after_the_heartbeat_and_one_that_goes_on_is_not() {
    let mut t = Script::running(|config| config.heartbeat = Some(seconds(1)), &["a1"]);
    t.worker(1).gets(&["a1"]);
    for stopped in [true, true, true, false, true, true, true, true] {
        t.passes(seconds(1) / 4);
        t.worker(1).is_seen(0, stopped);
    }
    t.passes(seconds(1) / 4);
    t.worker(1).is_seen(0, true).is_killed().dies_by(9);
    let error = t.record("a1", Status::Crashed).error.unwrap();
    assert!(error.get().contains("--heartbeat"), "{error}");
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn no_job_is_begun_while_the_machine_is_short_of_memory() {
    let mut t = Script::new(|config| config.memory_free = Some(1000));
    t.reads(&["a1"]);
    t.passes(Duration::ZERO);
    t.has_memory(999);
    t.was_told("--memory-free");
    t.passes(MOMENT);
    t.has_memory(1000);
    t.all_start();
    t.worker(1).gets(&["a1"]).answers("a1");
    t.record("a1", Status::Ok);
    // The answer to the last look may come when nothing runs any more; the next job asks anew.
    t.passes(MOMENT);
    t.has_memory(10);
    t.reads(&["a2"]);
    t.passes(MOMENT);
    t.has_memory(1000);
    t.worker(1).gets(&["a2"]).answers("a2");
    t.record("a2", Status::Ok);
    t.passes(MOMENT);
    t.has_memory(1000);
    t.list_ends();
    t.ends(ExitCode::Success);
}
