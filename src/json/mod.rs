//! JSON text that is passed on as the bytes it is. Owns [`Json`], the proof that a text is one value, and the quick look
//! (`plain`) that finds out so for the small plain values which most calls and results are; builds no values.

mod canonical;
mod counting;
mod one_line;
mod parts;
mod plain;
mod string;

use crate::part::Part;
use compact_str::CompactString;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;

pub(crate) use canonical::{lossy_text, plain_string, push_plain_string, same_value, string_length, without_halves};
pub use counting::Counting;
pub(crate) use one_line::one_line;
pub use one_line::push_one_line;
pub(crate) use parts::{items, member, members};
pub(crate) use plain::{Plain, QUICK_DEPTH_MAX, blanks_end, byte_end, plain_value, value_end};
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
    #[inline(always)]
    pub(crate) fn known<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        debug_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "no JSON: {text}");
        Json(Text::Own(match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }))
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

/// The same bytes as text, when they are UTF-8: told at a glance where all are ASCII, as nearly always.
#[inline(always)]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    match is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        true => Ok(unsafe { std::str::from_utf8_unchecked(bytes) }),
        false => std::str::from_utf8(bytes),
    }
}

/// Of short texts eight bytes at a time, the last ones twice rather than by themselves.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const LONG: usize = 64;
    let Some(&last) = bytes.last_chunk().filter(|_| bytes.len() < LONG) else { return bytes.is_ascii() };
    let mut all = u64::from_ne_bytes(last);
    for eight in bytes.chunks_exact(8) {
        all |= u64::from_ne_bytes(eight.try_into().expect("eight of them"));
    }
    all & HIGH == 0
}
