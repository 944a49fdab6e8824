//! Functions of Python and Node files as jobs: `--python`, `--node`.

use crate::harness::{Done, Run, TempDir, counts};
use serde_json::{Value, json};

const PYTHON: &str = r#"
import asyncio, os, random, signal, subprocess, sys, threading, time
from os import getcwd

def add(a, b=10): return a + b
def echo(x): return x
def chatty(n):
    print("out", n)
    print("err", n, file=sys.stderr)
    return n
def raising(x): raise ValueError("bad " + x)
def leave(code): sys.exit(code)
def vanish(code): os._exit(code)
def no_json(): return object()
def not_a_number(): return float("nan")
def loop():
    while True: pass
def nap(seconds): time.sleep(seconds)
def ask(): return input("name? ")
def deep(): return deep()
def raw():
    os.write(1, b"raw\n")
    subprocess.run("echo child; echo child-err >&2", shell=True, check=True)
def forks(how):
    pid = os.fork()
    if pid == 0:
        if how == "raises": raise RuntimeError("in the child")
        return "child"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def close_all():
    for fd in (0, 1, 2): os.close(fd)
def mortal(x):
    if random.random() < 0.1: os.kill(os.getpid(), signal.SIGKILL)
    return x + 1
def logged(path, x):
    with open(path, "a") as log: log.write("%d\n" % x)
    if x % 100 == 50: os.kill(os.getpid(), signal.SIGKILL)
    return x
def thread(): return threading.current_thread() is threading.main_thread()

class Calc:
    def twice(self, x): return 2 * x
    @staticmethod
    def same(x): return x
    @classmethod
    def name(cls): return cls.__name__

# Two that can only end when both run at the same time.
met = threading.Barrier(2)
def meet(name):
    print(name, "waits")
    met.wait(30)
    print(name, "goes")
    return name

asked = []
async def meet_async(name):
    print(name, "waits")
    asked.append(name)
    while len(asked) < 2:
        await asyncio.sleep(0.001)
    print(name, "goes")
    return name
async def blocks(): time.sleep(60)
async def doze():
    await asyncio.sleep(60)
"#;

const NODE: &str = r#"
export function add(a, b = 10) { return a + b }
export function echo(x) { return x }
export function chatty(n) { console.log("out", n); console.error("err", n); process.stdout.write("raw\n"); return n }
export function raising(x) { throw new TypeError("bad " + x) }
export async function rejecting() { throw new Error("later") }
export function leave(code) { process.exit(code) }
export function vanish() { process.kill(process.pid, "SIGKILL") }
import fs from "node:fs"
export function logged(path, x) {
  fs.appendFileSync(path, `${x}\n`)
  if (x % 100 === 50) { console.log("last words"); process.kill(process.pid, "SIGKILL") }
  return x
}
export function circle() { const a = {}; a.a = a; return a }
export function loop() { for (;;); }
export function nothing() {}
export class Calc { static same(x) { return x } }
let waiting = []
export async function meet(name) {
  console.log(name, "waits")
  await new Promise((go) => { waiting.push(go); if (waiting.length === 2) waiting.forEach((each) => each()) })
  console.log(name, "goes")
  return name
}
"#;

/// Runs a list over the functions of a file `tasks.py` or `tasks.mjs`.
fn run(name: &str, language: &str, function: &str, options: &[&str], list: &str) -> Done {
    let directory = TempDir::new(name);
    let (file, text) = if language == "--python" { ("tasks.py", PYTHON) } else { ("tasks.mjs", NODE) };
    directory.file(file, text);
    let spec = format!("{file}:{function}");
    Run::json([language, &spec]).args(options).cwd(directory.path()).stdin(list).run()
}

fn call(method: &str, params: &Value) -> String {
    json!({"id": method, "method": method, "params": params}).to_string() + "\n"
}

fn result_of(done: &Done, id: &str) -> Value {
    let record = &done.by_id()[id];
    assert_eq!(record["status"], "ok", "{record}");
    record["result"].clone()
}

#[track_caller]
fn expect_failed(record: &Value, message: &str) {
    assert_eq!(record["status"], "failed", "{record}");
    assert!(record["error"]["message"].as_str().expect("a message").starts_with(message), "{record}");
}

