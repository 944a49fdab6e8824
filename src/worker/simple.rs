//! Tells which shell lines need no shell: those that a shell would only split at spaces and execute.
//!
//! Pure: it sees the bytes of the line and nothing else. Whoever asks must run the line through `sh` all the same when
//! the program cannot be executed, so that messages and exit codes stay the shell's own, and must ask
//! [`keeps_environment`] first, since a shell also changes the environment of what it runs.

/// The words of a line that a shell would execute as they stand; none when a shell may see more in it.
///
/// The rule is narrow on purpose: words of unremarkable characters, one space between them, and a first word that no
/// shell known to us takes for a builtin, a keyword or an assignment.
///
/// ```
/// use supervisor::worker::simple::without_shell;
/// assert_eq!(without_shell(b"gzip -9 a.txt"), Some(vec![&b"gzip"[..], b"-9", b"a.txt"]));
/// assert_eq!(without_shell(b"echo *"), None);
/// ```
pub fn without_shell(line: &[u8]) -> Option<Vec<&[u8]>> {
    if let Some((_, program)) = SAME_AS_PROGRAMS.iter().find(|(name, _)| *name == line) {
        return Some(vec![program]);
    }
    if line.len() > LINE_BYTES_MAX || !line.iter().all(|&byte| byte == b' ' || is_plain(byte)) {
        return None;
    }
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let simple = words.iter().all(|word| !word.is_empty()) && is_program(words[0]);
    simple.then_some(words)
}

/// Whether a shell hands an environment variable on as it is. Shells drop names that are no identifiers, and give
/// some names a meaning and a value of their own.
pub fn keeps_environment(entry: &[u8]) -> bool {
    let Some(equals) = entry.iter().position(|&byte| byte == b'=') else { return false };
    let name = &entry[..equals];
    let identifier = !name.is_empty()
        && !name[0].is_ascii_digit()
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    identifier && OWNED_BY_SHELL.binary_search(&name).is_err()
}

/// Whether a value of `PATH` means the same to a shell and to a plain search: `%` begins an option of dash.
pub fn is_plain_path(path: &[u8]) -> bool {
    !path.is_empty() && !path.contains(&b'%')
}

/// Longer lines are not worth the look; no command that matters for speed is this long.
const LINE_BYTES_MAX: usize = 4096;

/// Characters that mean nothing to any shell, wherever they stand in a word (`=` and some others mean something in the first).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(&byte)
}

/// Whether the first word can only be the name of a program. It begins as file names do: `-`, `%` (a job), `:`, `+`,
/// `@` and `,` are left to the shell.
fn is_program(word: &[u8]) -> bool {
    let plain_start = word[0].is_ascii_alphanumeric() || b"_./".contains(&word[0]);
    plain_start && !word.contains(&b'=') && BUILTINS.binary_search(&word).is_err()
}

/// Builtins that, with nothing said to them, do what the programs of their name do. Those are named by their path, since
/// a shell would not look for them.
const SAME_AS_PROGRAMS: [(&[u8], &[u8]); 2] = [(b"false", b"/bin/false"), (b"true", b"/bin/true")];

/// Variables that dash or bash set, ignore or change on their own. Sorted.
const OWNED_BY_SHELL: [&[u8]; 15] = [
    b"BASHOPTS",
    b"BASH_ENV",
    b"ENV",
    b"IFS",
    b"LINENO",
    b"MAIL",
    b"MAILPATH",
    b"OPTARG",
    b"OPTIND",
    b"POSIXLY_CORRECT",
    b"PPID",
    b"PS1",
    b"PS2",
    b"PS4",
    b"SHELLOPTS",
];

