//! A command as one would type it, whole: for people who want to run it themselves, and for the job log.

use super::model::{Argument, Call, Job};
use crate::config::Target;

impl Job {
    /// The command that the worker of this number runs for the job: a line for the shell as it is, words quoted for one.
    /// None when it is a call.
    pub fn as_command(&self, target: &Target, worker: u32) -> Option<Vec<u8>> {
        match (&self.call, target) {
            (Call::Line(line), Target::Shell) => Some(line.to_vec()),
            (Call::Line(line), Target::Template(template)) => Some(quoted(&template.fill(line, self.number.0, worker))),
            (Call::Line(_), Target::Function { .. } | Target::Tool) | (Call::Function(_), _) => None,
            (Call::Command(command), _) => Some(match &command.argument {
                Argument::Argv(words) => quoted(words),
                Argument::Shell(line) => line.to_vec(),
            }),
        }
    }
}

/// Words in the form in which a shell would read them as they are, on one line and in UTF-8.
fn quoted(words: &[Box<[u8]>]) -> Vec<u8> {
    words.iter().map(|word| quoted_word(word)).collect::<Vec<_>>().join(&b' ')
}

fn quoted_word(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    match std::str::from_utf8(word) {
        Ok(text) if !text.contains(char::is_control) => {
            [b"'", word.split(|&byte| byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]).as_slice(), b"'"].concat()
        }
        _ => with_escapes(word),
    }
}

/// `$'...'`, the form that bash, zsh and ksh have for bytes that are no text. Octal, since only that ends after three digits.
fn with_escapes(word: &[u8]) -> Vec<u8> {
    let mut quoted = b"$'".to_vec();
    for chunk in word.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => quoted.extend_from_slice(b"\\n"),
                '\t' => quoted.extend_from_slice(b"\\t"),
                '\r' => quoted.extend_from_slice(b"\\r"),
                '\\' | '\'' => quoted.extend([b'\\', letter as u8]),
                _ if letter.is_control() => {
                    letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_octal(byte, &mut quoted))
                }
                _ => quoted.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_octal(byte, &mut quoted));
    }
    quoted.push(b'\'');
    quoted
}

fn push_octal(byte: u8, quoted: &mut Vec<u8>) {
    quoted.extend_from_slice(format!("\\{byte:03o}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        let words: [Box<[u8]>; 4] = [(*b"touch").into(), (*b"a b").into(), (*b"").into(), (*b"it's").into()];
        assert_eq!(quoted(&words), br"touch 'a b' '' 'it'\''s'");
    }

    #[test]
    fn words_that_are_no_line_of_text_have_escapes() {
        for (word, expected) in [
            (&b"a\nb"[..], r"$'a\nb'"),
            (b"it's \t\\ \x1b[1m", r"$'it\'s \t\\ \033[1m'"),
            (b"caf\xe9 1", r"$'caf\351 1'"),
            ("café\n\u{85}".as_bytes(), r"$'café\n\302\205'"),
            ("café".as_bytes(), "'café'"),
        ] {
            assert_eq!(String::from_utf8(quoted(&[word.into()])).unwrap(), expected);
        }
    }
}
