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

/// Words in the form in which a shell would read them as they are.
fn quoted(words: &[Box<[u8]>]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    let word = |word: &[u8]| match word {
        _ if !word.is_empty() && word.iter().all(is_plain) => word.to_vec(),
        _ => {
            [b"'", word.split(|&byte| byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]).as_slice(), b"'"].concat()
        }
    };
    words.iter().map(|bytes| word(bytes)).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        let words: [Box<[u8]>; 4] = [(*b"touch").into(), (*b"a b").into(), (*b"").into(), (*b"it's").into()];
        assert_eq!(quoted(&words), br"touch 'a b' '' 'it'\''s'");
    }
}
