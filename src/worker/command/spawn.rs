//! Starting commands: program lookup, environment, descriptors, and `posix_spawn`. Never `fork`: its cost grows with
//! our memory, and nothing of ours has to run in the child.
//!
//! What does not change between commands (environment, attributes) is prepared once.

use super::answer::NotStarted;
use super::request::{ATTEMPT_PREFIX, Command, JOB_PREFIX, Request};
use super::signals::defaults_for_commands;
use crate::worker::simple;
use nix::errno::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

/// The shell that lines go to.
const SHELL: &CStr = c"/bin/sh";
/// Where programs are looked for when `PATH` is not set, as the C library does.
const PATH_DEFAULT: &[u8] = b"/bin:/usr/bin";
/// Longer names are cut in messages.
const NAME_CHARS_MAX: usize = 200;

/// Starts commands.
pub(super) struct Spawner {
    attributes: Box<libc::posix_spawnattr_t>,
    /// Our environment without the two variables that every job has for itself.
    environment: Vec<CString>,
    path: Vec<u8>,
    /// Whether `sh -c 'PROGRAM ARG'` and executing PROGRAM come to the same here.
    bypasses_shell: bool,
}

/// The descriptors a command gets as 0, 1 and 2.
pub(super) struct Streams<'a> {
    pub(super) stdin: BorrowedFd<'a>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
}

/// Why no process was started.
#[derive(Debug)]
pub(super) enum SpawnError {
    /// The machine is short of something just now; later it may work.
    Shortage(Errno),
    /// It will not work.
    Failed(NotStarted),
}

/// Whether an error is the machine's passing shortage rather than the command's fault.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ETXTBSY)
}

impl Spawner {
    /// Prepares what all commands share.
    pub(super) fn new() -> nix::Result<Spawner> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let entry = [&name.into_vec()[..], b"=", value.as_bytes()].concat();
            if !entry.starts_with(JOB_PREFIX) && !entry.starts_with(ATTEMPT_PREFIX) {
                environment.extend(CString::new(entry));
            }
        }
        let path = variable(&environment, b"PATH=");
        let bypasses_shell = path.is_some_and(simple::is_plain_path)
            && environment.iter().all(|entry| simple::keeps_environment(entry.to_bytes()))
            && variable(&environment, b"PWD=").is_some_and(is_working_directory)
            && is_dash();
        let path = path.unwrap_or(PATH_DEFAULT).to_vec();
        Ok(Spawner { attributes: attributes()?, environment, path, bypasses_shell })
    }

    /// Starts the command and gives its process id, which is its process group's too.
    pub(super) fn spawn(&self, request: &Request, streams: &Streams) -> Result<i32, SpawnError> {
        let actions = Actions::new(streams, request.cwd.as_deref()).map_err(SpawnError::Shortage)?;
        let environment = self.environment_of(request);
        let launch = Launch { spawner: self, actions: &actions, environment: &environment };
        let argv: Vec<&CStr> = match &request.command {
            Command::Argv(words) => words.iter().map(CString::as_c_str).collect(),
            Command::Shell(line) => {
                if let Some(pid) = self.without_shell(line, request, &launch) {
                    return Ok(pid);
                }
                let protected = matches!(line.to_bytes().first(), Some(b'-' | b'+'));
                let begin: &[&CStr] = if protected { &[c"sh", c"-c", c"--"] } else { &[c"sh", c"-c"] };
                return launch
                    .execute(SHELL, &[begin, &[line.as_c_str()]].concat())
                    .map_err(|errno| explain(errno, request, SHELL, &environment));
            }
        };
        let path = request.env.iter().rev().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        launch
            .search(&argv, path.unwrap_or(&self.path), request.cwd.as_deref())
            .map_err(|errno| explain(errno, request, argv[0], &environment))
    }

    /// Executes a simple line itself. None when a shell is needed, be it only for its message about what is wrong.
    fn without_shell(&self, line: &CStr, request: &Request, launch: &Launch) -> Option<i32> {
        if !self.bypasses_shell || request.cwd.is_some() || !request.env.is_empty() {
            return None;
        }
        let words = simple::without_shell(line.to_bytes())?;
        let words: Vec<CString> = words.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?;
        let argv: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
        launch.search(&argv, &self.path, None).ok()
    }

    fn environment_of<'a>(&'a self, request: &'a Request) -> Vec<&'a CStr> {
        let own = || request.job.iter().chain(&request.attempt);
        let mut all: Vec<&CStr> = Vec::with_capacity(self.environment.len() + request.env.len() + 2);
        if request.env.is_empty() {
            all.extend(self.environment.iter().map(CString::as_c_str));
        } else {
            let inherited = self.environment.iter().filter(|entry| !is_named_in(entry, &request.env));
            all.extend(inherited.map(CString::as_c_str));
            let given = request.env.iter().filter(|entry| !own().any(|other| name_of(entry) == name_of(other)));
            all.extend(given.map(CString::as_c_str));
        }
        all.extend(own().map(CString::as_c_str));
        all
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // SAFETY: initialised in `attributes`, and not used after this.
        unsafe { libc::posix_spawnattr_destroy(&mut *self.attributes) };
    }
}

