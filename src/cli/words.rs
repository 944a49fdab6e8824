//! Cuts `--worker 'PROGRAM ARGS'` into words by the quoting rules of a shell, without a shell: no variables, no globs, no
//! operators, so that nothing in it is ever run but the program.

/// The words of a command line. `'...'` is literal, in `"..."` a backslash protects `"`, `\`, `$` and a backquote, elsewhere it
/// protects any character.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(rest.next().ok_or("a backslash at the end protects nothing")?),
            '\'' => {
                let (inside, after) = rest.as_str().split_once('\'').ok_or("the quote ' is not closed")?;
                word.get_or_insert_default().push_str(inside);
                rest = after.chars();
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if words.iter().any(|word| word.contains('\0')) {
        return Err("a program's arguments cannot hold NUL".into());
    }
    Ok(words)
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    const OPEN: &str = "the quote \" is not closed";
    loop {
        match rest.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            '\\' => {
                let letter = rest.next().ok_or(OPEN)?;
                if !matches!(letter, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(letter);
            }
            letter => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_and_quotes() {
        for (line, words) in [
            ("", &[][..]),
            ("  npx  -y server ", &["npx", "-y", "server"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a'b'\"c\"d", &["abcd"]),
            ("'' \"\"", &["", ""]),
            (r#"a\ b "c\"d\e" 'f\g'"#, &["a b", "c\"d\\e", "f\\g"]),
            ("$HOME *.c a;b", &["$HOME", "*.c", "a;b"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_is_left_open_is_named() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
