//! What comes out: text, records, order, tags; readers that leave, stall, or are full.

use crate::harness::{Run, TempDir, counts};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn text_holds_what_commands_said_and_nothing_else() {
    let done = Run::text(["-k", "-w", "2"]).stdin("echo a; echo quiet >&2\nprintf b\nprintf '\\377c\\n'\n").run();
    let done = done.expect_code(0);
    assert_eq!(done.stdout, b"a\nb\xffc\n");
    assert!(done.stderr.contains("quiet"));
}

#[test]
fn outputs_of_jobs_are_never_mixed() {
    let job = "for i in 1 2 3 4 5 6 7 8; do printf \"$0 half\"; echo \" $i\"; done";
    let list: String =
        (0..40).map(|n| format!("{}\n", serde_json::json!({"command": ["sh", "-c", job, format!("j{n}")]}))).collect();
    let done = Run::text(["-w", "4"]).stdin(list).run().expect_code(0);
    let text = done.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 40 * 8);
    for block in lines.chunks(8) {
        let name = block[0].split(' ').next().unwrap();
        for (at, line) in block.iter().enumerate() {
            assert_eq!(*line, format!("{name} half {}", at + 1));
        }
    }
}

#[test]
fn a_failure_shows_its_cause_and_its_standard_error() {
    let done = Run::text(["-w", "1"]).stdin("echo why >&2; exit 3\n").run().expect_code(1);
    assert_eq!(done.text(), "");
    assert!(done.stderr.contains("exit code 3"), "{}", done.stderr);
    assert!(done.stderr.contains("why"), "{}", done.stderr);
}

#[test]
fn tags_name_the_job_on_each_line() {
    let done =
        Run::text(["-k", "--tag", "-w", "1", "--", "printf", "1\\n2\\n%.0s"]).stdin("a\nb\n").run().expect_code(0);
    assert_eq!(done.text(), "a\t1\na\t2\nb\t1\nb\t2\n");
}

#[test]
fn keep_order_holds_with_retries_and_failures() {
    let list: String = (0..200)
        .map(|n| format!("{{\"id\":{n},\"command\":\"sleep 0.0{}; test {n} != 50 -o $SPV_ATTEMPT = 3\"}}\n", n % 7))
        .collect();
    let done = Run::json(["-k", "-w", "4", "--retries", "3"]).stdin(list).run().expect_code(0);
    let ids: Vec<_> = done.records().iter().map(|record| record["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (0..200).collect::<Vec<_>>());
    assert_eq!(done.records()[50]["attempts"], 3);
}

#[test]
fn output_over_the_limit_is_whole_in_text_and_said_to_be_cut_in_records() {
    let list = "head -c 3000000 /dev/zero\n";
    let text = Run::text(["-w", "1"]).stdin(list).run().expect_code(0);
    assert_eq!(text.stdout.len(), 3_000_000);
    let done = Run::json(["-w", "1", "--max-output", "1000"]).stdin(list).run().expect_code(0);
    let result = &done.records()[0]["result"];
    assert_eq!(result["truncated"], true);
    assert_eq!(result["stdout_bytes"], 3_000_000);
}

#[test]
fn dry_run_shows_and_runs_nothing() {
    let done = Run::text(["--dry-run", "--", "touch", "{}"]).stdin("a b\nc\n").run().expect_code(0);
    assert_eq!(done.text(), "touch 'a b'\ntouch c\n");
    Run::text(["--dry-run", "--no-jobs", "fail"]).stdin("").run().expect_code(4);
    let done = Run::text(["--dry-run", "--", "touch", "{}"]).stdin("{\"command\":\"true\"}\n").run().expect_code(3);
    assert!(done.stderr.contains("job 1: a command of its own"), "{}", done.stderr);
}

#[test]
fn output_that_should_be_kept_whole_and_is_not_is_told_by_the_exit_code() {
    let dir = TempDir::new("lost");
    let list = "yes | head -c 300000\n";
    let plain = dir.file("plain", "");
    let refused = Run::text(["--output-dir", plain.to_str().unwrap()]).stdin(list).run().expect_code(2);
    assert!(refused.stderr.contains("--output-dir"), "{}", refused.stderr);
    // The folder goes while the run goes on.
    let folder = dir.path().join("folder");
    let gone = format!("rmdir {0} && touch {0}; {list}", folder.display());
    let options = ["-w", "1", "--max-output", "1000", "--output-dir", folder.to_str().unwrap()];
    let done = Run::json(["-q"]).args(options).stdin(gone).run().expect_code(6);
    assert_eq!(done.records()[0]["result"]["lost"], true);
    assert!(done.stderr.contains("cannot keep the whole stdout"), "{}", done.stderr);
}

#[test]
fn a_file_of_results_is_neither_the_job_list_nor_another_one() {
    let dir = TempDir::new("same");
    let list = dir.file("list", "echo a\n");
    let (name, other) = (list.to_str().unwrap(), dir.path().join("new"));
    for options in [
        &["-a", name, "--output", name][..],
        &["-a", name, "--joblog", name],
        &["-a", name, "--output", other.to_str().unwrap(), "--joblog", other.to_str().unwrap()],
    ] {
        Run::text(options).run().expect_code(2);
    }
    let from_itself = Run::text(["--output", name]).with(|command| {
        command.stdin(File::open(name).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    assert_eq!(from_itself.run_bare(), Some(2));
    assert_eq!(std::fs::read_to_string(list).unwrap(), "echo a\n");
}

#[test]
fn a_reader_that_leaves_ends_the_run_with_code_6() {
    let mut run =
        Run::json(["-w", "2", "--grace", "1s"]).stdin("echo x; sleep 0.01\n".repeat(3000)).with(|_| ()).start_piped();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"ok\""));
    assert_eq!(run.wait(), Some(6));
}

#[test]
fn a_reader_that_stops_does_not_stop_signals() {
    // Nobody reads: the pipe fills, the backlog grows to its limit, and still SIGTERM ends the run.
    let run = Run::json(["-w", "2", "--grace", "1s"]).stdin("head -c 100000 /dev/zero\n".repeat(2000)).start_piped();
    run.await_blocked();
    run.signal(libc::SIGTERM);
    assert_eq!(run.wait(), Some(128 + libc::SIGTERM));
}

#[test]
fn a_slow_reader_gets_everything() {
    let list: String = (0..200).map(|_| "head -c 100000 /dev/zero | tr '\\0' x\n").collect();
    let mut run = Run::json(["-w", "2"]).stdin(list).start_piped();
    run.await_blocked();
    let stdout = run.stdout.take().unwrap();
    let lines = BufReader::new(stdout).lines().map(|line| line.unwrap()).collect::<Vec<_>>();
    assert_eq!(lines.len(), 200);
    assert_eq!(run.wait(), Some(0));
}

/// Starts it with a descriptor closed.
fn closed(run: Run, descriptor: i32) -> Run {
    use std::os::unix::process::CommandExt;
    run.with(|command| {
        // SAFETY: close is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                libc::close(descriptor);
                Ok(())
            });
        }
    })
}