/// One start: everything but the program.
struct Launch<'a> {
    spawner: &'a Spawner,
    actions: &'a Actions,
    environment: &'a [&'a CStr],
}

impl Launch<'_> {
    /// Looks the program up as `execvp` does and executes it, without `execvp`'s second try through a shell.
    fn search(&self, argv: &[&CStr], path: &[u8], cwd: Option<&CStr>) -> Result<i32, Errno> {
        let name = argv[0].to_bytes();
        if name.is_empty() || name.contains(&b'/') {
            return self.execute(argv[0], argv);
        }
        let mut outcome = Errno::ENOENT;
        for directory in path.split(|&byte| byte == b':') {
            let candidate = [directory, if directory.is_empty() { b"" } else { b"/" }, name].concat();
            let Ok(candidate) = CString::new(candidate) else { continue };
            if !may_execute(&candidate, cwd) {
                if exists(&candidate, cwd) {
                    outcome = Errno::EACCES;
                }
                continue;
            }
            match self.execute(&candidate, argv) {
                Err(errno @ (Errno::EACCES | Errno::ENOENT | Errno::ENOTDIR)) => {
                    outcome = if errno == Errno::EACCES || outcome == Errno::EACCES { Errno::EACCES } else { errno };
                }
                other => return other,
            }
        }
        Err(outcome)
    }

    fn execute(&self, program: &CStr, argv: &[&CStr]) -> Result<i32, Errno> {
        let argv = pointers(argv);
        let environment = pointers(self.environment);
        let mut pid = 0;
        // SAFETY: both arrays end with a null pointer and borrow from strings that outlive the call; attributes and
        // actions are initialised. posix_spawn does not write through any of these pointers.
        let error = unsafe {
            libc::posix_spawn(
                &mut pid,
                program.as_ptr(),
                &self.actions.0,
                &*self.spawner.attributes,
                argv.as_ptr(),
                environment.as_ptr(),
            )
        };
        if error == 0 { Ok(pid) } else { Err(Errno::from_raw(error)) }
    }
}

fn pointers(strings: &[&CStr]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// What the child does with its descriptors before it executes the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new(streams: &Streams, cwd: Option<&CStr>) -> Result<Actions, Errno> {
        // SAFETY: initialised by the first call, used only after that; the destination descriptors are valid numbers.
        unsafe {
            let mut actions = std::mem::zeroed::<libc::posix_spawn_file_actions_t>();
            check(libc::posix_spawn_file_actions_init(&mut actions))?;
            let mut actions = Actions(actions);
            for (fd, number) in [(&streams.stdin, 0), (&streams.stdout, 1), (&streams.stderr, 2)] {
                check(libc::posix_spawn_file_actions_adddup2(&mut actions.0, fd.as_raw_fd(), number))?;
            }
            if let Some(cwd) = cwd {
                check(libc::posix_spawn_file_actions_addchdir_np(&mut actions.0, cwd.as_ptr()))?;
            }
            Ok(actions)
        }
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// A group of its own, an empty mask, default dispositions.
fn attributes() -> nix::Result<Box<libc::posix_spawnattr_t>> {
    let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
    // SAFETY: initialised by the first call, used only after that.
    unsafe {
        let mut attributes = Box::new(std::mem::zeroed::<libc::posix_spawnattr_t>());
        check(libc::posix_spawnattr_init(&mut *attributes))?;
        let mut mask = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut mask);
        check(libc::posix_spawnattr_setsigmask(&mut *attributes, &mask))?;
        check(libc::posix_spawnattr_setsigdefault(&mut *attributes, &defaults_for_commands()))?;
        check(libc::posix_spawnattr_setpgroup(&mut *attributes, 0))?;
        check(libc::posix_spawnattr_setflags(&mut *attributes, flags as libc::c_short))?;
        Ok(attributes)
    }
}

