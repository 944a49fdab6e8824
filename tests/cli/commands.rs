//! Commands: the built-in worker through the whole program.

use crate::harness::{Run, TempDir, counts};
use serde_json::{Value, json};

fn result(line: &str) -> Value {
    let done = Run::json(["-w", "1"]).stdin(format!("{line}\n")).run();
    done.records().remove(0)
}

#[test]
fn one_argument_that_is_too_long_is_told_apart() {
    let long = "x".repeat(140_000);
    let done = Run::json(["--", "true", "{}"]).stdin(&long).run().expect_code(1);
    let message = done.records()[0]["error"]["message"].to_string();
    assert!(message.contains("one argument has 140000 bytes, more than the 131071"), "{message}");
    assert!(message.contains("stdin"), "{message}");
}

#[test]
fn a_line_is_a_shell_command() {
    let record = result("echo hi; echo there >&2");
    assert_eq!(record["status"], "ok");
    assert_eq!(record["result"]["stdout"], "hi\n");
    assert_eq!(record["result"]["stderr"], "there\n");
    assert_eq!(record["result"]["exit_code"], 0);
    assert_eq!(record["id"], 1);
    assert_eq!(record["attempts"], 1);
    assert_eq!(record["worker"], 1);
    assert!(record["result"]["max_rss"].as_u64().unwrap() > 100_000);
}

#[test]
fn every_exit_code_and_every_signal_comes_out_as_it_was() {
    let codes = (0..256).map(|code| json!({"id": format!("e{code}"), "command": format!("exit {code}")}));
    let signals = [1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let kills = signals.map(|n| json!({"id": format!("s{n}"), "command": format!("ulimit -c 0; kill -{n} $$")}));
    let list: String = codes.chain(kills).map(|job| format!("{job}\n")).collect();
    let done = Run::json(["-w", "2"]).stdin(list).run().expect_code(1);
    let records = done.by_id();
    assert_eq!(records.len(), 256 + signals.len());
    for code in 1..256 {
        let record = &records[&format!("\"e{code}\"")];
        assert_eq!(record["status"], "failed");
        assert_eq!(record["error"]["data"]["exit_code"], code);
        assert_eq!(record["error"]["message"], format!("exit code {code}"));
    }
    assert_eq!(records["\"e0\""]["status"], "ok");
    for number in signals {
        let record = &records[&format!("\"s{number}\"")];
        assert_eq!(record["status"], "failed", "{record}");
        assert_eq!(record["error"]["data"]["exit_code"], -number);
        let name = nix::sys::signal::Signal::try_from(number).unwrap();
        assert_eq!(record["error"]["data"]["signal"], name.as_str());
    }
}

#[test]
fn commands_have_no_terminal_that_could_stop_them() {
    // Its session and its terminal, as the kernel numbers them.
    let record = result("cut -d' ' -f6,7 /proc/self/stat");
    let text = record["result"]["stdout"].as_str().unwrap();
    let (session, terminal) = text.trim().split_once(' ').unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap().to_string());
    assert_eq!(terminal, "0");
}

#[test]
fn what_looks_like_a_command_does_not_run_in_place_of_the_given_one() {
    let list = "{\"command\":\"echo PWNED\"}\n";
    let done = Run::text(["--", "echo", "got", "{}"]).stdin(list).run().expect_code(3);
    assert_eq!(done.text(), "");
    assert!(done.stderr.contains("--input lines"), "{}", done.stderr);
    let done = Run::text(["--input", "lines", "--", "echo", "got", "{}"]).stdin(list).run().expect_code(0);
    assert_eq!(done.text(), format!("got {list}"));
}

#[test]
fn json_jobs_set_directory_environment_and_input() {
    let dir = TempDir::new("json-jobs");
    let list = format!(
        "{}\n{}\n",
        json!({"id": "a", "command": ["sh", "-c", "pwd; echo $K; cat"], "cwd": dir.path(), "env": {"K": "v w"}, "stdin": "in"}),
        json!({"id": "b", "command": "cat"}),
    );
    let done = Run::json(["-w", "1"]).stdin(list).run().expect_code(0);
    let records = done.by_id();
    let expected = format!("{}\nv w\nin", dir.path().display());
    assert_eq!(records["\"a\""]["result"]["stdout"], expected);
    assert_eq!(records["\"b\""]["result"]["stdout"], "", "without stdin a command reads /dev/null");
}

#[test]
fn a_command_knows_its_job_its_worker_and_its_attempt() {
    let job = json!({"id": "a1", "command": "echo $SPV_JOB_ID $SPV_WORKER_ID $SPV_ATTEMPT; test $SPV_ATTEMPT = 2"});
    let done = Run::json(["-w", "1", "--retries", "1"]).stdin(format!("{job}\n")).run().expect_code(0);
    let record = done.records().remove(0);
    assert_eq!(record["result"]["stdout"], "a1 1 2\n");
    assert_eq!(record["attempts"], 2);
}

#[test]
fn templates_fill_every_placeholder_without_a_shell() {
    let line = "dir/my \"file\" $HOME `x`.tar.gz";
    let template = ["{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}", "x{}y"];
    let done = Run::json(["-w", "1", "--", "printf", "%s|"]).args(template).stdin(format!("{line}\n")).run();
    let expected = [
        line,
        "dir/my \"file\" $HOME `x`.tar",
        "my \"file\" $HOME `x`.tar.gz",
        "dir",
        "my \"file\" $HOME `x`.tar",
        "1",
        "1",
        &format!("x{line}y"),
    ];
    assert_eq!(done.records()[0]["result"]["stdout"], expected.map(|word| format!("{word}|")).concat());
}

