//! Understanding what comes in, borrowed from the line it came in.

use crate::json::{Plain, QUICK_DEPTH_MAX, utf8};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Something asked, told or answered by the other side, in one look: its method, and JSON texts.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) id: Option<&'a str>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) params: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    pub(super) result: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) error: Option<&'a str>,
}

fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a str>, D::Error> {
    Ok(Option::<&RawValue>::deserialize(deserializer)?.map(RawValue::get))
}

/// `"result": null` is a result; a plain `Option` would take it for a missing one.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a str>, D::Error> {
    Ok(Some(<&RawValue>::deserialize(deserializer)?.get()))
}

impl<'a> Incoming<'a> {
    /// One message; `None` when the text is no object of that kind.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let text = utf8(line).ok()?;
        Incoming::quick(text).or_else(|| serde_json::from_str(text).ok())
    }

    /// The messages of an array; `None` when it is none, or has anything else in it.
    pub(super) fn parse_batch(line: &'a [u8]) -> Option<Vec<Self>> {
        let text = utf8(line).ok()?;
        Incoming::quick_batch(text).or_else(|| serde_json::from_str(text).ok())
    }

    /// A plain request, as most are. `None` says nothing.
    fn quick(text: &'a str) -> Option<Self> {
        let mut plain = Plain::new(text);
        let request = Incoming::plain(&mut plain)?;
        plain.is_over().then_some(request)
    }

    fn quick_batch(text: &'a str) -> Option<Vec<Self>> {
        let mut plain = Plain::new(text);
        let mut batch = Vec::new();
        plain.pass(b'[')?;
        loop {
            batch.push(Incoming::plain(&mut plain)?);
            plain.blanks();
            if plain.pass(b']').is_some() {
                return plain.is_over().then_some(batch);
            }
            plain.pass(b',')?;
        }
    }

    fn plain(plain: &mut Plain<'a>) -> Option<Self> {
        let mut request = Incoming::default();
        let mut is_versioned = false;
        plain.object(|plain| {
            if plain.word(b"\"jsonrpc\":\"2.0\"").is_some() {
                return (!std::mem::replace(&mut is_versioned, true)).then_some(());
            }
            if plain.word(b"\"method\":").is_some() {
                plain.blanks();
                return request.method.replace(plain.string()?.into()).is_none().then_some(());
            }
            let slot = if plain.word(b"\"params\":").is_some() {
                &mut request.params
            } else {
                plain.word(b"\"id\":")?;
                &mut request.id
            };
            plain.blanks();
            let value = plain.value(QUICK_DEPTH_MAX).filter(|value| *value != "null")?;
            slot.replace(value).is_none().then_some(())
        })?;
        Some(request)
    }

    /// The id when it is one that JSON-RPC allows: a number or a string, as JSON text.
    pub(super) fn valid_id(&self) -> Option<&'a str> {
        let text = self.id?;
        text.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit()).then_some(text)
    }

    /// Whether it answers something that we asked.
    pub(super) fn is_answer(&self) -> bool {
        self.method.is_none() && (self.result.is_some() || self.error.is_some())
    }
}

/// The id in the parameters of `$/cancelRequest` or `$/recall`, as JSON text. A call that runs cannot be stopped, so
/// they mean the same.
pub(super) fn cancelled_id(line: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct About<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let incoming = Incoming::parse(line)?;
    if !matches!(incoming.method.as_deref(), Some(CANCEL | RECALL)) || incoming.id.is_some() {
        return None;
    }
    let about: About<'_> = serde_json::from_str(incoming.params?).ok()?;
    Some(about.id.get())
}

/// The notification that a request is not wanted any more.
pub(super) const CANCEL: &str = "$/cancelRequest";

/// The notification that a request is wanted back if it was not begun.
pub(super) const RECALL: &str = "$/recall";

/// The lines of a piece.
pub(super) fn lines(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// The name of those known that was probably meant.
pub(super) fn near_miss<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let lower = name.to_lowercase();
    known
        .map(|other| (distance(&lower, &other.to_lowercase()), other))
        .filter(|(far, _)| *far <= limit)
        .min()
        .map(|(_, other)| other)
}

/// How many letters have to be changed, added or left out to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_probably_meant() {
        let known = ["add_one", "echo", "counter"];
        let miss = |name| near_miss(name, known.into_iter());
        assert_eq!(miss("addone"), Some("add_one"));
        assert_eq!(miss("ADD_ONE"), Some("add_one"));
        assert_eq!(miss("ecko"), Some("echo"));
        assert_eq!(miss("nothing"), None);
    }

    #[test]
    fn requests_of_many_kinds_and_what_is_none() {
        let parsed = Incoming::parse(br#"{"jsonrpc":"2.0","id":"a","method":"f","params":[1]}"#).unwrap();
        assert_eq!((parsed.id, parsed.method.as_deref(), parsed.params), (Some("\"a\""), Some("f"), Some("[1]")));
        let nothing = Incoming::parse(br#"{"id":null,"result":null}"#).unwrap();
        assert_eq!((nothing.id, nothing.result), (None, Some("null")));
        assert_eq!(Incoming::parse(b"{\"id\":1,\"x\":\"\xff\"}"), None);
        assert_eq!(Incoming::parse_batch(b"[{\"id\":1},{\"id\":2}]").map(|batch| batch.len()), Some(2));
        assert_eq!(Incoming::parse_batch(b"[]").map(|batch| batch.len()), Some(0));
        assert_eq!(Incoming::parse_batch(b"[{\"id\":1},2]"), None);
    }

    proptest! {
        #[test]
        fn a_quick_look_finds_what_the_general_parser_finds(
            names in prop::collection::vec(prop::sample::select(vec!["jsonrpc", "id", "method", "params", "x"]), 0..5),
            values in prop::collection::vec("\"2.0\"|\"[a\\\\]{0,2}\"|\\[[1,]{0,3}\\]|\\{\\}|null|-?[01e.]{1,3}", 5),
            gap in " {0,2}",
            end in "[ ,}\\]]?",
        ) {
            let pairs: Vec<_> = names.iter().zip(&values).map(|(name, value)| format!("{gap}\"{name}\":{gap}{value}")).collect();
            let one = format!("{{{}{gap}}}{end}", pairs.join(","));
            if let Some(quick) = Incoming::quick(&one) {
                prop_assert_eq!(Some(quick), serde_json::from_str(&one).ok());
            }
            let two = format!("[{{{}}}{gap},{one}]{end}", pairs.join(","));
            if let Some(quick) = Incoming::quick_batch(&two) {
                prop_assert_eq!(Some(quick), serde_json::from_str(&two).ok());
            }
        }
    }

    #[test]
    fn cancellations_and_lines() {
        assert_eq!(cancelled_id(br#"{"method":"$/cancelRequest","params":{"id":7}}"#), Some("7"));
        assert_eq!(cancelled_id(br#"{"id":1,"method":"f","params":["$/cancelRequest"]}"#), None);
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
