//! Runs that are stopped: by signals, by failures, by lost output.

use crate::script::{READY, Script, Slot, seconds};
use std::time::Duration;
use supervisor::config::{Failures, Halt, PoolConfig, Target};
use supervisor::exit::ExitCode;
use supervisor::job::JobOptions;
use supervisor::pool::Event;
use supervisor::record::Status;

/// How long a worker has to stop its jobs by itself.
const HEED: Duration = Duration::from_millis(500);

/// The states of a worker, by how it is brought there.
const STATES: [&str; 7] = ["none", "spawning", "starting", "idle", "busy", "mute", "draining"];

/// A run with one worker in this state.
fn worker_that_is(state: &str, command: bool) -> Script {
    let mut t = Script::new(|config| {
        if command {
            config.target = Target::Shell;
        }
    });
    if state == "none" {
        return t;
    }
    t.reads(&["a1"]);
    if state == "spawning" {
        return t;
    }
    t.worker(1).starts();
    if state == "starting" {
        return t;
    }
    t.worker(1).says(READY).gets(&["a1"]);
    match state {
        "busy" => {}
        "mute" => {
            t.worker(1).closes_stdout();
        }
        "idle" => {
            t.worker(1).answers("a1");
        }
        "draining" => {
            t.list_ends();
            t.worker(1).answers("a1").hangs_up();
        }
        _ => unreachable!("no such state"),
    }
    t
}

/// Whatever a worker is doing when the first, the second and the third signal come: the run ends by the signal, at once
/// after the third, and the job has its record.
#[test]
fn every_state_of_a_worker_meets_every_signal() {
    for state in STATES {
        for command in [false, true] {
            for signals in 1..=3 {
                let mut t = worker_that_is(state, command);
                for _ in 0..signals {
                    t.turn(vec![Event::StopRequested { signal: 2 }]);
                }
                if state == "spawning" && !t.pool.is_finished() {
                    t.worker(1).starts();
                }
                if signals == 3 {
                    assert!(t.pool.is_finished(), "{state}: the third signal ends it at once");
                }
                // Nobody answers and nobody dies: it must end all the same.
                t.passes(seconds(60));
                assert!(t.pool.is_finished(), "{state}, {signals} signals, command {command}");
                assert_eq!(t.pool.stats().accepted, t.pool.stats().done());
                assert_eq!(t.pool.stats().accepted, u64::from(state != "none"));
            }
        }
    }
}

