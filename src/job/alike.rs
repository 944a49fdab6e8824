//! Lines that are as the one before but for the parameters, as in most lists: one function called over and over. What was
//! found out about the beginning of the one before need not be found out again. What is otherwise it leaves to the general way.

use super::plain::PlainCall;
use crate::json::{QUICK_DEPTH_MAX, blanks_end, byte_end, utf8, value_end};
use std::ops::Range;

/// Longest beginning that is remembered: longer ones than a function's name takes are rare, and cost little beside the rest.
const HEAD_BYTES_MAX: usize = 256;

/// Longest line that is looked at. Whether a longer one has come whole is found out first, by a search that remembers how far
/// it came: looked at with each piece that comes, it would cost the square of its length.
const LINE_BYTES_MAX: usize = 4096;

/// How the last call began.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// All that stood before its parameters; nothing, or text that begins an object.
    head: String,
    /// Where its method stands in there.
    method: Range<usize>,
}

/// A line that is as the one before.
pub(super) struct LikeCall<'a> {
    /// None when the line is only parameters.
    pub(super) method: Option<&'a str>,
    pub(super) params: &'a str,
    /// With its end.
    pub(super) line_bytes: usize,
}

impl Alike {
    /// Remembers how this call begins, where the next one may begin the same.
    pub(super) fn note(&mut self, text: &str, call: &PlainCall<'_>) {
        let (Some(method), Some(params), None) = (call.method, call.params, call.id) else { return };
        let place = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
        let (method, params) = (place(method)..place(method) + method.len(), place(params));
        if method.end < params && params <= HEAD_BYTES_MAX {
            self.head.clear();
            self.head.push_str(&text[..params]);
            self.method = method;
        }
    }

    /// The line at the front of these bytes, if it is a call like the one before, or only parameters, and ends in them.
    /// `None` says nothing.
    #[inline(always)]
    pub(super) fn call<'a>(&'a self, bytes: &'a [u8]) -> Option<LikeCall<'a>> {
        let bytes = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let is_bare = bytes.first() == Some(&b'[');
        let start = match is_bare {
            true => 0,
            false if self.head.is_empty() || !bytes.starts_with(self.head.as_bytes()) => return None,
            false => self.head.len(),
        };
        if !matches!(bytes.get(start), Some(b'[' | b'{')) {
            return None;
        }
        let end = value_end(bytes, start, QUICK_DEPTH_MAX)?;
        let mut at = blanks_end(bytes, end);
        if !is_bare {
            at = blanks_end(bytes, byte_end(bytes, at, b'}')?);
        }
        let line_bytes = byte_end(bytes, at, b'\n')?;
        let method = (!is_bare).then(|| &self.head[self.method.clone()]);
        Some(LikeCall { method, params: utf8(&bytes[start..end]).ok()?, line_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::InputFormat;
    use crate::job::plain::plain_call;
    use crate::job::{End, Reader};
    use proptest::prelude::*;

    fn entries(lines: &[String]) -> Vec<String> {
        let mut reader = Reader::new(InputFormat::Json, 1000);
        // So it is no array, whatever follows.
        reader.push(b"{\"command\":\"x\"}\n");
        lines.iter().for_each(|line| reader.push(line.as_bytes()));
        reader.finish(End::Complete);
        reader.skip(1).map(|entry| format!("{entry:?}")).collect()
    }

    #[test]
    fn the_same_call_is_known_again() {
        let first = r#"{"method": "a", "params": [1]}"#;
        let mut alike = Alike::default();
        assert!(alike.call(b"{\"method\": \"a\", \"params\": [2]}\n").is_none(), "nothing was before");
        alike.note(first, &plain_call(first).unwrap());
        let again = "{\"method\": \"a\", \"params\": {\"x\":[\"\u{fc}\"]} } \nmore";
        let call = alike.call(again.as_bytes()).unwrap();
        assert_eq!((call.method, call.params, call.line_bytes), (Some("a"), "{\"x\":[\"\u{fc}\"]}", again.len() - 4));
        let bare = alike.call(b"[1, 2] \n[3").unwrap();
        assert_eq!((bare.method, bare.params, bare.line_bytes), (None, "[1, 2]", 8));
        for other in [
            "{\"method\": \"b\", \"params\": [2]}\n",
            "{\"method\": \"a\", \"params\": 2}\n",
            "{\"method\": \"a\", \"params\": [2],\"id\":1}\n",
            "{\"method\": \"a\", \"params\": [2]}}\n",
            "{\"method\": \"a\", \"params\": [2]}",
            "{\"method\": \"a\", \"params\": [2",
            "[1]x\n",
            "[1\n]\n",
        ] {
            assert!(alike.call(other.as_bytes()).is_none(), "{other}");
        }
        assert!(alike.call(b"[\"\xff\"]\n").is_none(), "no text");
        let long = |bytes: usize| [b"[\"", &vec![b'x'; bytes - 5][..], b"\"]\n"].concat();
        assert!(alike.call(&long(LINE_BYTES_MAX)).is_some());
        assert!(alike.call(&long(LINE_BYTES_MAX + 1)).is_none(), "its end is searched for first");
    }

    proptest! {
        /// Whatever stood before it, a line says what it says by itself.
        #[test]
        fn lines_say_the_same_whatever_was_before(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    r#"{"method":"a","params":[1]}"#, r#"{"method":"a","params":[1,{"b":"c"}]}"#, r#"{"method":"a","params":[1]},"#,
                    r#"{"method":"a","params":[1],"timeout":3}"#, r#"{"method":"a","params":{}}"#, r#"{"method":"a","params":[1}"#,
                    r#"{"params":[1],"method":"a"}"#, r#"{"params":[1]}"#, r#"{"method":"a"}"#, "[1]", "[1] ", "[1]]", "[[", "{}", "",
                    r#"{"id":1,"method":"a","params":[1]}"#, r#"{"method":"","params":[1]}"#, "{\"method\":\"a\",\"params\":[1]}\r",
                ]),
                1..12,
            ),
        ) {
            let told = entries(&lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>());
            let mut alone = Vec::new();
            for (before, line) in lines.iter().enumerate() {
                // Empty jobs keep the numbers of lines and jobs as they are in the whole list.
                let mut list: Vec<String> = lines[..before].iter().map(|line| match line.trim() {
                    "" => "\n".into(),
                    _ => "{\"command\":\"x\"}\n".to_string(),
                }).collect();
                let jobs = entries(&list).len();
                list.push(format!("{line}\n"));
                alone.extend(entries(&list).into_iter().skip(jobs));
            }
            prop_assert_eq!(told, alone);
        }
    }
}
