//! Requests: one line of JSON in, a value out. Pure.
//!
//! Whatever can be wrong with a request is found here, so that later code holds nothing that cannot be executed for
//! a reason the sender could have known: no NUL bytes, no empty argument list, no text where bytes are meant.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::CString;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Run a command.
    Exec(Box<Request>),
    /// Stop the command that was asked for with this id.
    Cancel(Id),
    /// Give it back if it was not begun.
    Recall(Id),
    /// The spilled output of this id has been read.
    Release(Id),
    /// Nothing that concerns us.
    Ignored,
    /// It is wrong, and the sender is told.
    Refused(Refusal),
}

/// An id as its JSON text stood in the request: compared and sent back as it is.
pub(super) type Id = Box<str>;

/// A command to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: Id,
    pub(super) command: Command,
    pub(super) cwd: Option<CString>,
    /// Entries `NAME=value`.
    pub(super) env: Vec<CString>,
    pub(super) stdin: Option<Vec<u8>>,
    /// The entry `SPV_JOB_ID=…`.
    pub(super) job: Option<CString>,
    /// The entry `SPV_ATTEMPT=…`.
    pub(super) attempt: Option<CString>,
    /// Bytes of the request's JSON, for counting what waits in memory.
    pub(super) size: usize,
}

/// How a command is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Program and arguments; never empty.
    Argv(Vec<CString>),
    /// A line for `sh -c`.
    Shell(CString),
}

/// Why a request is not carried out, in the words of JSON-RPC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// None where it could not be read.
    pub(super) id: Option<Id>,
    pub(super) code: i32,
    pub(super) message: String,
}

/// The prefix of the variable that tells a command its job.
pub(super) const JOB_PREFIX: &[u8] = b"SPV_JOB_ID=";
/// The prefix of the variable that tells a command which try this is.
pub(super) const ATTEMPT_PREFIX: &[u8] = b"SPV_ATTEMPT=";

/// The line is no JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// Reads one line, without its line end, and hands each message in it to `take`.
pub(super) fn read_line(line: &[u8], mut take: impl FnMut(Message)) {
    let text = line.trim_ascii();
    match text.first() {
        None => {}
        Some(b'[') => match serde_json::from_slice::<Vec<&RawValue>>(text) {
            Ok(batch) if batch.is_empty() => take(refuse(None, INVALID_REQUEST, "the batch is empty".into())),
            Ok(batch) => batch.iter().for_each(|one| take(read_message(one.get().as_bytes()))),
            Err(error) => take(refuse(None, PARSE_ERROR, format!("no JSON: {error}"))),
        },
        Some(_) => take(read_message(text)),
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    command: Option<&'a RawValue>,
    #[serde(borrow)]
    cwd: Option<&'a RawValue>,
    #[serde(borrow)]
    env: Option<&'a RawValue>,
    #[serde(borrow)]
    stdin: Option<&'a RawValue>,
    #[serde(borrow)]
    job: Option<&'a RawValue>,
    #[serde(borrow)]
    attempt: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

fn read_message(text: &[u8]) -> Message {
    let envelope: Envelope = match serde_json::from_slice(text) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => return refuse(None, INVALID_REQUEST, format!("no request: {error}")),
        Err(error) => return refuse(None, PARSE_ERROR, format!("no JSON: {error}")),
    };
    let id = envelope.id.map(RawValue::get);
    if id.is_some_and(|id| id.starts_with(['{', '[', 't', 'f'])) {
        return refuse(None, INVALID_REQUEST, "\"id\" must be a string or a number".into());
    }
    let method = envelope.method.map(|raw| serde_json::from_str::<Cow<'_, str>>(raw.get()));
    let params = envelope.params.map_or("{}", RawValue::get);
    match (method, id) {
        (Some(Ok(method)), None) => read_notification(&method, params),
        (Some(Ok(method)), Some(id)) if method == "exec" => match read_exec(id, params, text.len()) {
            Ok(request) => Message::Exec(Box::new(request)),
            Err(fault) => refuse(Some(id), INVALID_PARAMS, fault),
        },
        (Some(Ok(method)), Some(_)) => {
            refuse(id, METHOD_NOT_FOUND, format!("no method {method:?}; this worker knows \"exec\""))
        }
        // An answer, which we never asked for.
        (None, Some(_)) if envelope.params.is_none() => Message::Ignored,
        (_, None) => refuse(None, INVALID_REQUEST, "\"method\" must be a string".into()),
        (_, Some(_)) => refuse(id, INVALID_REQUEST, "\"method\" must be a string".into()),
    }
}

fn read_notification(method: &str, params: &str) -> Message {
    let named = || serde_json::from_str::<Named>(params).ok().map(|named| Id::from(named.id.get()));
    match method {
        "$/cancelRequest" => named().map_or(Message::Ignored, Message::Cancel),
        "$/recall" => named().map_or(Message::Ignored, Message::Recall),
        "$/release" => named().map_or(Message::Ignored, Message::Release),
        _ => Message::Ignored,
    }
}

fn refuse(id: Option<&str>, code: i32, message: String) -> Message {
    Message::Refused(Refusal { id: id.map(Id::from), code, message })
}

fn read_exec(id: &str, params: &str, size: usize) -> Result<Request, String> {
    let params: Params = serde_json::from_str(params).map_err(|error| format!("\"params\": {error}"))?;
    let command = params.command.ok_or("\"command\" is missing: give an array of words, or a string for sh -c")?;
    Ok(Request {
        id: id.into(),
        command: read_command(command.get())?,
        cwd: params.cwd.map(|raw| c_string(bytes(raw.get(), "cwd")?, "cwd")).transpose()?,
        env: params.env.map_or(Ok(Vec::new()), |raw| read_env(raw.get()))?,
        stdin: params.stdin.map(|raw| bytes(raw.get(), "stdin")).transpose()?,
        job: params.job.map(|raw| entry(JOB_PREFIX, bytes_or_number(raw.get(), "job")?, "job")).transpose()?,
        attempt: params.attempt.map(|raw| read_attempt(raw.get())).transpose()?,
        size,
    })
}

fn read_command(text: &str) -> Result<Command, String> {
    if !text.starts_with('[') {
        return Ok(Command::Shell(c_string(bytes(text, "command")?, "command")?));
    }
    let words: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| format!("\"command\": {error}"))?;
    if words.is_empty() {
        return Err("\"command\" must hold at least the program".into());
    }
    let words = words.iter().map(|word| c_string(bytes(word.get(), "command")?, "command"));
    Ok(Command::Argv(words.collect::<Result<_, _>>()?))
}

fn read_env(text: &str) -> Result<Vec<CString>, String> {
    let map: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(text).map_err(|_| "\"env\" must be an object of strings".to_owned())?;
    map.iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains('=') {
                return Err(format!("\"env\": {name:?} is no name of a variable"));
            }
            entry(format!("{name}=").as_bytes(), bytes(value.get(), "env")?, "env")
        })
        .collect()
}

