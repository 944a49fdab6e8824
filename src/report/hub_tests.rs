//! Tests of the whole way: records and notices in, bytes of both streams out.

use super::*;
use crate::config::Volume;
use crate::edge;
use crate::report::fixtures::{never_begun, not_ok, ok};
use std::fs::File;
use std::io::{Read, Seek};

pub(in crate::report) const COMMANDS: Jobs = Jobs { is_command: true, keeps_leftovers: false };

pub(in crate::report) fn output() -> Output {
    Output {
        format: Format::Text,
        tag: false,
        progress: When::Auto,
        color: When::Auto,
        volume: Volume::Usual,
        max_output: 1024 * 1024,
        output_dir: None,
        dry_run: false,
        journal: None,
        joblog: None,
    }
}

/// What a hub writes: standard output, standard error.
pub(in crate::report) fn written(hub: &mut Hub) -> (String, String) {
    let memory = || {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        File::from(nix::sys::memfd::memfd_create(c"supervisor-test", flags).unwrap())
    };
    let read = |mut file: File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let (out, err) = (memory(), memory());
    let wake = edge::Wake::new().unwrap();
    let mut stdout = edge::Output::start(out.try_clone().unwrap().into(), wake.clone());
    let mut stderr = Stderr::with_fd(err.try_clone().unwrap().into(), wake);
    hub.flush(&mut stdout, &mut stderr);
    stdout.finish(Some(Duration::from_secs(20))).unwrap();
    stderr.finish(Duration::from_secs(20));
    (read(out), read(err))
}

fn skipped() -> Record {
    never_begun(Status::Skipped, r#"{"message":"an earlier job failed"}"#)
}

#[test]
fn records_go_to_standard_output_and_failures_are_told_beside() {
    let mut hub = Hub::new(&Output { format: Format::Json, ..output() }, COMMANDS, Surroundings::pipes());
    hub.record(&ok(r#"{"exit_code":0,"stdout":"hi\n","stderr":""}"#));
    for _ in 0..12 {
        hub.record(&not_ok(Status::Failed, r#"{"message":"exit code 3"}"#));
    }
    let (stdout, stderr) = written(&mut hub);
    assert_eq!(stdout.lines().count(), 13);
    assert!(stdout.lines().all(|line| line.starts_with("{\"id\":1,\"status\":") && line.ends_with('}')));
    assert_eq!(stderr, "supervisor: job 1 (echo hi) failed: exit code 3\n".repeat(10));
    hub.finish(&Ending {
        stats: &Stats { accepted: 13, ended: [1, 12, 0, 0, 0, 0, 0, 0], input_closed: true, ..Stats::default() },
        joined: &[],
        wall: Duration::from_secs(1),
        exit: ExitCode::JobsFailed,
    });
    let (stdout, stderr) = written(&mut hub);
    assert_eq!(stdout, "");
    assert_eq!(
        stderr,
        "supervisor: 2 more jobs ended the same way: failed\n\
         supervisor: 13 jobs: 1 ok, 12 failed; 0 ms of work in 1.0 s: 0.00 x\n"
    );
}

#[test]
fn skipped_jobs_do_not_hide_the_failure() {
    let mut hub = Hub::new(&Output { volume: Volume::Quiet, ..output() }, COMMANDS, Surroundings::pipes());
    hub.record(&not_ok(Status::Failed, r#"{"message":"exit code 3"}"#));
    for _ in 0..1000 {
        hub.record(&skipped());
    }
    hub.notice(&Notice::Warning { message: "not heard with -q".into() });
    hub.finish(&Ending { stats: &Stats::default(), joined: &[], wall: Duration::ZERO, exit: ExitCode::JobsFailed });
    let (_, stderr) = written(&mut hub);
    let skipped = "supervisor: job 1 (echo hi) was skipped: an earlier job failed\n".repeat(3);
    let expected = format!(
        "supervisor: job 1 (echo hi) failed: exit code 3\n{skipped}supervisor: 997 more jobs ended the same way: skipped\n"
    );
    assert_eq!(stderr, expected);
}

#[test]
fn on_a_terminal_the_progress_line_comes_and_goes() {
    let around = Surroundings {
        stdout_is_terminal: true,
        stderr_is_terminal: true,
        is_one_terminal: true,
        ..Surroundings::pipes()
    };
    let mut hub = Hub::new(&Output { color: When::Never, ..output() }, COMMANDS, around);
    let stats = Stats { accepted: 2, running: 1, input_closed: true, ..Stats::default() };
    let due = hub.progress(&stats, Time::ZERO).unwrap();
    assert_eq!(written(&mut hub), (String::new(), String::new()));
    assert!(hub.progress(&stats, due) > Some(due));
    let line = "[                        ] 0/2  1 running";
    assert_eq!(written(&mut hub).0, line);
    hub.record(&ok(r#"{"exit_code":0,"stdout":"hi","stderr":"warned"}"#));
    hub.notice(&Notice::Warning { message: "odd".into() });
    let (stdout, stderr) = written(&mut hub);
    assert_eq!(stdout, format!("\r\x1b[2Khiwarned\nsupervisor: warning: odd\n{line}"));
    assert_eq!(stderr, "");
    hub.hide_progress();
    assert_eq!(written(&mut hub).0, "\r\x1b[2K");
    hub.finish(&Ending { stats: &stats, joined: &[], wall: Duration::ZERO, exit: ExitCode::Success });
    assert_eq!(hub.progress(&stats, due), None);
    assert_eq!(written(&mut hub).0, "supervisor: 0 jobs: 2 without a record\n");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let colored = |color, stderr_is_terminal| {
        let around = Surroundings { stderr_is_terminal, ..Surroundings::pipes() };
        let mut hub = Hub::new(&Output { color, progress: When::Never, ..output() }, COMMANDS, around);
        hub.record(&not_ok(Status::Failed, r#"{"message":"exit code 3"}"#));
        written(&mut hub).1.contains("\x1b[31mfailed\x1b[0m")
    };
    assert!(colored(When::Auto, true) && colored(When::Always, false));
    assert!(!colored(When::Auto, false) && !colored(When::Never, true));
}
