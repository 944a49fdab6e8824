//! Runs the binary as a user would, with a deadline on everything: a hang is a failure, not a wait.

use crate::captured::Captured;
use crate::schema::assert_valid_record;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// No run of a test may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A command line of `supervisor` to be run.
pub(crate) struct Run {
    command: Command,
    stdin: Option<Vec<u8>>,
}

impl Run {
    /// `supervisor ARGS`, in a directory of its own choosing, without the caller's SPV_ variables.
    #[expect(clippy::disallowed_methods, reason = "tests start the program under test")]
    pub(crate) fn new<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(args: I) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supervisor"));
        command.args(args).env_remove("CI").env_remove("NO_COLOR");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPV_") {
                command.env_remove(name);
            }
        }
        Run { command, stdin: None }
    }

    /// `supervisor spawn --json ARGS`: records on standard output.
    pub(crate) fn json<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(args: I) -> Self {
        Run::new(["spawn", "--json"]).args(args)
    }

    /// `supervisor spawn ARGS`: text on standard output.
    pub(crate) fn text<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(args: I) -> Self {
        Run::new(["spawn"]).args(args)
    }

    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn cwd(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// What the job list holds.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(bytes.as_ref().to_vec());
        self
    }

    /// Gives access to what is set up, for what the methods above do not offer.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Starts it, with standard input left open.
    pub(crate) fn start(mut self) -> Started {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary starts");
        let stdout = Captured::of(child.stdout.take().expect("piped"));
        let stderr = Captured::of(child.stderr.take().expect("piped"));
        let mut started = Started { stdin: child.stdin.take(), child, stdout, stderr, began: now() };
        if let Some(bytes) = self.stdin {
            // From a thread, because the program reads no faster than it works.
            let mut stdin = started.stdin.take().expect("piped");
            spawn_thread(move || {
                let _ = stdin.write_all(&bytes);
            });
        }
        started
    }

    /// Starts it with a standard output that is read by the test itself, or not at all.
    pub(crate) fn start_piped(mut self) -> Piped {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = self.stdin.unwrap_or_default();
        spawn_thread(move || {
            let _ = stdin.write_all(&bytes);
        });
        let stderr = Captured::of(child.stderr.take().expect("piped"));
        Piped { stdout: child.stdout.take(), stderr, child }
    }

    /// Starts it on a terminal of its own, which is both its standard output and its standard error.
    pub(crate) fn start_on_terminal(mut self) -> Started {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let slave = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
        self.command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(slave()).stderr(slave());
        let mut child = self.command.spawn().expect("the binary starts");
        let stdout = Captured::of(std::fs::File::from(terminal.master));
        let stderr = Captured::of(std::io::empty());
        Started { stdin: child.stdin.take(), child, stdout, stderr, began: now() }
    }

    /// Runs it to its end; standard input is empty when none was given.
    pub(crate) fn run(self) -> Done {
        self.start().finish()
    }

    /// Runs it to its end with standard input, output and error as `with` set them up.
    pub(crate) fn run_bare(mut self) -> Option<i32> {
        let mut child = self.command.spawn().expect("the binary starts");
        let until = now() + DEADLINE;
        wait(&mut child, until).and_then(|status| status.code().or(status.signal().map(|number| 128 + number)))
    }
}

/// A run in progress.
pub(crate) struct Started {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Captured,
    stderr: Captured,
    began: Instant,
}

impl Started {
    /// Adds to the job list.
    pub(crate) fn feed(&mut self, bytes: &str) {
        let stdin = self.stdin.as_mut().expect("the list is open");
        stdin.write_all(bytes.as_bytes()).expect("the program reads");
    }

    /// Ends the job list.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn signal(&self, signal: i32) {
        let signal = nix::sys::signal::Signal::try_from(signal).expect("a signal");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("it is there");
    }

    /// Waits until standard output holds so many lines.
    pub(crate) fn await_lines(&self, count: usize) {
        self.stdout.wait_for(|bytes| bytes.iter().filter(|&&byte| byte == b'\n').count() >= count);
    }

    /// Waits until what standard output holds so far is like this.
    #[track_caller]
    pub(crate) fn await_stdout(&self, holds: impl Fn(&[u8]) -> bool) {
        self.stdout.wait_for(holds);
    }

    /// The records that standard output holds so far, whole lines all of them.
    pub(crate) fn records_so_far(&self) -> Vec<Value> {
        self.stdout.text().lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    /// Waits until standard error holds this text.
    pub(crate) fn await_stderr(&self, text: &str) {
        self.stderr.wait_for(|bytes| String::from_utf8_lossy(bytes).contains(text));
    }

    /// Waits until a worker runs a command, and gives the command's pid.
    pub(crate) fn await_grandchild(&self) -> i32 {
        let mut found = None;
        await_condition("a command runs", || {
            found = children(self.pid()).into_iter().flat_map(children).next();
            found.is_some()
        });
        found.expect("just found")
    }

    /// Kills one of the programs that run behind a guard; whether there was one.
    pub(crate) fn kill_child(&self) -> bool {
        let found = children(self.pid()).into_iter().flat_map(children).next();
        found.is_some_and(|pid| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).is_ok()
        })
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Done {
        self.stdin = None;
        let status = wait(&mut self.child, now() + DEADLINE);
        let took = self.began.elapsed();
        let Some(status) = status else {
            let _ = self.child.kill();
            panic!("it hangs; stdout:\n{}\nstderr:\n{}", self.stdout.text(), self.stderr.text());
        };
        let stdout = self.stdout.all();
        let stderr = String::from_utf8_lossy(&self.stderr.all()).into_owned();
        Done { code: status.code(), signal: status.signal(), stdout, stderr, took }
    }
}

