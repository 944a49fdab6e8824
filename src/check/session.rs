//! One run of the program that is checked: lines out, answers in, each wait with a limit. Behind a guard, as workers are,
//! so that nothing of it is left.

use super::bench::UNKNOWN;
use crate::process::{self, Live, Reaper, SpawnError, SpawnSpec, Spawned};
use crate::protocol::{Line, LineDecoder, METHOD_NOT_FOUND, Message, Outcome, ReadyParams, encode};
use crate::status::ExitStatus;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much of standard error is kept to explain an end.
const LAST_WORDS_BYTES: usize = 2048;
/// Longest line that is taken.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Most answers that are kept until somebody looks at them. No check asks for more than two at once.
const ANSWERS_MAX: usize = 1_000;
/// Most bytes of answers that are kept, one line more or less.
const ANSWERS_BYTES_MAX: usize = LINE_BYTES_MAX;
/// Most bytes that wait to be written to it, what a check sends not counted: answers to what it asks itself.
const REPLIES_BYTES_MAX: usize = 4 << 20;
/// Most reads of one stream before the other streams and the time are looked at again.
const READS_IN_TURN: usize = 16;
/// How much of the id of an answer that fits nothing is kept: more than any id that was given has.
pub(super) const ID_CHARS_MAX: usize = 100;
/// How often it is looked whether the process has ended, once its output has.
const LOOK_EVERY_MS: u8 = 5;

/// An answer that came.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// As JSON text; `null` when it names no request.
    pub(super) id: String,
    /// The code of an error; none for a result.
    pub(super) code: Option<i64>,
    /// The result or the error, as JSON text.
    pub(super) body: String,
}

/// How waiting for something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It came.
    Done,
    /// The time was over first.
    TimedOut,
    /// The program's output ended first.
    Ended,
    /// The program wrote more than anybody asked for ([`Session::excess`]).
    Flooded,
}

/// The program, running.
pub(super) struct Session {
    process: Live,
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
    /// What guards wait for the end of.
    _lifeline: OwnedFd,
    outgoing: Vec<u8>,
    decoder: LineDecoder,
    /// Answers to what it asked that were not written yet.
    replies: usize,
    /// Everything that was understood and not yet looked at.
    pub(super) answers: Vec<Answer>,
    answers_bytes: usize,
    /// What it did beyond all measure. Since then nothing it writes is kept.
    pub(super) excess: Option<String>,
    /// Ids of answers that answer nothing, and what is wrong with them.
    pub(super) malformed: Vec<(String, String)>,
    pub(super) ready: Option<ReadyParams>,
    /// Why its `ready` could not be understood.
    pub(super) misfit: Option<String>,
    /// Why it says that it cannot work (`failed`).
    pub(super) refusal: Option<String>,
    /// Lines that are no messages: how many, and the first.
    pub(super) stray: (usize, String),
    pub(super) last_words: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Session {
    pub(super) fn start(argv: &[OsString]) -> Result<Self, SpawnError> {
        let failed = |error: io::Error| SpawnError::new(&argv[0], &error);
        process::resolve(&argv[0])?;
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        let pipe = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let mut args: Vec<OsString> = ["guard", "--lifeline"].map(OsString::from).into();
        args.push(pipe.0.as_raw_fd().to_string().into());
        args.push("--".into());
        args.extend(argv.iter().cloned());
        let spec = SpawnSpec { args: &args, inherit: &[pipe.0.as_fd()], ..SpawnSpec::new(&own) };
        let Spawned { pid, stdin, stdout, stderr } = process::spawn(&spec)?;
        Ok(Session {
            process: Live::new(pid),
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            _lifeline: pipe.1,
            outgoing: Vec::new(),
            decoder: LineDecoder::new(LINE_BYTES_MAX),
            replies: 0,
            answers: Vec::new(),
            answers_bytes: 0,
            excess: None,
            malformed: Vec::new(),
            ready: None,
            misfit: None,
            refusal: None,
            stray: (0, String::new()),
            last_words: Vec::new(),
            status: None,
        })
    }

    /// Has this sent while something is waited for.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Closes its standard input.
    pub(super) fn close(&mut self) {
        self.stdin = None;
    }

    /// Asks it to end, as the supervisor does.
    pub(super) fn terminate(&self) {
        // It cannot fail for a process that is not reaped.
        let _ = self.process.signal(libc::SIGTERM);
        let _ = self.process.signal(libc::SIGCONT);
    }

    /// Moves bytes in both directions until something is true.
    pub(super) fn wait(&mut self, limit: Duration, done: impl Fn(&Session) -> bool) -> Wait {
        let deadline = now() + limit;
        loop {
            // What cannot be delivered any more is not worth waiting for; what can has to be.
            if self.outgoing.is_empty() && done(self) {
                return Wait::Done;
            }
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Wait::TimedOut;
            }
            if self.excess.is_some() {
                return Wait::Flooded;
            }
            self.poll(left);
            if !self.take_output() {
                return if done(self) { Wait::Done } else { Wait::Ended };
            }
            self.push_input();
            self.take_stderr();
        }
    }

