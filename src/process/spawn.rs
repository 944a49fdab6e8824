//! Starting a process with three pipes, and finding programs in `PATH`.
//!
//! Spawning keeps to what `posix_spawn` can do (no code runs between fork and exec), so that its cost does not grow with
//! our memory. To be called from the main thread only: a death signal follows the thread that started a process, and a
//! descriptor made inheritable for one process must not slip into another.

use super::sys;
use crate::pool::SpawnFault;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What to start.
#[derive(Debug, Clone)]
pub struct SpawnSpec<'a> {
    /// The program, as an absolute path (see [`resolve`]).
    pub program: &'a Path,
    /// What the program is told it is called (`argv[0]`); the path when missing.
    pub arg0: Option<&'a OsStr>,
    /// Its arguments, without the program's name.
    pub args: &'a [OsString],
    /// Variables to set, on top of ours.
    pub env: &'a [(OsString, OsString)],
    /// Variables to leave out.
    pub env_remove: &'a [OsString],
    /// Where it starts; our own directory when missing.
    pub cwd: Option<&'a Path>,
    /// Descriptors that it inherits under the same numbers: close-on-exec is taken away around this one spawn.
    pub inherit: &'a [BorrowedFd<'a>],
    /// Whether SIGTSTP is blocked during the spawn, and hence in the child. A child that a Ctrl-Z stops before its exec
    /// would leave us waiting for ever. For programs of our own only, which call [`super::signal::unblock_all`].
    pub block_stop: bool,
}

impl<'a> SpawnSpec<'a> {
    /// A program without arguments in our environment.
    pub fn new(program: &'a Path) -> Self {
        SpawnSpec {
            program,
            arg0: None,
            args: &[],
            env: &[],
            env_remove: &[],
            cwd: None,
            inherit: &[],
            block_stop: false,
        }
    }
}

/// A process that was started, with our ends of its pipes: non-blocking and close-on-exec.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id, which is that of its process group too. To be waited for by us: see [`super::Reaper`].
    pub pid: u32,
    /// Where we write what it reads.
    pub stdin: OwnedFd,
    /// Where we read its results.
    pub stdout: OwnedFd,
    /// Where we read what it says.
    pub stderr: OwnedFd,
}

/// Why a process could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError {
    /// Whether trying again later may help.
    pub fault: SpawnFault,
    /// The system's error number.
    pub errno: i32,
    /// `cannot start NAME: why (ERRNO)`.
    pub message: String,
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpawnError {}

impl SpawnError {
    /// Names the program and says in words what the system answered.
    pub fn new(program: &OsStr, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        let fault = match errno {
            libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ETXTBSY => SpawnFault::Shortage,
            _ => SpawnFault::Permanent,
        };
        let program = program.to_string_lossy();
        let symbol = sys::errno_name(errno);
        let why = match errno {
            // std refuses such arguments itself and gives no number.
            _ if error.raw_os_error().is_none() => error.to_string(),
            libc::ENOENT if program.contains('/') => "no such file, or its interpreter is missing".into(),
            libc::ENOENT => "command not found".into(),
            libc::ENOEXEC => "not a program, and its first line is no `#!` line".into(),
            libc::E2BIG => "its arguments and environment are too long".into(),
            _ => sys::errno_text(errno).to_lowercase(),
        };
        SpawnError { fault, errno, message: format!("cannot start {program}: {why} ({symbol})") }
    }

    /// What a shell would give as exit code: 127 when there is no such program, otherwise 126.
    pub fn exit_code(&self) -> i32 {
        if self.errno == libc::ENOENT { 127 } else { 126 }
    }

    /// The symbol of the error number: `ENOENT`.
    pub fn errno_name(&self) -> String {
        sys::errno_name(self.errno)
    }
}

/// Starts a process in a process group of its own, with a pipe on each of its descriptors 0, 1, 2.
pub fn spawn(spec: &SpawnSpec<'_>) -> Result<Spawned, SpawnError> {
    launch(spec).map_err(|error| SpawnError::new(spec.program.as_os_str(), &error))
}

/// Finds a program as a shell does: a name with a slash is a path, any other is looked up in `PATH`.
#[expect(clippy::disallowed_methods, reason = "PATH is the environment's business, not an option of ours")]
pub fn resolve(program: &OsStr) -> Result<PathBuf, SpawnError> {
    resolve_in(program, std::env::var_os("PATH").as_deref())
}

/// As [`resolve`], with another `PATH`; the system's usual one when missing.
pub fn resolve_in(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, SpawnError> {
    let missing = libc::ENOENT;
    let fail = |errno| Err(SpawnError::new(program, &io::Error::from_raw_os_error(errno)));
    if program.is_empty() {
        return fail(missing);
    }
    if program.as_bytes().contains(&b'/') {
        let path = std::path::absolute(program).map_err(|error| SpawnError::new(program, &error))?;
        return executable(&path).map_or_else(fail, |()| Ok(path));
    }
    let mut worst = missing;
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new("/bin:/usr/bin"))) {
        // An empty element means the current directory.
        let candidate = std::path::absolute(Path::new(".").join(directory).join(program)).unwrap_or_default();
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            // One that is there but may not be run is worth telling, unless a later one can be run.
            Err(libc::ENOENT | libc::ENOTDIR) => {}
            Err(errno) => worst = errno,
        }
    }
    fail(worst)
}

