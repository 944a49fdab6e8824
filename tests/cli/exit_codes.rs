//! Every exit code of docs/exit-codes.md, and which one wins.

use crate::harness::{Run, TempDir};

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
        command.stdin(directory).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
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
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let list = TempDir::new("full");
    let jobs = list.file("jobs", "echo x\n".repeat(50));
    let run = Run::json(["-a"]).args([jobs]).with(|command| {
        command.stdout(full).stderr(std::process::Stdio::null());
    });
    assert_eq!(run.run_bare(), Some(6));
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
