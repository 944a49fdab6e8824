//! Starting guards and waiting for what they do, with deadlines.

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use supervisor::process::{Reaper, SpawnSpec, Spawned, become_subreaper, spawn, sweep};
use supervisor::status::ExitStatus;

/// Nothing waited for here takes longer unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// The right to have children. When it is given back there must be none.
pub(crate) struct Alone(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

pub(crate) fn alone() -> Alone {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    become_subreaper().unwrap();
    Alone(guard)
}

impl Drop for Alone {
    fn drop(&mut self) {
        let rest = sweep(&|_| false);
        assert!(std::thread::panicking() || rest.is_empty(), "left behind: {rest:?}");
    }
}

/// A program started by `spawn`, with what it has written so far.
pub(crate) struct Running {
    pub(crate) spawned: Spawned,
    pub(crate) lifeline: Option<OwnedFd>,
    seen: Vec<u8>,
}

pub(crate) fn start(program: &str, args: &[&str]) -> Running {
    let args: Vec<OsString> = args.iter().map(Into::into).collect();
    let spawned = spawn(&SpawnSpec { args: &args, ..SpawnSpec::new(Path::new(program)) }).unwrap();
    Running { spawned, lifeline: None, seen: Vec::new() }
}

/// Starts `argv` behind a guard with a lifeline.
pub(crate) fn guarded(argv: &[&str]) -> Running {
    guarded_with(&[], argv)
}

/// The same, with more that the guard is told.
pub(crate) fn guarded_with(options: &[&str], argv: &[&str]) -> Running {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let number = reader.as_raw_fd().to_string();
    let own = ["guard", "--lifeline", &number];
    let args: Vec<OsString> = own.iter().chain(options).chain(&["--"]).chain(argv).map(Into::into).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_supervisor"));
    let spec = SpawnSpec { args: &args, inherit: &[reader.as_fd()], ..SpawnSpec::new(program) };
    Running { spawned: spawn(&spec).unwrap(), lifeline: Some(writer), seen: Vec::new() }
}

impl Running {
    /// The next line of its standard output, without the newline.
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.fill(), "standard output has ended early");
        }
    }

    /// The next line as the id of a process, with a descriptor of it.
    pub(crate) fn process(&mut self) -> Watched {
        Watched::new(self.line().trim().parse().unwrap())
    }

    /// Everything until the end of its standard output.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.seen)
    }

    /// Everything until the end of its standard error.
    pub(crate) fn errors(&self) -> String {
        let mut text = Vec::new();
        while read_some(self.spawned.stderr.as_fd(), &mut text) {}
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for its end and reaps it, and every other child that ends before it.
    pub(crate) fn end(&self) -> ExitStatus {
        let (process, mut reaper) = (Watched::new(self.spawned.pid), Reaper::new());
        process.gone();
        while let Some(death) = reaper.next() {
            reaper.reap(death.pid).unwrap();
            if death.pid == self.spawned.pid {
                return death.status;
            }
        }
        panic!("somebody else has reaped it");
    }

    pub(crate) fn signal(&self, signal: i32) {
        send(self.spawned.pid, signal);
    }

    fn fill(&mut self) -> bool {
        read_some(self.spawned.stdout.as_fd(), &mut self.seen)
    }
}

/// A process known by a descriptor, so that its number may be reused without harm.
pub(crate) struct Watched {
    pub(crate) pid: u32,
    descriptor: Option<OwnedFd>,
}

impl Watched {
    pub(crate) fn new(pid: u32) -> Self {
        // SAFETY: pidfd_open takes numbers and gives a descriptor that is ours, or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
        // SAFETY: just checked to be a descriptor, and nobody else knows it.
        Watched { pid, descriptor: (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) }) }
    }

    /// Waits until it is dead.
    pub(crate) fn gone(&self) {
        if let Some(descriptor) = &self.descriptor {
            assert!(readable(descriptor.as_fd()), "process {} does not end", self.pid);
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        let Some(descriptor) = &self.descriptor else { return false };
        poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 0
    }
}

pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: kill touches no memory.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

/// Waits until a process is in a state, by the letter that /proc gives it.
pub(crate) fn until_state(pid: u32, letter: char) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(letter)) {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} does not get to state {letter}: {stat}");
        std::thread::yield_now();
    }
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::try_from(LIMIT).unwrap()).unwrap() > 0
}

fn read_some(fd: BorrowedFd<'_>, into: &mut Vec<u8>) -> bool {
    assert!(readable(fd), "nothing to read in time, after {:?}", String::from_utf8_lossy(into));
    let mut buffer = [0; 65536];
    let count = nix::unistd::read(fd, &mut buffer).unwrap();
    into.extend_from_slice(&buffer[..count]);
    count > 0
}

/// Says which of several ways a test went: past the capture of the test runner, so that it is seen.
pub(crate) fn tell(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}