#[test]
fn the_first_signal_lets_a_command_be_stopped_by_its_worker() {
    let mut t = Script::new(|config| config.target = Target::Shell);
    t.reads(&["a1", "a2"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.signal(15);
    t.list_is_dropped();
    t.record("a2", Status::Skipped);
    t.worker(1).gets(&["cancel a1"]).answers_cancelled("a1", true);
    assert!(t.record("a1", Status::Cancelled).error.unwrap().get().contains("stopped by SIGTERM"));
    t.ends(ExitCode::Signal(15));
}

#[test]
fn a_command_that_made_it_after_all_is_ok() {
    let mut t = Script::new(|config| config.target = Target::Shell);
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.signal(2);
    t.list_is_dropped();
    t.worker(1).gets(&["cancel a1"]).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Signal(2));
}

#[test]
fn functions_are_asked_to_end_with_their_worker() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.signal(2);
    t.list_is_dropped();
    t.worker(1).gets(&["cancel a1"]);
    t.passes(HEED);
    t.worker(1).is_terminated().dies_by(15);
    t.record("a1", Status::Cancelled);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn a_function_that_heeds_is_not_asked_twice_and_one_that_cannot_is_asked_at_once() {
    let mut t = Script::running(|config| config.workers = 2, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]);
    t.worker(2).gets(&["a2"]);
    t.signal(2);
    t.worker(1).gets(&["cancel a1"]).fails("a1").hangs_up().exits(0);
    t.record("a1", Status::Cancelled);
    let id = t.worker(2).gets(&["cancel a2"]).wire_id("a2");
    let stuck = format!(r#"{{"method":"stuck","params":{{"id":{id},"interruptible":false,"traceback":"here"}}}}"#);
    t.worker(2).says(&stuck).is_terminated().dies_by(15);
    t.record("a2", Status::Cancelled);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn the_second_signal_kills_and_what_does_not_die_is_not_waited_for() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.signal(2);
    t.list_is_dropped();
    t.worker(1).gets(&["cancel a1"]);
    t.passes(HEED);
    t.worker(1).is_terminated();
    t.signal(2);
    t.worker(1).is_killed();
    t.passes(seconds(2));
    t.record("a1", Status::Cancelled);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn what_was_sent_ahead_and_never_begun_is_skipped() {
    let mut t = Script::running(|config| config.target = Target::Shell, &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]);
    t.record("a1", Status::Ok);
    t.signal(2);
    t.worker(1).gets(&["cancel a2", "cancel a3"]);
    t.worker(1).answers_cancelled("a3", false).answers_cancelled("a2", true);
    assert_eq!(t.record("a3", Status::Skipped).attempts, 0);
    assert_eq!(t.record("a2", Status::Cancelled).attempts, 1);
    t.ends(ExitCode::Signal(2));
}

#[test]
fn a_request_given_up_before_its_turn_may_be_begun_later() {
    let mut t = Script::running(|config| config.target = Target::Shell, &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]);
    t.record("a1", Status::Ok);
    t.signal(2);
    t.worker(1).gets(&["cancel a2", "cancel a3"]);
    t.passes(seconds(7));
    t.records(&["a2", "a3"], Status::Cancelled);
    t.worker(1).is_killed().answers("a2");
    t.nothing_more();
    t.worker(1).dies_by(9);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn a_job_between_two_attempts_is_cancelled_and_keeps_what_the_last_one_said() {
    for delay in [0, 60] {
        let mut t = Script::running(
            |config| (config.retries, config.retry_delay, config.workers) = (1, seconds(delay), 2),
            &["a1", "a2"],
        );
        t.worker(2).gets(&["a2"]);
        let id = t.worker(1).gets(&["a1"]).wire_id("a1");
        let line = format!(r#"{{"id":{id},"error":{{"code":-32000,"message":"bad","data":{{"exit_code":1}}}}}}"#);
        let Slot { worker, generation, .. } = t.worker(1);
        let answer = format!("{line}\n");
        let bytes = answer.as_bytes();
        t.turn(vec![Event::Output { worker, generation, bytes }, Event::StopRequested { signal: 2 }]);
        let record = t.record("a1", Status::Cancelled);
        assert_eq!(record.attempts, 1);
        let message = "stopped by SIGINT while it waited for its next attempt; the last one: bad";
        assert_eq!(record.error.unwrap().get(), format!(r#"{{"data":{{"exit_code":1}},"message":"{message}"}}"#));
    }
}

#[test]
fn a_job_between_two_attempts_is_cancelled_when_others_halt_the_run() {
    let mut t = Script::new(|config| {
        (config.halt, config.retries, config.retry_delay) = (Halt::Soon(Failures::Count(1)), 1, seconds(60));
    });
    t.reads_job("a1", |_| {});
    t.reads_job("a2", |options| options.retries = Some(0));
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["a1"]).fails("a1").gets(&["a2"]).fails("a2");
    t.record("a2", Status::Failed);
    assert!(t.record("a1", Status::Cancelled).error.unwrap().get().contains("(--halt) while it waited"));
    t.ends(ExitCode::JobsFailed);
}

fn halting(halt: Halt) -> impl FnOnce(&mut PoolConfig) {
    move |config| (config.halt, config.workers) = (halt, 2)
}

#[test]
fn halt_soon_lets_the_others_finish() {
    let mut t = Script::running(halting(Halt::Soon(Failures::Count(1))), &["a1", "a2", "a3"]);
    t.worker(2).gets(&["a2"]);
    t.worker(1).gets(&["a1"]).fails("a1");
    t.record("a1", Status::Failed);
    t.record("a3", Status::Skipped);
    t.worker(1).hangs_up().exits(0);
    t.worker(2).answers("a2");
    t.record("a2", Status::Ok);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn halt_now_stops_the_others() {
    let mut t = Script::running(halting(Halt::Now(Failures::Count(1))), &["a1", "a2"]);
    t.worker(2).gets(&["a2"]);
    t.worker(1).gets(&["a1"]).fails("a1").hangs_up().exits(0);
    t.record("a1", Status::Failed);
    t.worker(2).gets(&["cancel a2"]);
    t.passes(HEED);
    t.worker(2).is_terminated().dies_by(15);
    t.record("a2", Status::Cancelled);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn a_share_of_failures_is_judged_from_the_third_job_on() {
    let half = |config: &mut PoolConfig| config.halt = Halt::Soon(Failures::Percent(50));
    for last in [Status::Failed, Status::Ok] {
        let mut t = Script::running(half, &["a1", "a2", "a3", "a4"]);
        t.worker(1).gets(&["a1"]).fails("a1").gets(&["a2"]).fails("a2").gets(&["a3"]);
        t.records(&["a1", "a2"], Status::Failed);
        let mut worker = t.worker(1);
        if last == Status::Ok {
            worker.answers("a3")
        } else {
            worker.fails("a3")
        };
        t.record("a3", last);
        t.record("a4", Status::Skipped);
        t.ends(ExitCode::JobsFailed);
    }
}

#[test]
fn nothing_is_sent_ahead_where_a_failure_may_end_the_run() {
    for halt in [Halt::Soon(Failures::Count(1)), Halt::Now(Failures::Percent(50))] {
        let mut t = Script::running(|config| config.halt = halt, &["a1", "a2", "a3"]);
        t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]).answers("a2").gets(&["a3"]).answers("a3");
        t.records(&["a1", "a2", "a3"], Status::Ok);
        t.ends(ExitCode::Success);
    }
    let mut t = Script::running(|_| {}, &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]);
}

#[test]
fn an_endless_list_does_not_keep_a_halted_run_alive() {
    let mut t = Script::new(|config| config.halt = Halt::Soon(Failures::Count(1)));
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]).fails("a1").hangs_up().exits(0);
    t.record("a1", Status::Failed);
    t.reads(&["a2"]);
    t.record("a2", Status::Skipped);
    t.passes(seconds(5));
    t.list_is_dropped();
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn lost_output_stops_the_run() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1", "a2"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.happens(Event::OutputLost { message: "no space left on device".into() });
    t.list_is_dropped();
    t.record("a2", Status::Skipped);
    t.worker(1).gets(&["cancel a1"]);
    t.passes(HEED);
    t.worker(1).is_terminated().dies_by(15);
    t.record("a1", Status::Cancelled);
    t.finishes(ExitCode::OutputLost);
}

