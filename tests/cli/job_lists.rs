//! Job lists: every way they come, every way they can be wrong.

use crate::harness::{Run, TempDir, counts};
use serde_json::json;

fn stdouts(run: Run) -> Vec<String> {
    let done = run.run();
    let records = done.records();
    records.iter().map(|record| record["result"]["stdout"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn lines_with_every_kind_of_end() {
    let list = "\u{feff}echo a\r\n\n   \necho b\necho c";
    assert_eq!(stdouts(Run::json(["-k", "-w", "1"]).stdin(list)), ["a\n", "b\n", "c\n"]);
}

#[test]
fn null_separated_names_may_hold_newlines() {
    let run = Run::text(["-0", "-k", "-w", "1", "--", "printf", "<%s>"]).stdin("a\nb\0c d\0");
    assert_eq!(run.run().expect_code(0).text(), "<a\nb><c d>");
}

#[test]
fn json_lines_and_a_json_array_are_recognised() {
    let lines = "{\"command\":[\"echo\",\"a\"]}\n\n{\"id\":\"x\",\"command\":\"echo b\"}\n";
    let array = "[\n {\"command\": [\"echo\", \"a\"]},\n {\"id\": \"x\",\n  \"command\": \"echo b\"}\n]\n";
    for list in [lines, array] {
        let done = Run::json(["-k", "-w", "1"]).stdin(list).run().expect_code(0);
        let records = done.records();
        assert_eq!((&records[0]["id"], &records[1]["id"]), (&json!(1), &json!("x")), "{list}");
        assert_eq!(records[1]["result"]["stdout"], "b\n");
    }
}

#[test]
fn ids_come_back_as_they_were() {
    let list = "{\"id\":7,\"command\":[\"true\"]}\n{\"id\":\"7\",\"command\":[\"true\"]}\n{\"command\":[\"true\"]}\n\
                {\"id\":\"a\\u00e9\",\"command\":[\"true\"]}\n{\"id\":7,\"command\":[\"true\"]}\n{\"id\":null,\"command\":[\"true\"]}\n";
    let done = Run::json(["-k", "-w", "1"]).stdin(list).run().expect_code(0);
    let ids: Vec<_> = done.records().iter().map(|record| record["id"].clone()).collect();
    assert_eq!(ids, [json!(7), json!("7"), json!(3), json!("aé"), json!(7), json!(6)]);
}

#[test]
fn a_long_id_comes_back() {
    let id = "i".repeat(10_000);
    let done = Run::json(["-w", "1"]).stdin(json!({"id": id, "command": ["true"]}).to_string()).run().expect_code(0);
    assert_eq!(done.records()[0]["id"], id);
}

#[test]
fn each_bad_line_has_one_record_with_its_place_and_the_rest_runs() {
    let bad = [
        "{oops",
        "42",
        "\"text\"",
        "{\"command\":[]}",
        "{\"command\":7}",
        "{\"comand\":\"x\"}",
        "{\"command\":\"x\",\"timeout\":\"soon\"}",
        "{\"command\":\"x\",\"retries\":-1}",
        "{\"command\":\"x\"} trailing",
        "{\"method\":\"f\"}",
        "{}",
    ];
    let list: String = bad.iter().map(|line| format!("{{\"command\":[\"true\"]}}\n{line}\n")).collect();
    let done = Run::json(["-k", "-w", "2"]).stdin(list).run().expect_code(3);
    assert_eq!(done.statuses(), counts([("ok", bad.len()), ("invalid", bad.len())]));
    for (at, line) in bad.iter().enumerate() {
        let record = &done.records()[at * 2 + 1];
        assert_eq!(record["status"], "invalid", "{line}");
        assert!(!record["error"]["message"].as_str().unwrap().is_empty());
        if let Some(number) = record.get("line") {
            assert_eq!(number, 2 * at + 2, "{line}");
        }
    }
    let near_miss = &done.records()[11];
    assert!(near_miss["error"]["message"].as_str().unwrap().contains("command"), "{near_miss}");
}

#[test]
fn nul_inside_a_line_is_no_job() {
    let done = Run::json(["-k", "-w", "1"]).stdin("echo a\nec\0ho\necho c\n").run().expect_code(3);
    assert_eq!(done.statuses(), counts([("ok", 2), ("invalid", 1)]));
}

#[test]
fn a_line_over_the_limit_is_one_invalid_job() {
    let list = format!("echo a\n{}\necho b\n", "x".repeat(3_000_000));
    let done = Run::json(["-k", "-w", "1", "--max-line", "1MiB"]).stdin(list).run().expect_code(3);
    let statuses: Vec<_> = done.records().iter().map(|record| record["status"].clone()).collect();
    assert_eq!(statuses, ["ok", "invalid", "ok"]);
}

#[test]
fn the_first_job_of_a_slow_producer_starts_at_once() {
    let mut run = Run::json(["-w", "1"]).start();
    run.feed("echo first\n");
    // Its record is there while the list is still open.
    run.await_lines(1);
    run.feed("echo se");
    run.feed("cond\n");
    run.await_lines(2);
    assert_eq!(run.finish().statuses(), counts([("ok", 2)]));
}

#[test]
fn a_job_file_is_read_and_standard_input_left_alone() {
    let dir = TempDir::new("job-file");
    let jobs = dir.file("jobs", "cat; echo from file\n");
    let done = Run::text(["-a"]).args([&jobs]).stdin("echo from stdin\n").run().expect_code(0);
    assert_eq!(done.text(), "from file\n");
}

#[test]
fn closed_standard_input_is_a_fault_and_dev_null_is_an_empty_list() {
    let closed = Run::json(["-q"]).with(|command| {
        use std::os::unix::process::CommandExt;
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        // SAFETY: close is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::close(0);
                Ok(())
            });
        }
    });
    assert_eq!(closed.run_bare(), Some(3));
    let empty = Run::json(["-q"]).with(|command| {
        command.stdin(std::process::Stdio::null());
    });
    assert_eq!(empty.run_bare(), Some(0));
}