/// Whether a file can be run, with the error number that `exec` would give.
fn executable(path: &Path) -> Result<(), i32> {
    let number = |error: io::Error| error.raw_os_error().unwrap_or(libc::EACCES);
    let metadata = std::fs::metadata(path).map_err(number)?;
    if !metadata.is_file() {
        return Err(libc::EACCES);
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).map_err(|errno| errno as i32)
}

#[expect(clippy::disallowed_methods, reason = "this is the door through which processes are started")]
fn launch(spec: &SpawnSpec<'_>) -> io::Result<Spawned> {
    let mut command = Command::new(spec.program);
    command.args(spec.args).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(name) = spec.arg0 {
        command.arg0(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    for name in spec.env_remove {
        command.env_remove(name);
    }
    if let Some(directory) = spec.cwd {
        command.current_dir(directory);
    }
    let mut child = {
        let _stop = spec.block_stop.then(StopBlocked::new).transpose()?;
        let _lent = spec.inherit.iter().map(|fd| Lent::new(*fd)).collect::<io::Result<Vec<_>>>()?;
        command.spawn()?
    };
    let take = |pipe: Option<OwnedFd>| pipe.ok_or_else(|| io::Error::other("a pipe is missing"));
    // The child object is dropped, which neither waits nor kills: waiting is the business of `reap`.
    let spawned = Spawned {
        pid: child.id(),
        stdin: take(child.stdin.take().map(Into::into))?,
        stdout: take(child.stdout.take().map(Into::into))?,
        stderr: take(child.stderr.take().map(Into::into))?,
    };
    for end in [&spawned.stdin, &spawned.stdout, &spawned.stderr] {
        // Each end of a pipe has a state of its own: the child's end stays blocking.
        set_nonblocking(end.as_fd())?;
    }
    Ok(spawned)
}

/// Makes reads and writes on a descriptor return at once. Never for descriptors shared with others, such as our own
/// standard streams.
fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A descriptor that is inheritable as long as this value lives.
pub(super) struct Lent<'a>(BorrowedFd<'a>);

impl<'a> Lent<'a> {
    pub(super) fn new(fd: BorrowedFd<'a>) -> io::Result<Self> {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(Lent(fd))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // It succeeded the other way on the same descriptor.
        fcntl(self.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap_or(0);
    }
}

/// SIGTSTP blocked as long as this value lives.
struct StopBlocked(SigSet);

impl StopBlocked {
    fn new() -> io::Result<Self> {
        Ok(StopBlocked(SigSet::from(Signal::SIGTSTP).thread_swap_mask(SigmaskHow::SIG_BLOCK)?))
    }
}

impl Drop for StopBlocked {
    fn drop(&mut self) {
        // The mask is one that the kernel gave us.
        self.0.thread_set_mask().unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_in_a_shell() {
        assert!(resolve(OsStr::new("sh")).unwrap().is_absolute());
        assert!(resolve(OsStr::new("/bin/sh")).is_ok());
        let missing = resolve(OsStr::new("nosuch-program")).unwrap_err();
        assert_eq!(missing.message, "cannot start nosuch-program: command not found (ENOENT)");
        assert_eq!((missing.exit_code(), missing.errno_name().as_str()), (127, "ENOENT"));
        let directory = resolve(OsStr::new("/usr")).unwrap_err();
        assert_eq!((directory.exit_code(), directory.errno), (126, libc::EACCES));
        assert_eq!(resolve(OsStr::new("")).unwrap_err().exit_code(), 127);
        assert_eq!(resolve_in(OsStr::new("passwd"), Some(OsStr::new("/etc"))).unwrap_err().exit_code(), 126);
        assert!(resolve_in(OsStr::new("sh"), Some(OsStr::new("/nosuch::/bin"))).is_ok());
    }

    #[test]
    fn shortage_is_told_from_what_will_never_work() {
        let fault = |errno| SpawnError::new(OsStr::new("x"), &io::Error::from_raw_os_error(errno)).fault;
        assert_eq!(fault(libc::EAGAIN), SpawnFault::Shortage);
        assert_eq!(fault(libc::ETXTBSY), SpawnFault::Shortage);
        assert_eq!(fault(libc::EACCES), SpawnFault::Permanent);
        let nul = spawn(&SpawnSpec { args: &["a\0b".into()], ..SpawnSpec::new(Path::new("/bin/true")) }).unwrap_err();
        assert_eq!(nul.fault, SpawnFault::Permanent);
    }
}
