//! Where `--output` and `--joblog` may write: pipes, and no file that something else of the same run is written to.

use crate::harness::{Run, TempDir};
use crate::journal::rows;
use crate::schema::assert_valid_record;

#[test]
fn records_go_into_a_pipe_as_long_as_somebody_reads() {
    let dir = TempDir::new("journal-pipe");
    let list: String = (0..2000).map(|n| format!("echo {n}\n")).collect();
    let script = "mkfifo pipe; head -n 1 pipe > first & \"$0\" spawn -q -w2 -o pipe > shown; code=$?; wait; exit $code";
    let own = env!("CARGO_BIN_EXE_supervisor");
    let through = |script: &str| {
        let script = script.to_owned();
        #[expect(clippy::disallowed_methods, reason = "a test starts its own programs")]
        let mut shell = std::process::Command::new("bash");
        shell.args(["-c", &script, own]).current_dir(dir.path()).stdin(std::process::Stdio::piped());
        shell
    };
    let mut started = through(script).spawn().unwrap();
    let _ = std::io::Write::write_all(&mut started.stdin.take().unwrap(), list.as_bytes());
    assert_eq!(started.wait().unwrap().code(), Some(6), "the reader has left");
    let first = std::fs::read_to_string(dir.path().join("first")).unwrap();
    assert_valid_record(first.trim_end());
    let status = through("\"$0\" spawn -q -o >(cat > copy; touch copied) ::: true").status().unwrap();
    assert_eq!(status.code(), Some(0));
    crate::harness::await_condition("all is copied", || dir.path().join("copied").exists());
    assert_eq!(rows(&dir.path().join("copy")).len(), 1);
}

#[test]
fn a_file_that_standard_output_or_error_goes_to_is_refused() {
    let dir = TempDir::new("journal-same");
    for (option, to) in [("-o f", "> f"), ("-o f", ">> f"), ("-o f", "2> f"), ("--joblog f", "> f")] {
        #[expect(clippy::disallowed_methods, reason = "a test starts its own programs")]
        let mut shell = std::process::Command::new("sh");
        let script = format!("exec \"$0\" spawn {option} ::: true {to}");
        let done =
            shell.args(["-c", &script, env!("CARGO_BIN_EXE_supervisor")]).current_dir(dir.path()).status().unwrap();
        assert_eq!(done.code(), Some(2), "{script}");
    }
}

#[test]
fn two_files_of_a_run_are_never_one() {
    let dir = TempDir::new("journal-one-place");
    std::os::unix::fs::symlink("x", dir.path().join("link")).unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for (args, told) in [
        (["-o", "x", "--joblog", "./x"], "name the same file"),
        (["-o", "x", "--joblog", "sub/../x"], "name the same file"),
        (["-o", "x", "--joblog", "link"], "name the same file"),
        (["-o", "x", "--joblog", "x.running"], "keeps there what is running"),
        (["-o", "link", "-a", "link.running"], "keeps there what is running"),
    ] {
        let done = Run::text(args)
            .args([":::", "true"].iter().take(if args[2] == "-a" { 0 } else { 2 }))
            .cwd(dir.path())
            .run();
        assert!(done.expect_code(2).stderr.contains(told), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was made");
}