    /// What it has answered so far.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        self.answers_bytes = 0;
        std::mem::take(&mut self.answers)
    }

    /// Waits for its end.
    pub(super) fn wait_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = now() + limit;
        while self.status.is_none() && now() < deadline {
            self.take_output();
            self.take_stderr();
            let mut reaper = Reaper::new();
            if let Some(death) = reaper.next() {
                if death.pid == self.process.pid() {
                    self.status = Some(death.status);
                } else {
                    reaper.reap(death.pid);
                }
            } else {
                // Nothing to poll: only time has to pass.
                let _ = poll(&mut [], PollTimeout::from(LOOK_EVERY_MS));
            }
        }
        self.take_stderr();
        self.status
    }

    fn poll(&self, left: Duration) {
        let mut polled = vec![PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        if !self.outgoing.is_empty() {
            polled.extend(self.stdin.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT)));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // Whatever it says, the descriptors are looked at.
        let _ = poll(&mut polled, timeout);
    }

    fn push_input(&mut self) {
        while let (Some(stdin), false) = (&self.stdin, self.outgoing.is_empty()) {
            match nix::unistd::write(stdin, &self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(_) => self.stdin = None,
            }
        }
        if self.stdin.is_none() {
            self.outgoing.clear();
        }
        if self.outgoing.is_empty() {
            self.replies = 0;
        }
    }

    /// Takes in some of what it wrote; `false` when that has ended.
    fn take_output(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        for _ in 0..READS_IN_TURN {
            match nix::unistd::read(&self.stdout, &mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.take_lines(&buffer[..count]),
                Err(Errno::EINTR) => {}
                Err(errno) => return errno == Errno::EAGAIN,
            }
        }
        true
    }

    fn take_lines(&mut self, bytes: &[u8]) {
        let mut decoder = std::mem::replace(&mut self.decoder, LineDecoder::new(0));
        let mut input = bytes;
        while self.excess.is_none() {
            let Some(line) = decoder.next(&mut input) else { break };
            let Ok(line) = line else {
                self.excess = Some(format!("it sends a line of more than {} MiB", LINE_BYTES_MAX >> 20));
                break;
            };
            match Line::parse(line) {
                Line::One(message) => self.take_message(&message, line),
                Line::Batch(messages) => messages.iter().for_each(|message| self.take_message(message, line)),
                Line::Stray => self.take_stray(line),
            }
        }
        self.decoder = decoder;
    }

    fn take_stray(&mut self, line: &[u8]) {
        if self.stray.0 == 0 {
            self.stray.1 = excerpt(line);
        }
        self.stray.0 += 1;
    }

    fn take_message(&mut self, message: &Message<'_>, line: &[u8]) {
        match message {
            Message::Malformed { id, fault } => {
                if self.has_room_for_answer() {
                    let id: String = id.chars().take(ID_CHARS_MAX).collect();
                    let told = format!("it answered request {id} {fault}: {}", excerpt(line));
                    self.malformed.push((id, told));
                }
                self.take_stray(line);
            }
            Message::Answer { id, outcome } => {
                if self.has_room_for_answer() {
                    let id = id.unwrap_or("null").to_owned();
                    let body = outcome.text().to_owned();
                    let code = matches!(outcome, Outcome::Error(_)).then(|| code_of(&body));
                    self.answers_bytes += id.len() + body.len();
                    self.answers.push(Answer { id, code, body });
                }
            }
            // An echo of what was sent is no answer.
            Message::Request { method, .. } if method == UNKNOWN => {}
            // Who asks its client for something must not be left waiting.
            Message::Request { id, .. } => self.refuse(id.get()),
            Message::Notification { method, params } if method == "ready" && self.ready.is_none() => {
                match serde_json::from_str(params.map_or("{}", |params| params.get())) {
                    Ok(ready) => self.ready = Some(ready),
                    Err(error) => self.misfit = Some(format!("`ready` cannot be understood: {error}")),
                }
            }
            Message::Notification { method, params } if method == "failed" => {
                let why = params.map_or("no reason", |params| params.get());
                self.refusal = Some(format!("it says that it cannot work (`failed`): {why}"));
            }
            Message::Notification { .. } => {}
            Message::Stray(_) => self.take_stray(line),
        }
    }

    /// Whether one more answer is kept. When not, what it does is out of all proportion to what it was asked.
    fn has_room_for_answer(&mut self) -> bool {
        if self.answers.len() + self.malformed.len() >= ANSWERS_MAX {
            let told = format!("it sends answers that nobody asked for: {ANSWERS_MAX} came while one was waited for");
            self.excess.get_or_insert(told);
        } else if self.answers_bytes >= ANSWERS_BYTES_MAX {
            let told = format!("it sends answers of more than {} MiB together", ANSWERS_BYTES_MAX >> 20);
            self.excess.get_or_insert(told);
        }
        self.excess.is_none()
    }

    /// Answers what it asks.
    fn refuse(&mut self, id: &str) {
        let before = self.outgoing.len();
        encode::error(&mut self.outgoing, id, METHOD_NOT_FOUND, "this is a check");
        self.replies += self.outgoing.len() - before;
        if self.replies > REPLIES_BYTES_MAX {
            let waiting = REPLIES_BYTES_MAX >> 20;
            let told = format!("it asks and does not read the answers: more than {waiting} MiB wait for it");
            self.excess.get_or_insert(told);
            self.outgoing.truncate(before);
        }
    }

    fn take_stderr(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..READS_IN_TURN {
            let Some(stderr) = &self.stderr else { return };
            match nix::unistd::read(stderr, &mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(count) => {
                    self.last_words.extend_from_slice(&buffer[..count]);
                    let excess = self.last_words.len().saturating_sub(LAST_WORDS_BYTES);
                    self.last_words.drain(..excess);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Session {
    /// Kills it with everything below it.
    fn drop(&mut self) {
        let _ = self.process.signal_group(libc::SIGKILL);
        let _ = self.process.signal(libc::SIGKILL);
        process::sweep(&|_| false);
    }
}

/// The beginning of a line, to be shown.
fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(60).collect()
}

/// The code of an error object; 0 when it has none.
fn code_of(error: &str) -> i64 {
    #[derive(serde::Deserialize)]
    struct Code {
        code: i64,
    }
    serde_json::from_str::<Code>(error).map_or(0, |error| error.code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "limits of a check are real time: there is no run whose clock could count"
)]
fn now() -> Instant {
    Instant::now()
}
