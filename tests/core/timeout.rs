//! Jobs that take too long, and what becomes of those around them.

use crate::script::{Script, seconds};
use std::time::Duration;
use supervisor::config::{PoolConfig, Target};
use supervisor::exit::ExitCode;
use supervisor::record::Status;

fn limited(config: &mut PoolConfig) {
    config.timeout = Some(seconds(1));
}

#[test]
fn the_worker_stops_it_and_goes_on() {
    let mut t = Script::running(limited, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]).answers_cancelled("a1", true).gets(&["a2"]).answers("a2");
    let record = t.record("a1", Status::Timeout);
    assert_eq!(record.duration, seconds(1));
    assert!(record.error.unwrap().get().contains("ran longer than 1 s"));
    t.record("a2", Status::Ok);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn the_worker_does_not_answer_and_is_killed() {
    let mut t = Script::running(limited, &["a1"]);
    t.worker(1).gets(&["a1"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]);
    t.passes(seconds(5));
    t.record("a1", Status::Timeout);
    t.worker(1).is_killed().dies_by(9);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn the_built_in_worker_gets_some_time_more_to_stop_its_command() {
    let mut t = Script::running(
        |config| {
            limited(config);
            config.target = Target::Shell;
        },
        &["a1"],
    );
    t.worker(1).gets(&["a1"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]);
    t.passes(seconds(6));
    t.nothing_more();
    t.passes(seconds(1));
    t.record("a1", Status::Timeout);
    t.worker(1).is_killed().dies_by(9);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn what_the_built_in_worker_does_not_call_cancelled_had_ended_before() {
    let late = |built_in: bool, answer: &str| {
        let target = |config: &mut PoolConfig| {
            limited(config);
            if built_in {
                config.target = Target::Shell;
            }
        };
        let mut t = Script::running(target, &["a1"]);
        t.worker(1).gets(&["a1"]);
        t.passes(seconds(1));
        let mut worker = t.worker(1);
        worker.gets(&["cancel a1"]);
        match answer {
            "ok" => worker.answers("a1"),
            "failed" => worker.fails("a1"),
            _ => worker.answers_cancelled("a1", true),
        };
        t
    };
    for (answer, status) in [("ok", Status::Ok), ("failed", Status::Failed), ("cancelled", Status::Timeout)] {
        let mut t = late(true, answer);
        assert_eq!(t.record("a1", status).duration, seconds(1));
        t.ends(if status == Status::Ok { ExitCode::Success } else { ExitCode::JobsFailed });
        // Of other programs nobody knows that.
        let mut t = late(false, answer);
        t.record("a1", Status::Timeout);
        t.ends(ExitCode::JobsFailed);
    }
}

#[test]
fn a_stuck_function_ends_without_its_neighbour() {
    let mut t = Script::new(|config| config.concurrency = 2);
    t.reads_job("a1", |options| options.timeout = Some(seconds(1)));
    t.reads_job("a2", |_| {});
    t.list_ends();
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":2}}"#).gets(&["a1", "a2"]);
    t.passes(seconds(1));
    let mut worker = t.worker(1);
    let stuck = format!(r#"{{"method":"stuck","params":{{"id":{},"traceback":"in sleep"}}}}"#, worker.wire_id("a1"));
    worker.gets(&["cancel a1"]).says(&stuck);
    assert!(t.record("a1", Status::Timeout).error.unwrap().get().contains("in sleep"));
    t.nothing_more();
    t.worker(1).answers("a2").is_killed().dies_by(9);
    t.record("a2", Status::Ok);
    t.finishes(ExitCode::JobsFailed);
}

/// A job over its time of a worker that tells of such ones, beside another job.
fn over_its_time_beside_another(retries: u32) -> Script {
    let mut t = Script::new(|config| (config.concurrency, config.retries) = (2, retries));
    t.reads_job("a1", |options| options.timeout = Some(seconds(1)));
    t.reads_job("a2", |_| {});
    t.list_ends();
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":2,"stuck":true}}"#).gets(&["a1", "a2"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]);
    t
}

#[test]
fn a_job_that_blocks_its_worker_ends_with_it() {
    for says_so in [false, true] {
        let mut t = over_its_time_beside_another(0);
        if says_so {
            let id = t.worker(1).wire_id("a1");
            let stuck = format!(r#"{{"id":{id},"interruptible":true,"blocking":true,"traceback":"here"}}"#);
            t.worker(1).says(&format!(r#"{{"method":"stuck","params":{stuck}}}"#));
        }
        t.passes(seconds(5));
        t.record("a1", Status::Timeout);
        t.nothing_more();
        t.passes(seconds(1));
        t.was_told("let none of the others in it go on");
        t.worker(1).is_killed().dies_by(9);
        t.record("a2", Status::Crashed);
        t.finishes(ExitCode::JobsFailed);
    }
}

#[test]
fn a_job_over_its_time_that_lets_others_go_on_costs_only_itself() {
    let mut t = over_its_time_beside_another(0);
    let id = t.worker(1).wire_id("a1");
    t.worker(1).says(&format!(r#"{{"method":"stuck","params":{{"id":{id},"interruptible":true}}}}"#));
    t.passes(seconds(5));
    t.record("a1", Status::Timeout);
    t.passes(seconds(60));
    t.nothing_more();
    t.worker(1).answers("a2").is_killed().dies_by(9);
    t.record("a2", Status::Ok);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn a_plain_worker_is_asked_to_end_because_it_cannot_cancel() {
    let mut t = Script::new(|config| {
        limited(config);
        config.announces_ready = false;
    });
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().gets(&["a1"]);
    t.passes(seconds(1));
    t.worker(1).is_terminated().dies_by(15);
    t.record("a1", Status::Timeout);
    t.finishes(ExitCode::JobsFailed);
}

/// One of two jobs of a worker takes too long, and has not stopped so long after it was told to.
fn gives_up_one_of_two(t: &mut Script, patience: Duration) {
    t.reads_job("a1", |options| options.timeout = Some(seconds(1)));
    t.reads_job("a2", |_| {});
    t.list_ends();
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":2}}"#).gets(&["a1", "a2"]);
    t.passes(seconds(1));
    t.worker(1).gets(&["cancel a1"]);
    t.passes(patience);
    t.record("a1", Status::Timeout);
}

#[test]
fn a_late_answer_to_a_job_that_was_given_up_is_swallowed() {
    let mut t = Script::new(|config| config.concurrency = 2);
    gives_up_one_of_two(&mut t, seconds(5));
    t.worker(1).answers("a1");
    t.nothing_more();
    t.was_not_told("ProtocolBroken");
    t.worker(1).answers("a2").is_killed().dies_by(9);
    t.record("a2", Status::Ok);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn a_late_answer_that_holds_a_file_may_let_go_of_it() {
    let mut t = Script::new(|config| (config.target, config.concurrency) = (Target::Shell, 2));
    gives_up_one_of_two(&mut t, seconds(7));
    let id = t.worker(1).wire_id("a1");
    t.worker(1).says(&format!(r#"{{"id":{id},"result":{{"exit_code":0,"stdout_spill":"/p"}}}}"#)).gets(&["release a1"]);
}

#[test]
fn followers_of_a_long_job_run_elsewhere_at_no_charge() {
    let mut t = Script::new(|config| config.workers = 2);
    t.reads(&["a1", "b1"]);
    t.all_start();
    t.worker(2).gets(&["b1"]);
    t.worker(1).gets(&["a1"]).answers("a1");
    t.record("a1", Status::Ok);
    t.reads(&["long", "next"]);
    t.list_ends();
    t.worker(1).gets(&["long", "next"]);
    t.worker(2).answers("b1");
    t.record("b1", Status::Ok);
    t.passes(Duration::from_millis(50));
    t.worker(1).gets(&["recall next"]);
    // It is called back once, however long the answer takes.
    t.passes(Duration::from_millis(500));
    t.nothing_more();
    t.worker(1).answers_cancelled("next", false);
    t.worker(2).gets(&["next"]).answers("next");
    assert_eq!(t.record("next", Status::Ok).attempts, 1);
    t.worker(1).answers("long");
    t.record("long", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn one_job_of_some_milliseconds_waits_at_a_worker_that_hears_a_recall() {
    for (recall, sent, later) in [("false", &["a2"][..], &["a3"][..]), ("true", &["a2", "a3"], &[])] {
        let mut t = Script::new(|_| {});
        t.reads(&["a1", "a2", "a3"]);
        t.list_ends();
        let ready = format!(r#"{{"method":"ready","params":{{"prefetch":true,"recall":{recall}}}}}"#);
        t.worker(1).starts().says(&ready).gets(&["a1"]);
        t.passes(Duration::from_millis(3));
        t.worker(1).answers("a1").gets(sent).answers("a2");
        t.records(&["a1", "a2"], Status::Ok);
        t.worker(1).gets(later).answers("a3");
        t.record("a3", Status::Ok);
        t.ends(ExitCode::Success);
    }
}

#[test]
fn a_worker_cannot_hand_back_what_nobody_asked_for() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).answers_cancelled("a1", false);
    t.record("a1", Status::Failed);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn what_was_never_begun_has_not_timed_out_the_first_time() {
    for (second, status) in [(false, Status::Timeout), (true, Status::Ok)] {
        let mut t = Script::running(limited, &["a1"]);
        t.worker(1).gets(&["a1"]);
        t.passes(seconds(1));
        t.worker(1).gets(&["cancel a1"]).answers_cancelled("a1", false).gets(&["a1"]);
        if second {
            t.worker(1).answers("a1");
        } else {
            t.passes(seconds(1));
            t.worker(1).gets(&["cancel a1"]).answers_cancelled("a1", false);
        }
        assert_eq!(t.record("a1", status).attempts, 1);
        t.ends(if second { ExitCode::Success } else { ExitCode::JobsFailed });
    }
}
