//! A worker process with deadlines on everything that is waited for.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes this long, even on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A worker under test; killed when the test ends.
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    buffer: Vec<u8>,
}

/// A command in the current clock; tests have no other.
pub(crate) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "tests have no clock handed to them")]
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the test is what starts processes here")]
pub(crate) fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supervisor"));
    command.arg("worker").args(args.split_ascii_whitespace());
    command
}

impl Worker {
    /// Starts a worker with these flags and takes its first line.
    pub(crate) fn start(args: &str) -> Worker {
        Worker::run(&mut command(args))
    }

    /// The same with a command that was prepared.
    pub(crate) fn run(command: &mut Command) -> Worker {
        // As the supervisor does; its own group also keeps it apart from the test's.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut worker = Worker { child, stdin, stdout, buffer: Vec::new() };
        assert_eq!(worker.answer()["method"], "ready");
        worker
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Writes a message and its line end.
    pub(crate) fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    /// Asks for a command without waiting for the answer.
    pub(crate) fn ask(&mut self, id: u64, params: Value) {
        self.send(&json!({"jsonrpc":"2.0","id":id,"method":"exec","params":params}));
    }

    /// Asks for a command and waits for its answer.
    pub(crate) fn exec(&mut self, params: Value) -> Value {
        self.ask(1, params);
        let answer = self.answer();
        assert_eq!(answer["id"], 1, "{answer}");
        answer
    }

    /// What a shell line that ends well gave.
    pub(crate) fn shell(&mut self, line: &str) -> Value {
        let mut answer = self.exec(json!({"command":line}));
        assert_eq!(answer["error"], Value::Null, "{answer}");
        answer["result"].take()
    }

    pub(crate) fn cancel(&mut self, id: u64) {
        self.send(&json!({"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":id}}));
    }

    /// The next line.
    pub(crate) fn answer(&mut self) -> Value {
        self.next_answer().expect("the worker closed its output")
    }

    /// The next line; none at the end of the stream.
    pub(crate) fn next_answer(&mut self) -> Option<Value> {
        let end = now() + DEADLINE;
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let left = end.saturating_duration_since(now());
            let timeout = PollTimeout::try_from(left).unwrap();
            let ready = poll(&mut [PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)], timeout);
            assert_ne!(ready, Ok(0), "no answer within {DEADLINE:?}");
            let mut chunk = vec![0; 1 << 16];
            let count = self.stdout.read(&mut chunk).unwrap();
            if count == 0 {
                assert!(self.buffer.is_empty(), "half a line at the end");
                return None;
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// Bytes of answers that wait to be read.
    pub(crate) fn unread(&self) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int to where the pointer shows.
        let asked = unsafe { libc::ioctl(self.stdout.as_fd().as_raw_fd(), libc::FIONREAD, &mut bytes) };
        assert_eq!(asked, 0);
        usize::try_from(bytes).unwrap()
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// No answer may come any more; how did it end?
    pub(crate) fn join(&mut self) -> ExitStatus {
        assert_eq!(self.next_answer(), None);
        let mut status = None;
        wait_until("the worker ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What it runs has no other guard when a test has failed.
        supervisor::process::kill_tree(self.pid());
        let _ = self.child.wait();
    }
}

/// Looks again and again, with a deadline.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = now() + DEADLINE;
    while !condition() {
        assert!(now() < end, "waited in vain until {what}");
        let _ = poll(&mut [], 1_u8);
    }
}

/// The state letter of a process in /proc; none when there is no such process.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z')
}

/// A process id from a file that a command writes.
pub(crate) fn pid_in(path: &std::path::Path) -> u32 {
    let mut pid = None;
    wait_until("a process id is written", || {
        pid = std::fs::read_to_string(path).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}

/// A directory for one test, removed with it.
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("spv-worker-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
