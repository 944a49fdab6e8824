//! Starting commands: what is executed, and with which environment. Never by `fork`, whose cost grows with our memory.
//!
//! What does not change between commands (the environment) is prepared once.

use super::answer::NotStarted;
use super::fault::explain;
use super::lookup::Lookup;
use super::request::{ATTEMPT_PREFIX, Command, JOB_PREFIX, Request};
use super::vfork::{Setting, Starter, Streams};
use crate::worker::simple;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The shell that lines go to.
const SHELL: &CStr = c"/bin/sh";
/// Where programs are looked for when `PATH` is not set, as the C library does.
const PATH_DEFAULT: &[u8] = b"/bin:/usr/bin";
/// Starts commands.
pub(super) struct Spawner {
    starter: Starter,
    lookup: Lookup,
    /// Our environment without the two variables that every job has for itself.
    environment: Vec<CString>,
    path: Vec<u8>,
    /// Whether `sh -c 'PROGRAM ARG'` and executing PROGRAM come to the same here.
    bypasses_shell: bool,
}

/// Why no process was started.
#[derive(Debug)]
pub(super) enum SpawnError {
    /// The machine is short of something just now; later it may work.
    Shortage(Errno),
    /// It will not work.
    Failed(NotStarted),
}

impl Spawner {
    /// Prepares what all commands share. Nothing is waited for any more once `parent` is ours no more.
    pub(super) fn new(parent: Option<Pid>) -> nix::Result<Spawner> {
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
        Ok(Spawner { starter: Starter::new(parent)?, lookup: Lookup::default(), environment, path, bypasses_shell })
    }

    /// Starts the command and gives its process id, which is its process group's too.
    pub(super) fn spawn(&mut self, request: &Request, streams: &Streams) -> Result<i32, SpawnError> {
        let environment = environment_of(&self.environment, request);
        let setting = Setting { streams, cwd: request.cwd.as_deref(), environment: &environment };
        let bypasses_shell = self.bypasses_shell;
        let (starter, lookup, path) = (&mut self.starter, &mut self.lookup, &self.path[..]);
        Launch { starter, lookup, path, bypasses_shell, setting }.start(request)
    }
}

fn environment_of<'a>(inherited: &'a [CString], request: &'a Request) -> Vec<&'a CStr> {
    let own = || request.job.iter().chain(&request.attempt);
    let mut all: Vec<&CStr> = Vec::with_capacity(inherited.len() + request.env.len() + 2);
    if request.env.is_empty() {
        all.extend(inherited.iter().map(CString::as_c_str));
    } else {
        let inherited = inherited.iter().filter(|entry| !is_named_in(entry, &request.env));
        all.extend(inherited.map(CString::as_c_str));
        let given = request.env.iter().filter(|entry| !own().any(|other| name_of(entry) == name_of(other)));
        all.extend(given.map(CString::as_c_str));
    }
    all.extend(own().map(CString::as_c_str));
    all
}

/// One start.
struct Launch<'a> {
    starter: &'a mut Starter,
    lookup: &'a mut Lookup,
    path: &'a [u8],
    bypasses_shell: bool,
    setting: Setting<'a>,
}

impl Launch<'_> {
    fn start(&mut self, request: &Request) -> Result<i32, SpawnError> {
        let (program, result) = match &request.command {
            Command::Argv(words) => {
                let argv: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
                (argv[0], self.search(&argv, request))
            }
            Command::Shell(line) => match self.without_shell(line, request) {
                Some(pid) => return Ok(pid),
                None => (SHELL, self.shell(line)),
            },
        };
        result.map_err(|errno| explain(errno, request, program, self.setting.environment))
    }

    fn search(&mut self, argv: &[&CStr], request: &Request) -> Result<i32, Errno> {
        let given = request.env.iter().rev().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        let (starter, setting) = (&mut *self.starter, self.setting);
        let path = given.unwrap_or(self.path);
        self.lookup.execute(argv[0], path, setting.cwd, |program| starter.start(program, argv, setting))
    }

    fn shell(&mut self, line: &CStr) -> Result<i32, Errno> {
        self.lookup.forget();
        // Without the `--` such a line would be taken for options.
        let protected = matches!(line.to_bytes().first(), Some(b'-' | b'+'));
        let begin: &[&CStr] = if protected { &[c"sh", c"-c", c"--"] } else { &[c"sh", c"-c"] };
        let argv = [begin, &[line]].concat();
        self.starter.start(SHELL, &argv, self.setting)
    }

    /// Executes a simple line itself. None when a shell is needed, be it only for its message about what is wrong.
    fn without_shell(&mut self, line: &CStr, request: &Request) -> Option<i32> {
        if !self.bypasses_shell || request.cwd.is_some() || !request.env.is_empty() {
            return None;
        }
        let words = simple::without_shell(line.to_bytes())?;
        let words: Vec<CString> = words.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?;
        let argv: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
        self.search(&argv, request).ok()
    }
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
