//! Tests of `--format text`: which bytes go to which stream.

use super::*;
use crate::config::Output;
use crate::job::UserId;
use crate::report::fixtures::{never_begun, not_ok, ok};
use crate::report::hub::tests::{COMMANDS, output, written};
use crate::report::{Hub, Surroundings};
use std::io::Write;

fn told_with(output: &Output, is_command: bool, record: &Record) -> (String, String) {
    let mut hub = Hub::new(output, Jobs { is_command, ..COMMANDS }, Surroundings::pipes());
    hub.record(record);
    written(&mut hub)
}

fn command(record: &Record) -> (String, String) {
    told_with(&output(), true, record)
}

fn function(record: &Record) -> (String, String) {
    told_with(&output(), false, record)
}

fn pair(stdout: &str, stderr: &str) -> (String, String) {
    (stdout.into(), stderr.into())
}

#[test]
fn a_commands_output_passes_unchanged() {
    let record = ok(r#"{"exit_code":0,"stdout":"a\u001b[1m\nno line end","stderr":"warned\n"}"#);
    assert_eq!(command(&record), pair("a\x1b[1m\nno line end", "warned\n"));
    let record = ok(r#"{"exit_code":0,"stdout":{"base64":"AGEK"},"stderr":""}"#);
    assert_eq!(command(&record), pair("\0a\n", ""));
}

#[test]
fn a_failed_command_is_told_with_its_standard_error() {
    let record = not_ok(
        Status::Failed,
        r#"{"code":-32000,"message":"exit code 3","data":{"exit_code":3,"stdout":"half\n","stderr":"no such file\n"}}"#,
    );
    let told = "supervisor: job 1 (echo hi) failed: exit code 3\nno such file\n";
    assert_eq!(command(&record), pair("half\n", told));
}

#[test]
fn files_that_a_foreign_program_names_are_not_opened() {
    for data in [
        r#"{"stdout":{"file":"/etc/hostname","bytes":1},"stderr":{"file":"/etc/hostname","bytes":1},"traceback":"here"}"#,
        r#"{"stdout_spill":"/etc/hostname","stdout_bytes":1,"leaked":[{"pid":1,"name":"init"}],"traceback":"here"}"#,
        r#"{"leaked":"no list","traceback":"here"}"#,
    ] {
        let record = not_ok(Status::Failed, &format!(r#"{{"message":"no","data":{data}}}"#));
        assert_eq!(function(&record), pair("", "supervisor: job 1 (echo hi) failed: no\nhere\n"), "{data}");
    }
}

#[test]
fn a_message_of_ours_begins_on_its_own_line() {
    let mut hub = Hub::new(&output(), COMMANDS, Surroundings::pipes());
    hub.record(&ok(r#"{"exit_code":0,"stdout":"","stderr":"open"}"#));
    hub.record(&not_ok(Status::Failed, r#"{"message":"exit code 1"}"#));
    assert_eq!(written(&mut hub).1, "open\nsupervisor: job 1 (echo hi) failed: exit code 1\n");
}

#[test]
fn tags_stand_before_each_line() {
    let tagged = Output { tag: true, ..output() };
    let record = ok(r#"{"exit_code":0,"stdout":"a\n\nb","stderr":"c\n"}"#);
    assert_eq!(told_with(&tagged, true, &record), pair("echo hi\ta\necho hi\t\necho hi\tb", "echo hi\tc\n"));
    let record = ok("\"x\\ny\"");
    assert_eq!(told_with(&tagged, false, &record), pair("echo hi\tx\necho hi\ty\n", ""));
}

#[test]
fn spilled_output_is_read_from_its_file() {
    let spill = nix::sys::memfd::memfd_create(c"spill", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let mut spill = File::from(spill);
    spill.write_all(b"the whole\noutput\n").unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&spill));
    let record = ok(&format!(
        r#"{{"exit_code":0,"stdout":"the","truncated":true,"stdout_bytes":17,"stdout_spill":"{path}","stderr":""}}"#
    ));
    assert_eq!(command(&record), pair("the whole\noutput\n", ""));
    let tagged = Output { tag: true, ..output() };
    assert_eq!(told_with(&tagged, true, &record), pair("echo hi\tthe whole\necho hi\toutput\n", ""));
    let record = ok(&format!(r#"{{"exit_code":0,"stdout":{{"file":"{path}","bytes":17}},"stderr":""}}"#));
    assert_eq!(command(&record), pair("the whole\noutput\n", ""));
}

#[test]
fn cut_output_is_never_silent() {
    let record = ok(r#"{"exit_code":0,"stdout":"abc","truncated":true,"stdout_bytes":10,"stderr":""}"#);
    let told = "supervisor: job 1 (echo hi): standard output: only the first 3 of 10 bytes are here \
                (see --max-output, --output-dir)\n";
    assert_eq!(command(&record), pair("abc", told));
    let record = ok(r#"{"exit_code":0,"stdout":"abc","stdout_bytes":10,"stdout_spill":"/nosuch/1","stderr":""}"#);
    let told = "supervisor: job 1 (echo hi): standard output: only the first 3 of 10 bytes are here \
                (cannot open /nosuch/1: no such file or directory (ENOENT))\n";
    assert_eq!(command(&record), pair("abc", told));
    let record = ok("null").with(|rare| rare.stderr = Some(Printed { bytes: b"x\n".to_vec(), total: 5 }));
    let told = "x\nsupervisor: job 1 (echo hi): standard error: only the first 2 of 5 bytes are here \
                (see --max-output)\n";
    assert_eq!(function(&record), pair("", told));
}

#[test]
fn a_function_prints_and_then_returns() {
    let printed = Some(Printed { bytes: b"printed\n".to_vec(), total: 8 });
    assert_eq!(function(&ok("\"text \\u00e9\"").with(|rare| rare.stdout = printed)), pair("printed\ntext é\n", ""));
    assert_eq!(function(&ok("[1,\"a\"]")), pair("[1,\"a\"]\n", ""));
    assert_eq!(function(&ok("null")), pair("", ""));
    // A function may return what looks like a command's result.
    let result = r#"{"exit_code":0,"stdout":"x"}"#;
    assert_eq!(function(&ok(result)), pair(&format!("{result}\n"), ""));
}

#[test]
fn a_function_that_raised_is_told_with_its_traceback() {
    let record = not_ok(
        Status::Failed,
        r#"{"code":-32000,"message":"ValueError: bad\nsecond","data":{"type":"ValueError","traceback":"Traceback:\n  line 1\u001b[2J\n"}}"#,
    );
    let record =
        Record { attempts: 3, ..record }.with(|rare| rare.stderr = Some(Printed { bytes: b"said".to_vec(), total: 4 }));
    let told = "supervisor: job 1 (echo hi) failed (3 attempts): ValueError: bad\n    second\nsaid\n\
                Traceback:\n  line 1\\x1b[2J\n";
    assert_eq!(function(&record), pair("", told));
}

#[test]
fn every_other_end_in_words() {
    let told = |record: &Record| command(record).1;
    let job = |words: &str| format!("supervisor: job 1 (echo hi) {words}\n");
    let record = not_ok(Status::Timeout, r#"{"message":"timed out after 5 s"}"#);
    assert_eq!(told(&record), job("timed out after 5 s"));
    let record = not_ok(
        Status::Crashed,
        r#"{"message":"worker 3 was killed by SIGKILL","data":{"exit_code":-9,"signal":"SIGKILL","stderr":"last lines"}}"#,
    );
    assert_eq!(told(&record), job("crashed: worker 3 was killed by SIGKILL") + "last lines");
    assert_eq!(told(&not_ok(Status::Oom, r#"{"message":"over 1 GiB"}"#)), job("ran out of memory: over 1 GiB"));
    assert_eq!(told(&not_ok(Status::Cancelled, r#"{"message":"cancelled"}"#)), job("was cancelled"));
    assert_eq!(told(&not_ok(Status::Failed, r#"{"code":1}"#)), job("failed: no message"));
    assert_eq!(told(&not_ok(Status::Failed, r#"{"message":{"odd":1}}"#)), job("failed: {\"odd\":1}"));
    let record = Record {
        id: UserId::Json("\"a\\u001b1\"".into()),
        ..never_begun(Status::Skipped, r#"{"message":"job 1 failed"}"#)
    }
    .with(|rare| rare.label.clear());
    assert_eq!(told(&record), "supervisor: job a\\x1b1 was skipped: job 1 failed\n");
    let invalid = |message: &str| never_begun(Status::Invalid, message).with(|rare| rare.line = Some(7));
    assert_eq!(told(&invalid(r#"{"message":"no \"id\""}"#)), "supervisor: invalid job: line 7: no \"id\"\n");
    let message = r#"{"message":"line 7, column 3: bad"}"#;
    assert_eq!(told(&invalid(message)), "supervisor: invalid job: line 7, column 3: bad\n");
}

#[test]
fn what_a_command_left_behind_is_told() {
    let record =
        ok(r#"{"exit_code":0,"stdout":"","stderr":"","leaked":[{"pid":5,"name":"sleep 9"},{"pid":6,"name":"b"}]}"#);
    let told = "supervisor: job 1 (echo hi): left 2 processes behind, now killed: sleep 9 (pid 5), b (pid 6)\n";
    assert_eq!(command(&record), pair("", told));
    let mut kept = Hub::new(&output(), Jobs { keeps_leftovers: true, ..COMMANDS }, Surroundings::pipes());
    kept.record(&record);
    assert_eq!(written(&mut kept).1, told.replace(", now killed", ""));
    assert_eq!(told_with(&Output { volume: crate::config::Volume::Quiet, ..output() }, true, &record), pair("", ""));
}
