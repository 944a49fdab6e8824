//! The channel: order, faults, ends.

use crate::harness::{Worker, command};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

#[test]
fn concurrency_is_as_asked_and_in_turn() {
    let mut worker = Worker::start("--concurrency 2");
    // Both must run at the same time: each waits for the other's file.
    let dir = crate::harness::Scratch::new("turn");
    let meet = |mine: &str, other: &str| json!({"command":format!("touch {mine}; until [ -e {other} ]; do :; done; echo {mine}"),"cwd":dir.0});
    worker.ask(1, meet("a", "b"));
    worker.ask(2, meet("b", "a"));
    let mut ids = [worker.answer()["id"].clone(), worker.answer()["id"].clone()];
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, [json!(1), json!(2)]);
    let mut one = Worker::start("");
    for id in 1..=50 {
        one.ask(id, json!({"command":["echo",id.to_string()]}));
    }
    for id in 1..=50 {
        let answer = one.answer();
        assert_eq!((&answer["id"], &answer["result"]["stdout"]), (&json!(id), &json!(format!("{id}\n"))));
    }
}

/// The supervisor concludes from the answers what was begun: a command that ran while the answer before it was stuck in
/// the worker would run twice if the worker were killed then.
#[test]
fn nothing_is_begun_while_an_answer_is_stuck() {
    let dir = crate::harness::Scratch::new("stuck");
    let file = dir.0.join("time");
    let mut worker = Worker::start("");
    std::fs::write(&file, "early").unwrap();
    worker.ask(1, json!({"command":"head -c 300000 /dev/zero | tr '\\0' x"}));
    worker.ask(2, json!({"command":["cat",file]}));
    crate::harness::wait_until("the pipe is full", || worker.unread() >= 1 << 16);
    std::fs::write(&file, "late").unwrap();
    assert_eq!(worker.answer()["result"]["stdout"].as_str().map(str::len), Some(300_000));
    assert_eq!(worker.answer()["result"]["stdout"], "late");
}

#[test]
fn many_at_a_time_do_not_mix() {
    let mut worker = Worker::start("--concurrency 8");
    for id in 0..100 {
        worker.ask(
            id,
            json!({"command":format!("echo out {id}; echo err {id} >&2; exit $(({id} % 3))"),"job":id.to_string()}),
        );
    }
    let mut seen = [false; 100];
    for _ in 0..100 {
        let answer = worker.answer();
        let id = answer["id"].as_u64().unwrap();
        let data = if id % 3 == 0 { &answer["result"] } else { &answer["error"]["data"] };
        assert_eq!(data["stdout"], format!("out {id}\n"), "{answer}");
        assert_eq!(data["stderr"], format!("err {id}\n"), "{answer}");
        assert_eq!((&data["exit_code"], &data["leaked"]), (&json!(id % 3), &Value::Null), "{answer}");
        assert!(!std::mem::replace(&mut seen[id as usize], true));
    }
}

#[test]
fn malformed_requests_are_answered_and_survived() {
    let mut worker = Worker::start("");
    for (line, id, code) in [
        ("nonsense", json!(null), -32700),
        ("{\"id\":1,", json!(null), -32700),
        ("[]", json!(null), -32600),
        (r#"{"jsonrpc":"2.0","id":"x","method":"tugas","params":[]}"#, json!("x"), -32601),
        (r#"{"jsonrpc":"2.0","id":3,"method":"exec","params":{"command":3}}"#, json!(3), -32602),
        (r#"{"jsonrpc":"2.0","id":4,"method":"exec"}"#, json!(4), -32602),
    ] {
        worker.write(format!("{line}\n").as_bytes());
        let answer = worker.answer();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{line}");
    }
    worker.write(b"\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"nobody/knows\"}\n");
    worker.cancel(99);
    let batch: Vec<Value> =
        (1..=2).map(|id| json!({"jsonrpc":"2.0","id":id,"method":"exec","params":{"command":"echo"}})).collect();
    worker.send(&json!(batch));
    assert_eq!([worker.answer()["id"].clone(), worker.answer()["id"].clone()], [json!(1), json!(2)]);
}

#[test]
fn requests_may_arrive_byte_by_byte() {
    let mut worker = Worker::start("");
    let request = json!({"jsonrpc":"2.0","id":5,"method":"exec","params":{"command":["echo","\u{e9}"]}});
    for byte in format!("{request}\r\n").as_bytes() {
        worker.write(&[*byte]);
    }
    assert_eq!(worker.answer()["result"]["stdout"], "é\n");
}

#[test]
fn the_end_of_input_without_a_lifeline_finishes_the_work() {
    let mut worker = Worker::start("--concurrency 2");
    for id in 1..=5 {
        worker.ask(id, json!({"command":"sleep 0.05; echo x"}));
    }
    // The last line needs no line end.
    worker.write(br#"{"id":6,"method":"exec","params":{"command":"echo x"}}"#);
    worker.close_stdin();
    for _ in 1..=6 {
        assert_eq!(worker.answer()["result"]["stdout"], "x\n");
    }
    assert_eq!(worker.join().code(), Some(0));
}

#[test]
fn files_as_input_and_output() {
    let dir = crate::harness::Scratch::new("files");
    let mut input = std::fs::File::create(dir.path("in")).unwrap();
    for id in 1..=300 {
        writeln!(input, r#"{{"id":{id},"method":"exec","params":{{"command":["echo","{id}"]}}}}"#).unwrap();
    }
    let output = std::fs::File::create(dir.path("out")).unwrap();
    let input = std::fs::File::open(dir.path("in")).unwrap();
    let status = command("").stdin(Stdio::from(input)).stdout(output).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let text = std::fs::read_to_string(dir.path("out")).unwrap();
    assert_eq!(text.lines().count(), 301);
    let nothing = command("").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(nothing.code(), Some(0));
}

#[test]
fn a_reader_that_is_slow_or_gone_does_not_hurt() {
    let mut worker = Worker::start("");
    // Four megabytes of answers that nobody reads while they are made.
    let big = json!({"command":"head -c 500000 /dev/zero | tr '\\0' x"});
    for id in 1..=8 {
        worker.ask(id, big.clone());
    }
    for id in 1..=8 {
        let answer = worker.answer();
        assert_eq!((&answer["id"], answer["result"]["stdout"].as_str().unwrap().len()), (&json!(id), 500_000));
    }
    let mut child = command("").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(b"{\"id\":1,\"method\":\"exec\",\"params\":{\"command\":\"echo\"}}\n");
    let mut code = None;
    crate::harness::wait_until("the worker ends", || {
        code = child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(Some(1)));
}

#[test]
fn bad_flags_are_refused() {
    assert_eq!(command("--concurrency 0").stdin(Stdio::null()).status().unwrap().code(), Some(2));
}
