//! Command templates with GNU parallel's placeholders. A filled placeholder is always part of one argument: whatever bytes a
//! job holds, nothing but the program that is started ever interprets them.
//!
//! | placeholder | stands for | `dir.d/a.tar.gz` |
//! | --- | --- | --- |
//! | `{}`, `{1}` | the job | `dir.d/a.tar.gz` |
//! | `{.}`, `{1.}` | without its extension | `dir.d/a.tar` |
//! | `{/}`, `{1/}` | the last part of the path | `a.tar.gz` |
//! | `{//}`, `{1//}` | the directory | `dir.d` |
//! | `{/.}`, `{1/.}` | the last part without its extension | `a.tar` |
//! | `{#}` | the job's number | |
//! | `{%}` | the worker's number | |
//!
//! Anything else in braces stays as it is, `{2}` too: there is one input, and `grep -E 'x{2}'` means what it says.

use super::shells;
use std::fmt;

/// A command line with placeholders, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    words: Vec<Box<[u8]>>,
    parsed: Vec<Word>,
}

/// Why words are no template: a sentence for the user, with the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError(pub(super) String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

/// One argument, as the pieces it is made of.
type Word = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Hole(Hole),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Job,
    WithoutExtension,
    Basename,
    Dirname,
    BasenameWithoutExtension,
    Number,
    Worker,
}

/// Longer names first, so that none is taken for the start of another.
const PLACEHOLDERS: [(&[u8], Hole); 12] = [
    (b"{1/.}", Hole::BasenameWithoutExtension),
    (b"{1//}", Hole::Dirname),
    (b"{/.}", Hole::BasenameWithoutExtension),
    (b"{//}", Hole::Dirname),
    (b"{1.}", Hole::WithoutExtension),
    (b"{1/}", Hole::Basename),
    (b"{1}", Hole::Job),
    (b"{.}", Hole::WithoutExtension),
    (b"{/}", Hole::Basename),
    (b"{#}", Hole::Number),
    (b"{%}", Hole::Worker),
    (b"{}", Hole::Job),
];

impl Template {
    /// Parses the words after `--`. Without any placeholder the job becomes one more argument.
    ///
    /// # Errors
    ///
    /// When there are no words, or when a job would become part of a shell's script.
    pub fn parse(words: Vec<Box<[u8]>>) -> Result<Self, TemplateError> {
        if words.is_empty() {
            return Err(TemplateError("expected a command after --".into()));
        }
        let mut parsed: Vec<Word> = words.iter().map(|word| parse_word(word)).collect();
        let has_hole = |word: &Word| word.iter().any(|piece| matches!(piece, Piece::Hole(_)));
        if !parsed.iter().any(has_hole) {
            parsed.push(vec![Piece::Hole(Hole::Job)]);
        }
        if let Some(script) = shells::script(&words).filter(|script| parsed.get(*script).is_some_and(has_hole)) {
            return Err(shells::refusal(&words, script));
        }
        Ok(Template { words, parsed })
    }

    /// The words as they were given.
    pub fn words(&self) -> &[Box<[u8]>] {
        &self.words
    }

    /// The command for one job.
    ///
    /// ```
    /// # use supervisor::job::Template;
    /// let words = ["convert", "{}", "{.}.png"].map(|word| word.as_bytes().into());
    /// let template = Template::parse(words.into()).unwrap();
    /// assert_eq!(*template.fill(b"a b.jpg", 1, 1)[2], *b"a b.png");
    /// ```
    pub fn fill(&self, line: &[u8], number: u64, worker: u32) -> Vec<Box<[u8]>> {
        self.parsed.iter().map(|word| fill_word(word, line, number, worker)).collect()
    }
}

fn parse_word(word: &[u8]) -> Word {
    let (mut pieces, mut text, mut rest) = (Vec::new(), Vec::new(), word);
    while let Some(at) = memchr::memchr(b'{', rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match PLACEHOLDERS.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, hole)) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                pieces.push(Piece::Hole(*hole));
                rest = &rest[name.len()..];
            }
            None => {
                text.push(b'{');
                rest = &rest[1..];
            }
        }
    }
    text.extend_from_slice(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    pieces
}

fn fill_word(word: &Word, line: &[u8], number: u64, worker: u32) -> Box<[u8]> {
    let mut filled = Vec::new();
    for piece in word {
        match piece {
            Piece::Text(text) => filled.extend_from_slice(text),
            Piece::Hole(Hole::Job) => filled.extend_from_slice(line),
            Piece::Hole(Hole::WithoutExtension) => filled.extend_from_slice(without_extension(line)),
            Piece::Hole(Hole::Basename) => filled.extend_from_slice(basename(line)),
            Piece::Hole(Hole::Dirname) => filled.extend_from_slice(dirname(line)),
            Piece::Hole(Hole::BasenameWithoutExtension) => filled.extend_from_slice(without_extension(basename(line))),
            Piece::Hole(Hole::Number) => filled.extend_from_slice(number.to_string().as_bytes()),
            Piece::Hole(Hole::Worker) => filled.extend_from_slice(worker.to_string().as_bytes()),
        }
    }
    filled.into()
}