#[test]
fn parameters_by_position_and_by_name_and_none() {
    for (language, name) in [("--python", "parameters-python"), ("--node", "parameters-node")] {
        let done = run(name, language, "add", &["-w", "2"], "[1,2]\n[5]\n").expect_code(0);
        assert_eq!((result_of(&done, "1"), result_of(&done, "2")), (json!(3), json!(15)));
    }
    let done = run("by-name", "--python", "add", &["-w", "1"], "{\"params\":{\"b\":1,\"a\":2}}\n").expect_code(0);
    assert_eq!(result_of(&done, "1"), 3);
    let done = run("no-parameters", "--python", "thread", &["-w", "1"], "[]\n[]\n").expect_code(0);
    assert_eq!((result_of(&done, "1"), result_of(&done, "2")), (json!(true), json!(true)));
}

#[test]
fn plain_lines_are_calls_with_one_text() {
    for (language, name) in [("--python", "lines-python"), ("--node", "lines-node")] {
        let done = run(name, language, "echo", &["-w", "1"], "one\nü 😀\n").expect_code(0);
        assert_eq!((result_of(&done, "1"), result_of(&done, "2")), (json!("one"), json!("ü 😀")));
    }
}

#[test]
fn a_line_without_a_function_says_how_one_is_named() {
    let directory = TempDir::new("no-function");
    directory.file("tasks.mjs", NODE);
    let done = Run::json(["--node", "tasks.mjs"]).cwd(directory.path()).stdin("one\n").run();
    let message = done.by_id()["1"]["error"]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("as in --python FILE:FUNCTION or --node FILE:FUNCTION"), "{message}");
}

#[test]
fn jobs_name_functions_of_the_file_and_no_others() {
    let list = call("echo", &json!([1]))
        + &call("Calc.twice", &json!([2]))
        + &call("Calc.same", &json!([3]))
        + &call("Calc.name", &json!([]))
        + &call("getcwd", &json!([]))
        + &call("nosuch", &json!([]));
    let done = run("methods-python", "--python", "add", &["-w", "1"], &list).expect_code(1);
    let results = ["echo", "Calc.twice", "Calc.same", "Calc.name"].map(|id| result_of(&done, &format!("\"{id}\"")));
    assert_eq!(results, [json!(1), json!(4), json!(3), json!("Calc")]);
    expect_failed(&done.by_id()["\"getcwd\""], "getcwd is imported into tasks");
    expect_failed(&done.by_id()["\"nosuch\""], "no function nosuch in tasks");

    let list = call("echo", &json!([1])) + &call("Calc.same", &json!([3])) + &call("nosuch", &json!([]));
    let done = run("methods-node", "--node", "add", &["-w", "1"], &list).expect_code(1);
    assert_eq!(result_of(&done, "\"Calc.same\""), 3);
    expect_failed(&done.by_id()["\"nosuch\""], "no function nosuch in tasks.mjs");
}

#[test]
fn what_goes_wrong_in_python_fails_its_job_alone() {
    let list = call("raising", &json!(["x"]))
        + &call("leave", &json!([3]))
        + &call("no_json", &json!([]))
        + &call("not_a_number", &json!([]))
        + &call("ask", &json!([]))
        + &call("deep", &json!([]))
        + &call("add", &json!([]))
        + &call("close_all", &json!([]))
        + &call("echo", &json!(["last"]));
    let done = run("wrong-python", "--python", "add", &["-w", "1"], &list).expect_code(1);
    let records = done.by_id();
    let raised = &records["\"raising\""];
    expect_failed(raised, "ValueError: bad x");
    assert_eq!(raised["error"]["data"]["type"], "ValueError");
    let traceback = raised["error"]["data"]["traceback"].as_str().expect("a traceback");
    assert!(
        traceback.contains("tasks.py\", line 11, in raising") && !traceback.contains("<supervisor>"),
        "{traceback}"
    );
    expect_failed(&records["\"leave\""], "SystemExit: 3");
    expect_failed(&records["\"no_json\""], "the result, an object, is no JSON");
    expect_failed(&records["\"not_a_number\""], "the result, a float, is no JSON");
    expect_failed(&records["\"ask\""], "EOFError");
    assert_eq!(records["\"ask\""]["stdout"], "name? ");
    expect_failed(&records["\"deep\""], "RecursionError");
    expect_failed(&records["\"add\""], "add(a, b=10): missing a required argument: 'a'");
    assert_eq!(result_of(&done, "\"close_all\""), Value::Null);
    assert_eq!(result_of(&done, "\"echo\""), "last");
    assert_eq!(records["\"echo\""]["pid"], raised["pid"], "the worker lives on");
}

