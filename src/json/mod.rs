//! JSON text that is passed on as the bytes it is. Owns [`Json`], the proof that a text is one value, and the quick look
//! that finds out so for the small plain values which most calls and results are; builds no values.

mod canonical;
mod one_line;
mod parts;
mod string;

use crate::part::Part;
use compact_str::CompactString;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;
use string::PLAIN;

pub(crate) use canonical::{lossy_text, plain_string, push_plain_string, same_value, string_length, without_halves};
pub(crate) use one_line::one_line;
pub use one_line::push_one_line;
pub(crate) use parts::{items, member, members};
pub(crate) use string::whole_characters;
pub use string::{push_bytes, push_hex, push_string};

/// The text of one JSON value. Up to 24 bytes of it take no memory of their own: most results are as short.
///
/// ```
/// use supervisor::json::Json;
///
/// let params = Json::parse("[1, {\"deep\": true}]").unwrap();
/// assert_eq!(params.get(), "[1, {\"deep\": true}]");
/// assert!(Json::parse("[1,").is_err());
/// ```
#[derive(Clone)]
pub struct Json(Text);

#[derive(Clone)]
enum Text {
    /// In memory of its own, of any length.
    Own(CompactString),
    /// A part of a large text, on one line.
    Shared(Box<Part>),
}