#[test]
fn closed_standard_output_is_told_by_the_exit_code() {
    for args in [
        &["spawn", "-w1", ":::", "true"][..],
        &["spawn", "-w1", "--json", ":::", "true"],
        &["spawn", "--dry-run", ":::", "true"],
        &["spawn", "--help"],
        &["--version"],
        &["completions", "bash"],
        &["man", "spawn"],
        &["check", "--timeout", "1s", "--", "true"],
    ] {
        let done = closed(Run::new(args), 1).run().expect_code(6);
        assert_eq!(done.stderr.matches("bad file").count(), 1, "{args:?}: {}", done.stderr);
    }
}

#[test]
fn closed_standard_input_is_no_empty_list() {
    for args in [&["-w1"][..], &["--dry-run"]] {
        let done = closed(Run::text(args), 0).run().expect_code(3);
        assert!(done.stderr.contains("bad file number (EBADF)"), "{}", done.stderr);
    }
}

#[test]
fn closed_standard_error_hurts_nobody() {
    closed(Run::json(["-w", "1", ":::", "false", "true"]), 2).run().expect_code(1);
}

#[test]
fn the_summary_tells_of_jobs_time_and_workers() {
    let done = Run::text(["-w", "2"]).stdin("true\nfalse\n").run().expect_code(1);
    for word in ["2 jobs", "1 ok", "1 failed", "worker 1", "pid", "exitcode 0"] {
        assert!(done.stderr.contains(word), "{word} in {}", done.stderr);
    }
    let quiet = Run::text(["-q", "-w", "1"]).stdin("true\n").run().expect_code(0);
    assert_eq!(quiet.stderr, "");
    assert_eq!(Run::json(["-w", "1"]).stdin("true\n").run().statuses(), counts([("ok", 1)]));
}

#[test]
fn control_sequences_of_jobs_do_not_reach_the_terminal_through_our_messages() {
    let done = Run::json(["-w", "1", "--"]).args(["false", "{}"]).stdin("\u{1b}[2Jx\n").run().expect_code(1);
    assert!(!done.stderr.contains('\u{1b}'), "{:?}", done.stderr);
}
