//! Locks, values, queues and their kin, asked for by functions in several workers, and locks that jobs name.

use crate::check::limit_memory;
use crate::harness::{Done, Run, TempDir, counts};
use serde_json::{Value, json};

const PYTHON: &str = r#"
import json, os, signal, time
from supervisor import Barrier, Event, Lock, Queue, RLock, Semaphore, Value

def count(times):
    value = Value("count")
    for _ in range(times): value.add(1)
    return value.get()
def count_under_lock(times):
    value = Value("count")
    for _ in range(times):
        with Lock("count"): value.set(value.get() + 1)
    return value.get()
def die_holding():
    Lock("l").acquire()
    Event("held").set()
    Event("waits").wait()
    os.kill(os.getpid(), signal.SIGKILL)
def hang_holding():
    Lock("l").acquire()
    Event("held").set()
    while True: pass
def fail_holding():
    Lock("l").acquire()
    raise ValueError
def return_holding(): Lock("l").acquire()
def learn():
    with Lock("l") as lock: return lock.previous_holder_died
def come_after():
    Event("held").wait()
    Event("waits").set()
    with Lock("l") as lock: return lock.previous_holder_died
def cross(first, second):
    with Lock(first):
        Barrier("both", 2).wait()
        with Lock(second): return "through"
def nested():
    with RLock("r"), RLock("r"): return "twice"
def inside(name):
    now = Value("now").add(1)
    time.sleep(0.02)
    Value("now").add(-1)
    return now
def admitted():
    with Semaphore("s", 2): return inside("s")
def put(items):
    for item in items + [None]: Queue("q", 2).put(item)
def get():
    return list(iter(Queue("q", 2).get, None))
def meet(): return Barrier("b", 3).wait()
def carry(literal):
    item = json.loads(literal)
    Queue("carried").put(item); Value("carried").set(item)
    return json.dumps([Queue("carried").get(), Value("carried").get(), Value("made " + literal, item).get()])
def wait_for_item(): return json.dumps(Queue("awaited").get())
def put_late():
    Event("never").wait(0.1)
    Queue("awaited").put("\udcff")
def swap_none(): return [Value("d", None).compare_and_swap(None, 5), Value("d").get()]
def swap(): return [Value("x", 5).compare_and_swap(5, 6), Value("x", 5).compare_and_swap(5, 7), Value("x").get()]
"#;

const NODE: &str = r#"
const { Barrier, Event, Lock, Queue, Semaphore, Value } = globalThis.supervisor
export async function count(times) { const value = new Value("count"); for (let i = 0; i < times; i++) await value.add(1); return value.get() }
export async function die_holding() {
  await new Lock("l").acquire(); await new Event("held").set(); await new Event("waits").wait(); process.kill(process.pid, "SIGKILL")
  await new Promise(() => {})
}
export async function come_after() {
  await new Event("held").wait(); await new Event("waits").set(); const lock = new Lock("l"); await lock.acquire(); return lock.previousHolderDied
}
export async function cross(first, second) {
  await new Lock(first).acquire(); await new Barrier("both", 2).wait(); await new Lock(second).acquire(); return "through"
}
export async function admitted() {
  const places = new Semaphore("s", 2); await places.acquire()
  const now = await new Value("now").add(1); await new Promise((go) => setTimeout(go, 20)); await new Value("now").add(-1)
  await places.release(); return now
}
export async function put(items) { const queue = new Queue("q", 2); for (const item of [...items, null]) await queue.put(item) }
export async function get() { const queue = new Queue("q", 2), all = []; for (;;) { const item = await queue.get(); if (item === null) return all; all.push(item) } }
export async function meet() { return new Barrier("b", 3).wait() }
export async function carry(literal) {
  const item = literal.startsWith("Map") ? new Map([[1, 2]]) : JSON.parse(literal), value = new Value("made " + literal, item)
  await new Queue("carried").put(item); await new Value("carried").set(item)
  return JSON.stringify([await new Queue("carried").get(), await new Value("carried").get(), await value.get()])
}
export async function wait_for_item() { return JSON.stringify(await new Queue("awaited").get()) }
export async function put_late() { await new Event("never").wait({ timeout: 0.1 }); await new Queue("awaited").put("\udcff") }
export async function swap_none() { return [await new Value("d", null).compareAndSwap(null, 5), await new Value("d").get()] }
export async function set_nan() { await new Value("n").set(NaN) }
export async function swap() { const x = new Value("x", 5); return [await x.compareAndSwap(5, 6), await x.compareAndSwap(5, 7), await x.get()] }
"#;

