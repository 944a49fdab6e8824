//! A look at plain JSON that knows what most calls and results are, and leaves the rest to the general parser. It says
//! "yes" or nothing: a second parser that could refuse would be a second opinion on what JSON is.

use super::string::PLAIN;

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

/// Whether this is one plain value on one line, nothing before or after it and not too deep. `None` says nothing: the
/// general parser has to be asked.
pub(crate) fn plain_value(text: &str) -> Option<&str> {
    (value_end(text.as_bytes(), 0, QUICK_DEPTH_MAX)? == text.len()).then_some(text)
}

/// A look at plain JSON, from the front to the back. Each step gives `None` where it meets what it does not know.
pub(crate) struct Plain<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Plain<'a> {
    #[inline(always)]
    pub(crate) fn new(text: &'a str) -> Self {
        Plain { text, at: 0 }
    }

    /// Whether all of the text was seen, blanks behind it left out.
    #[inline(always)]
    pub(crate) fn is_over(&mut self) -> bool {
        self.blanks();
        self.at == self.text.len()
    }

    /// Passes this byte, if it is the next one.
    #[inline(always)]
    pub(crate) fn pass(&mut self, byte: u8) -> Option<()> {
        (*self.text.as_bytes().get(self.at)? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    pub(crate) fn blanks(&mut self) {
        self.at = blanks_end(self.text.as_bytes(), self.at);
    }

    /// A string without escapes; what is between its quotes.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.pass(b'"')?;
        let from = self.at;
        self.at = run_end(self.text.as_bytes(), from);
        self.pass(b'"')?;
        Some(&self.text[from..self.at - 1])
    }

    /// A value, as it stands.
    #[inline(always)]
    pub(crate) fn value(&mut self, depth: u32) -> Option<&'a str> {
        let from = self.at;
        self.at = value_end(self.text.as_bytes(), from, depth)?;
        Some(&self.text[from..self.at])
    }

    /// An object, each of whose members is passed by `member`: its name, the colon and the value.
    #[inline(always)]
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.open()?;
        loop {
            member(self)?;
            if !self.goes_on()? {
                return Some(());
            }
        }
    }

    /// Passes the beginning of an object, up to its first member.
    #[inline(always)]
    pub(crate) fn open(&mut self) -> Option<()> {
        self.blanks();
        self.pass(b'{')?;
        self.blanks();
        Some(())
    }

    /// Passes what follows a member: whether that is another one.
    #[inline(always)]
    pub(crate) fn goes_on(&mut self) -> Option<bool> {
        self.blanks();
        if self.pass(b'}').is_some() {
            return Some(false);
        }
        self.pass(b',')?;
        self.blanks();
        Some(true)
    }

    /// The colon behind a member's name, with blanks around it or not.
    pub(crate) fn colon(&mut self) -> Option<()> {
        self.at = colon_end(self.text.as_bytes(), self.at)?;
        Some(())
    }

    /// Passes these bytes, if they are the next ones.
    #[inline(always)]
    pub(crate) fn word(&mut self, word: &[u8]) -> Option<()> {
        self.at = word_end(self.text.as_bytes(), self.at, word)?;
        Some(())
    }
}

// Where something ends that begins at a place of a text. Places are handed on by value, so that they stay in registers:
// kept in memory they were half of what a short value costs.

/// Blanks, if any.
#[inline(always)]
pub(crate) fn blanks_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

#[inline(always)]
fn word_end(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// This byte.
#[inline(always)]
pub(crate) fn byte_end(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

fn colon_end(bytes: &[u8], at: usize) -> Option<usize> {
    Some(blanks_end(bytes, byte_end(bytes, blanks_end(bytes, at), b':')?))
}

/// The bytes that stand in a string as they are. Eight at a time, as long as there are so many.
#[inline]
fn run_end(bytes: &[u8], mut at: usize) -> usize {
    let near = at + PIECE;
    while let Some(eight) = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()) {
        let special = special_bytes(u64::from_le_bytes(eight));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == near {
            return at + long_run(&bytes[at..]);
        }
    }
    let rest = &bytes[at.min(bytes.len())..];
    at + rest.iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(rest.len())
}

/// The high bits of those of eight bytes that do not stand in a string as they are. Above the lowest there may be others set.
#[inline]
fn special_bytes(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |value: u64, limit: u8| value.wrapping_sub(ONES * u64::from(limit)) & !value;
    let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (below(eight, b' ') | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

/// A string as a value, with escapes or without, behind its first quote.
#[inline(never)]
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = run_end(bytes, at);
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape_end(bytes, at + 1)?,
            _ => return None,
        }
    }
}

/// What follows a backslash. Halves of surrogate pairs pass, as they do with the general parser.
fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = match *bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
        b'u' => 4,
        _ => return None,
    };
    let end = at + 1 + digits;
    bytes.get(at + 1..end)?.iter().all(u8::is_ascii_hexdigit).then_some(end)
}

/// A value of any kind, no deeper than this.
pub(crate) fn value_end(bytes: &[u8], at: usize, depth: u32) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => string_end(bytes, at + 1),
        b'[' => items_end(bytes, at, b']', depth, value_end),
        b'{' => items_end(bytes, at, b'}', depth, |bytes, at, depth| {
            let name = run_end(bytes, byte_end(bytes, at, b'"')?);
            value_end(bytes, colon_end(bytes, byte_end(bytes, name, b'"')?)?, depth)
        }),
        b't' => word_end(bytes, at, b"true"),
        b'f' => word_end(bytes, at, b"false"),
        b'n' => word_end(bytes, at, b"null"),
        _ => number_end(bytes, at),
    }
}

/// What stands between brackets or braces, each passed by `item`.
#[inline(never)]
fn items_end(
    bytes: &[u8],
    at: usize,
    close: u8,
    depth: u32,
    item: impl Fn(&[u8], usize, u32) -> Option<usize>,
) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut at = blanks_end(bytes, at + 1);
    if *bytes.get(at)? == close {
        return Some(at + 1);
    }
    loop {
        at = blanks_end(bytes, item(bytes, at, depth)?);
        match *bytes.get(at)? {
            byte if byte == close => return Some(at + 1),
            b',' => at = blanks_end(bytes, at + 1),
            _ => return None,
        }
    }
}

#[inline(always)]
fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let from = at + usize::from(*bytes.get(at)? == b'-');
    let mut end = digits_end(bytes, from)?;
    if bytes[from] == b'0' && end > from + 1 {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits_end(bytes, end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        end += 1;
        end += usize::from(matches!(bytes.get(end), Some(b'+' | b'-')));
        end = digits_end(bytes, end)?;
    }
    Some(end)
}

/// Some digits, one at least.
#[inline(always)]
fn digits_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (at > from).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

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