fn check(error: libc::c_int) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(Errno::from_raw(error)) }
}

fn name_of(entry: &CStr) -> &[u8] {
    let entry = entry.to_bytes();
    let end = entry.iter().position(|&byte| byte == b'=').unwrap_or(entry.len());
    &entry[..end]
}

fn is_named_in(entry: &CStr, given: &[CString]) -> bool {
    given.iter().any(|other| name_of(other) == name_of(entry))
}

fn variable<'a>(environment: &'a [CString], prefix: &[u8]) -> Option<&'a [u8]> {
    environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(prefix))
}

/// Whether a shell would believe this value of `PWD`, and so hand it on.
fn is_working_directory(value: &[u8]) -> bool {
    let same = |one: nix::sys::stat::FileStat, other: nix::sys::stat::FileStat| {
        (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
    };
    use nix::sys::stat::stat;
    value.starts_with(b"/") && stat(value).ok().zip(stat(".").ok()).is_some_and(|(one, other)| same(one, other))
}

/// Only of dash is it known that nothing but the variables in [`simple`] differ; bash counts `SHLVL` and imports functions.
fn is_dash() -> bool {
    std::fs::canonicalize(OsStr::from_bytes(SHELL.to_bytes()))
        .is_ok_and(|path| path.file_name() == Some(OsStr::new("dash")))
}

/// A path of the search as it will be seen from the command's working directory.
fn seen_from(candidate: &CStr, cwd: Option<&CStr>) -> std::path::PathBuf {
    let candidate = Path::new(OsStr::from_bytes(candidate.to_bytes()));
    cwd.map_or_else(|| candidate.to_owned(), |cwd| Path::new(OsStr::from_bytes(cwd.to_bytes())).join(candidate))
}

fn may_execute(candidate: &CStr, cwd: Option<&CStr>) -> bool {
    let flags = nix::unistd::AccessFlags::X_OK;
    match cwd {
        None => nix::unistd::access(candidate, flags).is_ok(),
        Some(_) => nix::unistd::access(&seen_from(candidate, cwd), flags).is_ok(),
    }
}

fn exists(candidate: &CStr, cwd: Option<&CStr>) -> bool {
    Errno::last() == Errno::EACCES && seen_from(candidate, cwd).is_file()
}

/// The error as the answer tells it.
fn explain(errno: Errno, request: &Request, program: &CStr, environment: &[&CStr]) -> SpawnError {
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
        Errno::E2BIG => format!(
            "its arguments and environment take {} bytes, more than the system allows",
            size(request, environment)
        ),
        other => other.desc().to_lowercase(),
    };
    SpawnError::Failed(NotStarted {
        exit_code: if errno == Errno::ENOENT && cwd.is_none() { 127 } else { 126 },
        message: format!("cannot start {name}: {reason} ({errno:?})"),
        errno: format!("{errno:?}"),
    })
}

/// The answer for a command that kept failing for want of something.
pub(super) fn gave_up(errno: Errno, waited: std::time::Duration) -> NotStarted {
    let message = format!(
        "cannot start a process: {} ({errno:?}), tried for {} s",
        errno.desc().to_lowercase(),
        waited.as_secs()
    );
    NotStarted { errno: format!("{errno:?}"), exit_code: 126, message }
}

fn size(request: &Request, environment: &[&CStr]) -> usize {
    let words = match &request.command {
        Command::Argv(words) => words.iter().map(|word| word.as_bytes_with_nul().len()).sum(),
        Command::Shell(line) => line.as_bytes_with_nul().len(),
    };
    words + environment.iter().map(|entry| entry.to_bytes_with_nul().len()).sum::<usize>()
}

fn shown(name: &CStr) -> String {
    let text = name.to_string_lossy();
    let mut shown: String = text.chars().take(NAME_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
