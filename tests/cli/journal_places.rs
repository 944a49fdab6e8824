//! Where `--output` and `--joblog` may write: pipes, and no file that something else of the same run is written to.

use crate::harness::TempDir;
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