#[test]
fn without_a_placeholder_the_job_is_the_last_argument() {
    let done = Run::text(["-w", "1", "--", "echo", "got"]).stdin("a  b\n").run().expect_code(0);
    assert_eq!(done.text(), "got a  b\n");
}

#[test]
fn words_after_three_colons_are_jobs() {
    let done = Run::text(["-k", "--", "echo", "{}", ":::", "a b", "c"]).run().expect_code(0);
    assert_eq!(done.text(), "a b\nc\n");
    let done = Run::text(["-k", ":::", "echo x", "echo y"]).run().expect_code(0);
    assert_eq!(done.text(), "x\ny\n");
}

#[test]
fn what_cannot_be_started_fails_alone_and_says_why() {
    let dir = TempDir::new("cannot-start");
    let text = dir.file("text", "no program");
    let jobs = [
        ("missing", json!(["no-such-program-anywhere"]), 127, "ENOENT"),
        ("directory", json!(["/"]), 126, "EACCES"),
        ("text", json!([text]), 126, "EACCES"),
        ("long", json!(["true", "x".repeat(200_000)]), 126, "E2BIG"),
    ];
    let mut list: String =
        jobs.iter().map(|(id, command, ..)| format!("{}\n", json!({"id": id, "command": command}))).collect();
    list.push_str("{\"id\":\"good\",\"command\":[\"true\"]}\n");
    let done = Run::json(["-w", "2"]).stdin(list).run().expect_code(1);
    let records = done.by_id();
    for (id, _, code, errno) in &jobs {
        let record = &records[&format!("\"{id}\"")];
        assert_eq!(record["status"], "failed", "{record}");
        assert_eq!(record["error"]["data"]["exit_code"], *code, "{record}");
        assert!(record["error"]["message"].as_str().unwrap().contains(errno), "{record}");
    }
    assert_eq!(records["\"good\""]["status"], "ok");
}

#[test]
fn a_grandchild_that_holds_the_output_does_not_hold_the_job() {
    let started = crate::harness::now();
    let done = Run::json(["-w", "1"]).stdin("sleep 1000 & echo ok\n").run().expect_code(0);
    assert!(started.elapsed().as_secs() < 30);
    let record = done.records().remove(0);
    assert_eq!(record["result"]["stdout"], "ok\n");
    assert!(record["result"]["leaked"][0]["name"].as_str().unwrap().contains("sleep 1000"), "{record}");
}

#[test]
fn a_timeout_ends_the_whole_tree_and_keeps_the_output() {
    let job = "echo begun; setsid sleep 4242 & sleep 4242 & trap '' TERM; sleep 4242; sleep 4242";
    let run = Run::json(["-w", "2", "--timeout", "300ms", "--grace", "300ms"]);
    let done = run.stdin(format!("{job}\necho fine\n")).run().expect_code(1);
    assert_eq!(done.statuses(), counts([("ok", 1), ("timeout", 1)]));
    let record = &done.by_id()["1"];
    assert_eq!(record["error"]["data"]["stdout"], "begun\n", "{record}");
    assert!(!crate::harness::somebody_runs("sleep\u{0}4242"), "nothing of the tree is left");
}

#[test]
fn a_job_that_reads_standard_input_does_not_eat_the_list() {
    let done = Run::json(["-w", "1"]).stdin("cat\necho a\necho b\n").run().expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 3)]));
}

#[test]
fn file_names_that_are_no_text_reach_the_command_unchanged() {
    let done = Run::text(["-w", "1", "--", "printf", "%s"]).stdin(b"caf\xe9\n").run().expect_code(0);
    assert_eq!(done.stdout, b"caf\xe9");
}

#[test]
fn output_that_is_no_text_comes_as_base64() {
    let record = result(r"printf 'a\0b\377'");
    assert_eq!(record["result"]["stdout"], json!({"base64": "YQBi/w=="}));
}

#[test]
fn descriptors_of_the_caller_reach_no_job() {
    let run = Run::json(["-w", "1"]).stdin("ls /proc/self/fd\n").with(|command| {
        use std::os::unix::process::CommandExt;
        // SAFETY: dup2 is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(|| {
                for fd in 3..10 {
                    libc::dup2(2, fd);
                }
                Ok(())
            });
        }
    });
    // 3 is the directory that ls itself has open.
    assert_eq!(run.run().records()[0]["result"]["stdout"], "0\n1\n2\n3\n");
}

#[test]
fn what_jobs_leave_running_lives_on_where_that_is_allowed() {
    let list = "setsid sleep 987 > /dev/null 2>&1 & echo $!\nsleep 986 & echo $!\ntrue\n";
    for (flags, lives) in [(&[][..], false), (&["--keep-leftovers"], true)] {
        let done = Run::json(["-w", "2"]).args(flags).stdin(list).run().expect_code(0);
        let all = done.by_id();
        for id in ["1", "2"] {
            let left = all[id]["result"]["leaked"].as_array().expect("what is left is named");
            let pid = i32::try_from(left[0]["pid"].as_i64().unwrap()).unwrap();
            let pid = nix::unistd::Pid::from_raw(pid);
            assert_eq!(nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).is_ok(), lives, "{}", all[id]);
        }
        assert!(all["3"]["result"].get("leaked").is_none());
    }
}

#[test]
fn a_worker_that_can_start_nothing_leaves_what_may_live_on() {
    let job = "setsid sleep 985 > /dev/null 2>&1 & prlimit --pid $PPID --nofile=10:10";
    let done = Run::json(["-w", "1", "--keep-leftovers", ":::", job, "true"]).run().expect_code(5);
    let all = done.by_id();
    assert_eq!(all["2"]["status"], "skipped", "{}", all["2"]);
    let pid = i32::try_from(all["1"]["result"]["leaked"][0]["pid"].as_i64().unwrap()).unwrap();
    assert_eq!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL), Ok(()));
}
