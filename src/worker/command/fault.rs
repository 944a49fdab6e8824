//! Why a command could not be started, in words that say what to do about it.

use super::answer::NotStarted;
use super::lookup::seen_from;
use super::request::{Command, Request};
use super::spawn::SpawnError;
use nix::errno::Errno;
use std::ffi::CStr;
use std::time::Duration;

/// Longer names are cut in messages.
const NAME_CHARS_MAX: usize = 200;

/// Whether an error is the machine's passing shortage rather than the command's fault.
fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ETXTBSY)
}

/// Whether no command at all can be started: there are too many processes or descriptors. (Memory may be short for one command
/// alone.)
pub(super) fn concerns_all(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE)
}

/// The error as the answer tells it.
pub(super) fn explain(errno: Errno, request: &Request, program: &CStr, environment: &[&CStr]) -> SpawnError {
    if is_shortage(errno) {
        return SpawnError::Shortage(errno);
    }
    let name = shown(program);
    let cwd = request.cwd.as_deref().filter(|cwd| !seen_from(c".", Some(cwd)).is_dir());
    let path = seen_from(program, request.cwd.as_deref());
    let is_path = program.to_bytes().contains(&b'/');
    let reason = match errno {
        _ if cwd.is_some() => format!("no working directory {}", cwd.map(shown).unwrap_or_default()),
        Errno::ENOENT if !is_path => "command not found".into(),
        Errno::ENOENT if path.exists() => "the interpreter in its first line was not found".into(),
        Errno::ENOENT => "no such file".into(),
        Errno::EACCES if is_path && path.is_dir() => "it is a directory".into(),
        Errno::EACCES => "permission denied; is it executable?".into(),
        Errno::ENOEXEC => "no program this machine can execute; does a script lack its #! line?".into(),
        Errno::E2BIG => too_big(request, environment),
        other => other.desc().to_lowercase(),
    };
    SpawnError::Failed(NotStarted {
        exit_code: if errno == Errno::ENOENT && cwd.is_none() { 127 } else { 126 },
        message: format!("cannot start {name}: {reason} ({errno:?})"),
        errno: format!("{errno:?}"),
    })
}

/// The answer for a command that kept failing for want of something.
pub(super) fn gave_up(errno: Errno, waited: Duration) -> NotStarted {
    let message = format!(
        "cannot start a process: {} ({errno:?}), tried for {} s",
        errno.desc().to_lowercase(),
        waited.as_secs()
    );
    NotStarted { errno: format!("{errno:?}"), exit_code: 126, message }
}

/// Most bytes of one argument or variable, its NUL included (MAX_ARG_STRLEN): 32 pages, of 4 KiB where they are smallest.
const ARGUMENT_BYTES_MAX: usize = 32 << 12;

/// Which of two limits was met.
fn too_big(request: &Request, environment: &[&CStr]) -> String {
    let words: Vec<usize> = match &request.command {
        Command::Argv(words) => words.iter().map(|word| word.as_bytes_with_nul().len()).collect(),
        Command::Shell(line) => vec![line.as_bytes_with_nul().len()],
    };
    let longest = words.iter().copied().max().unwrap_or(0);
    if longest > ARGUMENT_BYTES_MAX {
        return format!(
            "one argument has {} bytes, more than the {} that Linux allows for one; hand it over in a file, or as \"stdin\" of \
             a JSON job",
            longest - 1,
            ARGUMENT_BYTES_MAX - 1
        );
    }
    let all =
        words.iter().chain(&environment.iter().map(|entry| entry.count_bytes() + 1).collect::<Vec<_>>()).sum::<usize>();
    format!("its arguments and environment take {all} bytes, more than the system allows")
}

fn shown(name: &CStr) -> String {
    let text = name.to_string_lossy();
    let mut shown: String = text.chars().take(NAME_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