#[test]
fn ten_thousand_lines_in_order() {
    let list: String = (1..=10_000).map(|n| format!("line {n}\n")).collect();
    let done = Run::text(["-k", "-w", "2", "--", "echo"]).stdin(&list).run().expect_code(0);
    assert_eq!(done.text(), list);
}

#[test]
fn what_no_text_can_be_made_of_is_named_and_invalid() {
    for (job, told) in [
        (r#"{"command":"echo \ud800"}"#, "\"command\" holds a lone surrogate"),
        (r#"{"command":["echo","\udc00"]}"#, "\"command\" holds a lone surrogate"),
        (r#"{"command":"true","tags":["\ud800"]}"#, "\"tags\" holds a lone surrogate"),
        (r#"{"command":"true","env":{"A":"\ud800"}}"#, "the value of \"A\" in \"env\" holds a lone surrogate"),
        (r#"{"command":"true","env":{"\ud800":"a"}}"#, "\"env\" holds a lone surrogate"),
        (r#"{"command":"true","stdin":"\ud800"}"#, "\"stdin\" holds a lone surrogate"),
        (r#"{"id":"\ud800","command":"true"}"#, "\"id\" holds a lone surrogate"),
        (r#"{"id":"\ud800","method":"f"}"#, "\"id\" holds a lone surrogate"),
        (r#"{"command":"true","needs":["\ud800"]}"#, "\"needs\" holds a lone surrogate"),
        (r#"{"id":"a\u0000b","command":"true"}"#, "\"id\" must not hold a NUL character"),
    ] {
        let done = Run::json(["-w", "1"]).stdin(format!("{job}\n")).run().expect_code(3);
        let record = &done.records()[0];
        assert_eq!(record["status"], "invalid", "{job}");
        assert!(record["error"]["message"].as_str().unwrap().starts_with(told), "{record}");
    }
    let pair = r#"{"id":"\ud83e\udd8a","command":"printf \ud83e\udd8a"}"#;
    let done = Run::json(["-w", "1"]).stdin(format!("{pair}\n")).run().expect_code(0);
    assert_eq!(done.records()[0]["result"]["stdout"], "\u{1f98a}");
}

#[test]
fn json_that_is_no_job_of_a_template_is_told_what_to_do() {
    let done = Run::json(["-w", "1", "--", "echo", "{}"]).stdin("[\"x\"]\n").run().expect_code(3);
    assert!(done.stderr.contains("what runs is the command behind --: give --input lines"), "{}", done.stderr);
}
