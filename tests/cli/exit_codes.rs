//! Every exit code of docs/exit-codes.md, and which one wins.

use crate::harness::{Run, TempDir};
use std::fs::{File, OpenOptions};
use std::process::Stdio;

#[test]
fn code_0_when_all_is_well() {
    Run::text(["-w", "2"]).stdin("true\ntrue\n").run().expect_code(0);
}

#[test]
fn code_1_when_a_job_failed_however_many() {
    Run::text(["-w", "2"]).stdin("true\nfalse\n").run().expect_code(1);
    Run::text(["-w", "2"]).stdin("exit 255\n".repeat(256)).run().expect_code(1);
}

#[test]
fn code_2_for_usage_and_nothing_ran() {
    let dir = TempDir::new("usage");
    for args in [&["--no-such-flag"][..], &["--timeout", "soon"], &["-w", "0"], &["--worker", "x", "--", "y"]] {
        let done = Run::text(args).cwd(dir.path()).stdin("touch ran\n").run().expect_code(2);
        assert!(!done.stderr.is_empty());
    }
    Run::text(["-a", "no-such-list"]).cwd(dir.path()).run().expect_code(2);
    assert!(!dir.path().join("ran").exists());
    assert_eq!(Run::new::<_, &str>([]).run().code, Some(2));
}

#[test]
fn code_3_when_part_of_the_list_is_no_job_and_the_rest_ran() {
    let done =
        Run::json(["--input", "json"]).stdin("{\"command\":[\"true\"]}\n{oops\n{\"command\":[\"false\"]}\n").run();
    let done = done.expect_code(3);
    let statuses: Vec<_> = done.by_id().into_values().map(|record| record["status"].clone()).collect();
    assert_eq!(statuses, ["ok", "invalid", "failed"]);
}

#[test]
fn code_3_when_the_list_cannot_be_read() {
    let directory = std::fs::File::open("/").unwrap();
    let code = Run::json(["-q"]).with(|command| {
        command.stdin(directory).stdout(Stdio::null()).stderr(Stdio::null());
    });
    assert_eq!(code.run_bare(), Some(3));
}

#[test]
fn code_4_for_an_empty_list_only_when_asked() {
    let done = Run::text(["-w", "2"]).stdin("\n\n").run().expect_code(0);
    assert!(done.stderr.contains("empty"), "{}", done.stderr);
    Run::text(["--no-jobs", "fail"]).stdin("").run().expect_code(4);
}

#[test]
fn code_5_when_no_worker_can_be_started() {
    let done = Run::json(["--worker", "/no/such/program"]).stdin("{\"method\":\"f\"}\n").run();
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("/no/such/program"), "{}", done.stderr);
}

#[test]
fn code_6_when_results_cannot_be_written() {
    let list = TempDir::new("full");
    let jobs = list.file("jobs", "echo x\n".repeat(50));
    let run = Run::json(["-a"]).args([jobs]).with(|command| {
        command.stdout(full()).stderr(Stdio::null());
    });
    assert_eq!(run.run_bare(), Some(6));
}

/// A file that takes nothing.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn what_makes_the_exit_code_is_told_with_q_too_and_once() {
    let dir = TempDir::new("quiet");
    let told = |code: i32, args: &[&str], stdin: Stdio, stdout: Stdio| {
        let (name, errors) = (dir.path().join("errors"), File::create(dir.path().join("errors")).unwrap());
        let run = Run::text(["-q", "-w", "1"]).args(args).with(|command| {
            command.stdin(stdin).stdout(stdout).stderr(errors);
        });
        assert_eq!(run.run_bare(), Some(code), "{args:?}");
        std::fs::read_to_string(name).unwrap()
    };
    let job = [":::", "echo a"];
    let results = "supervisor: results cannot be written: ";
    let space = "no space left on device (ENOSPC)\n";
    assert_eq!(told(6, &job, Stdio::null(), full().into()), format!("{results}standard output: {space}"));
    for (option, place) in [("-o", "/dev/full: "), ("--joblog", "the job log /dev/full: ")] {
        let text = told(6, &[&[option, "/dev/full"], &job[..]].concat(), Stdio::null(), Stdio::null());
        // Whether the job was begun before is left to chance.
        assert!(text.contains(&format!("{place}{space}")), "{text}");
        assert_eq!(text.matches("written: ").count(), 1, "{text}");
    }
    let folder = File::open("/").unwrap().into();
    let text = told(3, &[], folder, Stdio::null());
    assert_eq!(text, "supervisor: the job list could not be read to its end: is a directory (EISDIR)\n");
    for dry in [&["--no-jobs", "fail"][..], &["--no-jobs", "fail", "--dry-run"]] {
        assert_eq!(told(4, dry, Stdio::null(), Stdio::null()), "supervisor: the job list is empty\n");
    }
    assert_eq!(told(0, &[], Stdio::null(), Stdio::null()), "");
}

#[test]
fn code_6_when_the_job_log_or_the_journal_is_removed_meanwhile() {
    let dir = TempDir::new("removed");
    for (option, name) in [("--joblog", "the job log kept"), ("-o", "kept")] {
        let run = Run::text(["-q", "-w", "1", option, "kept"]).cwd(dir.path()).stdin("rm kept\ntrue\n");
        let told = run.run().expect_code(6).stderr;
        let expected =
            format!("supervisor: results cannot be written: {name}: the file was removed while the run went on\n");
        assert_eq!(told, expected);
    }
}

#[test]
fn a_signal_wins_over_failures() {
    let mut run = Run::json(["-w", "1", "--grace", "1s"]).start();
    run.feed("false\nsleep 1000\n");
    run.await_lines(1);
    run.signal(libc::SIGTERM);
    let done = run.finish();
    assert_eq!(done.signal, Some(libc::SIGTERM));
}