/// A run whose standard output is in the hands of the test.
pub(crate) struct Piped {
    child: Child,
    pub(crate) stdout: Option<std::process::ChildStdout>,
    stderr: Captured,
}

impl Piped {
    pub(crate) fn signal(&self, signal: i32) {
        let signal = nix::sys::signal::Signal::try_from(signal).expect("a signal");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("it is there");
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Waits until standard error holds this text.
    pub(crate) fn await_stderr(&self, text: &str) {
        self.stderr.wait_for(|bytes| String::from_utf8_lossy(bytes).contains(text));
    }

    /// Waits until its workers have ended: nothing is left but the results.
    pub(crate) fn await_workers_end(&self) {
        await_condition("the workers have ended", || children(self.pid()).is_empty());
    }

    /// Waits until the pipe is full: whoever writes to it has to wait for a reader.
    pub(crate) fn await_blocked(&self) {
        use std::os::fd::AsRawFd;
        let pipe = self.stdout.as_ref().expect("not taken").as_raw_fd();
        await_condition("the pipe is full", || {
            let mut held: libc::c_int = 0;
            // SAFETY: FIONREAD writes one int to where the pointer shows.
            unsafe { libc::ioctl(pipe, libc::FIONREAD, &mut held) };
            held >= 60_000
        });
    }

    /// Waits for its end: the exit code, or 128 + the signal. Closes the pipe only after it.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let status = wait(&mut self.child, now() + DEADLINE)?;
        status.code().or(status.signal().map(|number| 128 + number))
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Done {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The records on standard output, each held against the schema.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).expect("records are UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole: {text:?}");
        text.lines()
            .map(|line| {
                assert_valid_record(line);
                serde_json::from_str(line).expect("a record is JSON")
            })
            .collect()
    }

    /// The records by id, with no id twice.
    pub(crate) fn by_id(&self) -> BTreeMap<String, Value> {
        let mut records = BTreeMap::new();
        for record in self.records() {
            let id = record["id"].to_string();
            assert!(records.insert(id.clone(), record).is_none(), "two records for job {id}");
        }
        records
    }

    /// How many records have each status.
    pub(crate) fn statuses(&self) -> BTreeMap<String, usize> {
        let mut statuses = BTreeMap::new();
        for record in self.by_id().values() {
            *statuses.entry(record["status"].as_str().expect("a status").to_owned()).or_default() += 1;
        }
        statuses
    }

    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "signal {:?}\nstdout:\n{}\nstderr:\n{}",
            self.signal,
            self.text(),
            self.stderr
        );
        self
    }
}

/// The map `{status: count}`, to compare with [`Done::statuses`].
pub(crate) fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(status, count)| (status.to_owned(), count)).collect()
}

/// A directory that goes with the test.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file for the test");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for a child with a deadline; none when it passes.
fn wait(child: &mut Child, until: Instant) -> Option<std::process::ExitStatus> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: pidfd_open takes two integers; the child is ours and not reaped, so its pid is its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    assert!(fd >= 0, "pidfd_open");
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let pidfd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) };
    let left = until.saturating_duration_since(now());
    let mut polled = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&pidfd), nix::poll::PollFlags::POLLIN)];
    let timeout = nix::poll::PollTimeout::try_from(left).expect("a timeout");
    let ended = nix::poll::poll(&mut polled, timeout).expect("poll") == 1;
    ended.then(|| child.wait().expect("it has ended"))
}

#[expect(clippy::disallowed_methods, reason = "tests have deadlines")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "pipes of a child are read beside the test")]
pub(crate) fn spawn_thread(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Waits until a process is in this state (`T`: stopped).
#[track_caller]
pub(crate) fn await_state(pid: i32, state: char) {
    await_condition("the process changes its state", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state))
    });
}

/// Waits until no process has this in its command line (arguments end with NUL there); two seconds is what is promised.
#[track_caller]
pub(crate) fn await_gone(command_line: &str) {
    await_condition("nothing is left", || !somebody_runs(command_line));
}

/// Whether a process has this in its command line.
pub(crate) fn somebody_runs(command_line: &str) -> bool {
    std::fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(command_line))
    })
}

/// Looks again and again until something holds that no descriptor tells of.
#[track_caller]
pub(crate) fn await_condition(what: &str, mut holds: impl FnMut() -> bool) {
    let until = now() + DEADLINE;
    while !holds() {
        assert!(now() < until, "it never came that {what}");
        pause(Duration::from_millis(2));
    }
}

/// Lets time pass, where time is what is under test or nothing else can be waited for.
#[expect(clippy::disallowed_methods, reason = "the one door of the tests")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// Says which of several ways a test went: past the capture of the test runner, so that it is seen.
pub(crate) fn tell(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}