fn read_attempt(text: &str) -> Result<CString, String> {
    let number: u64 = text.parse().map_err(|_| "\"attempt\" must be a whole number".to_owned())?;
    entry(ATTEMPT_PREFIX, number.to_string().into_bytes(), "attempt")
}

/// A string's bytes; those that are no UTF-8 come as `{"base64":"…"}`.
fn bytes(text: &str, member: &str) -> Result<Vec<u8>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Encoded<'a> {
        #[serde(borrow)]
        base64: Cow<'a, str>,
    }
    if text.starts_with('"') {
        let string = serde_json::from_str::<Cow<'_, str>>(text).map_err(|error| format!("{member:?}: {error}"))?;
        return Ok(string.into_owned().into_bytes());
    }
    let encoded: Encoded = serde_json::from_str(text)
        .map_err(|_| format!("{member:?} must hold strings, or bytes as {{\"base64\":\"…\"}}"))?;
    STANDARD.decode(encoded.base64.as_bytes()).map_err(|error| format!("{member:?}: no base64: {error}"))
}

fn bytes_or_number(text: &str, member: &str) -> Result<Vec<u8>, String> {
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(text.as_bytes().to_vec());
    }
    bytes(text, member)
}

fn entry(prefix: &[u8], value: Vec<u8>, member: &str) -> Result<CString, String> {
    c_string([prefix, &value].concat(), member)
}

