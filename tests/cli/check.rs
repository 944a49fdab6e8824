//! `supervisor check`: programs that keep the protocol pass, and each way to break it is found by the check named for it.

use crate::harness::{Done, Run, TempDir, await_gone};
use crate::ten_lines;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn check(timeout: &str, program: &[&str]) -> Done {
    Run::new(["check", "--format", "json", "--timeout", timeout, "--"]).args(program).run()
}

/// Results by check.
fn results(done: &Done) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        (line["check"].as_str().unwrap().to_owned(), line["result"].as_str().unwrap().to_owned())
    };
    done.text().lines().map(line).collect()
}

/// The checks that came out so.
fn those(done: &Done, result: &str) -> Vec<String> {
    results(done).into_iter().filter(|(_, found)| found == result).map(|(check, _)| check).collect()
}

#[test]
fn the_workers_that_come_along_pass() {
    let done = check("8s", &[env!("CARGO_BIN_EXE_supervisor"), "worker"]).expect_code(0);
    assert_eq!(results(&done).len(), 20, "{}", done.text());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_supervisor"));
    let example = program.with_file_name("examples").join("serve");
    let done = Run::new([
        "check",
        "--method",
        "add_one",
        "--params",
        "[1]",
        "--method",
        "echo",
        "--params",
        "{\"text\":\"x\"}",
        "--timeout",
        "20s",
        "--",
    ])
    .args([example])
    .run()
    .expect_code(0);
    assert_eq!(done.text().lines().filter(|line| !line.starts_with("pass  ")).count(), 0, "{}", done.text());
}

#[test]
fn ten_lines_pass() {
    let directory = TempDir::new("check-ten-lines");
    for worker in ten_lines::workers(&directory) {
        let words: Vec<&str> = worker.split(' ').collect();
        let done = check("20s", &words);
        assert_eq!(those(&done, "fail"), [""; 0], "{worker}: {}", done.text());
        assert_eq!(results(&done)["unknown-method"], "pass", "{worker}: {}", done.text());
        assert_eq!(results(&done)["eof"], "pass", "{worker}: {}", done.text());
    }
}

#[test]
fn what_makes_a_run_give_up_or_is_not_understood_is_found() {
    let begin = "import json, sys\n";
    let answer = "for line in sys.stdin: print(json.dumps({'id': json.loads(line)['id'], 'result': 1}), flush=True)\n";
    let directory = TempDir::new("check-first-words");
    for (first, check_name) in [
        (r#"{"method":"failed","params":{"message":"no GPU here"}}"#, "start"),
        (r#"{"method":"ready","params":{"concurrency":"lots"}}"#, "ready"),
    ] {
        let worker = directory.file("worker.py", format!("{begin}print('{first}', flush=True)\n{answer}"));
        let done = check("8s", &["python3", worker.to_str().unwrap()]).expect_code(1);
        assert!(those(&done, "fail").iter().any(|name| name == check_name), "{}", done.text());
    }
}

#[test]
fn answers_that_answer_nothing_are_found() {
    let directory = TempDir::new("check-malformed");
    for (answer, told) in [
        (r#"b'{"jsonrpc":"2.0","id":%d}'"#, "with neither \\\"result\\\" nor \\\"error\\\""),
        (r#"b'{"id":%d,"result":1,"result":2}'"#, "with a member that is there twice"),
        (r#"b'{"id":%d,"result":"\xff"}'"#, "with bytes that are not UTF-8"),
    ] {
        let program = format!(
            "import json, sys\nfor line in sys.stdin:\n    \
             sys.stdout.buffer.write({answer} % json.loads(line)['id'] + b'\\n'); sys.stdout.flush()\n"
        );
        let worker = directory.file("worker.py", program);
        let done = check("20s", &["python3", worker.to_str().unwrap()]);
        let line = done.text().lines().find(|line| line.contains("\"start\"")).unwrap().to_owned();
        assert!(line.contains("fail") && line.contains(told), "{}", done.text());
    }
}

/// A worker that does nearly everything wrong and still answers.
const ROGUE: &str = r#"
import json, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("welcome", flush=True)
while True:
    line = sys.stdin.readline()
    if not line:
        time.sleep(1000)
    try:
        request = json.loads(line)
    except ValueError:
        continue
    if not isinstance(request, dict): continue
    answer = json.dumps({"id": request.get("id"), "result": None})
    print(answer, flush=True)
    if request.get("params") == [2]: print(answer, flush=True)
"#;

#[test]
fn each_fault_is_found_by_its_check() {
    let directory = TempDir::new("check-rogue");
    let rogue = directory.file("rogue_worker.py", ROGUE);
    let rogue = rogue.to_str().unwrap();
    let done = check("6s", &["python3", rogue]).expect_code(1);
    assert_eq!(those(&done, "fail"), ["answer-once", "eof", "unknown-method"], "{}", done.text());
    for (check, result) in [
        ("sigterm", "warn"),
        ("stray-output", "warn"),
        ("unknown-notification", "warn"),
        ("parse-error", "warn"),
        ("batch", "skip"),
    ] {
        assert_eq!(results(&done)[check], result, "{check}: {}", done.text());
    }
    await_gone("rogue_worker.py");
}

#[test]
fn what_does_not_start_or_answer() {
    for program in [&["nosuch-program"][..], &["false"]] {
        let done = check("20s", program).expect_code(5);
        assert_eq!(those(&done, "fail"), ["start"], "{}", done.text());
    }
    // One that sleeps, and one that only repeats what it is told.
    for program in [&["sleep", "1000"][..], &["cat"]] {
        let done = check("300ms", program).expect_code(1);
        assert!(done.text().contains("no answer within 300ms"), "{}", done.text());
    }
    Run::new(["check"]).run().expect_code(2);
    Run::new(["check", "--params", "[]", "--", "true"]).run().expect_code(2);
}

/// Room for the longest line and a little more.
const MEMORY: u64 = 400 << 20;

pub(crate) fn limit_memory(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    let set = move || {
        // SAFETY: setrlimit only reads the limit it is given.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec nothing but one system call is made.
    unsafe { command.pre_exec(set) };
}

#[test]
fn output_without_end_is_told_at_once_and_takes_little_memory() {
    for (script, told) in [
        (r#"exec yes '{"jsonrpc":"2.0","id":5,"result":1}'"#, "it sends answers that nobody asked for: 1000 came"),
        (r#"exec yes '{"jsonrpc":"2.0","id":5}'"#, "it sends answers that nobody asked for: 1000 came"),
        (r#"exec yes '{"jsonrpc":"2.0","id":5,"method":"a"}'"#, "it asks and does not read the answers"),
        (r#"yes | tr -d '\n'"#, "it sends a line of more than 64 MiB"),
    ] {
        let run = Run::new(["check", "--timeout", "50s", "--", "sh", "-c", script]);
        let done = run.with(|command| limit_memory(command, MEMORY)).run().expect_code(1);
        assert!(done.text().starts_with("fail  start") && done.text().contains(told), "{script}: {}", done.text());
        assert_eq!(done.text().lines().count(), 1, "{}", done.text());
    }
    let done = check("300ms", &["sh", "-c", "yes >&2 & exec sleep 1000"]).expect_code(1);
    assert!(done.text().contains("no answer within 300ms"), "{}", done.text());
}
