//! What is run and how it ended.

use crate::harness::{Scratch, Worker, command};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_line_and_words() {
    let mut worker = Worker::start("");
    let result = worker.shell("echo hi; echo oh >&2");
    assert_eq!(
        (&result["exit_code"], &result["stdout"], &result["stderr"]),
        (&json!(0), &json!("hi\n"), &json!("oh\n"))
    );
    assert!(result["max_rss"].as_u64().unwrap() > 100_000, "{result}");
    assert!(result["cpu_seconds"].as_f64().is_some(), "{result}");
    let words = worker.exec(json!({"command":["printf","%s|","a b","*","$x","","'"]}));
    assert_eq!(words["result"]["stdout"], "a b|*|$x||'|");
    assert_eq!(worker.shell("uname -s")["stdout"], "Linux\n");
    assert_eq!(worker.exec(json!({"command":"-x"}))["error"]["data"]["exit_code"], 127);
}

#[test]
fn bytes_that_are_no_text() {
    let mut worker = Worker::start("");
    let answer = worker.exec(json!({"command":["printf","%s",{"base64":"/2E="}]}));
    assert_eq!(answer["result"]["stdout"], json!({"base64":"/2E="}));
    // printf '\377'
    let answer = worker.exec(json!({"command":{"base64":"cHJpbnRmICdcMzc3Jw=="}}));
    assert_eq!(answer["result"]["stdout"], json!({"base64":"/w=="}));
}

#[test]
fn every_exit_code() {
    let mut worker = Worker::start("");
    assert_eq!(worker.shell("exit 0")["exit_code"], 0);
    for code in 1..=255 {
        let answer = worker.exec(json!({"command":format!("echo x; exit {code}")}));
        assert_eq!(answer["error"]["code"], -32000);
        assert_eq!(answer["error"]["message"], format!("exit code {code}"));
        assert_eq!(answer["error"]["data"]["exit_code"], code);
        assert_eq!(answer["error"]["data"]["stdout"], "x\n");
    }
}

#[test]
fn every_signal() {
    let mut worker = Worker::start("");
    let (ignored, stopping) = ([17, 18, 23, 28], [19, 20, 21, 22]);
    for signal in (1..=31).filter(|signal| !stopping.contains(signal)) {
        let answer = worker.exec(json!({"command":format!("ulimit -c 0; kill -{signal} $$; exit 0")}));
        if ignored.contains(&signal) {
            assert_eq!(answer["result"]["exit_code"], 0, "{signal}: {answer}");
            continue;
        }
        let name = supervisor::status::SignalName(signal).to_string();
        assert_eq!(answer["error"]["message"], format!("killed by {name}"));
        assert_eq!(answer["error"]["data"]["exit_code"], -signal);
        assert_eq!(answer["error"]["data"]["signal"], name);
    }
}

