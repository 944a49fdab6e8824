//! What a line of a worker says.

use super::broken::malformed;
use crate::json::{self, one_line, plain_value, utf8};
use crate::part::Part;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::string::FromUtf8Error;

/// A line, told apart.
#[derive(Debug)]
pub enum Line<'a> {
    /// One message.
    One(Message<'a>),
    /// A JSON-RPC batch: several messages on one line.
    Batch(Vec<Message<'a>>),
    /// No message: stray output.
    Stray,
}

/// A JSON-RPC message from a worker. Values are kept as the bytes they came in.
#[derive(Debug)]
pub enum Message<'a> {
    /// The answer to a request of ours.
    Answer {
        /// The id as JSON text; `None` for `null` or a missing one.
        id: Option<&'a str>,
        /// What it says.
        outcome: Outcome<'a>,
    },
    /// It names a request as an answer does, and yet answers nothing.
    Malformed {
        /// The id as JSON text.
        id: Cow<'a, str>,
        /// What is wrong with it: `with …`.
        fault: Cow<'static, str>,
    },
    /// An item of an array that is no message; the others are.
    Stray(&'a str),
    /// Something asked of us.
    Request {
        /// The worker's own id, to be given back.
        id: &'a RawValue,
        /// What it asks for.
        method: Cow<'a, str>,
        /// With what.
        params: Option<&'a RawValue>,
    },
    /// Something told to us.
    Notification {
        /// What it tells.
        method: Cow<'a, str>,
        /// With what.
        params: Option<&'a RawValue>,
    },
}

/// What an answer says: JSON text, one value.
#[derive(Debug, Clone)]
pub enum Outcome<'a> {
    /// `result`
    Result(Cow<'a, str>),
    /// The same, large and on one line, in the memory of the line it came in.
    LargeResult(Part),
    /// `error`: an object, as it stood
    Error(Cow<'a, str>),
}

/// Parameters of the notification `ready`. All may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReadyParams {
    /// Version of the protocol.
    pub protocol: u32,
    /// What the worker calls itself.
    pub name: String,
    /// The process that runs the jobs, when it is not the one that was started.
    pub pid: Option<u32>,
    /// How many jobs it can have in flight.
    pub concurrency: u32,
    /// It takes jobs strictly in turn, so more may be sent than it runs.
    pub prefetch: bool,
    /// It hears `$/recall` also while a job runs, within some milliseconds.
    pub recall: bool,
    /// It takes an array of requests on one line.
    pub batch: bool,
    /// It writes down which requests it has begun, where it was told to (`SPV_MARKS`).
    pub marks: bool,
    /// It says `stuck` of each cancelled request that goes on, as long as the others in it can go on.
    pub stuck: bool,
    /// It may hold answers back in memory that we can read too.
    pub shelf: Option<ShelfPlace>,
}

/// Where a worker has its shelf: a file in memory which it has open, laid out as `docs/protocol.md` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShelfPlace {
    /// The descriptor under which the worker has it open.
    pub fd: u32,
    /// The first eight bytes of the file, in hexadecimal: that it is this one.
    pub mark: String,
}

impl Default for ReadyParams {
    fn default() -> Self {
        ReadyParams {
            protocol: 1,
            name: String::new(),
            pid: None,
            concurrency: 1,
            prefetch: false,
            recall: false,
            batch: false,
            marks: false,
            stuck: false,
            shelf: None,
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// `"result": null` is a result; a plain `Option` would take it for a missing one.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Outcome<'_> {
    /// The JSON text of the result or the error.
    pub fn text(&self) -> &str {
        match self {
            Outcome::Result(text) | Outcome::Error(text) => text,
            Outcome::LargeResult(part) => part,
        }
    }
}

impl<'a> Line<'a> {
    /// Tells what a line is.
    ///
    /// A line is an answer only if it has no `method`; the member `jsonrpc` is not insisted on. `"error": null` counts
    /// as no error, since some libraries send both members.
    #[inline(always)]
    pub fn parse(line: &'a [u8]) -> Line<'a> {
        plain_result(line).map_or_else(|| Line::parse_any(line), Line::One)
    }

    /// The general way.
    fn parse_any(line: &'a [u8]) -> Line<'a> {
        match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => object(line),
            Some(b'[') => batch(line),
            // A byte order mark, or zeros.
            Some(0xef | 0) => Line::of(malformed(line)),
            _ => Line::Stray,
        }
    }

    fn of(mut messages: Vec<Message<'a>>) -> Self {
        match messages.len() {
            0 => Line::Stray,
            1 => messages.pop().map_or(Line::Stray, Line::One),
            _ => Line::Batch(messages),
        }
    }
}

/// An array: of messages, mostly. What is none in it does not take the others with it.
fn batch(line: &[u8]) -> Line<'_> {
    if let Ok(envelopes) = serde_json::from_slice::<Vec<Envelope<'_>>>(line) {
        let messages: Option<Vec<_>> = envelopes.into_iter().map(Message::from_envelope).collect();
        if let Some(messages) = messages.filter(|messages| !messages.is_empty()) {
            return Line::Batch(messages);
        }
    }
    let Ok(all) = serde_json::from_slice::<&RawValue>(line) else { return Line::of(malformed(line)) };
    let messages: Vec<_> = json::items(all.get()).flat_map(item).collect();
    let is_stray = |message: &Message<'_>| matches!(message, Message::Stray(_));
    if messages.iter().all(is_stray) { Line::Stray } else { Line::Batch(messages) }
}

/// One item of an array.
fn item(text: &str) -> Vec<Message<'_>> {
    let line = if text.starts_with('{') { object(text.as_bytes()) } else { Line::Stray };
    match line {
        Line::One(message) => vec![message],
        Line::Batch(messages) => messages,
        Line::Stray => vec![Message::Stray(text)],
    }
}

