//! The same JSON on one line. Valid JSON has line ends only between its tokens, where a space means the same.

use std::borrow::Cow;

/// Appends JSON text, with line ends made spaces.
#[inline(always)]
pub fn push_one_line(out: &mut Vec<u8>, json: &str) {
    let from = out.len();
    out.extend_from_slice(json.as_bytes());
    if has_line_end(json.as_bytes()) {
        make_one_line(&mut out[from..]);
    }
}

/// JSON text without line ends, in the memory it is in where it is somebody's own.
pub(crate) fn one_line<'a>(json: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let json = json.into();
    if !has_line_end(json.as_bytes()) {
        return json;
    }
    let mut bytes = json.into_owned().into_bytes();
    make_one_line(&mut bytes);
    Cow::Owned(String::from_utf8(bytes).expect("one character of ASCII became another"))
}

/// Up to here a text is looked through byte by byte: a search with wide registers costs as much before it begins.
const SHORT: usize = 16;

#[inline(always)]
fn has_line_end(json: &[u8]) -> bool {
    match json.len() {
        0..=SHORT => {
            for &byte in json {
                if byte < b' ' && (byte == b'\n' || byte == b'\r') {
                    return true;
                }
            }
            false
        }
        _ => memchr::memchr2(b'\n', b'\r', json).is_some(),
    }
}

#[cold]
fn make_one_line(json: &mut [u8]) {
    json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_spaces_and_memory_stays() {
        for (json, line) in [("[1,2]", "[1,2]"), ("[1,\r\n2]", "[1,  2]"), ("", "")] {
            let (mut out, text) = (b"x".to_vec(), json.to_owned());
            push_one_line(&mut out, json);
            assert_eq!(out, format!("x{line}").into_bytes());
            let memory = text.as_ptr();
            let same = one_line(text);
            assert_eq!((&*same, same.as_ptr()), (line, memory));
            assert_eq!(one_line(json), line);
        }
    }
}
