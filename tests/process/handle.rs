//! `Process`, as Python's users know it.

use crate::harness::{alone, start, until_state};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervisor::Process;
use supervisor::process::ProcessError;

fn shell(script: &str) -> Process {
    Process::new("sh").args(["-c", script])
}

fn ended(process: &Process) -> bool {
    let sentinel = process.sentinel().unwrap();
    poll(&mut [PollFd::new(sentinel, PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn a_life_from_start_to_join() {
    let _alone = alone();
    let mut process = Process::new("sleep").arg("1000").name("sleeper");
    assert!(matches!(process.join(None), Err(ProcessError::NotStarted)));
    assert!(matches!(process.terminate(), Err(ProcessError::NotStarted)));
    assert!(!process.is_alive() && process.pid().is_none() && process.exitcode().is_none());
    process.start().unwrap();
    assert!(matches!(process.start(), Err(ProcessError::AlreadyStarted)));
    assert!(process.is_alive() && !ended(&process));
    assert_eq!(process.exitcode(), None);
    assert!(!process.join(Some(Duration::from_millis(20))).unwrap());
    assert!(!process.join(Some(Duration::ZERO)).unwrap());
    process.kill().unwrap();
    assert!(process.join(Some(Duration::from_secs(20))).unwrap());
    assert_eq!(process.exitcode(), Some(-9));
    assert!(!process.is_alive() && ended(&process));
    process.terminate().unwrap();
    process.kill().unwrap();
    assert!(process.join(None).unwrap());
    assert!(format!("{process:?}").ends_with("killed by SIGKILL)"));
}

#[test]
fn all_exit_codes() {
    let _alone = alone();
    let mut all: Vec<Process> = (0..256).map(|code| shell(&format!("exit {code}"))).collect();
    for chunk in all.chunks_mut(32) {
        chunk.iter_mut().for_each(|process| process.start().unwrap());
        chunk.iter().for_each(|process| assert!(process.join(None).unwrap()));
    }
    let codes: Vec<i32> = all.iter().map(|process| process.exitcode().unwrap()).collect();
    assert_eq!(codes, (0..256).collect::<Vec<i32>>());
}

#[test]
fn a_stopped_process_is_terminated_too() {
    let _alone = alone();
    let mut process = shell("kill -STOP $$");
    process.start().unwrap();
    until_state(process.pid().unwrap(), 'T');
    process.terminate().unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(-15));
}

#[test]
fn what_cannot_be_started() {
    let _alone = alone();
    let error = Process::new("nosuch-program").start().unwrap_err();
    assert_eq!(error.to_string(), "cannot start nosuch-program: command not found (ENOENT)");
}

#[test]
fn dropping_joins_and_dropping_a_daemon_terminates() {
    let _alone = alone();
    let path = std::env::temp_dir().join(format!("supervisor-drop-{}", std::process::id()));
    let mut process = shell("echo done > \"$OUT\"").env("OUT", &path);
    process.start().unwrap();
    drop(process);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "done\n");
    std::fs::remove_file(&path).unwrap();

    let begin = Instant::now();
    for _ in 0..3 {
        let mut daemon = Process::new("sleep").arg("1000").daemon(true);
        daemon.start().unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(10));
    let mut stubborn = shell("trap '' TERM; exec sleep 1000").daemon(true);
    stubborn.start().unwrap();
    drop(stubborn);
}

#[test]
fn others_children_keep_their_status() {
    let _alone = alone();
    let mut other = Command::new("sh").args(["-c", "exit 8"]).stdin(Stdio::null()).spawn().unwrap();
    let mut process = shell("exit 7");
    process.start().unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(7));
    assert_eq!(other.wait().unwrap().code(), Some(8));
}

#[test]
fn a_status_taken_by_somebody_else_does_not_hang_us() {
    let _alone = alone();
    let mut process = shell("exit 7");
    process.start().unwrap();
    // SAFETY: waitpid with no place for the status touches no memory.
    unsafe { libc::waitpid(process.pid().unwrap() as i32, std::ptr::null_mut(), 0) };
    assert!(process.join(None).unwrap());
    assert!(!process.is_alive());
    assert_eq!(process.exitcode(), None);
    process.kill().unwrap();
}

#[test]
fn one_thread_joins_while_another_terminates() {
    let _alone = alone();
    let mut process = Process::new("sleep").arg("1000");
    process.start().unwrap();
    std::thread::scope(|scope| {
        let joined = scope.spawn(|| process.join(None).unwrap());
        process.terminate().unwrap();
        assert!(joined.join().unwrap());
    });
    assert_eq!(process.exitcode(), Some(-15));
}

/// At the end of a program, even by `exit`: the test program starts itself to see it.
#[test]
fn the_end_of_the_program_joins_and_terminates() {
    const ROLE: &str = "SUPERVISOR_TEST_EXIT";
    if std::env::var_os(ROLE).is_some() {
        let mut worker = shell("read line; echo joined");
        let mut daemon =
            shell("trap 'echo terminated; exit' TERM; echo daemon; while :; do sleep 1000 & wait; done").daemon(true);
        daemon.start().unwrap();
        // Before the other one is there, since both read the same stream.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        worker.start().unwrap();
        std::process::exit(3);
    }
    let _alone = alone();
    let mut run = {
        let exe = std::env::current_exe().unwrap();
        let name = "handle::the_end_of_the_program_joins_and_terminates";
        let script = format!("{ROLE}=1 exec \"$0\" --exact {name} --nocapture --test-threads=1");
        start("/bin/sh", &["-c", &script, exe.to_str().unwrap()])
    };
    while !run.line().ends_with("daemon") {}
    nix::unistd::write(&run.spawned.stdin, b"exit\n").unwrap();
    assert_eq!(run.line(), "terminated");
    nix::unistd::write(&run.spawned.stdin, b"go\n").unwrap();
    assert_eq!(run.line(), "joined");
    assert_eq!(run.end().exit_code(), 3);
    // Only the program itself is terminated, not the sleep that it has started.
    supervisor::process::sweep(&|_| false);
}
