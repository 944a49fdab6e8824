//! Servers of the Model Context Protocol as workers: real ones from the registries, which `tests/run` installs into
//! `target/`, and small ones made up for what those do not do.

use crate::harness::{Done, Run, TempDir, await_condition, counts};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A server in Python that is of the era, or has the fault, that its argument names.
const SERVER: &str = r#"
import json, sys
mode = sys.argv[1]
def send(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def refuse(request, code, message): send({"id": request["id"], "error": {"code": code, "message": message}})
def ping():
    send({"id": "p", "method": "ping"})
    assert json.loads(sys.stdin.readline()) == {"jsonrpc": "2.0", "id": "p", "result": {}}
calls = 0
ready = False
for line in sys.stdin:
    request = json.loads(line)
    method, params = request["method"], request.get("params", {})
    meta = params.get("_meta", {})
    if mode == "refusing": refuse(request, -32000, "no licence for " + method)
    elif method == "initialize":
        if mode == "stateless": refuse(request, -32601, "Method not found"); continue
        send({"method": "notifications/message", "params": {"level": "info", "data": "hello"}})
        send({"id": 0, "method": "roots/list"})
        assert json.loads(sys.stdin.readline())["error"]["code"] == -32601
        ping()
        send({"id": request["id"], "result": {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {}}})
    elif method == "notifications/initialized": ready = mode != "stateless"
    elif mode == "stateless" and meta.get("io.modelcontextprotocol/protocolVersion") != "2026-07-28":
        refuse(request, -32602, "no protocol version")
    elif method == "server/discover": ready = True; send({"id": request["id"], "result": {"supportedVersions": ["2026-07-28"]}})
    else:
        assert method == "tools/call" and ready, line
        calls += 1
        ping()
        if params["name"] == "odd":
            nested = "[" * 130 + "]" * 130
            print('{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"\\ud800 oops"}],"n":%d,"structuredContent":%s,"isError":true}}'
                  % (request["id"], 2**70, nested), flush=True)
            continue
        if params["arguments"].get("die") and calls > 2: sys.exit(0)
        result = {"content": [{"type": "text", "text": params["name"]}], "isError": params["name"] == "bad"}
        if mode == "stateless": result["resultType"] = "complete"
        send({"id": request["id"], "result": result})
"#;

fn made_up(mode: &str, list: &str) -> Done {
    let dir = TempDir::new(&format!("mcp-{mode}-{}", list.len()));
    let server = dir.file("server.py", SERVER);
    Run::json(["-w", "1", "--mcp", &format!("python3 '{}' {mode}", server.display())]).stdin(list).run()
}

#[test]
fn both_eras_are_spoken_also_after_a_restart() {
    let list = r#"{"method":"a","params":{}}
{"method":"bad"}
{"method":"b","params":{"die":true},"retries":1}
[1]
{"method":"c","params":[1]}
"#;
    for mode in ["session", "stateless"] {
        let done = made_up(mode, list);
        let records = done.by_id();
        assert_eq!(done.statuses(), counts([("ok", 2), ("failed", 1), ("invalid", 2)]), "{mode}: {}", done.stderr);
        assert_eq!(records["3"]["attempts"], 2, "{mode}: it died once, and the next one was greeted too");
        assert!(!done.stderr.contains("refused"), "{mode}: {}", done.stderr);
        assert_eq!(records["2"]["error"]["message"], "bad", "{mode}");
        assert_eq!(records["2"]["error"]["data"]["isError"], true, "{mode}");
    }
}

#[test]
fn a_tool_that_failed_is_failed_whatever_else_its_result_holds() {
    let done = made_up("session", "{\"method\":\"odd\"}\n").expect_code(1);
    let text = done.text();
    assert!(text.contains(r#""status":"failed""#) && text.contains("\u{fffd} oops"), "{text}");
    let nested = format!("{}{}", "[".repeat(130), "]".repeat(130));
    let passed = format!(r#""text":"\ud800 oops"}}],"n":{},"structuredContent":{nested},"isError":true"#, 1_u128 << 70);
    assert!(text.contains(&passed), "{text}");
}

#[test]
fn a_server_that_refuses_every_handshake_ends_the_run_and_the_reason_is_told_once() {
    let done = made_up("refusing", "{\"method\":\"a\"}\n{\"method\":\"b\"}\n").expect_code(5);
    assert_eq!(done.stderr.matches("no licence for initialize").count(), 1, "{}", done.stderr);
    assert_eq!(done.statuses(), counts([("skipped", 2)]));
}

#[test]
fn messages_of_the_user_come_first_to_every_worker_and_a_refusal_ends_the_run() {
    let dir = TempDir::new("init");
    let program = "import json, sys\nseen = []\nfor line in sys.stdin:\n    m = json.loads(line)\n    seen.append(m['method'])\n    \
                   if 'id' not in m: continue\n    if m['method'] == 'no': print(json.dumps({'id': m['id'], 'error': {'code': 1, 'message': 'not you'}}), flush=True)\n    \
                   elif m['method'] == 'die' and len(seen) > 4: sys.exit(1)\n    else: print(json.dumps({'id': m['id'], 'result': seen}), flush=True)\n";
    let worker = format!("python3 '{}'", dir.file("w.py", program).display());
    let init = [
        "--init",
        r#"{"id":"x","method":"one"}"#,
        "--init",
        r#"{"method":"two"}"#,
        "--init",
        r#"{"id":1,"method":"three"}"#,
    ];
    let list = "{\"method\":\"f\"}\n{\"method\":\"die\",\"retries\":1}\n";
    let done = Run::json(["-w", "1", "--worker", &worker]).args(init).stdin(list).run().expect_code(0);
    assert_eq!(done.by_id()["2"]["result"], serde_json::json!(["one", "two", "three", "die"]));
    let refused = Run::json(["-w", "2", "--worker", &worker, "--init", r#"{"id":1,"method":"no"}"#]);
    let refused = refused.stdin("{\"method\":\"f\"}\n".repeat(4)).run().expect_code(5);
    assert_eq!(refused.stderr.matches("not you").count(), 1, "{}", refused.stderr);
}

/// A file that `tests/run` installs.
fn installed(path: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path);
    assert!(file.exists(), "{} is missing: tests/run installs it", file.display());
    file
}

fn node(package: &str) -> String {
    let file = installed(&format!("node/node_modules/@modelcontextprotocol/{package}/dist/index.js"));
    format!("node '{}'", file.display())
}

/// 1,000 jobs on three workers, one of which is killed in between: each job is done, the one that paid at its second try.
fn pool_of_three(options: &[&str], job: &str, env: (&str, &str), is_right: impl Fn(&Value) -> bool) {
    let list = format!("{job}\n").repeat(1000);
    let run = Run::json(["-w", "3", "--retries", "2", "--grace", "500ms"]).args(options).env(env.0, env.1);
    let started = run.stdin(list).start();
    started.await_lines(100);
    await_condition("a worker is killed", || started.kill_child());
    let done = started.finish().expect_code(0);
    let records = done.by_id();
    assert_eq!(records.len(), 1000);
    for record in records.values() {
        assert!(record["status"] == "ok" && is_right(&record["result"]), "{record}");
    }
    let again = records.values().filter(|record| record["attempts"] == 2).count();
    assert!(again <= 1, "{again} jobs were tried again");
}

fn says(result: &Value, text: &str) -> bool {
    result["content"][0]["text"].as_str().is_some_and(|said| said.contains(text))
}

#[test]
fn the_server_everything() {
    let job = r#"{"method":"get-sum","params":{"a":2,"b":3}}"#;
    pool_of_three(&["--mcp", &node("server-everything")], job, ("A", ""), |result| says(result, "2 and 3 is 5"));
}

#[test]
fn the_server_filesystem() {
    let dir = TempDir::new("mcp-files");
    let file = dir.file("a.txt", "hello");
    let server = format!("{} '{}'", node("server-filesystem"), dir.path().display());
    let job = serde_json::json!({"method": "read_text_file", "params": {"path": file}}).to_string();
    pool_of_three(&["--mcp", &server], &job, ("A", ""), |result| says(result, "hello"));
    let outside = "{\"method\":\"read_text_file\",\"params\":{\"path\":\"/etc/passwd\"}}\n";
    let done = Run::json(["-w", "1", "--mcp", &server]).stdin(outside).run().expect_code(1);
    assert!(done.by_id()["1"]["error"]["message"].as_str().unwrap().contains("Access denied"), "{}", done.text());
}

#[test]
fn the_server_memory() {
    let dir = TempDir::new("mcp-memory");
    let file = dir.path().join("memory.jsonl");
    let env = ("MEMORY_FILE_PATH", file.to_str().unwrap());
    let job = r#"{"method":"read_graph","params":{}}"#;
    pool_of_three(&["--mcp", &node("server-memory")], job, env, |result| says(result, "entities"));
    // It loses what is written at once; with one worker and one job in flight nothing is.
    let entity = |n| {
        format!(
            "{{\"method\":\"create_entities\",\"params\":{{\"entities\":[{{\"name\":\"e{n}\",\"entityType\":\"t\",\"observations\":[]}}]}}}}\n"
        )
    };
    let list: String = (0..40).map(entity).collect();
    let run = Run::json(["-w", "1", "--mcp", &node("server-memory")]).env(env.0, env.1);
    run.stdin(list).run().expect_code(0);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 40);
}

#[test]
fn the_server_time() {
    let server = format!("'{}'", installed("venv/bin/mcp-server-time").display());
    let job = r#"{"method":"get_current_time","params":{"timezone":"UTC"}}"#;
    pool_of_three(&["--mcp", &server], job, ("A", ""), |result| says(result, "+00:00"));
}

#[test]
fn the_server_git() {
    let dir = TempDir::new("mcp-git");
    let init = Run::text(["--", "git", "init", "-q", "{}", ":::", dir.path().to_str().unwrap()]);
    init.run().expect_code(0);
    let server = format!("'{}'", installed("venv/bin/mcp-server-git").display());
    let job = serde_json::json!({"method": "git_status", "params": {"repo_path": dir.path()}}).to_string();
    pool_of_three(&["--mcp", &server], &job, ("A", ""), |result| says(result, "nothing to commit"));
}

#[test]
fn json_rpc_without_mcp() {
    let dir = TempDir::new("deltachat");
    let server = format!("'{}'", installed("venv/bin/deltachat-rpc-server").display());
    let accounts = dir.path().join("accounts");
    // Each worker needs accounts of its own: the server locks them.
    let program =
        format!("sh -c 'DC_ACCOUNTS_PATH=\"$0-$SPV_WORKER_ID-$$\" exec \"$1\"' '{}' {server}", accounts.display());
    let job = r#"{"method":"get_system_info","params":[]}"#;
    pool_of_three(&["--worker", &program], job, ("A", ""), |result| result["deltachat_core_version"].is_string());
}
