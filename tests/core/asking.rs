//! Workers that ask: how much may wait for them, and what becomes of one that does not read it.

use crate::script::{READY, Script};
use supervisor::exit::ExitCode;
use supervisor::pool::Event;
use supervisor::record::Status;

/// Requests in one piece of output.
const PIECE: usize = 1_000;

/// Nothing of what worker 1 is sent leaves for its pipe.
fn reads_nothing(t: &mut Script) {
    tells_backlog(t, usize::MAX);
}

fn tells_backlog(t: &mut Script, bytes: usize) {
    let slot = t.worker(1);
    let (worker, generation) = (slot.worker, slot.generation);
    t.turn(vec![Event::StdinBacklog { worker, generation, bytes }]);
}

/// Asks `PIECE` times for something that is not served.
fn asks_much(t: &mut Script) {
    let lines = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nope\"}\n".repeat(PIECE);
    t.worker(1).writes(lines.as_bytes());
}

#[test]
fn one_that_asks_and_never_reads_is_replaced() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]);
    reads_nothing(&mut t);
    // Who has many tasks may ask for much before it reads the first answer.
    for _ in 0..250 {
        asks_much(&mut t);
        assert_eq!(t.worker(1).was_sent(), PIECE);
        t.nothing_more();
    }
    asks_much(&mut t);
    assert!(t.worker(1).is_killed().was_sent() < PIECE);
    t.worker(1).dies_by(9);
    t.was_told("asks and does not read");
    let record = t.record("a1", Status::Crashed);
    assert!(record.error.unwrap().get().contains("asks and does not read"));
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn one_that_reads_may_ask_for_ever() {
    let mut t = Script::running(|_| {}, &["a1"]);
    t.worker(1).gets(&["a1"]);
    for round in 0..300 {
        asks_much(&mut t);
        // Always late, but it reads.
        tells_backlog(&mut t, round % 7 * 10_000);
        assert_eq!(t.worker(1).was_sent(), PIECE);
    }
    tells_backlog(&mut t, 0);
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn while_much_waits_for_it_a_worker_may_not_ask_for_more() {
    let mut t = Script::new(|config| config.max_message = 64 << 20);
    t.reads(&["a1"]);
    t.list_ends();
    t.worker(1).starts().says(READY).gets(&["a1"]);
    let large = "x".repeat(33 << 20);
    let set = format!(r#"{{"id":1,"method":"value.set","params":{{"name":"v","value":"{large}"}}}}"#);
    let get = r#"{"id":2,"method":"value.get","params":{"name":"v"}}"#;
    // A result has no code.
    let (given, refused) = (&["error null"], &["error -32011"]);
    t.worker(1).says(&set).gets(given);
    reads_nothing(&mut t);
    t.worker(1).says(get).gets(given).says(get).gets(refused).says(get).gets(refused);
    tells_backlog(&mut t, 0);
    t.worker(1).says(get).gets(given).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::Success);
}
