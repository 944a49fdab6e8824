//! Options of the run: workers, retries, halting, needs, priority, environment.

use crate::harness::{Run, counts};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn as_many_processes_as_asked_for_work() {
    let list = "echo $PPID; sleep 0.05\n".repeat(30);
    let done = Run::json(["-w", "3"]).stdin(list).run().expect_code(0);
    let pids: BTreeSet<_> = done.records().iter().map(|record| record["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids.len(), 3);
}

#[test]
fn j_and_p_are_other_names_of_workers() {
    for flag in ["-j", "-P"] {
        let done = Run::text([flag, "2"]).stdin("true\n").run().expect_code(0);
        assert!(done.stderr.contains("worker 1"), "{}", done.stderr);
    }
}

#[test]
fn options_come_from_the_environment_and_flags_win() {
    let list = "test $SPV_ATTEMPT = 2\n";
    Run::text(["-w", "1"]).env("SPV_RETRIES", "1").stdin(list).run().expect_code(0);
    Run::text(["-w", "1", "--retries", "0"]).env("SPV_RETRIES", "1").stdin(list).run().expect_code(1);
    let done = Run::text(["-w", "1"]).env("SPV_RETRIES", "many").stdin(list).run().expect_code(2);
    assert!(done.stderr.contains("retries") || done.stderr.contains("RETRIES"), "{}", done.stderr);
}

#[test]
fn max_jobs_per_worker_replaces_the_process() {
    let done = Run::json(["-w", "2", "--max-jobs-per-worker", "3"]).stdin("true\n".repeat(30)).run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 30)]));
    let mut jobs_of = std::collections::BTreeMap::<u64, usize>::new();
    for record in done.records() {
        *jobs_of.entry(record["pid"].as_u64().unwrap()).or_default() += 1;
    }
    assert!(jobs_of.values().all(|&jobs| jobs <= 3), "{jobs_of:?}");
}

#[test]
fn recycling_after_every_job_loses_none() {
    let done = Run::json(["-w", "2", "--max-jobs-per-worker", "1"]).stdin("true\n".repeat(100)).run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 100)]));
}

#[test]
fn fail_fast_begins_nothing_more_and_every_job_has_its_record() {
    let list = format!("false\n{}", "sleep 0.1\n".repeat(50));
    let done = Run::json(["-w", "1", "--fail-fast"]).stdin(list).run().expect_code(1);
    let statuses = done.statuses();
    assert_eq!(statuses["failed"], 1);
    assert_eq!(statuses.values().sum::<usize>(), 51);
    assert!(statuses["skipped"] >= 45, "{statuses:?}");
}

#[test]
fn halt_now_stops_what_runs() {
    let list = "sleep 1000\nsleep 0.2; false\n".to_owned() + &"true\n".repeat(20);
    let done = Run::json(["-w", "2", "--halt", "now,fail=1", "--grace", "2s"]).stdin(list).run().expect_code(1);
    let records = done.by_id();
    assert_eq!(records["1"]["status"], "cancelled");
    assert_eq!(records["2"]["status"], "failed");
    assert_eq!(records.len(), 22);
}

#[test]
fn halt_at_a_share_of_failures() {
    let list = "true\nfalse\nfalse\nfalse\n".to_owned() + &"true\n".repeat(100);
    let done = Run::json(["-w", "1", "--halt", "soon,fail=50%"]).stdin(list).run().expect_code(1);
    assert!(done.statuses()["skipped"] > 90, "{:?}", done.statuses());
}

#[test]
fn a_job_runs_after_those_it_needs_and_not_if_they_failed() {
    let jobs = [
        json!({"id": "last", "command": "cat", "stdin": "x", "needs": ["first", "second"]}),
        json!({"id": "first", "command": "sleep 0.1"}),
        json!({"id": "second", "command": ["true"], "needs": ["first"]}),
        json!({"id": "bad", "command": ["false"]}),
        json!({"id": "after bad", "command": ["true"], "needs": ["bad"]}),
        json!({"id": "after after", "command": ["true"], "needs": ["after bad"]}),
        json!({"id": "lost", "command": ["true"], "needs": ["nobody"]}),
        json!({"id": "a", "command": ["true"], "needs": ["b"]}),
        json!({"id": "b", "command": ["true"], "needs": ["a"]}),
    ];
    let list: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let done = Run::json(["-w", "2"]).stdin(list).run().expect_code(1);
    let order: Vec<_> = done.records().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let place = |id: &str| order.iter().position(|other| other == id).unwrap();
    assert!(place("first") < place("second") && place("second") < place("last"), "{order:?}");
    let records = done.by_id();
    for id in ["after bad", "after after", "lost", "a", "b"] {
        assert_eq!(records[&format!("\"{id}\"")]["status"], "skipped", "{id}");
    }
    assert!(records["\"lost\""]["error"]["message"].as_str().unwrap().contains("nobody"));
}