#[test]
fn what_goes_wrong_in_node_fails_its_job_alone() {
    let list = call("raising", &json!(["x"]))
        + &call("rejecting", &json!([]))
        + &call("leave", &json!([3]))
        + &call("circle", &json!([]))
        + &call("nothing", &json!([]))
        + &call("echo", &json!(["last"]));
    let done = run("wrong-node", "--node", "add", &["-w", "1"], &list).expect_code(1);
    let records = done.by_id();
    expect_failed(&records["\"raising\""], "TypeError: bad x");
    assert!(
        records["\"raising\""]["error"]["data"]["traceback"].as_str().is_some_and(|text| text.contains("tasks.mjs:5"))
    );
    expect_failed(&records["\"rejecting\""], "Error: later");
    expect_failed(&records["\"leave\""], "ProcessExit: process.exit(3)");
    expect_failed(&records["\"circle\""], "the result, of type Object, is no JSON");
    assert_eq!(result_of(&done, "\"nothing\""), Value::Null);
    assert_eq!(result_of(&done, "\"echo\""), "last");
}

#[test]
fn a_function_that_ends_its_process_crashes_its_job_alone() {
    let list = call("vanish", &json!([3])) + &call("echo", &json!([1]));
    let done = run("vanish-python", "--python", "add", &["-w", "1"], &list).expect_code(1);
    assert_eq!(done.statuses(), counts([("crashed", 1), ("ok", 1)]));
    let crashed = done.by_id()["\"vanish\""].clone();
    assert_eq!(crashed["error"]["data"]["exit_code"], 3);
    // What is said of the dead worker and its record name the same process.
    assert!(done.stderr.contains(&format!("(pid {}) ended with exit code 3", crashed["pid"])), "{}", done.stderr);

    let done = run("vanish-node", "--node", "add", &["-w", "1"], &list).expect_code(1);
    assert_eq!(done.by_id()["\"vanish\""]["error"]["data"]["signal"], "SIGKILL");
    assert_eq!(result_of(&done, "\"echo\""), 1);
}

#[test]
fn what_is_printed_belongs_to_its_job() {
    let list = call("chatty", &json!([1])) + &call("echo", &json!([1]));
    let done = run("prints-python", "--python", "add", &["-w", "1"], &list).expect_code(0);
    let records = done.by_id();
    assert_eq!(
        (&records["\"chatty\""]["stdout"], &records["\"chatty\""]["stderr"]),
        (&json!("out 1\n"), &json!("err 1\n"))
    );
    assert!(records["\"echo\""].get("stdout").is_none(), "{}", records["\"echo\""]);

    // Of several jobs that are open at a worker nobody can tell whose standard error it was; of one it is certain.
    let done = run("raw-python", "--python", "add", &["-w", "1"], &call("raw", &json!([]))).expect_code(0);
    let records = done.by_id();
    assert_eq!(
        (&records["\"raw\""]["stdout"], &records["\"raw\""]["stderr"]),
        (&json!("raw\nchild\n"), &json!("child-err\n"))
    );

    let done = run("prints-node", "--node", "chatty", &["-w", "1"], "[1]\n").expect_code(0);
    let record = done.by_id()["1"].clone();
    assert_eq!((&record["stdout"], &record["stderr"]), (&json!("out 1\nraw\n"), &json!("err 1\n")));
}

#[test]
fn with_concurrency_functions_run_at_the_same_time_and_keep_their_output_apart() {
    for (language, function) in [("--python", "meet"), ("--python", "meet_async"), ("--node", "meet")] {
        let name = format!("meet{language}-{function}");
        let done = run(&name, language, function, &["-w", "1", "-c", "2"], "[\"a\"]\n[\"b\"]\n").expect_code(0);
        for (id, name) in [("1", "a"), ("2", "b")] {
            let record = &done.by_id()[id];
            assert_eq!(
                (&record["result"], &record["stdout"]),
                (&json!(name), &json!(format!("{name} waits\n{name} goes\n")))
            );
        }
    }
}

#[test]
fn output_of_unknown_origin_is_the_workers_and_shown_line_by_line() {
    let done = run("origin", "--python", "raw", &["-w", "1", "-c", "2"], "[]\n[]\n").expect_code(0);
    assert!(done.stderr.contains("[worker 1] raw\n") && done.stderr.contains("[worker 1] child\n"), "{}", done.stderr);
}

#[test]
fn a_forked_child_does_not_answer() {
    let list = "[\"returns\"]\n[\"raises\"]\n";
    for concurrency in ["1", "2"] {
        let name = format!("fork-{concurrency}");
        let done = run(&name, "--python", "forks", &["-w", "1", "-c", concurrency], list).expect_code(0);
        assert_eq!((result_of(&done, "1"), result_of(&done, "2")), (json!(0), json!(1)));
    }
}