const LANGUAGES: [&str; 2] = ["--python", "--node"];

/// Runs calls of `(method, params)` over the functions above.
fn run(name: &str, language: &str, options: &[&str], calls: &[(&str, Value)]) -> Done {
    let directory = TempDir::new(&format!("{name}{language}"));
    let (file, text) = if language == "--python" { ("tasks.py", PYTHON) } else { ("tasks.mjs", NODE) };
    directory.file(file, text);
    let list: String =
        calls.iter().map(|(method, params)| json!({"method": method, "params": params}).to_string() + "\n").collect();
    Run::json([language, file]).args(options).cwd(directory.path()).stdin(list).run()
}

fn results(done: &Done) -> Vec<Value> {
    done.by_id().values().map(|record| record["result"].clone()).collect()
}

#[test]
fn no_increment_is_lost() {
    for language in LANGUAGES {
        let done = run("increments", language, &["-w", "4"], &vec![("count", json!([500])); 4]).expect_code(0);
        assert_eq!(results(&done).iter().map(|value| value.as_i64().unwrap()).max(), Some(2_000));
    }
    let done = run("under-lock", "--python", &["-w", "4"], &vec![("count_under_lock", json!([50])); 4]).expect_code(0);
    assert_eq!(results(&done).iter().map(|value| value.as_i64().unwrap()).max(), Some(200));
}

#[test]
#[ignore = "takes long without optimization; a long run of tests/run"]
fn a_hundred_thousand_increments_of_four_workers_are_exact() {
    let done = run("hundred-thousand", "--python", &["-w", "4"], &vec![("count", json!([25_000])); 4]).expect_code(0);
    assert_eq!(results(&done).iter().map(|value| value.as_i64().unwrap()).max(), Some(100_000));
}

#[test]
fn a_lock_is_free_again_when_its_holder_is_killed_and_the_next_one_learns_it() {
    for language in LANGUAGES {
        let calls = [("die_holding", json!([])), ("come_after", json!([]))];
        let done = run("killed-holder", language, &["-w", "2"], &calls).expect_code(1);
        assert_eq!(done.by_id()["1"]["status"], "crashed");
        assert_eq!(done.by_id()["2"]["result"], true);
    }
}

#[test]
fn a_lock_is_free_again_when_its_holder_times_out() {
    // Only the holder has a limit.
    let directory = TempDir::new("holder-times-out");
    directory.file("tasks.py", PYTHON);
    let list = "{\"method\":\"hang_holding\",\"params\":[],\"timeout\":\"300ms\"}\n{\"method\":\"come_after\",\"params\":[]}\n";
    let run = Run::json(["-w", "2", "--grace", "200ms", "--python", "tasks.py"]).cwd(directory.path());
    let done = run.stdin(list).run().expect_code(1);
    assert_eq!(done.by_id()["1"]["status"], "timeout");
    assert_eq!(done.by_id()["2"]["result"], true);
}

#[test]
fn who_ends_without_releasing_a_lock_is_told_of_to_the_next() {
    let calls = ["fail_holding", "learn", "return_holding", "learn", "learn"].map(|name| (name, json!([])));
    let done = run("left-locks", "--python", &["-w", "1"], &calls).expect_code(1);
    assert_eq!(results(&done), [json!(null), json!(true), json!(null), json!(true), json!(false)]);
}

#[test]
fn two_who_wait_for_each_other_are_told_and_not_waited_for() {
    for language in LANGUAGES {
        let calls = [("cross", json!(["a", "b"])), ("cross", json!(["b", "a"]))];
        let done = run("deadlock", language, &["-w", "2"], &calls).expect_code(1);
        assert_eq!(done.statuses(), counts([("failed", 1), ("ok", 1)]));
        let failed = done.by_id().into_values().find(|record| record["status"] == "failed").expect("one");
        assert_eq!(failed["error"]["data"]["type"], "Deadlock");
        assert!(failed["error"]["message"].as_str().is_some_and(|text| text.contains("is held by one who waits")));
    }
}

#[test]
fn a_semaphore_admits_as_many_as_it_says() {
    for language in LANGUAGES {
        let done = run("semaphore", language, &["-w", "4"], &vec![("admitted", json!([])); 8]).expect_code(0);
        assert!(results(&done).iter().all(|now| now.as_i64() <= Some(2)), "{:?}", results(&done));
    }
}