#[test]
fn an_id_is_the_same_however_it_is_escaped() {
    let list = concat!(
        r#"{"id":"\u00e9","command":["true"]}"#,
        "\n{\"command\":[\"true\"],\"needs\":[\"\u{e9}\"]}\n",
        r#"{"command":["true"],"needs":["a\/b"]}"#,
        "\n",
        r#"{"id":"a/b","command":["true"]}"#
    );
    let done = Run::json(["-w", "1"]).stdin(list).run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 4)]));
}

#[test]
fn higher_priority_goes_first() {
    let jobs = [("a", 0), ("b", -1), ("c", 5), ("d", 5), ("e", 0)];
    let mut list = "{\"id\":\"z\",\"command\":\"sleep 0.3\",\"priority\":100}\n".to_owned();
    for (id, priority) in jobs {
        list += &format!("{}\n", json!({"id": id, "command": ["true"], "priority": priority}));
    }
    let done = Run::json(["-w", "1"]).stdin(list).run().expect_code(0);
    let order: Vec<_> = done.records().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order, ["z", "c", "d", "a", "e", "b"]);
}

#[test]
fn a_job_may_have_its_own_timeout_retries_and_tags() {
    let jobs = [
        json!({"id": 1, "command": "sleep 1000", "timeout": "200ms", "tags": ["slow", "x"]}),
        json!({"id": 2, "command": "test $SPV_ATTEMPT = 3", "retries": 2}),
        json!({"id": 3, "command": "sleep 0.4"}),
    ];
    let list: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let done = Run::json(["-w", "2", "--timeout", "30s"]).stdin(list).run().expect_code(1);
    let records = done.by_id();
    assert_eq!(records["1"]["status"], "timeout");
    assert_eq!(records["1"]["tags"], json!(["slow", "x"]));
    assert_eq!((&records["2"]["status"], &records["2"]["attempts"]), (&json!("ok"), &json!(3)));
    assert_eq!(records["3"]["status"], "ok");
}

#[test]
fn retries_wait_for_their_delay() {
    let done = Run::json(["-w", "1", "--retries", "2", "--retry-delay", "100ms"]).stdin("false\n").run().expect_code(1);
    // Half of 100 ms and half of 200 ms at least.
    assert!(done.took.as_millis() >= 150, "{:?}", done.took);
    assert_eq!(done.records()[0]["attempts"], 3);
}

#[test]
fn the_main_job_on_real_input_is_what_xargs_says() {
    let files: Vec<_> = std::fs::read_dir("/usr/include").unwrap().flatten().map(|entry| entry.path()).collect();
    let mut files: Vec<_> = files.into_iter().filter(|path| path.is_file()).take(300).collect();
    files.sort();
    assert!(!files.is_empty());
    let list: String = files.iter().map(|path| format!("{}\n", path.display())).collect();
    let done = Run::text(["-k", "-w", "3", "--", "sha256sum", "{}"]).stdin(&list).run().expect_code(0);
    #[expect(clippy::disallowed_methods, reason = "the peer to compare with")]
    let peer = std::process::Command::new("sha256sum").args(&files).output().unwrap();
    assert_eq!(done.text(), String::from_utf8_lossy(&peer.stdout));
}

#[test]
fn waiting_costs_no_processor_time() {
    let mut run = Run::json(["-w", "2"]).start();
    run.feed("echo $PPID\nsleep 3\n");
    run.await_lines(1);
    let ticks = |pid: i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let switches = |pid: i32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.rsplit('\t').next().unwrap().parse().unwrap()
    };
    // The command runs and the list is open: nothing can happen for a while.
    let _ = run.await_grandchild();
    crate::harness::pause(std::time::Duration::from_millis(300));
    let (ticks_before, switches_before) = (ticks(run.pid()), switches(run.pid()));
    crate::harness::pause(std::time::Duration::from_secs(2));
    assert_eq!(switches(run.pid()) - switches_before, 0, "it was not woken");
    assert!(ticks(run.pid()) - ticks_before <= 1, "it did not spin");
    run.close();
    run.finish().expect_code(0);
}