#[test]
fn what_cannot_be_started() {
    let scratch = Scratch::new("start");
    let plain = scratch.path("plain");
    std::fs::write(&plain, "echo hi\n").unwrap();
    let script = scratch.path("script");
    std::fs::write(&script, "echo hi\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lost = scratch.path("lost");
    std::fs::write(&lost, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&lost, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = Worker::start("");
    let long = "x".repeat(200_000);
    for (params, code, errno, part) in [
        (json!({"command":["nosuch"]}), 127, "ENOENT", "cannot start nosuch: command not found (ENOENT)"),
        (json!({"command":["/no/such"]}), 127, "ENOENT", "no such file"),
        (json!({"command":[""]}), 127, "ENOENT", "command not found"),
        (json!({"command":[lost]}), 127, "ENOENT", "interpreter"),
        (json!({"command":[plain]}), 126, "EACCES", "permission denied"),
        (json!({"command":["/"]}), 126, "EACCES", "directory"),
        (json!({"command":[script]}), 126, "ENOEXEC", "#!"),
        (json!({"command":["true", long]}), 126, "E2BIG", "one argument has 20"),
        (json!({"command":["true"],"cwd":"/no/such"}), 126, "ENOENT", "no working directory /no/such"),
        (json!({"command":"true","cwd":"/no/such"}), 126, "ENOENT", "no working directory /no/such"),
    ] {
        let answer = worker.exec(params);
        let (error, data) = (&answer["error"], &answer["error"]["data"]);
        assert_eq!(
            (&error["code"], &data["exit_code"], &data["errno"]),
            (&json!(-32000), &json!(code), &json!(errno)),
            "{answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(part), "{answer}");
        assert_eq!((&data["stdout"], &data["stderr"]), (&json!(""), &json!("")));
    }
    let nul = worker.exec(json!({"command":["true","\0"]}));
    assert_eq!(nul["error"]["code"], -32602);
    assert_eq!(worker.shell("echo still here")["stdout"], "still here\n");
}

#[test]
fn a_shell_says_itself_what_is_wrong() {
    let scratch = Scratch::new("shell");
    let script = scratch.path("script");
    std::fs::write(&script, "echo from a script without a first line\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = Worker::start("");
    let answer = worker.exec(json!({"command":"nosuch-program a b"}));
    assert_eq!(answer["error"]["data"]["exit_code"], 127);
    assert!(answer["error"]["data"]["stderr"].as_str().unwrap().contains("not found"), "{answer}");
    let answer = worker.exec(json!({"command":"/"}));
    assert_eq!(answer["error"]["data"]["exit_code"], 126);
    assert_eq!(worker.shell(script.to_str().unwrap())["stdout"], "from a script without a first line\n");
}

#[test]
fn standard_input() {
    let mut worker = Worker::start("");
    assert_eq!(worker.exec(json!({"command":["cat"],"stdin":"a\u{e9}\n"}))["result"]["stdout"], "aé\n");
    assert_eq!(worker.shell("cat")["stdout"], "");
    let large = "x".repeat(3 << 20);
    let answer = worker.exec(json!({"command":"wc -c","stdin":large}));
    assert_eq!(answer["result"]["stdout"], format!("{}\n", 3 << 20));
    assert_eq!(worker.exec(json!({"command":["true"],"stdin":large}))["result"]["exit_code"], 0);
    assert_eq!(worker.exec(json!({"command":["wc","-c"],"stdin":{"base64":"/wA="}}))["result"]["stdout"], "2\n");
}

#[test]
fn working_directory_and_environment() {
    let scratch = Scratch::new("cwd");
    std::fs::write(scratch.path("tool"), "#!/bin/sh\necho tool $0\n").unwrap();
    std::fs::set_permissions(scratch.path("tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker =
        Worker::run(command("").env("INHERITED", "old").env("SPV_JOB_ID", "outer").env("SPV_WORKER_ID", "3"));
    let cwd = scratch.0.to_str().unwrap();
    let real = std::fs::canonicalize(&scratch.0).unwrap();
    let pwd = worker.exec(json!({"command":["pwd","-P"],"cwd":cwd}));
    assert_eq!(pwd["result"]["stdout"], format!("{}\n", real.display()));
    assert_eq!(worker.exec(json!({"command":["./tool"],"cwd":cwd}))["result"]["stdout"], "tool ./tool\n");
    let found = worker.exec(json!({"command":["tool"],"cwd":cwd,"env":{"PATH":"/nowhere:."}}));
    assert_eq!(found["result"]["stdout"], "tool ./tool\n", "{found}");
    let show = "echo $INHERITED/$NEW/$SPV_JOB_ID/$SPV_ATTEMPT/$SPV_WORKER_ID";
    let show_with = |worker: &mut Worker, more: Value| {
        let mut params = json!({"command":show});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        worker.exec(params)["result"]["stdout"].take()
    };
    assert_eq!(show_with(&mut worker, json!({})), "old////3\n");
    assert_eq!(show_with(&mut worker, json!({"job":"a1","attempt":2})), "old//a1/2/3\n");
    assert_eq!(show_with(&mut worker, json!({"env":{"INHERITED":"","NEW":"n"},"job":7})), "/n/7//3\n");
    assert_eq!(show_with(&mut worker, json!({"env":{"SPV_JOB_ID":"forged"},"job":"b"})), "old//b//3\n");
    let all = worker.exec(json!({"command":["env"],"env":{"INHERITED":"new"}}));
    let text = all["result"]["stdout"].as_str().unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("INHERITED=")).collect::<Vec<_>>(), ["INHERITED=new"]);
}

#[test]
fn a_simple_line_is_the_same_with_and_without_a_shell() {
    let mut worker = Worker::start("");
    // The second of each pair has something that only a shell understands.
    for (simple, shell) in
        [("env", "env;"), ("/usr/bin/printf a%sb c", "/usr/bin/printf a%sb 'c'"), ("ls /", "ls '/'"), ("true", "true;")]
    {
        let [one, two] = [simple, shell].map(|line| {
            let answer = worker.exec(json!({"command":line,"job":"j","attempt":1}));
            let mut lines: Vec<String> =
                answer["result"]["stdout"].as_str().unwrap().lines().map(str::to_owned).collect();
            lines.sort();
            (lines, answer["result"]["stderr"].clone())
        });
        assert_eq!(one, two);
    }
    for line in ["false", "false;"] {
        let data = &worker.exec(json!({"command":line}))["error"]["data"];
        assert_eq!((&data["exit_code"], &data["stdout"], &data["stderr"]), (&json!(1), &json!(""), &json!("")));
    }
}

#[test]
fn commands_start_with_a_clean_slate() {
    let mut worker = Worker::start("");
    let status =
        worker.shell("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -w; ps -o pgid= -o pid= $$");
    let text = status["stdout"].as_str().unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("SigBlk:\t0000000000000000"), "{text}");
    assert_eq!(lines.next(), Some("SigIgn:\t0000000000000000"), "{text}");
    // 0, 1, 2 and the directory that ls reads.
    assert_eq!(lines.next(), Some("4"), "{text}");
    let ids: Vec<&str> = lines.next().unwrap().split_ascii_whitespace().collect();
    assert_eq!(ids[0], ids[1], "a group of its own");
}
