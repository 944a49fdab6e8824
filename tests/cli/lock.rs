//! `supervisor lock`: commands of a run that take turns, whatever happens to the one whose turn it is.

use crate::harness::{Run, TempDir, counts, now};
use std::time::Duration;

const LOCK: &str = concat!("'", env!("CARGO_BIN_EXE_supervisor"), "' lock");

#[test]
fn increments_of_a_counter_under_a_lock_are_exact() {
    let dir = TempDir::new("lock-counter");
    let total = dir.file("total", "0\n");
    let job = format!("{LOCK} total -- sh -c 'n=$(cat total); sleep 0.01; echo $((n + 1)) > total'\n");
    let done = Run::json(["-w", "4"]).cwd(dir.path()).stdin(job.repeat(20)).run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 20)]));
    assert_eq!(std::fs::read_to_string(total).unwrap().trim(), "20");
}

#[test]
fn a_killed_holder_frees_its_lock_and_the_next_one_learns_of_it() {
    let dir = TempDir::new("lock-killed");
    // The first job's command kills itself and the process that has the lock; the second waits until it has it.
    let list = format!(
        "{LOCK} a -- sh -c 'echo $PPID > holder; until [ -e waits ]; do sleep 0.01; done; kill -9 $PPID; kill -9 $$'\n\
         until [ -s holder ]; do sleep 0.01; done; touch waits; {LOCK} a -- sh -c 'echo $SPV_PREVIOUS_HOLDER_DIED'\n"
    );
    let begin = now();
    let done = Run::json(["-w", "2"]).cwd(dir.path()).stdin(list).run().expect_code(1);
    assert!(begin.elapsed() < Duration::from_secs(20));
    let records = done.by_id();
    assert_eq!(records["1"]["status"], "failed");
    assert_eq!(records["2"]["result"]["stdout"], "1\n", "{}", records["2"]);
}

#[test]
fn a_lock_outlives_its_asker_for_as_long_as_the_command_runs() {
    let dir = TempDir::new("lock-outlived");
    let list = format!(
        "{LOCK} a -- sh -c 'kill -9 $PPID; touch held; sleep 0.3; touch over' & until [ -e over ]; do sleep 0.01; done\n\
         until [ -e held ]; do sleep 0.01; done; {LOCK} a -- test -e over\n"
    );
    let done = Run::json(["-w", "2"]).cwd(dir.path()).stdin(list).run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 2)]), "{}", done.text());
}

#[test]
fn who_runs_does_not_wait_for_the_lock_of_a_job_that_is_not_begun() {
    // Short jobs are sent to a worker ahead of their time, those that have their lock by the list among them.
    let asks = format!("{{\"command\":\"{LOCK} a -- true\"}}\n");
    let has = "{\"command\":[\"true\"],\"locks\":[\"a\"]}\n";
    let short = "{\"command\":[\"true\"]}\n";
    for workers in ["1", "2"] {
        let list = short.repeat(10) + &(asks.clone() + has).repeat(8);
        let done = Run::json(["-w", workers]).stdin(list).run().expect_code(0);
        assert_eq!(done.statuses(), counts([("ok", 26)]));
    }
}

#[test]
fn exit_codes() {
    let cases = [
        ("a -- sh -c 'exit 7'", 7),
        ("a -- sh -c 'kill -9 $$'", 137),
        ("a -- nosuch-command", 127),
        ("a -- /", 126),
        ("--timeout 0 b -- true", 0),
        // Waiting for oneself is refused, and so is a wait that takes too long.
        (&format!("a -- {LOCK} a -- true"), 125),
        (&format!("a -- {LOCK} --timeout 0 a -- true"), 124),
        (&format!("a -- {LOCK} --timeout 50ms a -- true"), 124),
        (&format!("a -- {LOCK} b -- true"), 0),
    ];
    let list: String = cases.iter().map(|(line, _)| format!("{LOCK} {line}; exit $?\n")).collect();
    let done = Run::json(["-w", "2"]).stdin(list).run();
    let records = done.by_id();
    for (number, (line, code)) in cases.iter().enumerate() {
        let record = &records[&(number + 1).to_string()];
        let ended = record.get("result").unwrap_or_else(|| &record["error"]["data"]);
        assert_eq!(ended["exit_code"], *code, "{line}: {record}");
    }
}

#[test]
fn a_deadlock_of_two_jobs_is_refused() {
    let dir = TempDir::new("lock-deadlock");
    let job = |mine: &str, other: &str| {
        format!(
            "{LOCK} {mine} -- sh -c 'touch has-{mine}; until [ -e has-{other} ]; do sleep 0.01; done; \
             exec \"$0\" lock {other} -- true' '{}'\n",
            env!("CARGO_BIN_EXE_supervisor")
        )
    };
    let list = job("a", "b") + &job("b", "a");
    let done = Run::json(["-w", "2"]).cwd(dir.path()).stdin(list).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 1), ("failed", 1)]), "{}", done.text());
    assert!(done.text().contains("deadlock"), "{}", done.text());
}

#[test]
fn a_job_that_has_a_lock_may_not_wait_for_it_again() {
    let list = format!("{{\"command\":\"{} lock db -- true\",\"locks\":[\"db\"]}}\n", env!("CARGO_BIN_EXE_supervisor"));
    let done = Run::json(["-w", "1"]).stdin(list).run().expect_code(1);
    assert!(done.text().contains("deadlock"), "{}", done.text());
}

#[test]
fn functions_and_commands_share_their_locks() {
    let dir = TempDir::new("lock-python");
    dir.file(
        "tasks.py",
        "import subprocess, sys\nfrom supervisor import Lock\ndef f(program):\n    with Lock('a'):\n        \
         return subprocess.run([program, 'lock', '--timeout', '0', 'a', '--', 'true'], stderr=subprocess.DEVNULL).returncode\n",
    );
    let run = Run::json(["-w", "1", "--python", "tasks.py:f"]).cwd(dir.path());
    let done = run.stdin(env!("CARGO_BIN_EXE_supervisor").to_owned() + "\n").run().expect_code(0);
    assert_eq!(done.by_id()["1"]["result"], 124, "{}", done.text());
}

#[test]
fn a_run_that_is_stopped_ends_the_wait() {
    let list = format!("{LOCK} a -- sleep 1000\n").repeat(2);
    let started = Run::json(["-w", "2", "--grace", "1s"]).stdin(list).start();
    started.await_grandchild();
    started.signal(libc::SIGTERM);
    let done = started.finish();
    assert_eq!(done.signal, Some(libc::SIGTERM));
    assert!(done.took < Duration::from_secs(20));
}

#[test]
fn outside_a_run_it_says_where_it_works() {
    let done = Run::new(["lock", "a", "--", "true"]).run().expect_code(2);
    assert!(done.stderr.contains("inside jobs of supervisor spawn"), "{}", done.stderr);
    let gone = Run::new(["lock", "a", "--", "true"]).env("SPV_SOCKET", "@supervisor-gone").run().expect_code(125);
    assert!(gone.stderr.contains("cannot be reached"), "{}", gone.stderr);
    assert!(Run::new(["lock", "a"]).run().expect_code(2).stderr.contains("COMMAND"));
}

#[test]
fn what_is_closed_stays_closed_so_that_lost_output_is_no_success() {
    let done = Run::json(["-w", "1"]).stdin(format!("{LOCK} a -- sh -c 'echo x' >&-\n")).run().expect_code(1);
    assert_eq!(done.records()[0]["error"]["data"]["exit_code"], 1, "{}", done.text());
}