#[test]
fn a_worker_that_comes_up_after_the_second_signal_is_killed() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.turn(vec![Event::StopRequested { signal: 2 }, Event::StopRequested { signal: 2 }]);
    t.list_is_dropped();
    t.record("a1", Status::Skipped);
    t.worker(1).starts().is_killed().dies_by(9);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn nobody_who_is_gone_is_signalled_at_the_end() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    let stop = Event::StopRequested { signal: 2 };
    let (worker, generation) = (t.worker(1).worker, t.worker(1).generation);
    let status = supervisor::status::ExitStatus::Code(0);
    t.turn(vec![stop.clone(), stop.clone(), stop, Event::Exited { worker, generation, status, unread: 0 }]);
    t.list_is_dropped();
    t.record("a1", Status::Cancelled);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn nothing_counts_after_the_end() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    let stop = Event::StopRequested { signal: 2 };
    let (worker, generation) = (t.worker(1).worker, t.worker(1).generation);
    let late = Event::Output { worker, generation, bytes: b"{\"id\":0,\"result\":1}\n" };
    t.turn(vec![stop.clone(), stop.clone(), stop, late]);
    t.list_is_dropped();
    t.worker(1).is_killed();
    // The order to cancel may still be on its way.
    t.record("a1", Status::Cancelled);
    t.finishes(ExitCode::Signal(2));
}

#[test]
fn what_is_no_job_and_what_is_skipped_is_no_failure() {
    for halt in [Halt::Soon(Failures::Count(2)), Halt::Now(Failures::Percent(67))] {
        let mut t = Script::new(|config| config.halt = halt);
        t.reads_garbage();
        t.record("bad", Status::Invalid);
        let needy = |options: &mut JobOptions| options.needs = vec![crate::script::id("a0")];
        let jobs = vec![t.job("a0", |_| {}), t.job("behind it", needy), t.job("a1", |_| {})];
        t.turn(jobs);
        t.list_ends();
        t.all_start();
        t.worker(1).gets(&["a0"]).fails("a0").gets(&["a1"]).answers("a1");
        t.record("a0", Status::Failed);
        t.record("behind it", Status::Skipped);
        t.record("a1", Status::Ok);
        t.ends(ExitCode::BadInput);
    }
}
