//! What workers may say, and what breaks the protocol.

use crate::script::{READY, Script, seconds};
use supervisor::config::Target;
use supervisor::exit::ExitCode;
use supervisor::record::Status;

/// One job is open at worker 1, which then writes this; that breaks the protocol.
fn breaks(bytes: &[u8], why: &str) {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).writes(bytes).is_killed().dies_by(9);
    t.was_told("ProtocolBroken");
    t.was_told(why);
    let record = t.record("a1", Status::Crashed);
    assert!(record.error.unwrap().get().contains("broke the protocol"));
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn an_answer_to_what_was_never_asked() {
    breaks(b"{\"id\":99,\"result\":1}\n", "answered request 99, which is not open");
    breaks(b"{\"id\":\"0\",\"result\":1}\n", "which is not open");
}

#[test]
fn a_line_without_end() {
    breaks(&[b'x'; 1001], "sent a line of more than 1000 bytes");
}

#[test]
fn an_answer_that_is_not_utf_8() {
    breaks(b"{\"id\":0,\"result\":\"\xff\"}\n", "not UTF-8");
    breaks(b"{\"id\":0,\"note\":\"\xff\"}\n", "answered request 0 with neither");
}

#[test]
fn an_answer_that_says_nothing_or_too_much() {
    breaks(b"{\"jsonrpc\":\"2.0\",\"id\":0}\n", "answered request 0 with neither");
    breaks(b"{\"id\":0,\"error\":null}\n", "answered request 0 with neither");
    breaks(b"{\"id\":0,\"result\":1,\"result\":2}\n", "answered request 0 with a member that is there twice");
    breaks(b"[{\"id\":0}]\n", "answered request 0 with neither");
}

#[test]
fn an_answer_that_is_no_json_ends_its_job() {
    for line in [
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":NaN}\n",
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n",
        "\0{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n",
        "[{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":Infinity}]\n",
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"id\":0,\"result\":1}\n",
    ] {
        breaks(line.as_bytes(), "answered request 0 with");
    }
    breaks(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":NaN}\n", "column 34; JSON knows no NaN");
}