fn object(text: &[u8]) -> Line<'_> {
    match serde_json::from_slice(text) {
        Ok(envelope) => Message::from_envelope(envelope).map_or(Line::Stray, Line::One),
        Err(_) => Line::of(malformed(text)),
    }
}

/// The answer that our own workers write, member for member and byte for byte: told without the general way, which costs
/// ten times as much. `None` for every other line, of whatever kind.
#[inline(always)]
fn plain_result(line: &[u8]) -> Option<Message<'_>> {
    let Parts { id, value, .. } = plain_parts(utf8(line.strip_prefix(ANSWER_BEGIN)?).ok()?)?;
    Some(Message::Answer { id: Some(id), outcome: Outcome::Result(value.into()) })
}

/// The id and the result of such an answer; the result stays in the memory of the line. The line again, when it is another
/// one.
pub fn owned_result(line: Vec<u8>) -> Result<(String, Part), Vec<u8>> {
    let line = String::from_utf8(line).map_err(FromUtf8Error::into_bytes)?;
    let parts = line.as_bytes().starts_with(ANSWER_BEGIN).then(|| plain_parts(&line[ANSWER_BEGIN.len()..]));
    let Some(Parts { id, value, is_plain }) = parts.flatten() else { return Err(line.into_bytes()) };
    let (id, at) = (id.to_owned(), Part::borrowed(&line, value));
    Ok((id, Part::of(if is_plain { line } else { one_line(line).into_owned() }, at)))
}

/// What such an answer holds.
struct Parts<'a> {
    id: &'a str,
    value: &'a str,
    /// Told at a glance, so that it is on one line.
    is_plain: bool,
}

const ANSWER_BEGIN: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// The rest of an answer that begins like this.
#[inline(always)]
fn plain_parts(rest: &str) -> Option<Parts<'_>> {
    let (id, rest) = rest.split_at(rest.bytes().position(|byte| !byte.is_ascii_digit())?);
    // 0 is a number, 07 is none.
    if !id.starts_with(|first| first > '0') && id != "0" {
        return None;
    }
    let value = rest.strip_prefix(r#","result":"#)?.strip_suffix('}')?;
    // A comma after the value would begin another member; only inside brackets or quotes it is a part of it, and then
    // the value alone is valid JSON.
    let plain = plain_value(value);
    let value = plain.or_else(|| serde_json::from_str(value).ok().map(RawValue::get))?;
    Some(Parts { id, value, is_plain: plain.is_some() })
}