fn c_string(bytes: Vec<u8>, member: &str) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| format!("{member:?} holds a NUL byte, which no command can be given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(line: &str) -> Vec<Message> {
        let mut all = Vec::new();
        read_line(line.as_bytes(), |message| all.push(message));
        all
    }

    fn exec(params: &str) -> Result<Request, String> {
        let line = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"exec","params":{params}}}"#);
        match messages(&line).pop() {
            Some(Message::Exec(request)) => Ok(*request),
            Some(Message::Refused(Refusal { id: Some(id), code: INVALID_PARAMS, message })) if &*id == "7" => {
                Err(message)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_a_request_can_hold() {
        let request = exec(
            r#"{"command":["a",{"base64":"/w=="},"\u00e9"],"cwd":"d","env":{"K":"v","A":""},"stdin":"x\n","job":"a1","attempt":2,"more":[1]}"#,
        )
        .unwrap();
        let words = [&b"a"[..], b"\xff", "é".as_bytes()].map(|word| CString::new(word).unwrap());
        assert_eq!(request.command, Command::Argv(words.to_vec()));
        assert_eq!(request.cwd, Some(c"d".into()));
        assert_eq!(request.env, [c"A=".into(), c"K=v".into()] as [CString; 2]);
        assert_eq!(request.stdin.as_deref(), Some(&b"x\n"[..]));
        assert_eq!(request.job, Some(c"SPV_JOB_ID=a1".into()));
        assert_eq!(request.attempt, Some(c"SPV_ATTEMPT=2".into()));
        assert_eq!(exec(r#"{"command":"a b"}"#).unwrap().command, Command::Shell(c"a b".into()));
        assert_eq!(exec(r#"{"command":{"base64":"/w=="},"job":12}"#).unwrap().job, Some(c"SPV_JOB_ID=12".into()));
    }

    #[test]
    fn bad_parameters_are_named() {
        for (params, part) in [
            ("{}", "\"command\""),
            (r#"{"command":[]}"#, "at least the program"),
            (r#"{"command":["a",1]}"#, "\"command\" must hold strings"),
            (r#"{"command":"a\u0000b"}"#, "NUL"),
            (r#"{"command":["a","\u0000"]}"#, "NUL"),
            (r#"{"command":"a","cwd":3}"#, "\"cwd\""),
            (r#"{"command":"a","env":["K"]}"#, "\"env\""),
            (r#"{"command":"a","env":{"A=B":"c"}}"#, "\"env\""),
            (r#"{"command":"a","env":{"":"c"}}"#, "\"env\""),
            (r#"{"command":"a","env":{"A":null}}"#, "\"env\""),
            (r#"{"command":"a","stdin":[]}"#, "\"stdin\""),
            (r#"{"command":"a","attempt":-1}"#, "\"attempt\""),
            (r#"{"command":{"base64":"*"}}"#, "no base64"),
            ("[1]", "\"params\""),
            ("3", "\"params\""),
        ] {
            let message = exec(params).unwrap_err();
            assert!(message.contains(part), "{params}: {message}");
        }
    }

    #[test]
    fn what_is_no_request_to_run_something() {
        for (line, code, id) in [
            ("{", PARSE_ERROR, None),
            ("nonsense", PARSE_ERROR, None),
            ("[", PARSE_ERROR, None),
            ("[]", INVALID_REQUEST, None),
            ("3", INVALID_REQUEST, None),
            (r#"{"id":[],"method":"exec"}"#, INVALID_REQUEST, None),
            (r#"{"id":1,"method":3}"#, INVALID_REQUEST, Some("1")),
            (r#"{"params":{}}"#, INVALID_REQUEST, None),
            (r#"{"id":"x","method":"tugas"}"#, METHOD_NOT_FOUND, Some("\"x\"")),
        ] {
            let [Message::Refused(refusal)] = &messages(line)[..] else { panic!("{line}") };
            assert_eq!((refusal.code, refusal.id.as_deref()), (code, id), "{line}");
        }
        for line in
            ["", "  ", r#"{"method":"exec","params":{"command":"a"}}"#, r#"{"method":"log"}"#, r#"{"id":3,"result":1}"#]
        {
            assert!(messages(line).iter().all(|message| *message == Message::Ignored), "{line}");
        }
        let bytes = b"{\"id\":1,\"method\":\"\xff\"}";
        read_line(bytes, |message| assert!(matches!(message, Message::Refused(_))));
    }

    #[test]
    fn notifications_and_batches() {
        let cancel = r#"{"method":"$/cancelRequest","params":{"id":"a"}}"#;
        assert_eq!(messages(cancel), [Message::Cancel("\"a\"".into())]);
        assert_eq!(messages(r#"{"method":"$/release","params":{"id":7}}"#), [Message::Release("7".into())]);
        assert_eq!(messages(r#"{"method":"$/cancelRequest"}"#), [Message::Ignored]);
        let batch = format!(r#"[{{"id":1,"method":"exec","params":{{"command":"a"}}}},{cancel},5]"#);
        assert!(matches!(&messages(&batch)[..], [Message::Exec(_), Message::Cancel(_), Message::Refused(_)]));
    }
}