#[test]
fn a_timeout_shows_where_python_was() {
    let list =
        call("loop", &json!([])) + &call("nap", &json!([60])) + &call("doze", &json!([])) + &call("echo", &json!([1]));
    for concurrency in ["1", "4"] {
        let options = ["-w", "1", "-c", concurrency, "--timeout", "1s", "--grace", "2s"];
        let done = run(&format!("stuck-{concurrency}"), "--python", "add", &options, &list).expect_code(1);
        for (id, place) in
            [("loop", "while True: pass"), ("nap", "time.sleep(seconds)"), ("doze", "await asyncio.sleep(60)")]
        {
            let record = &done.by_id()[&format!("\"{id}\"")];
            assert_eq!(record["status"], "timeout", "{record}");
            let traceback = record["error"]["data"]["traceback"].as_str().unwrap_or_default();
            assert!(traceback.contains(place), "{record}");
        }
        assert_eq!(result_of(&done, "\"echo\""), 1);
    }
}

#[test]
fn a_job_that_blocks_those_beside_it_ends_with_its_worker() {
    for (language, waits, blocks) in [("--python", "meet_async", "blocks"), ("--node", "meet", "loop")] {
        let waiting = call(waits, &json!(["a"]));
        let blocking = json!({"id": "blocks", "method": blocks, "timeout": "300ms"}).to_string();
        let options = ["-w", "1", "-c", "2", "--grace", "200ms"];
        let done = run("blocks", language, "add", &options, &(waiting + &blocking)).expect_code(1);
        assert_eq!(done.statuses(), counts([("timeout", 1), ("crashed", 1)]), "{}", done.stderr);
        let message = &done.by_id()[&format!("\"{waits}\"")]["error"]["message"];
        assert!(message.as_str().unwrap().contains("let none of the others in it go on"), "{message}");
    }
}

#[test]
fn a_timeout_ends_a_node_function_that_never_waits() {
    let list = call("loop", &json!([])) + &call("echo", &json!([1]));
    let done =
        run("loop-node", "--node", "add", &["-w", "1", "--timeout", "1s", "--grace", "200ms"], &list).expect_code(1);
    assert_eq!(done.statuses(), counts([("timeout", 1), ("ok", 1)]));
}

#[test]
fn workers_killed_at_random_lose_no_job_and_double_none() {
    let list: String = (0..200).map(|number| format!("[{number}]\n")).collect();
    let done = run("mortal", "--python", "mortal", &["-w", "2", "--retries", "9", "-q"], &list).expect_code(0);
    assert_eq!(done.statuses(), counts([("ok", 200)]));
    assert!(
        done.by_id().iter().all(|(id, record)| record["result"] == id.parse::<u64>().unwrap()),
        "job n is called with n - 1"
    );
    assert!(done.by_id().values().any(|record| record["attempts"].as_u64() > Some(1)), "some workers died");
}

/// Answers leave a worker many at a time. Still each job is run once, and only those that kill their worker pay.
#[test]
fn a_death_among_many_quick_jobs_costs_the_one_that_ran() {
    for (language, words) in [("--python", Value::Null), ("--node", json!("last words\n"))] {
        let dir = TempDir::new("log-of-jobs");
        let log = dir.path().join("log");
        let list: String = (0..2000).map(|number| format!("[{:?},{number}]\n", log.to_str().unwrap())).collect();
        let done = run("logged", language, "logged", &["-w", "2", "-q"], &list).expect_code(1);
        assert_eq!(done.statuses(), counts([("ok", 1980), ("crashed", 20)]));
        for (id, record) in done.by_id() {
            let ran_into_death = (id.parse::<u64>().unwrap() - 1) % 100 == 50;
            assert_eq!(record["status"] == "crashed", ran_into_death, "{record}");
            assert_eq!(record["stdout"], if ran_into_death { words.clone() } else { Value::Null }, "{record}");
        }
        let log = std::fs::read_to_string(log).unwrap();
        let mut begun: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
        begun.sort_unstable();
        assert_eq!(begun, (0..2000).collect::<Vec<_>>());
    }
}

#[test]
fn ten_megabytes_in_and_out() {
    let text = "ü".repeat(5_000_000);
    for (language, name) in [("--python", "big-python"), ("--node", "big-node")] {
        let done = run(name, language, "echo", &["-w", "1"], &json!([text]).to_string()).expect_code(0);
        assert!(result_of(&done, "1") == text.as_str());
    }
}