impl<'a> Message<'a> {
    fn from_envelope(envelope: Envelope<'a>) -> Option<Self> {
        let Envelope { id, method, params, result, error } = envelope;
        match (method, id, result, error) {
            (Some(method), Some(id), _, _) => Some(Message::Request { id, method, params }),
            (Some(method), None, _, _) => Some(Message::Notification { method, params }),
            (None, id, _, Some(error)) => {
                Some(Message::Answer { id: id.map(RawValue::get), outcome: Outcome::Error(error.get().into()) })
            }
            (None, id, Some(result), None) => {
                Some(Message::Answer { id: id.map(RawValue::get), outcome: Outcome::Result(result.get().into()) })
            }
            (None, Some(id), None, None) => {
                Some(Message::Malformed { id: id.get().into(), fault: "with neither \"result\" nor \"error\"".into() })
            }
            (None, None, None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> String {
        fn one(message: &Message<'_>) -> String {
            match message {
                Message::Answer { id, outcome: Outcome::Result(value) } => {
                    format!("result {} {value}", id.unwrap_or("-"))
                }
                Message::Answer { outcome: Outcome::LargeResult(_), .. } => "large".into(),
                Message::Answer { id, outcome: Outcome::Error(value) } => {
                    format!("error {} {value}", id.unwrap_or("-"))
                }
                Message::Malformed { id, fault } => format!("malformed {id} {fault}"),
                Message::Stray(text) => format!("stray {text}"),
                Message::Request { id, method, .. } => format!("request {id} {method}"),
                Message::Notification { method, .. } => format!("notification {method}"),
            }
        }
        match Line::parse(line.as_bytes()) {
            Line::One(message) => one(&message),
            Line::Batch(messages) => messages.iter().map(one).collect::<Vec<_>>().join(" + "),
            Line::Stray => "stray".into(),
        }
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":7,"result":[1, 2]}"#), "result 7 [1, 2]");
        assert_eq!(kind(r#" {"id":7,"result":null} "#), "result 7 null");
        assert_eq!(kind(r#"{"id":7,"result":1,"error":null}"#), "result 7 1");
        assert_eq!(kind(r#"{"id":7,"error":{"code":1},"extra":{}}"#), r#"error 7 {"code":1}"#);
        assert_eq!(kind(r#"{"id":null,"error":{"code":1}}"#), r#"error - {"code":1}"#);
        assert_eq!(kind(r#"{"method":"ready","params":{}}"#), "notification ready");
        assert_eq!(kind(r#"{"id":1,"method":"roots\/list"}"#), "request 1 roots/list");
        assert_eq!(kind(r#"[{"id":1,"result":2},{"id":2,"result":3}]"#), "result 1 2 + result 2 3");
    }

    #[test]
    fn the_quick_way_and_the_general_one_agree() {
        let general = |line: &str| {
            let message = serde_json::from_str(line).ok().and_then(Message::from_envelope);
            message.map(|message| format!("{message:?}"))
        };
        for value in ["1", "-0.5e3", "null", "\"a\\\"}\"", "[1,{\"id\":2}]", " 1 ", "{}", "\"\u{fc}\""] {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{value}}}");
            let quick = plain_result(line.as_bytes()).map(|message| format!("{message:?}"));
            assert!(quick.is_some(), "{line}");
            assert_eq!(quick, general(&line), "{line}");
        }
        for rest in [
            "7,\"result\":1,\"error\":null}",
            "7,\"result\":1",
            "7,\"result\":}",
            "007,\"result\":1}",
            ",\"result\":1}",
            "7,\"result\":1},",
            "7,\"result\":1 2}",
            "\"a\",\"result\":1}",
        ] {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{rest}");
            assert!(plain_result(line.as_bytes()).is_none(), "{line}");
        }
        assert!(plain_result(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"\xff\"}").is_none());
    }

    #[test]
    fn an_answer_takes_over_the_memory_of_its_line() {
        let value = format!("[\"{}\"]", "x".repeat(5000));
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":12,\"result\":{value}}}").into_bytes();
        let memory = line.as_ptr();
        let (id, result) = owned_result(line).unwrap();
        assert_eq!((id.as_str(), &*result), ("12", value.as_str()));
        assert!((memory..memory.wrapping_add(100)).contains(&result.as_ptr()), "it was copied");
        for other in ["{\"id\":1,\"result\":2}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":}", "hello"] {
            assert_eq!(owned_result(other.into()).err(), Some(other.into()));
        }
    }

    #[test]
    fn what_is_no_message_is_stray() {
        for line in [
            "",
            "hello",
            "42",
            "null",
            "[1,2]",
            "[]",
            "{}",
            r#"{"id":null,"error":null}"#,
            r#"{"id":1,"method":5,"result":1}"#,
            r#"{"log":"x"}"#,
            "{'a': 1}",
            "{\"id\":1,\"result\":",
        ] {
            assert_eq!(kind(line), "stray", "{line}");
        }
        assert!(matches!(Line::parse(b"{\"log\":\"\xff\"}"), Line::Stray));
        assert_eq!(kind(&format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000))), "stray");
    }

    #[test]
    fn an_answer_that_says_nothing_is_no_stray_line() {
        for line in [r#"{"jsonrpc":"2.0","id":0}"#, r#"{"id":0,"error":null}"#] {
            assert_eq!(kind(line), "malformed 0 with neither \"result\" nor \"error\"");
        }
        assert_eq!(
            kind(r#"[{"id":1,"result":2},5,{},[{"id":2}]]"#),
            r#"result 1 2 + stray 5 + stray {} + stray [{"id":2}]"#
        );
        let twice = "malformed 2 with a member that is there twice or cannot be read";
        assert_eq!(kind(r#"{"id":2,"result":1,"result":2}"#), twice);
        assert_eq!(kind(r#"[{"id":1,"result":2},{"id":2,"result":1,"result":2}]"#), format!("result 1 2 + {twice}"));
        for line in [&b"{\"id\":3,\"result\":\"\xff\"}"[..], b"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"\xff\"}"] {
            let Line::One(Message::Malformed { id, fault }) = Line::parse(line) else { panic!("{line:?}") };
            assert_eq!((&*id, &*fault), ("3", "with bytes that are not UTF-8"));
        }
    }

    #[test]
    fn ready_fills_in_what_is_missing() {
        let ready: ReadyParams =
            serde_json::from_str(r#"{"protocol":1,"concurrency":8,"batch":true,"new":1}"#).unwrap();
        assert_eq!(ready, ReadyParams { concurrency: 8, batch: true, ..ReadyParams::default() });
    }
}
