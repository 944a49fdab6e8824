//! Cancelling, signals, freezing, and the end of the supervisor.

use crate::harness::{Scratch, Worker, is_alive, pid_in, state_of, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A shell that ignores SIGTERM, with a child that does too; says when it is ready.
const STUBBORN: &str = "trap '' TERM; echo begun; sleep 1000 & echo $$ > pid; wait; wait; while :; do sleep 1000; done";

#[test]
fn a_command_that_ends_when_asked() {
    let dir = Scratch::new("asked");
    let mut worker = Worker::start("--grace-ms 60000");
    let line = "trap 'echo bye; exit 4' TERM; echo begun; echo $$ > pid; while :; do sleep 0.01; done";
    worker.ask(7, json!({"command":line,"cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    worker.cancel(7);
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32800)));
    assert_eq!(answer["error"]["message"], "cancelled");
    assert_eq!(answer["error"]["data"]["stdout"], "begun\nbye\n");
    assert_eq!(answer["error"]["data"]["exit_code"], 4);
    assert!(!is_alive(pid));
}

#[test]
fn a_command_that_ignores_it_is_killed_after_the_grace() {
    let dir = Scratch::new("ignores");
    let mut worker = Worker::start("--grace-ms 50");
    worker.ask(7, json!({"command":STUBBORN,"cwd":dir.0}));
    worker.ask(8, json!({"command":"echo next"}));
    let pid = pid_in(&dir.path("pid"));
    worker.cancel(7);
    worker.cancel(7);
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32800)));
    let data = &answer["error"]["data"];
    assert_eq!(
        (&data["stdout"], &data["signal"], &data["leaked"]),
        (&json!("begun\n"), &json!("SIGKILL"), &Value::Null)
    );
    assert!(!is_alive(pid));
    assert_eq!(worker.answer()["result"]["stdout"], "next\n");
    assert!(supervisor::process::children_of(worker.pid()).is_empty());
}

#[test]
fn a_stopped_command_is_cancelled_too() {
    let dir = Scratch::new("stopped");
    let mut worker = Worker::start("--grace-ms 60000");
    worker.ask(1, json!({"command":"echo $$ > pid; kill -STOP $$","cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    wait_until("the command has stopped", || state_of(pid) == Some('T'));
    worker.cancel(1);
    assert_eq!(worker.answer()["error"]["data"]["signal"], "SIGTERM");
}

#[test]
fn a_command_that_has_ended_is_answered_as_if_nobody_had_asked() {
    let dir = Scratch::new("ended");
    let mut worker = Worker::start("--leak-grace-ms 20000");
    let line = "(until [ -e go ]; do sleep 0.01; done; echo late) & echo $$ > pid";
    worker.ask(1, json!({"command":line,"cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    wait_until("the command is reaped", || state_of(pid).is_none());
    worker.cancel(1);
    worker.ask(2, json!({"nothing":"that can be run"}));
    assert_eq!(worker.answer()["id"], 2);
    std::fs::write(dir.path("go"), "").unwrap();
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["result"]["stdout"]), (&json!(1), &json!("late\n")), "{answer}");
    assert_eq!(answer["result"]["leaked"], Value::Null);
}

#[test]
fn one_whose_end_was_not_looked_at_yet_has_ended_too() {
    let dir = Scratch::new("zombie");
    let mut worker = Worker::start("");
    worker.ask(1, json!({"command":"echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 3","cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    worker.signal(Signal::SIGSTOP);
    wait_until("the worker has stopped", || state_of(worker.pid()) == Some('T'));
    worker.cancel(1);
    std::fs::write(dir.path("go"), "").unwrap();
    wait_until("the command has ended", || state_of(pid) == Some('Z'));
    worker.signal(Signal::SIGCONT);
    let answer = worker.answer();
    assert_eq!(answer["error"]["message"], "exit code 3", "{answer}");
}

#[test]
fn a_command_that_waits_for_its_turn_never_begins() {
    let dir = Scratch::new("waits");
    let mut worker = Worker::start("");
    worker.ask(1, json!({"command":"echo $$ > pid; until [ -e go ]; do sleep 0.01; done","cwd":dir.0}));
    worker.ask(2, json!({"command":"touch ran","cwd":dir.0}));
    worker.cancel(2);
    let answer = worker.answer();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-32800)));
    assert_eq!(answer["error"]["data"], json!({"begun":false}));
    std::fs::write(dir.path("go"), "").unwrap();
    assert_eq!(worker.answer()["id"], 1);
    assert_eq!(worker.shell("echo")["stdout"], "\n");
    assert!(!dir.path("ran").exists());
}

#[test]
fn sigterm_reaches_the_commands_and_not_the_worker() {
    let dir = Scratch::new("sigterm");
    let mut worker = Worker::start("");
    worker.ask(1, json!({"command":"echo $$ > pid; exec sleep 1000","cwd":dir.0}));
    pid_in(&dir.path("pid"));
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGPIPE] {
        worker.signal(signal);
    }
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.answer()["error"]["message"], "killed by SIGTERM");
    assert_eq!(worker.shell("echo on")["stdout"], "on\n");
}

#[test]
fn everything_freezes_and_thaws() {
    let dir = Scratch::new("freeze");
    let mut worker = Worker::start("");
    worker.ask(
        1,
        json!({"command":"(echo $$ > pid; exec sleep 0.05); until [ -e go ]; do sleep 0.01; done","cwd":dir.0}),
    );
    let pid = pid_in(&dir.path("pid"));
    worker.signal(Signal::SIGTSTP);
    wait_until("the command is frozen", || state_of(pid) == Some('T'));
    std::fs::write(dir.path("go"), "").unwrap();
    worker.ask(2, json!({"command":"echo two"}));
    worker.signal(Signal::SIGCONT);
    assert_eq!(worker.answer()["id"], 1);
    assert_eq!(worker.answer()["result"]["stdout"], "two\n");
}

#[test]
fn the_end_of_the_supervisor_ends_everything() {
    let dir = Scratch::new("lifeline");
    let mut worker = Worker::start("--lifeline --concurrency 2");
    worker.ask(1, json!({"command":STUBBORN,"cwd":dir.0}));
    let pid = pid_in(&dir.path("pid"));
    worker.ask(2, json!({"command":"setsid sh -c 'trap \"\" TERM HUP; echo $$ > daemon; sleep 1000'","cwd":dir.0}));
    let daemon = pid_in(&dir.path("daemon"));
    worker.close_stdin();
    assert_eq!(worker.join().code(), Some(1));
    assert!(!is_alive(pid) && !is_alive(daemon));
}

#[test]
fn with_nothing_to_do_a_lifeline_ends_well() {
    let mut worker = Worker::start("--lifeline");
    assert_eq!(worker.shell("echo")["exit_code"], 0);
    worker.close_stdin();
    assert_eq!(worker.join().code(), Some(0));
}
