//! One spelling for all that mean the same: of a string, and of a whole value. Takes text that is known to be JSON; builds
//! no values, so that nothing it can hold (halves of surrogate pairs, long numbers, deep nesting) is beyond it.

use super::string::push_escaped;
use std::borrow::Cow;
use std::ops::Range;

/// Whether two texts of JSON are the same value: strings however they are escaped, numbers by what they stand for (1 is
/// 1.0), members in any order. Of members with the same name the last one counts.
pub(crate) fn same_value(one: &str, other: &str) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// A JSON string in the one spelling that has the fewest escapes. Costs nothing where there are none.
pub(crate) fn plain_string(json: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', json.as_bytes()).is_none() {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len());
    push_plain_string(&mut out, json.as_bytes());
    Cow::Owned(String::from_utf8(out).expect("escapes of ASCII became characters"))
}

/// Appends a JSON string, quotes included, in that spelling.
pub(crate) fn push_plain_string(out: &mut Vec<u8>, json: &[u8]) {
    push_decoded(out, json, |out, code| match char::from_u32(code) {
        Some(character @ ('"' | '\\' | '\0'..='\x1f')) => push_escaped(out, character as u8),
        Some(character) => push_character(out, character),
        // Half a surrogate pair is no character: it can only stay an escape.
        None => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
    });
}

/// What a JSON string says, as far as it is text: of a surrogate pair half is shown as U+FFFD. Nothing for other values.
pub(crate) fn lossy_text(json: &str) -> Option<String> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = Vec::with_capacity(inner.len());
    push_decoded(&mut out, inner.as_bytes(), |out, code| {
        push_character(out, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    });
    String::from_utf8(out).ok()
}

/// The same JSON with U+FFFD for each half of a surrogate pair, so that all its strings are text.
pub(crate) fn without_halves(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (code, taken) = unescape(&rest.as_bytes()[at..]);
        let end = at + taken;
        out.push_str(if char::from_u32(code).is_some() { &rest[..end] } else { &rest[..at] });
        out.push_str(if char::from_u32(code).is_some() { "" } else { "\\ufffd" });
        rest = &rest[end..];
    }
    out + rest
}

/// Appends what is in a JSON string; `push` is for what stands there as an escape.
fn push_decoded(out: &mut Vec<u8>, json: &[u8], push: impl Fn(&mut Vec<u8>, u32)) {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (code, taken) = unescape(&rest[at..]);
        push(out, code);
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
}

fn push_character(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Bytes of the JSON string that begins here, quotes included.
pub(crate) fn string_length(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if json[at + next] == b'"' {
            return at + next + 1;
        }
        at += next + 2;
    }
    json.len()
}

/// What the escape at the front stands for, and its length.
fn unescape(escape: &[u8]) -> (u32, usize) {
    let short = match escape[1] {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unit(escape),
        other => other,
    };
    (short.into(), 2)
}

fn unescape_unit(escape: &[u8]) -> (u32, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let high = unit(0).expect("an escape has four digits");
    match (high, unit(6)) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12),
        _ => (high, 6),
    }
}

/// An array or an object that is being written.
enum Open {
    Array,
    /// Where each of its members begins.
    Object(Vec<usize>),
}

