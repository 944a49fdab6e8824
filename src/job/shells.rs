//! Refuses templates in which a job would become part of a shell's script: a file called `$(rm -rf ~)` must stay a file name.
//! The safe way hands the job over as an argument of the script: `sh -c 'convert "$1" out.png' sh {}`.

use super::template::{TemplateError, basename};

/// Programs whose `-c` takes a script.
const SHELLS: [&[u8]; 11] =
    [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"mksh", b"ash", b"fish", b"csh", b"tcsh", b"rbash"];

/// The index of the word that a shell would take as its script; one past the end when that is the word to be appended.
/// Any word may be the shell's name: `env sh -c`, `nice bash -c`.
pub(super) fn script(words: &[Box<[u8]>]) -> Option<usize> {
    (0..words.len())
        .filter(|index| SHELLS.contains(&basename(&words[*index])))
        .find_map(|shell| script_of(words, shell))
}

fn script_of(words: &[Box<[u8]>], shell: usize) -> Option<usize> {
    let (mut takes_script, mut index) = (false, shell + 1);
    while let Some(word) = words.get(index) {
        let is_option = word.len() > 1 && matches!(word[0], b'-' | b'+');
        if !is_option {
            break;
        }
        let is_long = word.starts_with(b"--");
        takes_script |= !is_long && word[0] == b'-' && word[1..].contains(&b'c');
        // `-o pipefail`: the name of an option is a word of its own.
        index += if !is_long && matches!(word.last(), Some(b'o' | b'O')) { 2 } else { 1 };
        if &**word == b"--" {
            break;
        }
    }
    takes_script.then_some(index)
}

/// Why, and what to write instead.
pub(super) fn refusal(words: &[Box<[u8]>], script: usize) -> TemplateError {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let Some(word) = words.get(script) else {
        return TemplateError(
            "every job would be run as a script; leave the command away to have each line run by sh -c".into(),
        );
    };
    if **word == *b"{}" {
        return TemplateError(
            "{} as the script would run every job as code; leave the command away to have each line run by sh -c"
                .into(),
        );
    }
    let safe = text(word).replace("\"{}\"", "\"$1\"").replace("'{}'", "\"$1\"").replace("{}", "\"$1\"");
    // What could not be rewritten word by word is explained by the usual example.
    let safe = if safe.contains(['{', '\'']) { "convert \"$1\" out.png".into() } else { safe };
    TemplateError(format!(
        "a placeholder inside a script ({}) would run parts of a job as code; hand it over as an argument: sh -c '{safe}' sh {{}}",
        text(word)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Template;

    fn parse(words: &[&str]) -> Result<Template, TemplateError> {
        Template::parse(words.iter().map(|word| word.as_bytes().into()).collect())
    }

    #[test]
    fn a_job_cannot_become_part_of_a_script() {
        for words in [
            &["sh", "-c", "echo {}"][..],
            &["/bin/bash", "-c", "echo '{}'"],
            &["bash", "-ec", "echo {.}"],
            &["bash", "-o", "pipefail", "-c", "cat {} | wc"],
            &["bash", "-euo", "pipefail", "-c", "cat {} | wc"],
            &["bash", "-c", "-e", "echo {}"],
            &["bash", "-c", "--", "echo {}"],
            &["zsh", "-lc", "{}"],
            &["env", "A=1", "sh", "-c", "echo {/}", "sh"],
            &["nice", "dash", "-c", "echo {1}"],
            &["sh", "-c"],
            &["busybox", "sh", "-c", "{}"],
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains("sh -c"), "{words:?}: {error}");
        }
    }

    #[test]
    fn the_message_shows_the_safe_way() {
        let error = parse(&["sh", "-c", "convert {} out.png"]).unwrap_err().to_string();
        assert!(error.ends_with("hand it over as an argument: sh -c 'convert \"$1\" out.png' sh {}"), "{error}");
        let error = parse(&["sh", "-c", "gzip \"{}\""]).unwrap_err().to_string();
        assert!(error.ends_with("sh -c 'gzip \"$1\"' sh {}"), "{error}");
        let error = parse(&["sh", "-c", "echo {.}"]).unwrap_err().to_string();
        assert!(error.ends_with("sh -c 'convert \"$1\" out.png' sh {}"), "{error}");
    }

    #[test]
    fn what_is_no_script_is_let_through() {
        for words in [
            &["sh", "-c", "convert \"$1\" out.png", "sh", "{}"][..],
            &["sh", "-c", "date"],
            &["sh", "{}"],
            &["bash", "-e", "{}"],
            &["grep", "-c", "{}"],
            &["bash", "run.sh", "-c", "{}"],
            &["ls", "sh", "{}", "-c"],
        ] {
            parse(words).unwrap();
        }
    }
}
