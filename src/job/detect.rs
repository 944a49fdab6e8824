//! Guesses how a job list is written from its first bytes, without ever waiting for more than its first line.

/// How a list is cut into jobs, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Jobs end at this byte and are plain.
    Plain(u8),
    /// Each line is a JSON value.
    JsonLines,
    /// One JSON array, its elements are the jobs.
    JsonArray,
}

/// What the bytes seen so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// It is this.
    Sure(Layout),
    /// The next line is blank and this long, its end included: skip it, then ask again.
    BlankLine(usize),
    /// More bytes are needed.
    Unsure,
}

/// Looks at the start of a list (or at what is left of it after blank lines).
///
/// The first byte that is no blank decides: `{` is JSON lines. `[` can open a line of parameters (`["Tugas 1",2]`) or an
/// array of all jobs:
/// * what follows the `[` is a number, a string, a word: parameters, since no job looks like that;
/// * an object, a line's end: an array of jobs;
/// * `]`: an empty array of jobs, or a call without parameters; the next line decides;
/// * another `[`: parameters when the array is complete at the end of its line, an array of jobs otherwise.
///
/// `json_only` is `--input json`: anything else is then a line of bad JSON rather than a plain one.
pub(super) fn guess(bytes: &[u8], ended: bool, json_only: bool, max_line: usize) -> Guess {
    let other = Guess::Sure(if json_only { Layout::JsonLines } else { Layout::Plain(b'\n') });
    let Some(first) = bytes.iter().position(|byte| !is_blank(*byte)) else {
        return match bytes.len() > max_line {
            true => other,
            false if ended => Guess::BlankLine(bytes.len()),
            false => Guess::Unsure,
        };
    };
    match bytes[first] {
        _ if first > max_line => other,
        b'\n' => Guess::BlankLine(first + 1),
        b'{' => Guess::Sure(Layout::JsonLines),
        b'[' => guess_array(&bytes[first + 1..], ended, max_line),
        _ => other,
    }
}

/// Space, tab and carriage return: what a blank line may hold.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn guess_array(inside: &[u8], ended: bool, max_line: usize) -> Guess {
    let array = Guess::Sure(Layout::JsonArray);
    let next = inside.iter().position(|byte| !is_blank(*byte));
    match next.map(|at| inside[at]) {
        None if ended || inside.len() > max_line => array,
        None => Guess::Unsure,
        Some(_) if next > Some(max_line) => array,
        Some(b'{' | b'\n') => array,
        Some(b']') => guess_after_empty(&inside[next.map_or(0, |at| at + 1)..], ended, max_line),
        Some(b'[') => match memchr::memchr(b'\n', inside) {
            Some(end) if end > max_line => array,
            Some(end) => Guess::Sure(by_first_line(&inside[..end])),
            None if inside.len() > max_line => array,
            None if ended => Guess::Sure(by_first_line(inside)),
            None => Guess::Unsure,
        },
        Some(_) => Guess::Sure(Layout::JsonLines),
    }
}

/// `[]` is a call without parameters when another job's line follows, and an empty array of jobs otherwise: at the end
/// of the list, and in front of another array of jobs.
fn guess_after_empty(after: &[u8], ended: bool, max_line: usize) -> Guess {
    let array = Guess::Sure(Layout::JsonArray);
    let mut rest = after.iter().filter(|byte| !is_blank(**byte)).skip_while(|byte| **byte == b'\n');
    match (rest.next(), rest.next()) {
        (Some(b'['), Some(b'{' | b'\n')) => array,
        (None, _) | (Some(b'['), None) if ended || after.len() > max_line => array,
        (None, _) | (Some(b'['), None) => Guess::Unsure,
        _ => Guess::Sure(Layout::JsonLines),
    }
}

/// Parameters when the array that is open before `inside` is closed at its end.
fn by_first_line(inside: &[u8]) -> Layout {
    let (mut depth, mut in_string, mut escaped) = (1_usize, false, false);
    for &byte in inside {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if depth == 0 { Layout::JsonLines } else { Layout::JsonArray }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (text, ended, guessed) in [
            ("", false, Guess::Unsure),
            ("  ", false, Guess::Unsure),
            ("  ", true, Guess::BlankLine(2)),
            (" \r\n{", false, Guess::BlankLine(3)),
            (" {", false, Guess::Sure(Layout::JsonLines)),
            ("echo", false, Guess::Sure(Layout::Plain(b'\n'))),
            ("[", false, Guess::Unsure),
            ("[", true, Guess::Sure(Layout::JsonArray)),
            ("[ \n1", false, Guess::Sure(Layout::JsonArray)),
            ("[]", true, Guess::Sure(Layout::JsonArray)),
            ("[ ] \n\n", true, Guess::Sure(Layout::JsonArray)),
            ("[]\n", false, Guess::Unsure),
            ("[]\n[", false, Guess::Unsure),
            ("[]\n[]", false, Guess::Sure(Layout::JsonLines)),
            ("[]\n[1", false, Guess::Sure(Layout::JsonLines)),
            ("[]\n[{", false, Guess::Sure(Layout::JsonArray)),
            ("[]\n{", false, Guess::Sure(Layout::JsonLines)),
            ("[ {", false, Guess::Sure(Layout::JsonArray)),
            ("[\"", false, Guess::Sure(Layout::JsonLines)),
            ("[1,", false, Guess::Sure(Layout::JsonLines)),
            ("[[1],", false, Guess::Unsure),
            ("[[1],\n", false, Guess::Sure(Layout::JsonArray)),
            ("[[1],[2]]\n", false, Guess::Sure(Layout::JsonLines)),
            ("[[1],\"]]\\\"]\"\n", false, Guess::Sure(Layout::JsonArray)),
            ("[[1],[2]] x", true, Guess::Sure(Layout::JsonLines)),
        ] {
            assert_eq!(guess(text.as_bytes(), ended, false, 100), guessed, "{text:?} ended={ended}");
        }
    }

    #[test]
    fn what_is_no_json_is_a_line_of_bad_json_when_json_was_asked_for() {
        assert_eq!(guess(b"echo", false, true, 100), Guess::Sure(Layout::JsonLines));
    }

    #[test]
    fn a_first_line_without_end_is_not_waited_for() {
        assert_eq!(guess(&[b' '; 9], false, false, 8), Guess::Sure(Layout::Plain(b'\n')));
        assert_eq!(guess(b"[[1111111111", false, false, 8), Guess::Sure(Layout::JsonArray));
        assert_eq!(guess(b"[         ", false, false, 8), Guess::Sure(Layout::JsonArray));
    }
}
