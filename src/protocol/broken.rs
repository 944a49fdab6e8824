//! Lines that answer a request by their looks and cannot be understood: which request, and what is wrong. Whoever waits for
//! that answer would wait for ever if they were taken for somebody's print.

use super::message::{Line, Message};
use crate::json::{self, string_length, utf8};
use serde_json::value::RawValue;
use std::borrow::Cow;

const TWICE: &str = "with a member that is there twice or cannot be read";
const NOT_UTF_8: &str = "with bytes that are not UTF-8";

/// Words that some libraries write for numbers that JSON does not have.
const NO_NUMBERS: [&str; 2] = ["NaN", "Infinity"];

/// The answers in a line that is no message as it stands: one for each id, since nobody knows which of two was meant.
pub(super) fn malformed(line: &[u8]) -> Vec<Message<'_>> {
    let Ok(text) = utf8(line) else { return not_utf8(line) };
    match serde_json::from_str::<&RawValue>(text) {
        Ok(object) => {
            let members = || json::members(object.get());
            let is = |given: &str, name: &str| json::plain_string(given).trim_matches('"') == name;
            if members().any(|(name, _)| is(name, "method")) {
                return Vec::new();
            }
            let ids = members().filter(|(name, id)| is(name, "id") && *id != "null");
            ids.map(|(_, id)| Message::Malformed { id: id.into(), fault: TWICE.into() }).collect()
        }
        Err(error) => {
            let ids = loose_ids(text);
            ids.into_iter().map(|id| Message::Malformed { id: id.into(), fault: no_json(text, &error) }).collect()
        }
    }
}

/// The same where even the bytes make no sense.
fn not_utf8<'a>(line: &[u8]) -> Vec<Message<'a>> {
    let own = |message: Message<'_>| match message {
        Message::Answer { id: Some(id), .. } => {
            Some(Message::Malformed { id: id.to_owned().into(), fault: NOT_UTF_8.into() })
        }
        Message::Malformed { id, fault } => Some(Message::Malformed { id: id.into_owned().into(), fault }),
        _ => None,
    };
    match Line::parse(String::from_utf8_lossy(line).as_bytes()) {
        Line::One(message) => own(message).into_iter().collect(),
        Line::Batch(messages) => messages.into_iter().filter_map(own).collect(),
        Line::Stray => Vec::new(),
    }
}

fn no_json(text: &str, error: &serde_json::Error) -> Cow<'static, str> {
    if text.trim_start().starts_with('\u{feff}') {
        return "with a byte order mark in front of it".into();
    }
    let at = error.column();
    let near = &text.as_bytes()[at.saturating_sub(2).min(text.len())..(at + 8).min(text.len())];
    let is_near = |word: &&str| memchr::memmem::find(near, word.as_bytes()).is_some();
    let hint = NO_NUMBERS.iter().find(|word| is_near(word)).map(|word| format!("; JSON knows no {word}"));
    format!("with text that is no JSON ({error}{})", hint.unwrap_or_default()).into()
}

/// The ids in what was to be an answer, or an array of such, and is no JSON. Lines that do not say `"jsonrpc"` are somebody's
/// log, and what has a method asks or tells something.
fn loose_ids(text: &str) -> Vec<&str> {
    let text = text.trim_start_matches(|one: char| one == '\u{feff}' || one == '\0' || one.is_whitespace());
    let members_at = match text.strip_prefix('[') {
        _ if text.starts_with('{') => 1,
        Some(rest) if rest.trim_start().starts_with('{') => 2,
        _ => return Vec::new(),
    };
    if !text.contains("\"jsonrpc\"") {
        return Vec::new();
    }
    let (mut ids, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    let (mut from, mut has_method) = (0, false);
    let mut close = |ids: &mut Vec<&str>, has_method: &mut bool| {
        ids.truncate(if std::mem::take(has_method) { from } else { ids.len() });
        from = ids.len();
    };
    while let Some(&byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                let end = at + string_length(&text.as_bytes()[at..]);
                let value = text[end..].trim_start().strip_prefix(':').filter(|_| depth == members_at);
                match (&text[at..end], value) {
                    ("\"id\"", Some(value)) => ids.extend(loose_id(value.trim_start())),
                    ("\"method\"", Some(_)) => has_method = true,
                    _ => {}
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth == members_at {
                    close(&mut ids, &mut has_method);
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        at += 1;
    }
    close(&mut ids, &mut has_method);
    ids
}

/// The id that begins here, unless it is null.
fn loose_id(text: &str) -> Option<&str> {
    let length = if text.starts_with('"') {
        string_length(text.as_bytes())
    } else {
        text.find([',', '}', ']', ' ']).unwrap_or(text.len())
    };
    Some(&text[..length]).filter(|id| !matches!(*id, "" | "null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<(String, String)> {
        let all = malformed(line.as_bytes()).into_iter();
        let told = all.map(|message| match message {
            Message::Malformed { id, fault } => (id.into_owned(), fault.into_owned()),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn what_is_no_json_names_the_request_and_the_place() {
        for (line, ids, fault) in [
            (
                r#"{"jsonrpc":"2.0","id":0,"result":NaN}"#,
                &["0"][..],
                "(expected value at line 1 column 34; JSON knows no NaN)",
            ),
            (r#"{"jsonrpc":"2.0","result":[1,-Infinity],"id": 7 }"#, &["7"], "JSON knows no Infinity"),
            ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}", &["0"], "with a byte order mark"),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"a b\",\"result\":\"\0\"}", &["\"a b\""], "control character"),
            ("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"id\":4}}\0", &["3"], "trailing characters"),
            (r#"[{"jsonrpc":"2.0","id":1,"result":NaN},{"id":2,"method":"x"},{"id":3}]"#, &["1", "3"], "NaN"),
            (r#"{"jsonrpc":"2.0","id":0,"result":"#, &["0"], "EOF"),
            (r#"{"jsonrpc":"2.0","id":0,"id":5,"result":1}"#, &["0", "5"], TWICE),
            (r#"{"id":null,"id":5,"result":1}"#, &["5"], TWICE),
        ] {
            let told = told(line);
            assert_eq!(told.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ids, "{line:?}");
            assert!(told.iter().all(|(_, why)| why.contains(fault)), "{told:?} {fault}");
        }
    }

    #[test]
    fn logs_and_questions_are_no_broken_answers() {
        for line in [
            r#"{"id":0,"level":"info","value":NaN}"#,
            r#"{"jsonrpc":"2.0","id":0,"method":"x","params":NaN}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":NaN}"#,
            r#"{"jsonrpc":"2.0","result":{"id":0},NaN}"#,
            r#"jsonrpc {"jsonrpc":"2.0","id":0}"#,
            r#"["jsonrpc", "id":0"#,
            "",
            "{",
            r#"{"jsonrpc" "id":"#,
        ] {
            assert_eq!(told(line), [], "{line}");
        }
    }
}
