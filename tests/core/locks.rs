//! Locks that jobs have by the list, beside those that jobs ask for while they run: who runs never waits for a job that is
//! not begun.

use crate::script::{READY, Script};
use serde_json::json;
use supervisor::exit::ExitCode;
use supervisor::job::JobOptions;
use supervisor::record::Status;

const GIVEN: &[&str] = &["error null"];

fn under_a(options: &mut JobOptions) {
    options.locks = vec!["a".into()];
}

fn reads(t: &mut Script, names: &[&str]) {
    for name in names {
        t.reads_job(name, |_| {});
    }
}

/// A job that runs in this worker asks for the lock, or gives it up.
fn asks(t: &mut Script, slot: u32, job: &str, method: &str) {
    let mut worker = t.worker(slot);
    let params = json!({"name": "a", "job": worker.wire_id(job)});
    worker.says(&json!({"id": job, "method": format!("lock.{method}"), "params": params}).to_string());
}

#[test]
fn a_job_that_no_worker_can_begin_lets_those_have_its_lock_who_run() {
    let mut t = Script::new(|config| config.workers = 2);
    reads(&mut t, &["a1"]);
    t.reads_job("locked", under_a);
    reads(&mut t, &["a2"]);
    t.worker(1).starts().says(READY).gets(&["a1"]);
    asks(&mut t, 1, "a1", "acquire");
    // Now the locked one stands in line, and the second worker takes another.
    t.worker(1).gets(GIVEN);
    t.worker(2).starts().says(READY).gets(&["a2"]);
    t.list_ends();
    asks(&mut t, 2, "a2", "acquire");
    // It is the locked one's turn, but both workers have something to do.
    asks(&mut t, 1, "a1", "release");
    t.worker(1).gets(GIVEN);
    t.worker(2).gets(GIVEN);
    asks(&mut t, 1, "a1", "acquire");
    t.nothing_more();
    asks(&mut t, 2, "a2", "release");
    t.worker(2).gets(GIVEN);
    t.worker(1).gets(GIVEN);
    // With the lock free it is the first to have it, as soon as a worker can begin it.
    asks(&mut t, 1, "a1", "release");
    t.worker(1).gets(GIVEN);
    t.nothing_more();
    t.worker(2).answers("a2").gets(&["locked"]);
    asks(&mut t, 1, "a1", "acquire");
    t.worker(2).answers("locked");
    t.worker(1).gets(GIVEN).answers("a1");
    t.records(&["a2", "locked", "a1"], Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn what_holds_a_lock_is_not_sent_ahead_of_its_time() {
    let mut t = Script::new(|_| {});
    reads(&mut t, &["a1", "a2"]);
    t.reads_job("locked", under_a);
    reads(&mut t, &["a3", "a4"]);
    t.list_ends();
    t.all_start();
    // The worker is quick, and others would be sent ahead. But the second job asks for the lock of the one behind it.
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]);
    asks(&mut t, 1, "a2", "acquire");
    t.worker(1).gets(&["error null", "a3", "a4"]).answers("a2").answers("a3").answers("a4").gets(&["locked"]);
    t.worker(1).answers("locked");
    t.records(&["a1", "a2", "a3", "a4", "locked"], Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_first_job_under_keep_order_is_not_sent_ahead_with_its_lock_either() {
    let mut t = Script::new(|config| (config.keep_order, config.limits.held_bytes) = (true, 100));
    reads(&mut t, &["a1"]);
    t.reads_job("head", |options| {
        under_a(options);
        options.priority = -1;
    });
    reads(&mut t, &["large", "a2"]);
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["a1"]).answers("a1");
    t.record("a1", Status::Ok);
    // So much is held back that only the head may be begun, and the worker has room for one that is sent ahead.
    t.worker(1).gets(&["large", "a2"]).answers_all(&["large"], 200);
    asks(&mut t, 1, "a2", "acquire");
    t.worker(1).gets(GIVEN).answers("a2").gets(&["head"]).answers("head");
    t.records(&["head", "large", "a2"], Status::Ok);
    t.ends(ExitCode::Success);
}
