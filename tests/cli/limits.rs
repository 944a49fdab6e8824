//! `--memory-max`, `--memory-free`, `--heartbeat`: limits on what workers take, and on how long they stand still.

use crate::harness::{Run, TempDir, counts};

const TASKS: &str = "
import os, signal, subprocess, sys, time
def eat(mb):
    held = bytearray(mb << 20)
    if mb > 100: time.sleep(60)
    return mb
def child_eats(mb):
    code = f'held = bytearray({mb} << 20); import time; time.sleep({60 if mb > 100 else 0})'
    return subprocess.run([sys.executable, '-c', code]).returncode
def stop(n):
    if n == 3: os.kill(os.getpid(), signal.SIGSTOP)
    return n
";

#[test]
fn who_takes_too_much_memory_is_oom_with_the_figure_and_the_others_go_on() {
    let dir = TempDir::new("limits-memory");
    let tasks = dir.file("tasks.py", TASKS);
    for function in ["eat", "child_eats"] {
        let target = format!("{}:{function}", tasks.display());
        let run = Run::json(["-w", "2", "--memory-max", "200MiB", "--python", &target]);
        let done = run.stdin("[10]\n[400]\n[20]\n[5]\n").run().expect_code(1);
        assert_eq!(done.statuses(), counts([("ok", 3), ("oom", 1)]), "{}", done.stderr);
        let all = done.by_id();
        assert!(all["2"]["error"]["data"]["memory"].as_u64().unwrap() > 200 << 20, "{}", all["2"]);
        assert!(all["2"]["error"]["message"].as_str().unwrap().contains("--memory-max 200 MiB"));
    }
}

#[test]
fn a_command_that_takes_too_much_memory_is_oom_and_all_it_started_is_gone() {
    let list = "true\nsleep 1000 & python3 -c 'held = bytearray(400 << 20); import time; time.sleep(60)'\ntrue\n";
    let done = Run::json(["-w", "1", "--memory-max", "100MiB"]).stdin(list).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 2), ("oom", 1)]));
}

#[test]
fn a_stopped_worker_is_found_by_the_heartbeat() {
    let dir = TempDir::new("limits-heartbeat");
    let target = format!("{}:stop", dir.file("tasks.py", TASKS).display());
    let list = "[1]\n[2]\n[3]\n[4]\n[5]\n";
    let args = ["-w", "2", "--heartbeat", "300ms", "--python", &target];
    let done = Run::json(args).stdin(list).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 4), ("crashed", 1)]));
    assert!(done.by_id()["3"]["error"]["message"].as_str().unwrap().contains("SIGSTOP"));
}

#[test]
fn jobs_wait_for_memory_and_signals_are_heard_meanwhile() {
    Run::text(["--memory-free", "1"]).stdin("true\n").run().expect_code(0);
    let started = Run::json(["--memory-free", "1000TiB"]).stdin("true\n").start();
    started.await_stderr("--memory-free 1000 TiB");
    started.signal(libc::SIGTERM);
    let done = started.finish();
    assert_eq!(done.signal, Some(libc::SIGTERM));
    assert_eq!(done.statuses(), counts([("skipped", 1)]));
}
