//! Large outputs: cut, kept in files, spilled; and the worker's own memory.

use crate::harness::{Scratch, Worker, command, wait_until};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const MIB: usize = 1 << 20;
const THREE_MIB: &str = "head -c 3145728 /dev/zero | tr '\\0' x; echo y >&2";

#[test]
fn large_output_is_cut_and_says_so() {
    let mut worker = Worker::start("");
    let result = worker.shell(THREE_MIB);
    assert_eq!(result["stdout"].as_str().unwrap().len(), MIB);
    assert_eq!((&result["truncated"], &result["stdout_bytes"]), (&json!(true), &json!(3 * MIB)));
    assert_eq!((&result["stderr"], &result["stderr_bytes"]), (&json!("y\n"), &Value::Null));
    let exact = worker.shell("head -c 1048576 /dev/zero | tr '\\0' x");
    assert_eq!((exact["stdout"].as_str().unwrap().len(), &exact["truncated"]), (MIB, &Value::Null));
    let mut small = Worker::start("--max-output 4");
    let result = small.shell("printf 'abc\\303\\251'");
    assert_eq!((&result["stdout"], &result["stdout_bytes"]), (&json!("abc"), &json!(5)));
    let mut none = Worker::start("--max-output 0");
    let result = none.shell("echo");
    assert_eq!((&result["stdout"], &result["stdout_bytes"]), (&json!(""), &json!(1)));
    assert_eq!(none.shell(":")["truncated"], Value::Null);
}

#[test]
fn large_output_goes_to_a_directory() {
    let scratch = Scratch::new("dir");
    let dir = scratch.path("made/here");
    let mut worker = Worker::start(&format!("--output-dir {}", dir.display()));
    for (attempt, name) in [(2, "_.._x.2.stdout"), (2, "_.._x.2.2.stdout")] {
        let answer = worker.exec(json!({"command":THREE_MIB,"job":"/../x","attempt":attempt}));
        let stdout = &answer["result"]["stdout"];
        let path = dir.join(name);
        assert_eq!(*stdout, json!({"file":path,"bytes":3 * MIB}));
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 3 * MIB]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((&answer["result"]["stderr"], &answer["result"]["truncated"]), (&json!("y\n"), &Value::Null));
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn large_output_is_spilled_until_released() {
    for tmp in ["/tmp", "/no/such/place"] {
        let mut worker = Worker::run(command("--spill").env("TMPDIR", tmp));
        let result = worker.shell(THREE_MIB);
        assert_eq!(result["stdout"].as_str().unwrap().len(), MIB);
        assert_eq!((&result["truncated"], &result["stdout_bytes"]), (&json!(true), &json!(3 * MIB)));
        let path = result["stdout_spill"].as_str().unwrap().to_owned();
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 3 * MIB]);
        assert_eq!(result["stderr_spill"], Value::Null);
        worker.send(&json!({"jsonrpc":"2.0","method":"$/release","params":{"id":1}}));
        wait_until("the file is released", || std::fs::metadata(&path).is_err());
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_no_reason_to_fail() {
    let scratch = Scratch::new("nodir");
    let mut worker = Worker::start(&format!("--output-dir {}", scratch.path("x").display()));
    std::fs::write(scratch.path("x"), "in the way").unwrap();
    let result = worker.shell(THREE_MIB);
    assert_eq!(result["stdout"].as_str().unwrap().len(), MIB);
    assert_eq!((&result["truncated"], &result["stdout_bytes"]), (&json!(true), &json!(3 * MIB)));
}

#[test]
fn a_gigabyte_does_not_take_memory() {
    let scratch = Scratch::new("gigabyte");
    for flags in ["", "--spill"] {
        let mut worker = Worker::run(command(flags).env("TMPDIR", &scratch.0));
        let result = worker.shell("head -c 300000000 /dev/zero");
        assert_eq!(result["stdout_bytes"], 300_000_000);
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 16 << 10, "{flags}: {kib} KiB");
    }
}
