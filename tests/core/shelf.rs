//! Answers that a worker holds back: when they are looked for, and what that changes.

use crate::script::{Script, seconds};
use std::time::Duration;
use supervisor::config::PoolConfig;
use supervisor::exit::ExitCode;
use supervisor::record::Status;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One worker with a shelf that has answered a job at once and was sent the others together.
fn three_in_flight(change: impl FnOnce(&mut PoolConfig)) -> Script {
    let mut t = Script::new(change);
    t.reads(&["a1", "a2", "a3", "a4"]);
    t.list_ends();
    t.worker(1).starts().has_a_shelf().gets(&["a1"]).answers("a1").gets(&["a2", "a3", "a4"]);
    t.record("a1", Status::Ok);
    t
}

#[test]
fn a_silent_worker_is_looked_at_ever_more_seldom() {
    let mut t = three_in_flight(|_| {});
    t.passes(milliseconds(1));
    t.nothing_more();
    for span in [1, 2, 4, 8] {
        t.passes(milliseconds(span));
        t.worker(1).is_looked_at();
    }
    // The one before the long job is found, and from there on it is the next that is waited for.
    t.worker(1).answers("a2");
    t.record("a2", Status::Ok);
    t.passes(milliseconds(2));
    t.worker(1).is_looked_at();
    t.worker(1).answers("a3");
    t.record("a3", Status::Ok);
    // With one job open nothing can be held back.
    t.passes(seconds(60));
    t.nothing_more();
    t.worker(1).answers("a4");
    t.record("a4", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn one_who_never_answers_is_looked_at_once_a_second() {
    let mut t = three_in_flight(|_| {});
    t.passes(seconds(1));
    assert_eq!(t.worker(1).looks(), 9, "after 2, 4, 8 … 512 ms");
    t.passes(seconds(1000));
    assert_eq!(t.worker(1).looks(), 1000);
    for name in ["a2", "a3", "a4"] {
        t.worker(1).answers(name);
        t.record(name, Status::Ok);
    }
    t.ends(ExitCode::Success);
}

#[test]
fn a_job_is_not_called_overdue_before_its_answer_was_looked_for() {
    let mut t = three_in_flight(|config| config.timeout = Some(milliseconds(1)));
    t.passes(milliseconds(1));
    // The first is done, the second is what takes long: its time begins when that is known.
    t.worker(1).is_looked_at().answers("a2");
    t.record("a2", Status::Ok);
    t.passes(milliseconds(1));
    t.worker(1).is_looked_at();
    t.passes(milliseconds(2));
    t.worker(1).is_looked_at().gets(&["cancel a3"]).answers_cancelled("a3", true);
    t.record("a3", Status::Timeout);
    t.worker(1).answers("a4");
    t.record("a4", Status::Ok);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn what_is_delivered_at_its_death_was_done() {
    let mut t = three_in_flight(|_| {});
    t.worker(1).answers("a2");
    t.record("a2", Status::Ok);
    t.worker(1).dies_by(9);
    t.record("a3", Status::Crashed);
    t.all_start();
    t.worker(1).gets(&["a4"]).answers("a4");
    assert_eq!(t.record("a4", Status::Ok).attempts, 1);
    t.ends(ExitCode::JobsFailed);
}
