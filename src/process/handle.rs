//! [`Process`]: any program, started, joined and stopped as Python's `multiprocessing.Process` does with a function.
//!
//! Independent of the rest of the crate, which supervises many workers at once: this is for a program that wants two.
//! It waits for its own children by number and never takes the exit status of any other.

use super::spawn::SpawnError;
use super::{exit_hook, started::Started};
use crate::process::contain::parent_death_signal;
use crate::status::ExitStatus;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use super::started::DAEMON_GRACE;

/// A program to run beside this one.
///
/// It inherits standard input, output and error. Unlike a bare [`std::process::Child`] it is never forgotten: when the
/// value is dropped, or the program ends by returning from `main` or by `exit`, a process is waited for, and a
/// [`daemon`](Self::daemon) is terminated first (killed after [`DAEMON_GRACE`]). When the program is killed, its daemons are killed with it by the
/// kernel if they were started on the main thread (and are not set-user-id programs); others go on.
///
/// Do not use it beside a loop that waits for any child (`waitpid(-1)`, [`super::Reaper`]): that would take its exit
/// status away. The process has ended then too, but its exit code stays unknown.
///
/// Two tasks side by side take the time of one:
///
/// ```
/// use std::time::{Duration, Instant};
/// use supervisor::Process;
///
/// let begin = Instant::now();
/// let mut p1 = Process::new("sh").args(["-c", "echo Tugas 1 mulai; sleep 0.3; echo Tugas 1 selesai"]);
/// let mut p2 = Process::new("sh").args(["-c", "echo Tugas 2 mulai; sleep 0.3; echo Tugas 2 selesai"]);
///
/// p1.start()?;
/// p2.start()?;
///
/// p1.join(None)?;
/// p2.join(None)?;
///
/// assert_eq!((p1.exitcode(), p2.exitcode()), (Some(0), Some(0)));
/// assert!(begin.elapsed() < Duration::from_millis(600));
/// # Ok::<(), supervisor::process::ProcessError>(())
/// ```
pub struct Process {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    name: String,
    daemon: bool,
    started: Option<Arc<Started>>,
}

/// What can go wrong with a [`Process`].
#[derive(Debug)]
pub enum ProcessError {
    /// It has to be started first.
    NotStarted,
    /// It can be started only once.
    AlreadyStarted,
    /// The program could not be started.
    Spawn(SpawnError),
    /// The system refused to wait or to signal.
    System(io::Error),
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessError::NotStarted => f.write_str("the process is not started: call start() first"),
            ProcessError::AlreadyStarted => {
                f.write_str("the process was started before: make a new one to run it again")
            }
            ProcessError::Spawn(error) => error.fmt(f),
            ProcessError::System(error) => write!(f, "the process cannot be waited for or signalled: {error}"),
        }
    }
}

impl std::error::Error for ProcessError {}

impl Process {
    /// A process that will run `program`, looked up in `PATH`. Its name is `Process-1` for the first one, and so on.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed) + 1;
        Process {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            name: format!("Process-{number}"),
            daemon: false,
            started: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Has it start in another directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// Names it. Names are for people: they need not be unique.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether it is terminated, not waited for, when this program ends or drops it.
    #[must_use]
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Starts it. Only once.
    pub fn start(&mut self) -> Result<(), ProcessError> {
        if self.started.is_some() {
            return Err(ProcessError::AlreadyStarted);
        }
        let pid = self.spawn().map_err(|error| ProcessError::Spawn(SpawnError::new(&self.program, &error)))?;
        let started = Arc::new(Started::new(pid, self.daemon).map_err(ProcessError::System)?);
        exit_hook::register(&started);
        self.started = Some(started);
        Ok(())
    }

    /// Waits until it has ended, no longer than `timeout` (for ever when `None`), and says whether it has.
    pub fn join(&self, timeout: Option<Duration>) -> Result<bool, ProcessError> {
        self.started()?.join(timeout).map_err(ProcessError::System)
    }

    /// How it ended: its exit code, or `-N` when signal N killed it. `None` while it runs, and before it is started.
    pub fn exitcode(&self) -> Option<i32> {
        self.exit_status().map(ExitStatus::exit_code)
    }

    /// How it ended, as a type. `None` while it runs, and before it is started.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let started = self.started.as_ref()?;
        started.status()
    }

    /// Whether it is running.
    pub fn is_alive(&self) -> bool {
        self.started.as_ref().is_some_and(|started| !started.look())
    }

    /// Asks it to end: SIGTERM, then SIGCONT, since a stopped process ends only when it is continued. Nothing happens
    /// when it has ended already.
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.started()?.signal(&[libc::SIGTERM, libc::SIGCONT]).map_err(ProcessError::System)
    }

    /// Ends it at once (SIGKILL). Nothing happens when it has ended already.
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.started()?.signal(&[libc::SIGKILL]).map_err(ProcessError::System)
    }

    /// Its process id, `None` before it is started.
    pub fn pid(&self) -> Option<u32> {
        self.started.as_ref().map(|started| started.pid())
    }

    /// A descriptor that becomes readable when it has ended, for `poll` and its kin. Nothing is to be read from it.
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        Ok(self.started()?.sentinel())
    }

    /// What it is called.
    pub fn get_name(&self) -> &str {
        &self.name
    }

    fn started(&self) -> Result<&Arc<Started>, ProcessError> {
        self.started.as_ref().ok_or(ProcessError::NotStarted)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the second door through which processes are started: the public one"
    )]
    fn spawn(&self) -> io::Result<u32> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.cwd {
            command.current_dir(directory);
        }
        let parent = std::process::id();
        // The kernel's death signal comes when the starting *thread* ends, so it is of use on the main thread only.
        if self.daemon && nix::unistd::gettid().as_raw() as u32 == parent {
            // SAFETY: between fork and exec only prctl, getppid and raise are called, all async-signal-safe.
            unsafe { command.pre_exec(move || parent_death_signal(libc::SIGKILL, parent)) };
        }
        // The child object is dropped, which neither waits nor kills.
        command.spawn().map(|child| child.id())
    }
}

impl fmt::Debug for Process {
    /// `Process(Process-1, pid 4711, exit code 0)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({}", self.name)?;
        match (self.pid(), self.exit_status()) {
            (None, _) => f.write_str(", initial")?,
            (Some(pid), Some(status)) => write!(f, ", pid {pid}, {status}")?,
            (Some(pid), None) if self.is_alive() => write!(f, ", pid {pid}, started")?,
            (Some(pid), None) => write!(f, ", pid {pid}, ended")?,
        }
        f.write_str(if self.daemon { ", daemon)" } else { ")" })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(started) = self.started.take() {
            started.finish();
            exit_hook::forget(&started);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_as_in_python() {
        let (first, second) = (Process::new("a"), Process::new("b").name("tugas"));
        assert!(first.get_name().starts_with("Process-"));
        assert_eq!(second.get_name(), "tugas");
        assert_eq!(format!("{second:?}"), "Process(tugas, initial)");
    }
}
