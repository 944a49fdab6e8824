//! Workers that do not start, or do not become ready.

use crate::script::{READY, Script, seconds};
use serde_json::value::RawValue;
use std::time::Duration;
use supervisor::config::Target;
use supervisor::exit::ExitCode;
use supervisor::pool::{Event, SpawnFault};
use supervisor::record::Status;
use supervisor::status::WANTING;

fn init(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn a_program_that_is_not_there_ends_the_run() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.worker(1).cannot_start(SpawnFault::Permanent);
    t.was_told("GivingUp");
    t.record("a1", Status::Skipped);
    // The rest of the list is still read, so that each of its jobs has its record.
    t.reads(&["a2"]);
    t.record("a2", Status::Skipped);
    t.list_ends();
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn a_shortage_is_waited_out_and_in_the_end_given_up() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).cannot_start(SpawnFault::Shortage);
    t.nothing_more();
    t.passes(Duration::from_millis(20));
    for _ in 0..20 {
        t.worker(1).cannot_start(SpawnFault::Shortage);
        t.passes(seconds(1));
        if t.pool.is_finished() {
            break;
        }
    }
    t.was_told("GivingUp");
    t.record("a1", Status::Skipped);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn workers_that_can_start_no_command_give_their_jobs_back() {
    let mut t = Script::running(|config| (config.target, config.workers) = (Target::Shell, 2), &["a1", "a2"]);
    t.worker(1).gets(&["a1"]);
    t.worker(2).gets(&["a2"]);
    // The other one still tries, or runs something: the job waits, and this slot longer than the other can try.
    t.worker(1).answers_cancelled("a1", false).gets(&["a1"]).exits_before_reading("a1", WANTING.into());
    t.passes(seconds(5));
    t.nothing_more();
    t.worker(2).answers("a2");
    t.record("a2", Status::Ok);
    t.worker(2).gets(&["a1"]).answers_cancelled("a1", false).gets(&["a1"]).exits_before_reading("a1", WANTING.into());
    t.was_told("no command could be started");
    assert_eq!(t.record("a1", Status::Skipped).attempts, 0);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn workers_that_die_before_they_are_ready_charge_no_job() {
    let mut t = Script::new(|config| config.max_restarts = 2);
    t.reads(&["a1"]);
    t.list_ends();
    for _ in 0..3 {
        t.worker(1).starts().exits(1);
        t.passes(seconds(1));
    }
    t.was_told("ended (exit code 1) before it did any work");
    assert_eq!(t.record("a1", Status::Skipped).attempts, 0);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn what_a_worker_writes_before_it_is_ready_is_shown_once() {
    let mut t = Script::new(|config| config.max_restarts = 0);
    t.reads(&["a1"]);
    t.list_ends();
    let long = format!("begin {} end", "x".repeat(4092));
    t.worker(1).starts().writes_stderr(long.as_bytes());
    t.was_told(&format!("{:?}", &long.as_bytes()[..6]));
    t.was_not_told(format!("{:?}", &long.as_bytes()[long.len() - 5..]).trim_start_matches('['));
    t.worker(1).says(READY).gets(&["a1"]);
    t.was_told(&format!("{:?}", &long.as_bytes()[6..]));
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);

    let mut t = Script::new(|config| config.max_restarts = 0);
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().writes_stderr(b"no GPU").exits(1);
    t.was_told("before it did any work\\nno GPU");
    t.was_not_told("WorkerStderr");
    t.record("a1", Status::Skipped);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn ready_never_comes() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts();
    t.passes(seconds(30));
    t.was_told("was not ready within 30 s");
    t.record("a1", Status::Skipped);
    t.worker(1).is_killed().dies_by(9);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn a_plain_worker_that_reads_nothing_is_found_out() {
    let mut t = Script::new(|config| config.announces_ready = false);
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().gets(&["a1"]);
    t.passes(seconds(30));
    let mut slot = t.worker(1);
    let (worker, generation) = (slot.worker, slot.generation);
    slot.is_probed();
    t.happens(Event::Unread { worker, generation, bytes: 0 });
    t.passes(seconds(300));
    t.nothing_more();
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_plain_worker_is_not_blamed_for_what_it_was_not_sent() {
    let mut t = Script::new(|config| (config.announces_ready, config.workers) = (false, 2));
    t.reads(&["a1", "a2"]);
    t.worker(1).starts().gets(&["a1"]).answers("a1").gets(&["a2"]).answers("a2");
    t.records(&["a1", "a2"], Status::Ok);
    // The second one comes up to find nothing left, and has its first job just when its time seems to be over.
    t.worker(2).starts();
    t.passes(seconds(29));
    t.reads(&["a3", "a4"]);
    t.worker(1).gets(&["a3"]);
    t.worker(2).gets(&["a4"]);
    t.passes(seconds(1));
    t.nothing_more();
    t.passes(seconds(29));
    t.worker(2).is_probed();
}

#[test]
fn a_worker_whose_input_is_closed_is_sent_nothing_more() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).answers("a1").hangs_up();
    t.record("a1", Status::Ok);
    t.worker(1).says(r#"{"id":"own","method":"roots/list"}"#).exits(0);
    t.finishes(ExitCode::Success);
}

#[test]
fn a_worker_that_says_it_cannot_work_is_believed() {
    let nameless = "worker 1 says that it cannot work, and not why";
    for (params, told) in [
        (r#"{"message":"no module named foo"}"#, "no module named foo"),
        (r#"{"message":" "}"#, nameless),
        (r#"{"message":5}"#, nameless),
        ("[]", nameless),
    ] {
        let mut t = Script::new(|_| {});
        t.reads(&["a1"]);
        t.list_ends();
        t.worker(1).starts().says(&format!(r#"{{"method":"failed","params":{params}}}"#));
        t.was_told(told);
        t.record("a1", Status::Skipped);
        t.worker(1).hangs_up().exits(1);
        t.finishes(ExitCode::NoWorkers);
    }
}

#[test]
fn init_requests_are_answered_before_the_first_job() {
    let mut t = Script::new(|config| {
        config.init = vec![init(r#"{"method":"note"}"#), init(r#"{"id":"i","method":"init"}"#)];
    });
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().says(READY).gets(&["note", "init"]);
    t.worker(1).says(r#"{"id":"i","result":null}"#).gets(&["a1"]).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_refused_init_is_a_start_that_failed() {
    let mut t = Script::new(|config| {
        config.init = vec![init(r#"{"id":"i","method":"init"}"#)];
        config.max_restarts = 0;
    });
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().says(READY).gets(&["init"]);
    t.worker(1).says(r#"{"id":"i","error":{"code":1,"message":"no"}}"#).is_killed().dies_by(9);
    t.was_told("refused the --init request");
    t.record("a1", Status::Skipped);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn a_wrong_id_in_the_answer_to_init_is_shown_with_its_line_and_names_the_worker_once() {
    let mut t = Script::new(|config| {
        (config.init, config.max_restarts) = (vec![init(r#"{"id":"i","method":"init"}"#)], 0);
    });
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().says(READY).gets(&["init"]).says(r#"{"id":12345,"result":"wrong"}"#).is_killed().dies_by(9);
    t.was_told("worker 1 broke the protocol: it answered request 12345 although only the --init request was open: {");
    t.was_told("wrong");
    t.was_not_told("worker 1 worker 1");
    t.record("a1", Status::Skipped);
    t.finishes(ExitCode::NoWorkers);
}

#[test]
fn an_init_request_still_open_at_the_end_is_no_broken_protocol() {
    let mut t = Script::new(|config| {
        config.init = vec![init(r#"{"id":"i","method":"init"}"#)];
        config.workers = 2;
    });
    t.reads(&["a1", "a2"]);
    t.list_ends();
    t.worker(1).starts().says(READY).gets(&["init"]).says(r#"{"id":"i","result":0}"#).gets(&["a1"]);
    t.worker(2).starts().says(READY).gets(&["init"]);
    t.worker(1).answers("a1").gets(&["a2"]).answers("a2").hangs_up();
    t.records(&["a1", "a2"], Status::Ok);
    t.worker(2).hangs_up().says(r#"{"id":"i","result":0}"#).exits(0);
    t.was_not_told("ProtocolBroken");
    t.worker(1).exits(0);
    t.finishes(ExitCode::Success);
}

#[test]
fn a_worker_that_ignores_the_end_of_its_input_is_asked_and_then_killed() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).answers("a1").hangs_up();
    t.record("a1", Status::Ok);
    t.passes(seconds(5));
    t.worker(1).is_terminated();
    t.passes(seconds(1));
    t.worker(1).is_killed().dies_by(9);
    t.finishes(ExitCode::Success);
}

#[test]
fn an_empty_list_starts_nothing() {
    let mut t = Script::new(|_| {});
    t.list_ends();
    t.was_told("the job list is empty");
    t.finishes(ExitCode::Success);

    let mut t = Script::new(|config| config.fail_on_no_jobs = true);
    t.list_ends();
    t.finishes(ExitCode::NoJobs);
}
