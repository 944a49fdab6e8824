//! `--output` and what a later run makes of it: `--resume`, `--retry-failed`, `--retry-unknown`, `--sync`, `--joblog`.

use crate::harness::{Done, Run, TempDir};
use crate::schema::assert_valid_record;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rows of a journal, each held against the schema.
pub(crate) fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the journal is there");
    assert!(text.is_empty() || text.ends_with('\n'), "the last row is whole: {text:?}");
    let row = |line: &str| {
        assert_valid_record(line);
        serde_json::from_str(line).expect("a row is JSON")
    };
    text.lines().map(row).collect()
}

/// Status and attempts by id, with no id twice.
fn by_id(path: &Path) -> BTreeMap<String, (String, u64)> {
    let mut all = BTreeMap::new();
    for row in rows(path) {
        let value = (row["status"].as_str().unwrap().to_owned(), row["attempts"].as_u64().unwrap());
        assert!(all.insert(row["id"].to_string(), value).is_none(), "two rows for {}", row["id"]);
    }
    all
}

/// Jobs that leave a trace each time they run.
fn tracing(count: u32, body: &str) -> String {
    (1..=count).map(|n| format!("{{\"id\":\"j{n}\",\"command\":\"echo j{n} >> ran; {body}\"}}\n")).collect()
}

fn traces(dir: &TempDir) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(dir.path().join("ran")).unwrap_or_default().lines() {
        *counts.entry(format!("{line:?}")).or_default() += 1;
    }
    counts
}

fn journal(dir: &TempDir) -> PathBuf {
    dir.path().join("out.jsonl")
}

fn spawn(dir: &TempDir, args: &[&str], list: &str) -> Run {
    Run::text(["--output", "out.jsonl"]).env("SPV_WORKERS", "2").args(args).cwd(dir.path()).stdin(list)
}

fn run(dir: &TempDir, args: &[&str], list: &str, code: i32) -> Done {
    let done = spawn(dir, args, list).run().expect_code(code);
    assert!(!dir.path().join("out.jsonl.running").exists(), "marks are left of a run that ended in order");
    done
}