#[test]
fn what_is_no_message_in_an_array_is_shown_and_the_rest_counts() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).says(r#"[{"jsonrpc":"2.0","id":0,"result":1},5]"#);
    t.was_told("line: [53]");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn one_fault_in_a_batch_is_told_once() {
    breaks(b"[{\"id\":98,\"result\":1},{\"id\":99,\"result\":1}]\n", "answered request 98");
}

#[test]
fn a_second_answer() {
    let mut t = Script::running(|_| {}, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]).answers("a1").is_killed().dies_by(9);
    t.record("a1", Status::Ok);
    t.record("a2", Status::Crashed);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn what_is_no_message_is_shown_and_not_fatal() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]);
    for line in
        ["Loading model...", "", "42", "[]", r#"{"id":1}"#, r#"{"id":"0"}"#, r#"{"id":null,"error":{"code":-32700}}"#]
    {
        t.worker(1).says(line);
    }
    t.worker(1).writes(b"\xff\xfe\n");
    t.was_told("first: true");
    t.was_told("answered no request in particular");
    t.nothing_more();
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_request_of_the_workers_own_is_no_answer() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).says(r#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#).gets(&["error -32601"]);
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn batches_go_both_ways() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1", "a2", "a3"]);
    t.list_ends();
    t.worker(1).starts().says(r#"{"method":"ready","params":{"prefetch":true,"batch":true}}"#).gets(&["[a1]"]);
    t.worker(1).answers("a1").gets(&["[a2 a3]"]);
    t.record("a1", Status::Ok);
    t.worker(1).says(r#"[{"id":1,"result":"a2"},{"id":2,"error":{"message":"bad"}}]"#);
    t.record("a2", Status::Ok);
    t.record("a3", Status::Failed);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn large_answers_come_in_pieces_too() {
    let mut t = Script::running(|config| config.max_message = 16 << 20, &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]);
    for (name, before, after, status) in [
        ("a1", "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"", "\"}\n", Status::Ok),
        ("a2", "{\"id\":1,\"result\":\"", "\" }\n", Status::Ok),
        ("a3", "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"", "\"}\n", Status::Crashed),
    ] {
        let text = format!("{before}{}{after}", "x".repeat(2 << 20));
        text.as_bytes().chunks(64 << 10).for_each(|piece| _ = t.worker(1).writes(piece));
        let record = t.record(name, status);
        assert_eq!(
            record.result.map_or(0, |result| result.len()),
            if status == Status::Ok { (2 << 20) + 2 } else { 0 }
        );
    }
    t.worker(1).gets(&["a2", "a3"]);
    t.was_told("answered request 7, which is not open");
}

#[test]
fn lines_come_in_any_pieces() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]);
    for byte in b"{\"id\":0,\"result\":\"a1\"}\r\n" {
        t.worker(1).writes(&[*byte]);
    }
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn printed_output_belongs_to_its_job_and_is_cut_with_its_true_length() {
    let mut t = Script::running(|config| config.max_output = 4, &["a1"]);
    t.worker(1).gets(&["a1"]);
    t.worker(1).says(r#"{"method":"output","params":{"id":0,"stream":"stdout","data":"hello\n"}}"#).answers("a1");
    let printed = t.record("a1", Status::Ok).rare().stdout.clone().unwrap();
    assert_eq!((printed.bytes.as_slice(), printed.total), (&b"hell"[..], 6));
    t.ends(ExitCode::Success);
}

#[test]
fn a_line_on_standard_error_that_comes_in_pieces_is_shown_in_one() {
    let mut t = Script::new(|config| config.workers = 2);
    t.reads(&["a1", "a2"]);
    t.all_start();
    t.worker(1).gets(&["a1"]).answers("a1").writes_stderr(b"one ");
    t.worker(2).gets(&["a2"]).answers("a2").writes_stderr(b"other ");
    t.records(&["a1", "a2"], Status::Ok);
    t.worker(1).writes_stderr(b"two ");
    t.was_not_told("WorkerStderr");
    t.worker(1).writes_stderr(b"three\nfour");
    t.was_told(&format!("WorkerStderr {{ worker: WorkerId(1), bytes: {:?} }}", b"one two three\n"));
    // What is written from the begin of a job on is the job's, so nothing waits for it.
    t.reads(&["a3"]);
    t.was_told(&format!("{:?}", b"four"));
    t.worker(1).gets(&["a3"]).writes_stderr(b"mine").answers("a3");
    assert_eq!(t.record("a3", Status::Ok).rare().stderr.as_ref().unwrap().bytes, b"mine");
    // And what never ends is not kept.
    t.worker(2).writes_stderr(&[b'x'; 5000]);
    t.was_told("120, 120, 120");
}

#[test]
fn what_is_printed_under_any_other_id_is_the_workers_own() {
    // A function that `--init` calls prints under the id that the user gave to that request.
    for id in [r#""setup""#, "null", "7", "-1", "[1]"] {
        let mut t = Script::running(|_| {}, &["a1"]);
        t.worker(1).gets(&["a1"]);
        let output = format!(r#"{{"method":"output","params":{{"id":{id},"stream":"stdout","data":"hello"}}}}"#);
        t.worker(1).says(&output).answers("a1");
        t.was_told(&format!("StrayOutput {{ worker: WorkerId(1), line: {:?}", b"hello"));
        assert!(t.record("a1", Status::Ok).rare().stdout.is_none());
        t.ends(ExitCode::Success);
    }
}

#[test]
fn printed_output_is_cut_between_two_characters() {
    for (printed, kept) in [("ééé", &b"\xc3\xa9"[..]), ("a\u{1f600}", b"a"), ("é", b"\xc3\xa9")] {
        let mut t = Script::running(|config| config.max_output = 3, &["a1"]);
        t.worker(1).gets(&["a1"]).writes_stderr(printed.as_bytes());
        let output = format!(r#"{{"method":"output","params":{{"id":0,"stream":"stdout","data":"{printed}"}}}}"#);
        t.worker(1).says(&output).answers("a1");
        let record = t.record("a1", Status::Ok);
        for stream in [&record.rare().stdout, &record.rare().stderr] {
            let stream = stream.as_ref().unwrap();
            assert_eq!((stream.bytes.as_slice(), stream.total), (kept, printed.len() as u64));
        }
        t.ends(ExitCode::Success);
    }
    // What was not cut is what it is.
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).writes_stderr(b"a\xc3").answers("a1");
    assert_eq!(t.record("a1", Status::Ok).rare().stderr.as_ref().unwrap().bytes, b"a\xc3");
    t.ends(ExitCode::Success);
}

#[test]
fn what_a_worker_never_read_goes_to_another_when_it_closes_its_input() {
    let mut t = Script::running(|_| {}, &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2", "a3"]);
    t.worker(1).closes_stdin_before("a3").answers("a2");
    t.records(&["a1", "a2"], Status::Ok);
    t.passes(seconds(1));
    t.worker(1).is_terminated().dies_by(15);
    t.all_start();
    t.worker(1).gets(&["a3"]).answers("a3");
    assert_eq!(t.record("a3", Status::Ok).attempts, 1);
    t.ends(ExitCode::Success);
}

#[test]
fn first_words_that_make_no_sense_are_told() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1", "a2"]);
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":"lots","prefetch":true}}"#).gets(&["a1"]);
    t.was_told("its `ready` cannot be understood");
    t.worker(1).answers("a1").gets(&["a2"]);
}

#[test]
fn an_error_of_any_shape_becomes_one_with_a_message() {
    for (error, expected) in [
        (r#""just text""#, r#"{"message":"just text"}"#),
        ("5", r#"{"message":"5"}"#),
        (r#"{"code":1}"#, r#"{"code":1,"message":"the worker gave no message"}"#),
        (r#"{"code":"E1","message":5}"#, r#"{"data":{"code":"E1","data":null},"message":"5"}"#),
        (r#"{"code":null,"message":"m"}"#, r#"{"message":"m"}"#),
        (r#"{"code":7,"message":"m","data":[1]}"#, r#"{"code":7,"message":"m","data":[1]}"#),
    ] {
        let mut t = Script::running(|_| {}, &["a1"]);
        let id = t.worker(1).gets(&["a1"]).wire_id("a1");
        t.worker(1).says(&format!(r#"{{"id":{id},"error":{error}}}"#));
        let record = t.record("a1", Status::Failed);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(record.error.unwrap().get()), value(expected));
    }
}

#[test]
fn an_error_whose_message_is_no_text_keeps_its_code_and_data() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]);
    t.worker(1).says(r#"{"id":0,"error":{"code":7,"message":"bad \ud800","data":{"a":"\udcff"},"more":[1]}}"#);
    let error = t.record("a1", Status::Failed).error.unwrap();
    assert_eq!(error.get(), "{\"code\":7,\"data\":{\"a\":\"\\udcff\"},\"more\":[1],\"message\":\"bad \u{fffd}\"}");
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn printed_text_with_half_a_pair_is_kept_and_what_cannot_be_understood_is_told_once() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]).says(r#"{"method":"output","params":{"id":0,"stream":"stdout","data":"\ud800x"}}"#);
    t.was_not_told("cannot be understood");
    t.worker(1).says(r#"{"method":"output","params":{"id":0,"stream":"stdout","data":{"base64":"?"}}}"#);
    t.was_told("its `output` cannot be understood, so what was printed is lost: no base64");
    t.worker(1).says(r#"{"method":"output","params":{"id":0,"stream":"stdout","data":5}}"#);
    t.was_not_told("data did not match");
    t.worker(1).says(r#"{"method":"log","params":{"message":"half \udcff"}}"#);
    t.was_told("half \u{fffd}");
    t.worker(1).answers("a1");
    assert_eq!(t.record("a1", Status::Ok).rare().stdout.as_ref().unwrap().bytes, "\u{fffd}x".as_bytes());
    t.ends(ExitCode::Success);
}

#[test]
fn a_file_with_large_output_is_let_go_of_after_the_record() {
    let mut t = Script::running(
        |config| (config.target, config.keep_order, config.workers) = (Target::Shell, true, 2),
        &["a1", "a2"],
    );
    t.worker(1).gets(&["a1"]);
    let mut worker = t.worker(2);
    worker.gets(&["a2"]);
    let line = format!(r#"{{"id":{},"result":{{"exit_code":0,"stdout_spill":"/proc/1/fd/3"}}}}"#, worker.wire_id("a2"));
    worker.says(&line);
    t.nothing_more();
    t.worker(1).answers("a1");
    t.records(&["a1", "a2"], Status::Ok);
    t.worker(2).gets(&["release a2"]);
    t.ends(ExitCode::Success);
}

#[test]
fn a_failed_attempt_lets_go_of_its_file_before_the_next() {
    let mut t = Script::running(|config| (config.target, config.retries) = (Target::Shell, 1), &["a1"]);
    let mut worker = t.worker(1);
    worker.gets(&["a1"]);
    let line = format!(r#"{{"id":{},"error":{{"code":-32000,"data":{{"stdout_spill":"/p"}}}}}}"#, worker.wire_id("a1"));
    worker.says(&line).gets(&["release a1", "a1"]).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_worker_that_holds_a_file_outlives_its_share_where_all_wait_for_it() {
    let mut t = Script::running(
        |config| {
            (config.target, config.keep_order, config.workers) = (Target::Shell, true, 1);
            (config.max_jobs_per_worker, config.retries, config.retry_delay) = (Some(2), 1, crate::script::seconds(1));
        },
        &["a1", "a2"],
    );
    t.worker(1).gets(&["a1"]).fails("a1").gets(&["a2"]);
    let line = format!(r#"{{"id":{},"result":{{"exit_code":0,"stdout_spill":"/p"}}}}"#, t.worker(1).wire_id("a2"));
    t.worker(1).says(&line);
    t.passes(crate::script::seconds(1));
    t.worker(1).gets(&["a1"]).answers("a1");
    t.records(&["a1", "a2"], Status::Ok);
    t.worker(1).gets(&["release a2"]);
    t.ends(ExitCode::Success);
}

#[test]
fn a_plain_worker_that_finds_its_words_late() {
    let mut t = Script::new(|config| (config.announces_ready, config.concurrency) = (false, 3));
    t.reads(&["a1", "a2", "a3"]);
    t.list_ends();
    t.worker(1).starts().gets(&["a1", "a2", "a3"]).says(READY).answers("a3").answers("a1").answers("a2");
    t.records(&["a3", "a1", "a2"], Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn nothing_is_sent_ahead_to_a_worker_that_runs_more_than_it_is_asked_to() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1", "a2", "a3"]);
    t.list_ends();
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":8,"prefetch":true}}"#).gets(&["a1"]);
    t.worker(1).answers("a1").gets(&["a2"]).answers("a2").gets(&["a3"]).answers("a3");
    t.records(&["a1", "a2", "a3"], Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn ready_twice_changes_nothing() {
    let mut t = Script::running(|_| {}, &["a1", "a2"]);
    t.worker(1).gets(&["a1"]).says(READY);
    t.nothing_more();
    t.worker(1).answers("a1").gets(&["a2"]).answers("a2");
    t.records(&["a1", "a2"], Status::Ok);
    t.ends(ExitCode::Success);
}
