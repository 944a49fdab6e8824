//! What servers of the Model Context Protocol are told, and what the result of a tool means. Text in, text out.
//!
//! Two eras of that protocol exist. Up to revision 2025-11-25 a session begins with `initialize`; from 2026-07-28 on there
//! is none, and every request says what it speaks. A server of the older kind may end, or never answer, when anything
//! comes before `initialize`, while a newer one answers it with an error: so `initialize` goes first and
//! `server/discover` is what follows a refusal.

use super::encode;
use crate::json;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The revision asked for by `initialize`. Servers answer with the one they speak; calls of tools are the same in all.
const SESSION_REVISION: &str = "2025-06-18";

/// The revision that requests name in a server without sessions.
const STATELESS_REVISION: &str = "2026-07-28";

/// The id of the handshake. A text, so that it is not taken for the number of a job's request.
const HANDSHAKE_ID: &str = "supervisor-handshake";

/// The messages that begin a session: a request, and the notification that follows its answer.
pub fn handshake() -> [Box<RawValue>; 2] {
    let initialize = json!({
        "jsonrpc": "2.0",
        "id": HANDSHAKE_ID,
        "method": "initialize",
        "params": {"protocolVersion": SESSION_REVISION, "capabilities": {}, "clientInfo": client()},
    });
    [raw(&initialize), raw(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))]
}

/// The request that replaces the handshake where there are no sessions. Its id is that of the handshake.
pub fn discover() -> Box<RawValue> {
    raw(&json!({
        "jsonrpc": "2.0",
        "id": HANDSHAKE_ID,
        "method": "server/discover",
        "params": {"_meta": meta()},
    }))
}

/// Appends the call of a tool. `arguments` is the text of a JSON object without a line end.
pub fn call(out: &mut Vec<u8>, id: u64, tool: &str, arguments: &str, stateless: bool) {
    encode::open_request(out, id, "tools/call");
    out.extend_from_slice(br#"{"name":"#);
    encode::string(out, tool);
    out.extend_from_slice(br#","arguments":"#);
    out.extend_from_slice(arguments.as_bytes());
    if stateless {
        out.extend_from_slice(br#","_meta":"#);
        out.extend_from_slice(meta().to_string().as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Why the result of a tool is a failure after all, if it is: what the tool says in text. A result is any JSON, so it is
/// not left to a parser that refuses some.
pub fn fault(result: &str) -> Option<String> {
    // Results can be large, and nearly all are good: only those that may say otherwise are taken apart.
    let bytes = result.as_bytes();
    if memchr::memmem::find(bytes, b"isError").is_none() && memchr::memmem::find(bytes, b"resultType").is_none() {
        return None;
    }
    if json::member(result, "isError") == Some("true") {
        let contents = json::items(json::member(result, "content").unwrap_or_default());
        let texts: Vec<String> =
            contents.filter_map(|content| json::lossy_text(json::member(content, "text")?)).collect();
        return Some(if texts.is_empty() { "the tool says that it failed".into() } else { texts.join("\n") });
    }
    let kind = json::member(result, "resultType").and_then(json::lossy_text).filter(|kind| kind != "complete")?;
    Some(format!("the tool did not complete ({kind}): it wants something that a job list cannot give"))
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS_REVISION,
        "io.modelcontextprotocol/clientInfo": client(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

fn client() -> Value {
    json!({"name": "supervisor", "version": env!("CARGO_PKG_VERSION")})
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stateless: bool) -> Value {
        let mut out = Vec::new();
        call(&mut out, 7, "get-sum", r#"{"a":2}"#, stateless);
        assert!(!out.contains(&b'\n'), "one line, which the caller ends");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_call_names_the_tool_and_where_there_are_no_sessions_the_revision() {
        let request = written(false);
        let expected = json!({"name": "get-sum", "arguments": {"a": 2}});
        assert_eq!((&request["method"], &request["params"]), (&json!("tools/call"), &expected));
        let meta = &written(true)["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], STATELESS_REVISION);
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "supervisor");
    }

    #[test]
    fn what_a_result_means() {
        let fault = |text: &str| fault(text);
        assert_eq!(fault(r#"{"content":[{"type":"text","text":"isError"}]}"#), None);
        assert_eq!(fault(r#"{"content":[],"isError":false,"resultType":"complete"}"#), None);
        assert_eq!(fault("[1]"), None);
        let texts = r#"{"isError":true,"content":[{"type":"text","text":"a"},{"type":"image"},{"text":"b\n"}]}"#;
        assert_eq!(fault(texts).as_deref(), Some("a\nb\n"));
        assert_eq!(fault(r#"{"content":[{"text":"\ud800 oops"}],"isError":true}"#).as_deref(), Some("\u{fffd} oops"));
        let deep = format!(r#"{{"\ud800":{}{},"isError":true}}"#, "[".repeat(200), "]".repeat(200));
        assert!(fault(&deep).is_some());
        assert!(fault(r#"{"isError":true}"#).unwrap().contains("failed"));
        assert!(fault(r#"{"resultType":"input_required"}"#).unwrap().contains("input_required"));
    }
}
