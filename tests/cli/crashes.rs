//! Workers that die, stall or break the protocol: one job pays, the others do not notice.

use crate::harness::{Done, Run, TempDir, counts};

/// A worker in Python that does as its argument says when it is handed job 5, and answers all others.
const WORKER: &str = r#"
import json, os, signal, sys, time
mode = sys.argv[1]
def answer(request, end="\n"):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request["params"][0]}) + end)
    sys.stdout.flush()
if mode == "die at start":
    sys.exit("no licence")
for line in sys.stdin:
    request = json.loads(line)
    if request["params"] != [5]:
        answer(request)
    elif mode == "kill": os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "exit 0": os._exit(0)
    elif mode == "half a line": sys.stdout.write('{"id": 1, "res'); sys.stdout.flush(); os._exit(0)
    elif mode == "answer and die": answer(request); os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "answer twice": answer(request); answer(request)
    elif mode == "unknown id": answer({"id": 77, "params": [1]})
    elif mode == "print": print("hello"); print('{"a": 1}'); answer(request)
    elif mode == "crlf": answer(request, "\r\n")
    elif mode == "ask": print('{"jsonrpc":"2.0","id":1,"method":"roots/list"}', flush=True); assert "-32601" in sys.stdin.readline(); answer(request)
    elif mode == "stop": os.kill(os.getpid(), signal.SIGSTOP)
    elif mode == "hang": time.sleep(1000)
    elif mode == "deaf": signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)
    elif mode == "close": os.close(1); time.sleep(1000)
    elif mode == "endless":
        while True: sys.stdout.write("x" * 65536)
    else: answer(request)
if mode == "ignore the end":
    time.sleep(1000)
"#;

fn run(mode: &str, options: &[&str]) -> Done {
    let dir = TempDir::new(&format!("crash-{}", mode.replace(' ', "-")));
    let worker = dir.file("worker.py", WORKER);
    let program = format!("python3 '{}' '{mode}'", worker.display());
    let list: String = (1..=12).map(|n| format!("{{\"id\":{n},\"method\":\"f\",\"params\":[{n}]}}\n")).collect();
    Run::json(["-w", "2", "--grace", "1s", "--worker", &program]).args(options).stdin(list).run()
}

#[track_caller]
fn costs_one_job(done: &Done, status: &str, cause: &str) {
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(done.statuses(), counts([("ok", 11), (status, 1)]), "{}", done.stderr);
    let record = &done.by_id()["5"];
    assert!(record["error"]["message"].as_str().unwrap().contains(cause), "{record}");
}

#[test]
fn a_killed_worker_costs_the_job_that_ran() {
    let done = run("kill", &[]);
    costs_one_job(&done, "crashed", "killed by SIGKILL");
    let record = &done.by_id()["5"];
    assert_eq!(record["error"]["data"]["signal"], "SIGKILL");
    assert_eq!(record["error"]["data"]["exit_code"], -9);
}

#[test]
fn an_exit_with_a_job_open_is_a_crash_even_with_code_0() {
    costs_one_job(&run("exit 0", &[]), "crashed", "exit code 0");
    costs_one_job(&run("half a line", &[]), "crashed", "exit code 0");
}

#[test]
fn retries_run_it_again_and_count() {
    let done = run("kill", &["--retries", "2"]);
    costs_one_job(&done, "crashed", "killed by SIGKILL");
    assert_eq!(done.by_id()["5"]["attempts"], 3);
}

#[test]
fn a_good_answer_before_death_counts() {
    let done = run("answer and die", &[]).expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 12)]));
}

#[test]
fn an_answer_to_nothing_breaks_the_protocol() {
    costs_one_job(&run("unknown id", &[]), "crashed", "request 77, which is not open");
    let done = run("answer twice", &[]);
    assert_eq!(done.records().len(), 12);
    assert_eq!(done.by_id()["5"]["status"], "ok");
    assert!(done.stderr.contains("broke the protocol"), "{}", done.stderr);
}

#[test]
fn stray_lines_carriage_returns_and_questions_are_no_faults() {
    for mode in ["print", "crlf", "ask"] {
        let done = run(mode, &[]).expect_code(0);
        assert_eq!(done.statuses(), counts([("ok", 12)]), "{mode}");
    }
    let done = run("print", &[]);
    assert_eq!(done.stderr.matches("no message").count(), 1, "warned about once: {}", done.stderr);
    assert!(done.stderr.contains("[worker"), "{}", done.stderr);
}

#[test]
fn a_timeout_ends_what_hangs_stopped_or_deaf() {
    for mode in ["hang", "stop", "deaf"] {
        costs_one_job(&run(mode, &["--timeout", "2s"]), "timeout", "ran longer than 2 s");
    }
}

#[test]
fn a_worker_that_closes_its_output_and_lives_on_is_ended() {
    costs_one_job(&run("close", &[]), "crashed", "closed its standard output");
}

#[test]
fn a_line_that_never_ends_is_stopped_at_the_limit() {
    costs_one_job(&run("endless", &["--max-message", "1MiB"]), "crashed", "--max-message");
}

#[test]
fn a_worker_that_ignores_the_end_of_its_input_is_terminated() {
    let done = run("ignore the end", &[]).expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 12)]));
    assert!(done.stderr.contains("-15"), "the summary shows how it ended: {}", done.stderr);
}

#[test]
fn workers_that_never_work_end_the_run_with_code_5_and_their_own_words() {
    let done = run("die at start", &[]).expect_code(5);
    assert_eq!(done.statuses(), counts([("skipped", 12)]));
    assert_eq!(done.stderr.matches("no licence").count(), 1, "told once: {}", done.stderr);
}

#[test]
fn a_command_that_kills_its_worker_costs_only_itself() {
    let list = format!("{}{}", "true\n".repeat(100), "kill -9 $PPID\n") + &"true\n".repeat(99);
    let done = Run::json(["-w", "2"]).stdin(list).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 199), ("crashed", 1)]), "{}", done.stderr);
    assert_eq!(done.by_id()["101"]["error"]["data"]["signal"], "SIGKILL");
}

#[test]
fn a_worker_is_started_anew_though_the_program_was_removed_or_replaced() {
    for change in ["rm own", "cp /bin/false other; mv other own"] {
        let dir = TempDir::new("own-program");
        let script = r#"cp "$1" own; printf '%s\nkill -9 $PPID\necho after\n' "$2" | ./own spawn -q -w1"#;
        let argv = ["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_supervisor"), change];
        let list = serde_json::json!({ "command": argv, "cwd": dir.path() }).to_string();
        let done = Run::json(["-w1"]).stdin(list).run().expect_code(1);
        assert_eq!(done.by_id()["1"]["error"]["data"]["stdout"], "after\n", "{}", done.text());
    }
}

#[test]
fn with_several_in_flight_the_poison_job_is_found_by_running_suspects_alone() {
    let list: String = (1..=60).map(|n| if n == 30 { "kill -9 $PPID\n" } else { "true\n" }).collect();
    let done = Run::json(["-w", "2", "-c", "4", "--retries", "2"]).stdin(list).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 59), ("crashed", 1)]), "{}", done.stderr);
    assert_eq!(done.by_id()["30"]["status"], "crashed");
}