/// Builtins and reserved words of dash and bash (and a few of ksh and busybox), without those that hold characters
/// which are refused anyway. Sorted.
#[rustfmt::skip]
const BUILTINS: [&[u8]; 81] = [
    b".", b"alias", b"bg", b"bind", b"break", b"builtin", b"caller", b"case", b"cd", b"chdir", b"command", b"compgen",
    b"complete", b"compopt", b"continue", b"coproc", b"declare", b"dirs", b"disown", b"do", b"done", b"echo", b"elif",
    b"else", b"enable", b"esac", b"eval", b"exec", b"exit", b"export", b"false", b"fc", b"fg", b"fi", b"for",
    b"function", b"getopts", b"hash", b"help", b"history", b"if", b"in", b"jobs", b"kill", b"let", b"local",
    b"logout", b"mapfile", b"nameref", b"newgrp", b"popd", b"print", b"printf", b"pushd", b"pwd", b"read",
    b"readarray", b"readonly", b"return", b"select", b"set", b"shift", b"shopt", b"source", b"suspend", b"test",
    b"then", b"time", b"times", b"trap", b"true", b"type", b"typeset", b"ulimit", b"umask", b"unalias", b"unset",
    b"until", b"wait", b"whence", b"while",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = without_shell(line.as_bytes())?;
        Some(words.into_iter().map(|word| String::from_utf8(word.to_vec()).unwrap()).collect())
    }

    #[test]
    fn plain_lines_are_split_at_spaces() {
        for line in [
            "gzip -9 a.txt",
            "/bin/true",
            "./run",
            "../x/y --flag=value a:b c@d 50% +1 a,b",
            "sha256sum usr/share/x-1.0_2.gz",
            "dd if=/dev/zero of=/dev/null",
            "7z a x",
            "_x",
            "python3 -m http.server 8000",
            "2to3 a 2 1",
        ] {
            let expected: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(words(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn whatever_a_shell_may_see_more_in_stays_with_the_shell() {
        for line in [
            "",
            " ",
            " ls",
            "ls ",
            "ls  a",
            "ls\ta",
            "ls\n",
            "ls a\nls b",
            "A=1 ls",
            "a=b",
            "-c",
            "%1",
            ": x",
            ":",
            ". x",
            "ls *",
            "ls ?",
            "ls [a]",
            "ls {a,b}",
            "ls ~",
            "ls a:~",
            "ls $x",
            "ls `x`",
            "ls 'a'",
            "ls \"a\"",
            "ls \\a",
            "ls;",
            "ls&",
            "ls|x",
            "ls>a",
            "ls<a",
            "(ls)",
            "ls #x",
            "ls !x",
            "! ls",
            "ls ^a",
            "caf\u{e9}",
            "ls \0",
            "+x",
            "@x",
            ",x",
        ] {
            assert_eq!(words(line), None, "{line:?}");
        }
    }

    #[test]
    fn builtins_and_keywords_stay_with_the_shell() {
        for name in BUILTINS {
            let alone = SAME_AS_PROGRAMS.iter().any(|(same, _)| *same == name);
            assert_eq!(without_shell(name).is_some(), alone, "{}", String::from_utf8_lossy(name));
            let line = [name, b" a"].concat();
            assert_eq!(without_shell(&line), None);
        }
        assert_eq!(words("truex"), Some(vec!["truex".to_owned()]));
        assert_eq!((words("true"), words("true ")), (Some(vec!["/bin/true".to_owned()]), None));
        assert_eq!(words("/bin/echo echo"), Some(vec!["/bin/echo".to_owned(), "echo".to_owned()]));
    }

    #[test]
    fn tables_are_sorted() {
        assert!(BUILTINS.is_sorted());
        assert!(OWNED_BY_SHELL.is_sorted());
    }

    #[test]
    fn every_refused_byte_is_refused_everywhere() {
        for byte in 0..=255u8 {
            let line = [b"ls a", &[byte][..], b"b"].concat();
            let plain = byte == b' ' || is_plain(byte);
            assert_eq!(without_shell(&line).is_some(), plain, "{byte}");
        }
    }

    #[test]
    fn long_lines_are_left_alone() {
        let line = [b"ls ", &vec![b'a'; LINE_BYTES_MAX][..]].concat();
        assert_eq!(without_shell(&line), None);
    }

    #[test]
    fn environment_that_a_shell_changes() {
        for entry in ["A=1", "_=/bin/x", "PATH=/bin", "a_1=", "PWD=/"] {
            assert!(keeps_environment(entry.as_bytes()), "{entry}");
        }
        for entry in ["", "A", "=x", "1A=x", "a.b=x", "BASH_FUNC_f%%=() { x; }", "IFS= ", "OPTIND=3", "PS1=$"] {
            assert!(!keeps_environment(entry.as_bytes()), "{entry}");
        }
        assert!(is_plain_path(b"/bin:/usr/bin::.") && !is_plain_path(b"/bin:/x%func") && !is_plain_path(b""));
    }
}
