//! Workers written in Rust with `worker::serve`: the example of that name, driven as any other worker.

use crate::harness::{Run, TempDir, counts};
use serde_json::Value;
use std::path::PathBuf;

/// The example; `cargo test` builds it beside the program.
fn example() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_supervisor"));
    let path = program.with_file_name("examples").join("serve");
    assert!(path.exists(), "the example is not built: cargo build --example serve");
    path.to_str().expect("a path that is text").to_owned()
}

fn run(jobs: &str, args: &[&str]) -> crate::harness::Done {
    Run::json(["--worker", &example()]).args(args).stdin(jobs).run()
}

#[test]
fn results_that_nobody_reads_do_not_stop_a_run_whose_journal_is_slow() {
    // What waits for the journal leaves for /dev/null at once, and without a bell: the rest of the list has to be wanted then.
    let dir = TempDir::new("serve-journal");
    let list: String = (0..200_000).map(|x| format!("{{\"method\":\"add_one\",\"params\":[{x}]}}\n")).collect();
    let list = std::fs::File::open(dir.file("list", list)).expect("it was written");
    let args = ["-w", "2", "--output", "rows", "--sync", "always"];
    let run = Run::json(["--worker", &example()]).args(args).cwd(dir.path()).with(|command| {
        command.stdin(list).stdout(std::process::Stdio::null());
    });
    assert_eq!(run.run_bare(), Some(0));
    assert_eq!(std::fs::read_to_string(dir.path().join("rows")).expect("a journal").lines().count(), 200_000);
}

#[test]
fn many_calls_are_exact_and_in_order() {
    let jobs: String = (0..20_000).map(|x| format!("{{\"method\":\"add_one\",\"params\":[{x}]}}\n")).collect();
    let done = run(&jobs, &["-w", "2", "-k"]).expect_code(0);
    let text = done.text();
    let results = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].as_i64().unwrap());
    assert!(results.eq(1..=20_000), "the results are x + 1, in order");
}

#[test]
fn large_parameters_and_results_come_back_as_they_were() {
    // Plain; with escapes and what is no ASCII; with blanks that are left to the general parser; and one that is no call.
    let plain = "x".repeat(1_500_000);
    let odd = "\u{fc}\\n\\\"\\u0041 ".repeat(300_000);
    let value = |text: &str| -> Value { serde_json::from_str(&format!("\"{text}\"")).unwrap() };
    let mut jobs = String::new();
    for round in 0..3 {
        jobs += &format!("{{\"id\":\"p{round}\",\"method\":\"echo\",\"params\":{{\"text\":\"{plain}{round}\"}}}}\n");
        jobs += &format!(
            "{{\"id\":\"o{round}\",\"params\":\t{{\"text\"\t: \"{odd}{round}\"}},\"method\":\"echo\",\"retries\":1}}\n"
        );
        jobs += &format!("{{\"id\":\"m{round}\",\"method\":\"add_one\",\"params\":[\"{plain}\"]}}\n");
    }
    jobs += &format!("{{\"id\":\"last\",\"method\":\"echo\",\"params\":{{\"text\":\"{plain}\"}}}}}}\n");
    let done = run(&jobs, &["-w", "2", "--retries", "1"]).expect_code(3);
    let records = done.by_id();
    for round in 0..3 {
        assert!(records[&format!("\"p{round}\"")]["result"]["text"] == value(&format!("{plain}{round}")));
        assert!(records[&format!("\"o{round}\"")]["result"]["text"] == value(&format!("{odd}{round}")));
        assert_eq!(records[&format!("\"m{round}\"")]["status"], "failed");
    }
    assert_eq!(done.statuses(), counts([("ok", 6), ("failed", 3), ("invalid", 1)]));
}

#[test]
fn parameters_errors_and_panics() {
    let jobs = r#"{"id":"named","method":"echo","params":{"text":"hé \u0000"}}
{"id":"error","method":"parse","params":["x"]}
{"id":"panic","method":"divide","params":[1,0]}
{"id":"unknown","method":"ad_one","params":[1]}
{"id":"misfit","method":"add_one","params":["x"]}
{"id":"printed","method":"say","params":["hello\n"]}
{"id":"after","method":"divide","params":[6,3]}
"#;
    let done = run(jobs, &["-w", "1"]).expect_code(1);
    let records = done.by_id();
    let record = |id: &str| &records[&format!("\"{id}\"")];
    assert_eq!(record("named")["result"]["text"], "hé \0");
    assert_eq!(record("error")["error"]["message"], "invalid digit found in string");
    assert_eq!(record("error")["error"]["data"]["type"], "core::num::error::ParseIntError");
    assert_eq!(record("panic")["error"]["message"], "panicked: attempt to divide by zero");
    assert!(record("panic")["error"]["data"]["location"].as_str().unwrap().starts_with("examples/serve.rs:"));
    assert_eq!(record("unknown")["error"]["code"], -32601);
    assert!(record("unknown")["error"]["message"].as_str().unwrap().contains("did you mean \"add_one\"?"));
    assert_eq!(record("misfit")["error"]["code"], -32602);
    assert_eq!(record("printed")["stdout"], "hello\n");
    assert_eq!(record("after")["result"], 2);
    // One process did it all.
    assert_eq!(record("after")["pid"], record("panic")["pid"]);
}

#[test]
fn a_counter_under_a_lock_loses_nothing() {
    let jobs = "{\"method\":\"count\",\"params\":[\"n\"]}\n".repeat(300);
    let done = run(&jobs, &["-w", "3"]).expect_code(0);
    let mut results: Vec<i64> = done.records().iter().map(|record| record["result"].as_i64().unwrap()).collect();
    results.sort_unstable();
    assert!(results.into_iter().eq(1..=300));
}

#[test]
fn what_was_finished_before_the_process_ends_stays_finished() {
    for (end, params) in [("exit", "[3]"), ("abort", "[]"), ("kill", "[]")] {
        let before: String = (0..50).map(|x| format!("{{\"method\":\"add_one\",\"params\":[{x}]}}\n")).collect();
        let jobs = format!("{before}{{\"method\":\"{end}\",\"params\":{params}}}\n{before}");
        let done = run(&jobs, &["-w", "1"]).expect_code(1);
        assert_eq!(done.statuses(), counts([("ok", 100), ("crashed", 1)]));
        let records = done.by_id();
        let crashed = records.values().find(|record| record["status"] == "crashed").unwrap();
        assert_eq!(crashed["id"], 51, "the one that ended it is the one that is charged: {crashed}");
        assert!(records.values().all(|record| record["attempts"] == 1), "nothing was done twice");
    }
}