/// The value in its one spelling.
fn canonical(json: &str) -> Vec<u8> {
    let mut rest = json.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    let mut open = Vec::new();
    while let Some(&byte) = rest.first() {
        let taken = match byte {
            b'"' => {
                let length = string_length(rest);
                push_plain_string(&mut out, &rest[..length]);
                length
            }
            b'-' | b'0'..=b'9' => {
                let length =
                    rest.iter().take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
                let length = length.count();
                push_number(&mut out, &rest[..length]);
                length
            }
            b' ' | b'\t' | b'\r' | b'\n' => 1,
            _ => {
                push_other(&mut out, &mut open, byte);
                1
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// Appends a bracket, a comma, a colon or a letter of a word.
fn push_other(out: &mut Vec<u8>, open: &mut Vec<Open>, byte: u8) {
    if let (b'}', Some(Open::Object(begins))) = (byte, open.last()) {
        sort_members(out, begins);
    }
    out.push(byte);
    match (byte, open.last_mut()) {
        (b'[', _) => open.push(Open::Array),
        (b'{', _) => open.push(Open::Object(vec![out.len()])),
        (b']' | b'}', _) => drop(open.pop()),
        (b',', Some(Open::Object(begins))) => begins.push(out.len()),
        _ => {}
    }
}

/// Puts the members at the end of `out` in the order of their names.
fn sort_members(out: &mut Vec<u8>, begins: &[usize]) {
    let from = begins[0];
    let ends = begins[1..].iter().map(|begin| begin - 1).chain([out.len()]);
    let mut members: Vec<Range<usize>> = begins.iter().zip(ends).map(|(&begin, end)| begin..end).collect();
    let name = |member: &Range<usize>| {
        let member = &out[member.clone()];
        &member[..string_length(member).min(member.len())]
    };
    if members.windows(2).all(|pair| name(&pair[0]) < name(&pair[1])) {
        return;
    }
    members.reverse();
    members.sort_by(|one, other| name(one).cmp(name(other)));
    members.dedup_by(|later, earlier| name(later) == name(earlier));
    let sorted = members.into_iter().map(|member| &out[member]).collect::<Vec<_>>().join(&b","[..]);
    out.truncate(from);
    out.extend_from_slice(&sorted);
}

/// Appends a number as its digits, none of them a zero at either end, and the power of ten.
fn push_number(out: &mut Vec<u8>, json: &[u8]) {
    let (mantissa, exponent) = match json.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&json[..at], std::str::from_utf8(&json[at + 1..]).ok().and_then(|text| text.parse::<i64>().ok())),
        None => (json, Some(0)),
    };
    let fraction = mantissa.iter().position(|&byte| byte == b'.').map_or(0, |point| mantissa.len() - point - 1);
    let digits: Vec<u8> =
        mantissa.iter().copied().filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0').collect();
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    let power = exponent.and_then(|exponent| exponent.checked_add(zeros as i64 - fraction as i64));
    match power {
        _ if digits.is_empty() => out.push(b'0'),
        Some(power) => {
            out.extend_from_slice(if json[0] == b'-' { b"-" } else { b"" });
            out.extend_from_slice(&digits[..digits.len() - zeros]);
            out.extend_from_slice(format!("e{power}").as_bytes());
        }
        // A power that no 64 bits hold: the same only as what is spelt like it.
        None => out.extend_from_slice(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_has_one_spelling() {
        for (json, plain) in [
            (r#""a b""#, r#""a b""#),
            (r#""\u00e9\/\u0061""#, "\"\u{e9}/a\""),
            (r#""\"\\\n\u000A\b\u001F""#, r#""\"\\\n\n\u0008\u001f""#),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            (r#""\uDCFF\ud800x\ud800\ud83d\ude00""#, "\"\\udcff\\ud800x\\ud800\u{1f600}\""),
            (r#""\ud800\u0041""#, "\"\\ud800A\""),
            (r#""\u0022\u005c""#, r#""\"\\""#),
        ] {
            assert_eq!(plain_string(json), plain, "{json}");
            assert_eq!(plain_string(plain), plain, "{json}");
        }
    }

    #[test]
    fn a_string_is_text_but_for_halves_of_pairs() {
        let text = lossy_text(r#""a\u000a\"\ud83d\ude00\udcff""#);
        assert_eq!(text.as_deref(), Some("a\n\"\u{1f600}\u{fffd}"));
        assert_eq!(lossy_text("1"), None);
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_nothing_else() {
        for (json, text) in [
            (r#"{"a\\ud800":["\ud83d\ude00\n"]}"#, r#"{"a\\ud800":["\ud83d\ude00\n"]}"#),
            (r#"["\udcff", "x\ud800\ud83d\ude00"]"#, r#"["\ufffd", "x\ufffd\ud83d\ude00"]"#),
            (r#""\ud800\"\ud800""#, r#""\ufffd\"\ufffd""#),
            ("1", "1"),
        ] {
            assert_eq!(without_halves(json), text);
        }
    }

    #[test]
    fn values_are_compared_by_what_they_say() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(5000), "]".repeat(5000));
        for (one, other) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("-0.50", "-5E-1"),
            ("0", "-0.0e9"),
            ("1000000000000000000000000000001", "1000000000000000000000000000001.0"),
            ("1e400", "10e399"),
            (r#"{"a":1,"b":[ 1 , {} ]}"#, r#"{"b":[1,{}],"a":1.0}"#),
            (r#"{"a":1,"a":2}"#, r#"{"\u0061":2}"#),
            (r#"{"a":{"d":1,"c":2},"b":{}}"#, r#"{"b":{},"a":{"c":2,"d":1}}"#),
            (r#""\ud800""#, r#""\uD800""#),
            ("[true, null]", "[true,null]"),
            (&deep("1"), &deep(" 1")),
        ] {
            assert!(same_value(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "\"1\""),
            ("0.1", "0.10000000000000000001"),
            ("1000000000000000000000000000001", "1e30"),
            ("1", "-1"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("[1,2]", "[2,1]"),
            ("[]", "{}"),
            ("null", "0"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
            (&deep("1"), &deep("2")),
        ] {
            assert!(!same_value(one, other), "{one} {other}");
        }
    }

    proptest! {
        /// Where the general parser can read two texts and compares numbers exactly, both say the same.
        #[test]
        fn it_agrees_with_the_general_parser(
            one in r#"\{"[ab]":[0-2],"[ab]":(\[\]|\[1, 2\]|"x"|\{"c":1,"[bc]":null\})\}"#,
            other in r#"\{"[ab]":[0-2], "[ab]":(\[\]|\[1,2\]|"\\u0078"|\{"c":1,"[bc]":null\})\}"#,
        ) {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(same_value(&one, &other), value(&one) == value(&other));
        }
    }
}