/// Up to the last dot, when no slash comes after it. `.bashrc` is all extension, as in GNU parallel.
fn without_extension(path: &[u8]) -> &[u8] {
    match memchr::memrchr2(b'.', b'/', path) {
        Some(at) if path[at] == b'.' => &path[..at],
        _ => path,
    }
}

/// After the last slash; nothing when the path ends in one, as in GNU parallel.
pub(super) fn basename(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |at| &path[at + 1..])
}

/// What dirname(1) says: slashes at the end do not count, and without a directory it is `.`.
fn dirname(path: &[u8]) -> &[u8] {
    fn without_slashes(path: &[u8]) -> &[u8] {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len().min(1), |last| last + 1);
        &path[..end]
    }
    let path = without_slashes(path);
    match memchr::memrchr(b'/', path) {
        _ if path == b"/" => path,
        None => b".",
        Some(at) => without_slashes(&path[..at + 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(words: &[&str], line: &str) -> Vec<String> {
        let words = words.iter().map(|word| word.as_bytes().into()).collect();
        let filled = Template::parse(words).unwrap().fill(line.as_bytes(), 7, 3);
        filled.into_iter().map(|word| String::from_utf8(word.into_vec()).unwrap()).collect()
    }

    /// Taken from GNU parallel 20221122.
    #[test]
    fn paths_are_cut_as_gnu_parallel_does() {
        let rows: [(&str, [&str; 4]); 16] = [
            ("a.tar.gz", ["a.tar", "a.tar.gz", ".", "a.tar"]),
            (".bashrc", ["", ".bashrc", ".", ""]),
            ("dir.d/file", ["dir.d/file", "file", "dir.d", "file"]),
            ("/", ["/", "", "/", ""]),
            ("a/", ["a/", "", ".", ""]),
            ("a", ["a", "a", ".", "a"]),
            ("foo.", ["foo", "foo.", ".", "foo"]),
            ("dir/.bashrc", ["dir/", ".bashrc", "dir", ""]),
            ("/a", ["/a", "a", "/", "a"]),
            ("a//b", ["a//b", "b", "a", "b"]),
            ("a/b/", ["a/b/", "", "a", ""]),
            ("a.b/", ["a.b/", "", ".", ""]),
            ("..", [".", "..", ".", "."]),
            ("x y.z", ["x y", "x y.z", ".", "x y"]),
            ("//", ["//", "", "/", ""]),
            ("a/b//c.d.e", ["a/b//c.d", "c.d.e", "a/b", "c.d"]),
        ];
        for (line, expected) in rows {
            assert_eq!(fill(&["{.}", "{/}", "{//}", "{/.}"], line), expected, "{line}");
            assert_eq!(fill(&["{1.}", "{1/}", "{1//}", "{1/.}"], line), expected, "{line}");
        }
        assert_eq!(dirname(b""), b".");
    }

    #[test]
    fn placeholders_may_stand_anywhere() {
        assert_eq!(fill(&["x{}y{.}z{foo}{", "{{}}", "{2}{ }"], "a.b"), ["xa.byaz{foo}{", "{a.b}", "{2}{ }"]);
        assert_eq!(fill(&["{#}-{%}", "{1}"], "a"), ["7-3", "a"]);
        assert_eq!(fill(&["{}"], "prog"), ["prog"]);
    }

    #[test]
    fn without_a_placeholder_the_job_is_appended() {
        assert_eq!(fill(&["gzip", "-9"], "a b"), ["gzip", "-9", "a b"]);
        assert_eq!(fill(&["echo", "{#}"], "a"), ["echo", "7"]);
        assert!(Template::parse(Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_job_reaches_the_command_unchanged_as_one_argument(line: Vec<u8>) {
            let words = ["cp", "--", "{}", "to/{}"].map(|word| word.as_bytes().into());
            let filled = Template::parse(words.into()).unwrap().fill(&line, 1, 1);
            prop_assert_eq!(filled.len(), 4);
            prop_assert_eq!(&*filled[2], &line[..]);
            prop_assert_eq!(&*filled[3], &[b"to/", &line[..]].concat()[..]);
        }

        #[test]
        fn cutting_a_path_never_panics(path in "[a./]{0,8}") {
            let path = path.as_bytes();
            prop_assert!(path.starts_with(without_extension(path)));
            prop_assert!(path.ends_with(basename(path)));
            prop_assert!(!dirname(path).is_empty());
        }
    }
}
