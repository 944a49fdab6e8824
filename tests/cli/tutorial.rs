//! The tutorial that the project was asked for with, for commands; functions have theirs in `functions`.

use crate::harness::{Done, Run};

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
