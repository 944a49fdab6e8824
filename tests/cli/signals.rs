//! Signals to the program: it stops cleanly, accounts for every job, and ends by the signal itself.

use crate::harness::{Run, Started, TempDir, await_state, counts};
use std::io::Read;

fn busy() -> Started {
    let mut run = Run::json(["-w", "2", "--grace", "2s"]).start();
    run.feed("echo done\nsleep 1000\nsleep 1000\nsleep 1000\nsleep 1000\n");
    run.await_lines(1);
    run
}

#[test]
fn the_first_signal_stops_the_jobs_and_each_has_its_record() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let run = busy();
        run.signal(signal);
        let done = run.finish();
        assert_eq!(done.signal, Some(signal), "it ends by the signal: {}", done.stderr);
        let statuses = done.statuses();
        assert_eq!(statuses["ok"], 1);
        assert_eq!(statuses.values().sum::<usize>(), 5, "{statuses:?}");
        // How many were begun before the signal came is left to chance.
        let ended = ["cancelled", "skipped"].map(|status| statuses.get(status).copied().unwrap_or_default());
        assert_eq!(ended.iter().sum::<usize>(), 4, "{statuses:?}");
    }
}

#[test]
fn the_second_signal_kills_at_once() {
    let mut run = Run::json(["-w", "1", "--grace", "1000s"]).start();
    run.feed("echo x\ntrap '' TERM INT; echo up; while :; do sleep 1; done\n");
    run.await_lines(1);
    run.await_grandchild();
    run.signal(libc::SIGTERM);
    run.await_stderr("once more");
    run.signal(libc::SIGTERM);
    let done = run.finish();
    assert_eq!(done.signal, Some(libc::SIGTERM));
    assert_eq!(done.statuses(), counts([("ok", 1), ("cancelled", 1)]));
}

#[test]
fn usr1_tells_what_is_running() {
    let run = busy();
    run.signal(libc::SIGUSR1);
    run.await_stderr("sleep 1000");
    run.signal(libc::SIGTERM);
    run.finish();
}

#[test]
fn a_hang_up_that_was_ignored_stays_ignored() {
    let mut run = Run::json(["-w", "1"])
        .with(|command| {
            use std::os::unix::process::CommandExt;
            // SAFETY: signal is async-signal-safe.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                    Ok(())
                });
            }
        })
        .start();
    run.feed("echo a\n");
    run.await_lines(1);
    run.signal(libc::SIGHUP);
    run.feed("echo b\n");
    run.await_lines(2);
    assert_eq!(run.finish().expect_code(0).statuses(), counts([("ok", 2)]));
}

/// In a group of its own, whose parent is in another one of the same session, as in a shell: the kernel stops nobody by
/// SIGTSTP whom nobody could continue.
fn own_group(command: &mut std::process::Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[test]
fn ctrl_z_stops_the_jobs_and_their_clocks() {
    let mut run = Run::json(["-w", "1", "--timeout", "1500ms"]).with(own_group).start();
    // A shell that were to start another process might be caught in vfork(2), which waits for the stopped child and does not
    // stop itself.
    run.feed("exec sleep 1\necho next\n");
    // Only a job that is running can be stopped: it is a child of the worker, which is a child of ours.
    let job = run.await_grandchild();
    run.signal(libc::SIGTSTP);
    await_state(run.pid(), 'T');
    await_state(job, 'T');
    // Longer than the timeout; it is the pause that is under test.
    crate::harness::pause(std::time::Duration::from_secs(2));
    run.signal(libc::SIGCONT);
    run.close();
    let done = run.finish().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 2)]));
}

#[test]
fn ctrl_z_stops_it_while_results_wait_for_their_reader() {
    let mut run = Run::text(["-w", "1"]).with(own_group).stdin("seq 100000\n").start_piped();
    run.await_blocked();
    run.await_workers_end();
    run.signal(libc::SIGUSR1);
    run.await_stderr("supervisor: every job has ended; ");
    run.signal(libc::SIGTSTP);
    await_state(run.pid(), 'T');
    run.signal(libc::SIGCONT);
    let mut text = String::new();
    run.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 100_000);
    assert_eq!(run.wait(), Some(0));
}