impl Json {
    /// Takes a text that is one value, with blanks around it or not.
    ///
    /// # Errors
    ///
    /// Says where the text is no JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let value: &RawValue = serde_json::from_str(text)?;
        Ok(Json(Text::Own(value.get().into())))
    }

    /// Takes a text that somebody has looked through already.
    pub(crate) fn known<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        debug_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "no JSON: {text}");
        Json(Text::Own(text.into()))
    }

    /// The same with a part of a large text, which stays in its memory and has no line ends.
    pub(crate) fn known_part(part: Part) -> Self {
        debug_assert!(memchr::memchr2(b'\n', b'\r', part.as_bytes()).is_none(), "a value on one line");
        Json(Text::Shared(Box::new(part)))
    }

    /// The text, without blanks around it.
    pub fn get(&self) -> &str {
        match &self.0 {
            Text::Own(text) => text,
            Text::Shared(part) => part,
        }
    }

    /// The text on one line, in the memory it is in.
    pub(crate) fn into_part(self) -> Part {
        match self.0 {
            Text::Shared(part) => *part,
            Text::Own(text) => {
                let text = one_line(text.into_string()).into_owned();
                let at = 0..text.len();
                Part::of(text, at)
            }
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl Deref for Json {
    type Target = str;

    fn deref(&self) -> &str {
        self.get()
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Json(Text::Own(value.to_string().into()))
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Deepest nesting that is followed.
pub(crate) const QUICK_DEPTH_MAX: u32 = 8;

/// Bytes of a string that are looked at together, where it goes on for longer.
const PIECE: usize = 64;

/// How many bytes at the front stand in a string as they are. At the speed of memory: of large strings all but a few bytes
/// are of this kind.
fn long_run(bytes: &[u8]) -> usize {
    let is_plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    let pieces = bytes.chunks_exact(PIECE);
    let plain = pieces.take_while(|piece| piece.iter().fold(true, |all, &byte| all & is_plain(byte))).count() * PIECE;
    plain + bytes[plain..].iter().take_while(|&&byte| is_plain(byte)).count()
}

/// The same bytes as text, when they are UTF-8: told at a glance where all are ASCII, as nearly always.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    match bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        true => Ok(unsafe { std::str::from_utf8_unchecked(bytes) }),
        false => std::str::from_utf8(bytes),
    }
}

/// Whether this is one plain value on one line, nothing before or after it and not too deep. `None` says nothing: the
/// general parser has to be asked.
pub(crate) fn plain_value(text: &str) -> Option<&str> {
    let mut plain = Plain::new(text);
    plain.value(QUICK_DEPTH_MAX)?;
    (plain.at == text.len()).then_some(text)
}

/// A look at plain JSON, from the front to the back. Each step gives `None` where it meets what it does not know.
pub(crate) struct Plain<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Plain { text, at: 0 }
    }

    /// Whether all of the text was seen, blanks behind it left out.
    pub(crate) fn is_over(&mut self) -> bool {
        self.blanks();
        self.at == self.text.len()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes this byte, if it is the next one.
    pub(crate) fn pass(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    pub(crate) fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// A string without escapes; what is between its quotes.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.pass(b'"')?;
        let from = self.at;
        self.run();
        self.pass(b'"')?;
        Some(&self.text[from..self.at - 1])
    }

    /// A string as a value, with escapes or without.
    fn any_string(&mut self) -> Option<()> {
        self.pass(b'"')?;
        loop {
            self.run();
            let next = self.peek()?;
            self.at += 1;
            match next {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// What follows a backslash. Halves of surrogate pairs pass, as they do with the general parser.
    fn escape(&mut self) -> Option<()> {
        let digits = match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
            b'u' => 4,
            _ => return None,
        };
        let all = self.rest().get(1..=digits)?.iter().all(u8::is_ascii_hexdigit);
        all.then(|| self.at += 1 + digits)
    }

    /// The bytes that stand in a string as they are.
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let near = bytes.len().min(self.at + PIECE);
        while self.at < near && PLAIN[usize::from(bytes[self.at])] {
            self.at += 1;
        }
        if self.at == near {
            self.at += long_run(&bytes[near..]);
        }
    }

    /// A value, as it stands.
    pub(crate) fn value(&mut self, depth: u32) -> Option<&'a str> {
        let from = self.at;
        match self.peek()? {
            b'"' => self.any_string()?,
            b'[' => self.items(b']', depth, |plain, depth| plain.value(depth).map(drop))?,
            b'{' => self.items(b'}', depth, |plain, depth| {
                plain.string()?;
                plain.colon()?;
                plain.value(depth).map(drop)
            })?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Some(&self.text[from..self.at])
    }

    /// An object, each of whose members is passed by `member`: its name, the colon and the value.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.blanks();
        self.pass(b'{')?;
        loop {
            self.blanks();
            member(self)?;
            self.blanks();
            if self.pass(b'}').is_some() {
                return Some(());
            }
            self.pass(b',')?;
        }
    }

    /// The colon behind a member's name, with blanks around it or not.
    pub(crate) fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.pass(b':')?;
        self.blanks();
        Some(())
    }

    /// What stands between brackets or braces, each passed by `item`.
    fn items(&mut self, close: u8, depth: u32, item: impl Fn(&mut Self, u32) -> Option<()>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        self.blanks();
        if self.peek()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self, depth)?;
            self.blanks();
            let next = self.peek()?;
            self.at += 1;
            if next == close {
                return Some(());
            }
            if next != b',' {
                return None;
            }
            self.blanks();
        }
    }

    /// Passes these bytes, if they are the next ones.
    pub(crate) fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest().starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.peek()?;
        if self.digits()? > 1 && first == b'0' {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Some digits; how many.
    fn digits(&mut self) -> Option<usize> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(self.at - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_values_are_known_and_all_others_left_to_the_parser() {
        for known in [
            "0",
            "-1",
            "12.50",
            "\"\"",
            "\"a b\"",
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "[1,2]",
            "[ 1, \"x\" ]",
            "{\"a\":[{}],\"b\" : 1}",
            "[[[[[[[]]]]]]]",
            "\"\u{fc}\"",
            "\"\x7f\"",
            "1e5",
            "-0.1E-05",
            "1e+999999",
            r#""\n""#,
            r#"["a\"b\\",1]"#,
            r#""\ud800\/""#,
        ] {
            assert_eq!(plain_value(known), Some(known));
        }
        for other in [
            "",
            " 1",
            "1 ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "\"a",
            r#""\""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12"#,
            r#"{"\n":1}"#,
            "\"\t\"",
            "tru",
            "[1",
            "[1,]",
            "[,1]",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":1,}",
            "[1\n]",
            "1,2",
            "[[[[[[[[[]]]]]]]]]",
            "\u{fc}",
        ] {
            assert_eq!(plain_value(other), None, "{other}");
        }
        for length in (0..5 * PIECE).step_by(7) {
            let text = "x".repeat(length);
            for (end, is_plain) in
                [("", true), ("\\n", true), ("\u{fc}", true), ("\n", false), ("\"", false), ("\\", false)]
            {
                let value = format!("\"{text}{end}{text}\"");
                assert_eq!(plain_value(&value).is_some(), is_plain, "{value}");
            }
        }
    }

    proptest! {
        /// What the quick look lets pass is what the general parser lets pass, to the byte.
        #[test]
        fn the_quick_look_knows_only_json(
            text in "[-0-9.,:\\[\\]{}\" tfnrueals\\\\E+x]{0,24}|\"[a0un\\\\\"/]{0,10}\"|-?[0-9]{1,3}[.0-9eE+-]{0,5}",
        ) {
            if let Some(value) = plain_value(&text) {
                let general: &RawValue = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(value, general.get());
            }
        }
    }
}