#[test]
fn jobs_that_name_the_same_lock_run_one_at_a_time() {
    let directory = TempDir::new("job-locks");
    directory.file("tasks.py", PYTHON);
    let list = "{\"params\":[\"db\"],\"locks\":[\"db\"]}\n".repeat(8);
    for options in [["-w", "4", "-c", "1"], ["-w", "1", "-c", "4"]] {
        let run = Run::json(["--python", "tasks.py:inside"]).args(options).cwd(directory.path()).stdin(&list).run();
        assert!(results(&run.expect_code(0)).iter().all(|now| now == 1));
    }
}

#[test]
fn a_queue_hands_over_in_order_between_workers() {
    for language in LANGUAGES {
        let items: Vec<Value> = (0..20).map(|number| json!({"n": number, "text": "ü"})).collect();
        let calls = [("put", json!([items])), ("get", json!([]))];
        let done = run("queue", language, &["-w", "2"], &calls).expect_code(0);
        assert_eq!(done.by_id()["2"]["result"], json!(items));
    }
}

#[test]
fn a_barrier_lets_all_through_at_once() {
    for language in LANGUAGES {
        let done = run("barrier", language, &["-w", "3"], &vec![("meet", json!([])); 3]).expect_code(0);
        let mut places = results(&done);
        places.sort_by_key(Value::as_i64);
        assert_eq!(places, [json!(0), json!(1), json!(2)]);
    }
}

#[test]
fn compare_and_swap_swaps_once_and_a_reentrant_lock_is_taken_twice() {
    for language in LANGUAGES {
        let done = run("swap", language, &["-w", "1"], &[("swap", json!([]))]).expect_code(0);
        assert_eq!(results(&done), [json!([true, false, 6])]);
    }
    let done = run("nested", "--python", &["-w", "1"], &[("nested", json!([]))]).expect_code(0);
    assert_eq!(results(&done), [json!("twice")]);
}

#[test]
fn what_is_shared_comes_back_as_it_was() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for language in LANGUAGES {
        let literals = [r#""\udcff""#, "0.1234567890123456", "5e-324", r#"{"b": 1, "a": null}"#, "null", &deep];
        let spaced = |literal: &str| {
            if language == "--node" { literal.replace(": ", ":").replace(", ", ",") } else { literal.into() }
        };
        let comma = if language == "--node" { "," } else { ", " };
        let more = if language == "--node" { ("Map", r#"{"1":2}"#) } else { ("1000000000000000000000000000001", "") };
        let calls: Vec<_> = literals.iter().chain([&more.0]).map(|literal| ("carry", json!([literal]))).collect();
        let done = run("carried", language, &["-w", "1"], &calls).expect_code(0);
        for (result, literal) in results(&done).iter().zip(literals.iter().chain([&more.0])) {
            let back = if *literal == "Map" { more.1.to_owned() } else { spaced(literal) };
            let list = format!("[{}]", [back.as_str(); 3].join(comma));
            assert_eq!(result.as_str(), Some(list.as_str()), "{language} {literal}");
        }
        let calls = [("wait_for_item", json!([])), ("put_late", json!([])), ("swap_none", json!([]))];
        let done = run("awaited", language, &["-w", "3"], &calls).expect_code(0);
        assert_eq!(results(&done), [json!(r#""\udcff""#), json!(null), json!([true, 5])]);
    }
    let done = run("nan", "--node", &["-w", "1"], &[("set_nan", json!([]))]).expect_code(1);
    assert_eq!(done.by_id()["1"]["error"]["message"], "TypeError: NaN has no form in JSON");
}

#[test]
fn a_worker_that_asks_without_end_and_reads_no_answer_takes_little_memory_and_is_replaced() {
    let dir = TempDir::new("asks-without-end");
    for request in [r#"{"id":1,"method":"nope"}"#, r#"{"id":1,"method":"event.wait","params":{"name":"e"}}"#] {
        let worker = dir.file("worker.sh", format!("read line\nexec yes '{request}'\n"));
        let worker = format!("sh {}", worker.display());
        let run = Run::json(["-w", "1", "--worker", &worker]).stdin("{\"method\":\"m\",\"params\":[]}\n");
        let done = run.with(|command| limit_memory(command, 300 << 20)).run().expect_code(1);
        let record = &done.by_id()["1"];
        assert_eq!(record["status"], "crashed", "{record}");
        assert!(record["error"]["message"].as_str().unwrap().contains("asks and does not read"), "{record}");
    }
}
