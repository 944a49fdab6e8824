//! Text of jobs inside messages of ours. Owns the rule that no job can rewrite the terminal through them:
//! control characters, overrides of the writing direction and bytes that are no UTF-8 are shown, not sent.

use std::io::Write;

/// Appends text that is to stay on one line: a line feed becomes `\n`, a tab `\t`.
pub fn one_line(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, |_| false);
}

/// Appends text that may have several lines: line feeds and tabs stay as they are.
pub fn multi_line(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, |character| matches!(character, '\n' | '\t'));
}

/// [`one_line`] as a string.
pub fn to_line(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    one_line(text, &mut out);
    String::from_utf8(out).expect("what is escaped is UTF-8")
}

fn escape(text: &[u8], out: &mut Vec<u8>, stays: impl Fn(char) -> bool) {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if stays(character) || !is_dangerous(character) {
                let mut bytes = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
            } else {
                push_shown(character, out);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn push_shown(character: char, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = match character {
        '\n' => out.write(b"\\n"),
        '\r' => out.write(b"\\r"),
        '\t' => out.write(b"\\t"),
        control if control < '\u{80}' => return drop(write!(out, "\\x{:02x}", control as u32)),
        other => return drop(write!(out, "\\u{{{:x}}}", other as u32)),
    };
}

/// What moves the cursor, changes colours, reorders or hides text.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_rewrite_the_terminal_is_shown() {
        assert_eq!(to_line(b"plain text"), "plain text");
        assert_eq!(to_line("grün \u{1f98a} \\n".as_bytes()), "grün \u{1f98a} \\n");
        assert_eq!(to_line(b"\x1b[2Ja\tb\r\nc\x07\x7f\0"), "\\x1b[2Ja\\tb\\r\\nc\\x07\\x7f\\x00");
        assert_eq!(to_line("\u{9b}31m\u{202e}abc\u{2066}".as_bytes()), "\\u{9b}31m\\u{202e}abc\\u{2066}");
        assert_eq!(to_line(b"caf\xe9 \xf0\x9f"), "caf\\xe9 \\xf0\\x9f");
    }

    #[test]
    fn several_lines_keep_line_feeds_and_tabs() {
        let mut out = Vec::new();
        multi_line(b"a\n\tb\x1b[0m\n", &mut out);
        assert_eq!(out, b"a\n\tb\\x1b[0m\n");
    }
}
