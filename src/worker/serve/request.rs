//! Understanding what comes in, borrowed from the line it came in.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Something asked, told or answered by the other side, in one look.
#[derive(Debug, Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// `"result": null` is a result; a plain `Option` would take it for a missing one.
fn even_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Incoming<'a> {
    /// One message; `None` when the text is no object of that kind.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The id when it is one that JSON-RPC allows: a number or a string, as JSON text.
    pub(super) fn valid_id(&self) -> Option<&'a str> {
        let text = self.id?.get();
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
    let about: About<'_> = serde_json::from_str(incoming.params?.get()).ok()?;
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
    fn cancellations_and_lines() {
        assert_eq!(cancelled_id(br#"{"method":"$/cancelRequest","params":{"id":7}}"#), Some("7"));
        assert_eq!(cancelled_id(br#"{"id":1,"method":"f","params":["$/cancelRequest"]}"#), None);
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