#[test]
fn the_progress_line_is_wiped_before_ctrl_z_stops_it() {
    const WIPE: &[u8] = b"\r\x1b[2K";
    let folder = TempDir::new("suspended");
    let journal = folder.path().join("records");
    for args in [&["-w", "1"][..], &["-w", "1", "-o", journal.to_str().unwrap()]] {
        let mut run = Run::text(args).with(own_group).start_on_terminal();
        run.feed("echo one\nsleep 1000\n");
        run.await_stdout(|shown| shown.ends_with(b"/s") || shown.ends_with(b"/min"));
        run.signal(libc::SIGTSTP);
        await_state(run.pid(), 'T');
        run.await_stdout(|shown| shown.ends_with(WIPE));
        run.signal(libc::SIGCONT);
        run.signal(libc::SIGTERM);
        run.finish();
    }
}

#[test]
fn harmless_signals_change_nothing() {
    let mut run = Run::json(["-w", "2"]).start();
    for _ in 0..200 {
        run.feed("true\n");
        for signal in [libc::SIGWINCH, libc::SIGCONT, libc::SIGURG] {
            run.signal(signal);
        }
    }
    run.close();
    assert_eq!(run.finish().expect_code(0).statuses(), counts([("ok", 200)]));
}

#[test]
fn nothing_is_left_when_it_is_killed() {
    let mut run = Run::json(["-w", "2"]).start();
    run.feed("sleep 5151 & setsid sleep 5151 & echo up; sleep 5151\nsleep 5151\n");
    let _ = run.await_grandchild();
    run.signal(libc::SIGKILL);
    assert_eq!(run.finish().signal, Some(libc::SIGKILL));
    crate::harness::await_gone("sleep\u{0}5151");
}

/// Answers with the process ids of a child that has left its session and its parents, and of its guard, and with its
/// control group; waits for the other worker, so that each has one of two jobs.
const DETACHED: &str = r#"
import json, os, subprocess, sys
for line in sys.stdin:
    id = json.loads(line)["id"]
    shell = subprocess.Popen(["sh", "-c", "setsid sleep 5353 > /dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE)
    child = int(shell.communicate()[0])
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    while len(os.listdir(sys.argv[1])) < 2: os.sched_yield()
    group = [line for line in open("/proc/self/cgroup") if line.startswith("0::")]
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": [child, os.getppid(), group]}), flush=True)
"#;

/// Neither the supervisor nor the guard of the first worker can do anything then. The guard of the second ends what both
/// of them had, where control groups can be made; otherwise what had left the tree of the first lives on, and is ended here.
#[test]
fn one_guard_is_enough_when_it_is_killed_with_another() {
    let dir = TempDir::new("one-guard");
    let (worker, meeting) = (dir.file("worker.py", DETACHED), dir.path().join("meeting"));
    std::fs::create_dir(&meeting).unwrap();
    let program = format!("python3 '{}' '{}'", worker.display(), meeting.display());
    let mut run = Run::json(["-w", "2", "--worker", &program]).start();
    run.feed("{\"method\":\"f\"}\n{\"method\":\"f\"}\n");
    run.await_lines(2);
    let supervisor = run.pid();
    let stopped = [nix::sys::signal::SIGSTOP, nix::sys::signal::SIGKILL];
    let kill = |pid: i64, signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
    // At once: a stopped one can do nothing about the other's death.
    let guard_of = |record: &serde_json::Value| record["result"][1].as_i64().unwrap();
    let records = run.records_so_far();
    for signal in stopped {
        kill(supervisor.into(), signal).unwrap();
        kill(guard_of(&records[0]), signal).unwrap();
    }
    assert_eq!(run.finish().signal, Some(libc::SIGKILL));
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = records[0]["result"][2][0].as_str().unwrap_or_default();
    let has_group = own.lines().all(|line| line != group.trim_end());
    crate::harness::tell(&format!("control groups {} be made here\n", if has_group { "can" } else { "cannot" }));
    if !has_group {
        let _ = kill(records[0]["result"][0].as_i64().unwrap(), nix::sys::signal::SIGKILL);
    }
    crate::harness::await_gone("sleep\u{0}5353");
}