#[test]
fn the_file_holds_every_record_whatever_standard_output_holds() {
    let dir = TempDir::new("journal-whole");
    let list = "echo a\nexit 3\nprintf '\\377'\n";
    for args in [&[][..], &["--json"], &["--sync", "always"], &["--sync", "none", "-k"]] {
        let done = run(&dir, args, list, 1);
        assert_eq!(rows(&journal(&dir)).len(), 3);
        assert!(!done.stdout.is_empty());
        let mode = std::os::unix::fs::MetadataExt::mode(&journal(&dir).metadata().unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn large_output_is_named_as_cut_and_not_by_a_file_that_is_gone() {
    let dir = TempDir::new("journal-large");
    let done = run(&dir, &[], "head -c 3000000 /dev/zero | tr '\\0' x\n", 0);
    assert_eq!(done.stdout.len(), 3_000_000);
    let rows = rows(&journal(&dir));
    assert_eq!(rows[0]["result"]["stdout_bytes"], 3_000_000);
    assert_eq!(rows[0]["result"]["truncated"], true);
    assert_eq!(rows[0]["result"].get("stdout_spill"), None);
}

#[test]
fn resume_runs_what_is_new_wherever_it_stands() {
    let dir = TempDir::new("journal-resume");
    run(&dir, &[], "echo a >> ran\necho b >> ran\necho b >> ran\necho c >> ran\n", 0);
    // Reordered, one taken out, one that was there once more often, one edited.
    let list = "echo new >> ran\necho b >> ran\necho b >> ran\necho b >> ran\necho a >> ran\necho C >> ran\n";
    let done = run(&dir, &["--resume", "-k"], list, 0);
    assert!(done.stderr.contains("6 jobs") && done.stderr.contains("3 ended in an earlier run"), "{}", done.stderr);
    let expected = [("\"a\"", 1), ("\"b\"", 3), ("\"c\"", 1), ("\"new\"", 1), ("\"C\"", 1)];
    assert_eq!(traces(&dir), expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect());
    assert_eq!(rows(&journal(&dir)).len(), 7);
    let done = run(&dir, &["--resume", "--json"], list, 0);
    assert!(done.stdout.is_empty(), "nothing was left to be done: {}", done.text());
}

#[test]
fn an_edited_job_of_the_same_id_is_another_job() {
    let dir = TempDir::new("journal-edited");
    run(&dir, &[], "{\"id\":\"a\",\"command\":\"echo 1 >> ran\"}\n", 0);
    run(&dir, &["--resume"], "{\"command\": \"echo 2 >> ran\", \"id\": \"a\"}\n", 0);
    run(&dir, &["--resume"], "{\"id\":\"a\", \"tags\":[\"x\"], \"command\":\"echo 1 >> ran\"}\n", 0);
    assert_eq!(traces(&dir).into_values().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn failures_of_an_earlier_run_count_and_run_again_when_asked() {
    let dir = TempDir::new("journal-failed");
    let list = "test -e there\ntrue\n{\n";
    run(&dir, &["--input", "lines"], list, 1);
    let done = run(&dir, &["--input", "lines", "--resume"], list, 1);
    assert!(done.stderr.contains("3 ended in an earlier run (2 not ok; --retry-failed"), "{}", done.stderr);
    dir.file("there", "");
    run(&dir, &["--input", "lines", "--retry-failed"], list, 1);
    let statuses: Vec<_> = by_id(&journal(&dir)).into_values().map(|(status, _)| status).collect();
    assert_eq!(statuses, ["ok", "ok", "failed"], "each job has one record, the newest");
}

#[test]
fn jobs_that_were_stopped_or_skipped_run_again() {
    let dir = TempDir::new("journal-stopped");
    let list = tracing(6, "test -e go || sleep 60");
    let started = spawn(&dir, &["--grace", "100ms"], &list).start();
    started.await_grandchild();
    started.signal(libc::SIGINT);
    assert_eq!(started.finish().signal, Some(libc::SIGINT));
    let first = by_id(&journal(&dir));
    assert_eq!(first.len(), 6, "{first:?}");
    dir.file("go", "");
    run(&dir, &["--resume"], &list, 0);
    assert!(by_id(&journal(&dir)).values().all(|(status, _)| status == "ok"));
}

#[test]
fn whoever_is_killed_the_next_run_knows_what_was_running() {
    let dir = TempDir::new("journal-killed");
    let list = tracing(40, "test -e go || test $SPV_JOB_ID = j1 || test $SPV_JOB_ID = j2 || sleep 60");
    let started = spawn(&dir, &[], &list).start();
    started.await_lines(0);
    let ran = dir.path().join("ran");
    crate::harness::await_condition("four jobs have begun", || {
        std::fs::read_to_string(&ran).is_ok_and(|text| text.lines().count() == 4)
    });
    crate::harness::await_condition("two records are in the file", || {
        std::fs::read_to_string(journal(&dir)).is_ok_and(|text| text.lines().count() == 2)
    });
    started.signal(libc::SIGKILL);
    started.finish();
    let open: Vec<String> = traces(&dir).into_keys().filter(|id| !by_id(&journal(&dir)).contains_key(id)).collect();
    assert_eq!(open.len(), 2, "two were running");
    dir.file("go", "");
    // Without a word about it the file is not begun anew.
    let done = spawn(&dir, &[], &list).run().expect_code(2);
    assert!(done.stderr.contains("--resume"), "{}", done.stderr);
    run(&dir, &["--resume"], &list, 1);
    let all = by_id(&journal(&dir));
    assert_eq!(all.len(), 40);
    for (id, (status, _)) in &all {
        assert_eq!(status == "crashed", open.contains(id), "{id} is {status}");
    }
    assert!(traces(&dir).values().all(|&runs| runs == 1), "nothing ran twice");
    let done = run(&dir, &["--retry-unknown"], &list, 0);
    assert_eq!(done.stderr.matches("outcome unknown").count(), 2, "{}", done.stderr);
    for (id, (status, attempts)) in by_id(&journal(&dir)) {
        assert_eq!((status.as_str(), attempts), ("ok", 1 + u64::from(open.contains(&id))), "{id}");
    }
    for (id, runs) in traces(&dir) {
        assert_eq!(runs, 1 + u64::from(open.contains(&id)), "{id}");
    }
}

#[test]
fn a_job_that_waits_for_its_retry_is_not_forgotten() {
    let dir = TempDir::new("journal-retry");
    let list = tracing(2, "test $SPV_JOB_ID = j1 || test -e go || exec sleep 60; exit 3");
    let started = spawn(&dir, &["-w1", "--retries", "1", "--retry-delay", "60s"], &list).start();
    crate::harness::await_condition("the other job has begun", || traces(&dir).len() == 2);
    started.signal(libc::SIGKILL);
    started.finish();
    dir.file("go", "");
    run(&dir, &["--resume"], &list, 1);
    assert!(by_id(&journal(&dir)).values().all(|row| *row == ("crashed".into(), 1)), "told apart, and not run");
    run(&dir, &["--retry-unknown"], &list, 1);
    assert!(by_id(&journal(&dir)).values().all(|row| *row == ("failed".into(), 2)));
    assert!(traces(&dir).values().all(|&runs| runs == 2));
}

#[test]
fn a_torn_row_is_cut_off_and_its_job_runs_again() {
    let dir = TempDir::new("journal-torn");
    let list = tracing(3, "true");
    run(&dir, &["-w1"], &list, 0);
    let mut text = std::fs::read(journal(&dir)).unwrap();
    text.truncate(text.len() - 20);
    std::fs::write(journal(&dir), &text).unwrap();
    let done = run(&dir, &["--resume", "-w1"], &list, 0);
    assert!(done.stderr.contains("the last line was torn"), "{}", done.stderr);
    assert_eq!(by_id(&journal(&dir)).len(), 3);
    assert_eq!(traces(&dir)["\"j3\""], 2);
}

#[test]
fn two_runs_cannot_have_one_file() {
    let dir = TempDir::new("journal-two");
    let mut first = Run::text(["--output", "out.jsonl"]).cwd(dir.path()).start();
    first.feed("echo here\n");
    first.await_lines(1);
    for args in [&[][..], &["--resume"]] {
        let done = spawn(&dir, args, "true\n").run().expect_code(2);
        assert!(done.stderr.contains("another run is writing"), "{}", done.stderr);
        // Nor after somebody has removed what says so.
        let _ = std::fs::remove_file(dir.path().join("out.jsonl.running"));
    }
    first.close();
    first.finish().expect_code(0);
    run(&dir, &["--resume"], "true\n", 0);
}

#[test]
fn a_file_that_holds_no_records_is_refused_and_left_alone() {
    let dir = TempDir::new("journal-other");
    let path = dir.file("out.jsonl", "a shopping list\n");
    let done = spawn(&dir, &["--resume"], "true\n").run().expect_code(2);
    assert!(done.stderr.contains("holds no records"), "{}", done.stderr);
    assert_eq!(std::fs::read(&path).unwrap(), b"a shopping list\n");
}

#[test]
fn records_of_json_runs_are_gone_on_with_by_their_ids() {
    let dir = TempDir::new("journal-ids");
    let list = tracing(3, "true");
    let done = Run::json(["-w1"]).cwd(dir.path()).stdin(&list).run().expect_code(0);
    dir.file("out.jsonl", &done.stdout);
    run(&dir, &["--resume"], &tracing(4, "true"), 0);
    assert!(traces(&dir).values().all(|&runs| runs == 1), "{:?}", traces(&dir));
}

#[test]
fn a_job_is_the_same_however_its_strings_are_escaped() {
    let dir = TempDir::new("journal-escapes");
    dir.file("t.py", "def f(text):\n    print(text, file=open('ran', 'a'))\n");
    let plain = "{\"id\":\"\u{e9}/\",\"method\":\"f\",\"params\":[1]}\n{\"method\":\"f\",\"params\":[\"\u{e9}/\"]}\n";
    let escaped = plain.replace('\u{e9}', "\\u00e9").replace('/', "\\/");
    for (first, second) in [(plain, escaped.as_str()), (&escaped, plain)] {
        run(&dir, &["--python", "t.py"], first, 0);
        run(&dir, &["--python", "t.py", "--resume"], second, 0);
        let ids: Vec<Value> = rows(&journal(&dir)).into_iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
        assert!(ids.contains(&"\u{e9}/".into()), "{ids:?}");
        std::fs::remove_file(journal(&dir)).unwrap();
    }
}

#[test]
fn needs_look_at_earlier_runs() {
    let dir = TempDir::new("journal-needs");
    let first = "{\"id\":\"a\",\"command\":\"true\"}\n{\"id\":\"b\",\"command\":\"false\"}\n";
    run(&dir, &[], first, 1);
    let more = "{\"id\":\"c\",\"command\":\"true\",\"needs\":[\"a\"]}\n{\"id\":\"d\",\"command\":\"true\",\"needs\":[\"b\"]}\n";
    run(&dir, &["--resume", "-k"], &format!("{first}{more}"), 1);
    let all = by_id(&journal(&dir));
    assert_eq!((all["\"c\""].0.as_str(), all["\"d\""].0.as_str()), ("ok", "skipped"));
}

#[test]
fn where_nothing_can_be_kept_the_run_says_so() {
    let dir = TempDir::new("journal-full");
    let done = Run::text(["--output", "/dev/full"]).stdin("true\n".repeat(50)).run().expect_code(6);
    assert!(done.stderr.contains("/dev/full: no space left"), "{}", done.stderr);
    for (args, word) in [
        (&["--output", "no/such/dir"][..], "no/such/dir"),
        (&["--output", "."], "is a directory"),
        (&["--output", "/dev/null", "--resume"], "no regular file"),
        (&["--output", "-"], "--json"),
        (&["--resume"], "--output"),
        (&["--joblog", "no/such/dir"], "no/such/dir"),
    ] {
        let done = Run::text(args).cwd(dir.path()).stdin("true\n").run().expect_code(2);
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
}

#[test]
fn the_job_log_has_the_columns_of_gnu_parallel() {
    let dir = TempDir::new("journal-joblog");
    run(&dir, &["--joblog", "log", "-w1"], "echo hello\nexit 3\nkill -9 $$\n", 1);
    run(&dir, &["--joblog", "log", "-w1", "--resume"], "true\n", 0);
    let log = dir.path().join("log");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&log.metadata().unwrap()) & 0o777, 0o600);
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0].join(" "), "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command");
    let shown: Vec<_> = lines[1..].iter().map(|line| [line[0], line[5], line[6], line[7], line[8]].join(" ")).collect();
    assert_eq!(shown, ["1 6 0 0 echo hello", "2 0 3 0 exit 3", "3 0 0 9 kill -9 $$", "1 0 0 0 true"]);
}

const PYTHON: &str = "
import os, time
def f(n):
    with open('ran', 'a') as ran: ran.write(f'{n}\\n')
    while n == 5 and not os.path.exists('go'): time.sleep(0.01)
    return n
";
const NODE: &str = "
import fs from 'node:fs';
export async function f(n) {
  fs.appendFileSync('ran', `${n}\\n`);
  while (n === 5 && !fs.existsSync('go')) await new Promise((done) => setTimeout(done, 10));
  return n;
}
";

#[test]
fn calls_that_were_only_sent_ahead_were_not_running() {
    for (flag, name, text) in [("--python", "tasks.py", PYTHON), ("--node", "tasks.mjs", NODE)] {
        let dir = TempDir::new(&format!("journal-ahead{flag}"));
        dir.file(name, text);
        let target = format!("{name}:f");
        let args = [flag, &target, "-w", "1"];
        let list: String = (1..=200).map(|n| format!("[{n}]\n")).collect();
        let run = || Run::text(["--output", "out.jsonl"]).args(args).cwd(dir.path()).stdin(&list);
        let started = run().start();
        crate::harness::await_condition("the fifth call runs, and four records are in the file", || {
            let lines = |name| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default().lines().count();
            (lines("ran"), lines("out.jsonl")) == (5, 4)
        });
        started.signal(libc::SIGKILL);
        started.finish();
        // Its worker lives a moment longer, and would go on.
        let marks = std::fs::File::open(dir.path().join("out.jsonl.running")).unwrap();
        crate::harness::await_condition("nobody holds the marks", || {
            use std::os::fd::AsRawFd;
            // SAFETY: flock touches no memory of ours, and the descriptor is open.
            unsafe { libc::flock(marks.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
        });
        drop(marks);
        dir.file("go", "");
        let done = run().args(["--retry-unknown"]).run().expect_code(0);
        assert_eq!(done.stderr.matches("outcome unknown").count(), 1, "{}", done.stderr);
        for (id, (status, attempts)) in by_id(&journal(&dir)) {
            assert_eq!((status.as_str(), attempts), ("ok", 1 + u64::from(id == "5")), "{id}");
        }
        let runs = std::fs::read_to_string(dir.path().join("ran")).unwrap();
        assert_eq!(runs.lines().count(), 201, "the fifth ran twice, all others once");
    }
}

#[test]
fn what_a_stopped_run_did_not_come_to_read_is_not_forgotten() {
    let dir = TempDir::new("journal-unread");
    let list = "echo a >> ran\necho b >> ran; test -e go || sleep 60\n";
    let started = Run::text(["-w1", "--output", "out.jsonl"]).cwd(dir.path()).stdin(list).start();
    crate::harness::await_condition("the second job runs", || {
        std::fs::read_to_string(dir.path().join("ran")).is_ok_and(|text| text == "a\nb\n")
    });
    started.signal(libc::SIGKILL);
    started.finish();
    dir.file("go", "");
    // The list is open and says nothing of the second job when the run is stopped.
    let mut stopped = Run::text(["-w1", "--output", "out.jsonl", "--resume"]).cwd(dir.path()).start();
    stopped.feed("echo a >> ran\necho c >> ran\n");
    crate::harness::await_condition("the new job has run", || {
        std::fs::read_to_string(dir.path().join("ran")).is_ok_and(|text| text.ends_with("c\n"))
    });
    stopped.signal(libc::SIGINT);
    stopped.await_stderr("SIGINT");
    assert_eq!(stopped.finish().signal, Some(libc::SIGINT));
    // Nor does a list that is read to its end without it.
    let resumed = Run::text(["--output", "out.jsonl", "--resume"]).cwd(dir.path());
    let without = resumed.stdin("echo a >> ran\n").run().expect_code(0);
    let told = "1 job of unknown outcome, running when an earlier run ended: not in this list, and not forgotten \
                (remove out.jsonl.running to forget";
    assert!(without.stderr.contains(told), "{}", without.stderr);
    let done = run(&dir, &["--resume"], list, 1);
    assert!(done.stderr.contains("outcome unknown"), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(dir.path().join("ran")).unwrap(), "a\nb\nc\n");
}

#[test]
fn the_job_log_has_the_command_that_was_run() {
    let dir = TempDir::new("journal-commands");
    let commands = |args: &[&str], list: &str| {
        Run::text(["-q", "-w1", "--joblog", "log"]).args(args).cwd(dir.path()).stdin(list).run();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let columns = |line: &str| line.split('\t').skip(6).map(str::to_owned).collect::<Vec<_>>();
        log.lines().skip(1).map(columns).collect::<Vec<_>>()
    };
    let long = "x".repeat(200);
    let shown = commands(&["--", "test", "-e"], &format!("no such\n{long}\n"));
    assert_eq!(shown, [["1", "0", "test -e 'no such'"], ["1", "0", &format!("test -e {long}")]]);
    assert_eq!(commands(&["--", "true", "{#}-{%}"], "a\n"), [["0", "0", "true 1-1"]]);
    assert_eq!(commands(&[], &format!("true {long}\n")), [["0", "0", &format!("true {long}")]]);
    let shown = commands(&[], "{\"command\":[\"true\",\"a b\"]}\n{\"id\":2,\"command\":\"true  b\"}\n");
    assert_eq!(shown, [["0", "0", "true 'a b'"], ["0", "0", "true  b"]]);
    assert_eq!(commands(&["--timeout", "0.1"], "sleep 1000\n"), [["-1", "15", "sleep 1000"]]);
}

#[test]
fn a_dry_run_shows_what_a_resumed_run_would_run_and_changes_nothing() {
    let dir = TempDir::new("journal-dry");
    let list = concat!(
        "{\"id\":1,\"command\":\"true\"}\n",
        "{\"id\":2,\"command\":\"exit 3\"}\n",
        "{\"id\":3,\"command\":\"kill -9 0\",\"needs\":[2]}\n",
        "{\"id\":4,\"command\":\"echo 4\",\"needs\":[3]}\n",
    );
    run(&dir, &[], list, 1);
    let before = std::fs::read(journal(&dir)).unwrap();
    let longer = format!("{list}{{\"id\":5,\"command\":\"echo 5\",\"needs\":[1]}}\n");
    for (option, shown) in [
        ("--resume", "echo 5\n"),
        ("--retry-failed", "exit 3\nkill -9 0\necho 4\necho 5\n"),
        ("--retry-unknown", "echo 5\n"),
    ] {
        let done = run(&dir, &["--dry-run", option], &longer, 0);
        assert_eq!(done.text(), shown, "{option}");
        assert_eq!(done.stderr.contains("2 of the jobs ended in an earlier run"), option != "--retry-failed");
        assert_eq!(done.stderr.contains("job 4: it needs 3"), option != "--retry-failed", "{}", done.stderr);
        assert_eq!(std::fs::read(journal(&dir)).unwrap(), before);
    }
    let done = run(&dir, &["--dry-run", "--resume", "-q"], "{\"id\":1,\"command\":\"true\"}\n", 0);
    assert_eq!((done.text(), &*done.stderr), (String::new(), ""));
    std::fs::write(journal(&dir), "no record\n").unwrap();
    let refused = run(&dir, &["--dry-run", "--resume"], &longer, 2);
    assert!(refused.stderr.contains("holds no records of a run"), "{}", refused.stderr);
    std::fs::remove_file(journal(&dir)).unwrap();
    assert_eq!(run(&dir, &["--dry-run", "--resume"], "true\n", 0).text(), "true\n");
    assert!(!journal(&dir).exists());
}

#[test]
fn a_dry_run_tells_of_jobs_whose_outcome_is_unknown() {
    let dir = TempDir::new("journal-dry-unknown");
    let list = "sleep 1000\n";
    let begun = spawn(&dir, &[], list).start();
    begun.await_grandchild();
    begun.signal(libc::SIGKILL);
    begun.finish();
    for (option, shown, told) in
        [("--resume", "", "would not run (--retry-unknown"), ("--retry-unknown", list, "would run again")]
    {
        let done = spawn(&dir, &["--dry-run", option], list).run().expect_code(0);
        assert_eq!(done.text(), shown);
        assert!(done.stderr.contains(&format!("job 1: outcome unknown, it was begun and has no record; it {told}")));
        assert!(dir.path().join("out.jsonl.running").exists());
    }
}
