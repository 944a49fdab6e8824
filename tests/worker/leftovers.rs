//! What commands leave behind is named and ends; what ends by itself is no leftover.

use crate::harness::{Scratch, Worker, is_alive, now, pid_in};
use serde_json::{Value, json};
use std::time::Duration;

/// Much shorter than what the leftovers would like to live, and long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_background_child_that_holds_the_output_does_not_hold_the_answer() {
    let mut worker = Worker::start("");
    let start = now();
    let result = worker.shell("sleep 1000 & echo ok");
    assert!(now() - start < SOON);
    assert_eq!((&result["stdout"], &result["exit_code"]), (&json!("ok\n"), &json!(0)));
    assert_eq!(result["leaked"][0]["name"], "sleep 1000");
    assert!(!is_alive(result["leaked"][0]["pid"].as_u64().unwrap() as u32));
    assert_eq!(worker.shell("echo next")["stdout"], "next\n");
}

#[test]
fn one_that_ends_in_time_is_no_leftover() {
    let mut worker = Worker::start("--leak-grace-ms 20000");
    let result = worker.shell("(sleep 0.1; echo late) & echo early");
    assert_eq!((&result["stdout"], &result["leaked"]), (&json!("early\nlate\n"), &Value::Null));
    let result = worker.shell("sleep 0.1 >/dev/null 2>&1 & echo early");
    assert_eq!((&result["stdout"], &result["leaked"]), (&json!("early\n"), &Value::Null));
}

const DAEMON: &str = "env -i setsid sh -c 'sh -c \"echo \\$\\$ > pid; exec sleep 1000\" &' >/dev/null 2>&1 </dev/null;\
     until [ -s pid ]; do :; done; exit 3";

#[test]
fn a_daemon_in_a_session_of_its_own_is_found_and_ended() {
    let dir = Scratch::new("daemon");
    let mut worker = Worker::start("");
    let answer = worker.exec(json!({"command":DAEMON,"cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    assert_eq!(answer["error"]["data"]["exit_code"], 3);
    assert_eq!(answer["error"]["data"]["leaked"], json!([{"pid":pid,"name":"sleep 1000"}]));
    assert!(!is_alive(pid));
}

#[test]
fn with_several_commands_each_gets_its_own_leftovers() {
    let mut worker = Worker::start("--concurrency 3");
    let dir = Scratch::new("several");
    worker.ask(1, json!({"command":"until [ -e go ]; do sleep 0.01; done","cwd":dir.0,"job":"a"}));
    worker.ask(2, json!({"command":"setsid sleep 1001 >/dev/null 2>&1 & echo b","job":"b"}));
    worker.ask(3, json!({"command":"sleep 1002 & echo c","job":"c"}));
    for _ in 0..2 {
        let answer = worker.answer();
        let name = if answer["id"] == 2 { "sleep 1001" } else { "sleep 1002" };
        assert_eq!(answer["result"]["leaked"][0]["name"], name, "{answer}");
        assert_eq!(answer["result"]["leaked"].as_array().unwrap().len(), 1, "{answer}");
    }
    // One that hides its origin is found at the latest when nothing else runs, and held against nobody.
    worker.ask(4, json!({"command":DAEMON,"cwd":dir.0,"job":"d"}));
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["error"]["data"]["exit_code"]), (&json!(4), &json!(3)));
    let pid = pid_in(&dir.path("pid"));
    std::fs::write(dir.path("go"), "").unwrap();
    is_told_of(&worker.answer(), pid, "is killed");
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["result"]["leaked"]), (&json!(1), &Value::Null), "{answer}");
    assert!(!is_alive(pid));
}

fn is_told_of(message: &Value, pid: u32, fate: &str) {
    let told = message["params"]["message"].as_str().unwrap_or_default();
    assert!(message["method"] == "log" && told.contains(&format!("sleep 1000 (pid {pid}) {fate}")), "{message}");
}

#[test]
fn what_may_live_on_is_named_where_it_is_certain_whose_it_is() {
    let mut worker = Worker::start("--keep-leftovers");
    let dirs = ["first", "second"].map(Scratch::new);
    let answer = worker.exec(json!({"command":DAEMON,"cwd":dirs[0].0,"job":"a"}));
    let first = pid_in(&dirs[0].path("pid"));
    assert_eq!(answer["error"]["data"]["leaked"], json!([{"pid":first,"name":"sleep 1000"}]));
    // Now something of the first might have started what is found.
    worker.ask(2, json!({"command":DAEMON,"cwd":dirs[1].0,"job":"b"}));
    let second = pid_in(&dirs[1].path("pid"));
    let (mut told, mut answer) = (Value::Null, Value::Null);
    for _ in 0..2 {
        let message = worker.answer();
        let place = if message["id"] == 2 { &mut answer } else { &mut told };
        *place = message;
        worker.close_stdin();
    }
    assert_eq!(worker.join().code(), Some(0));
    is_told_of(&told, second, "lives on");
    assert_eq!(answer["error"]["data"]["leaked"], Value::Null, "{answer}");
    for pid in [first, second] {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        assert_eq!(nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL), Ok(()));
    }
}

#[test]
fn what_may_live_on_is_named_however_many_commands_run() {
    let dir = Scratch::new("many");
    let mut worker = Worker::start("--lifeline --keep-leftovers --concurrency 70");
    for id in 1..=66 {
        worker.ask(id, json!({"command":["sleep","1000"]}));
    }
    let line = "setsid sh -c 'echo $$ > pid; exec sleep 1001' >/dev/null 2>&1 & until [ -s pid ]; do :; done";
    worker.ask(67, json!({"command":line,"cwd":dir.0,"job":"d"}));
    let answer = worker.answer();
    let leaked = json!([{"pid":pid_in(&dir.path("pid")),"name":"sleep 1001"}]);
    // Without its supervisor it ends them all, also what else would live on.
    worker.close_stdin();
    assert_eq!(worker.join().code(), Some(1));
    assert_eq!((&answer["id"], &answer["result"]["leaked"]), (&json!(67), &leaked), "{answer}");
}

#[test]
fn what_forks_while_it_is_killed_is_killed_too() {
    let mut worker = Worker::start("");
    let result = worker.shell("sh -c 'while :; do sleep 1000 & sleep 0.001; done' & echo $!");
    assert!(!result["leaked"].as_array().unwrap().is_empty(), "{result}");
    assert!(supervisor::process::children_of(worker.pid()).is_empty());
}

#[test]
fn a_leftover_that_writes_for_ever_does_not_hold_the_answer() {
    let mut worker = Worker::start("--max-output 100");
    let result = worker.shell("yes & echo ok");
    assert_eq!(result["leaked"][0]["name"], "yes");
    assert!(result["stdout_bytes"].as_u64().unwrap() > 100, "{result}");
    assert_eq!(worker.shell("echo clean")["stdout"], "clean\n");
}
