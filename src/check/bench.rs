//! Where checks are made: the program in a state to be asked, started again when a check has brought it down.

use super::Options;
use super::session::{Answer, ID_CHARS_MAX, Session, Wait};
use crate::process::SpawnError;
use crate::protocol::encode;
use crate::status::ExitStatus;
use std::ffi::OsString;
use std::time::Duration;

/// A method that no program has.
pub(super) const UNKNOWN: &str = "supervisor.check/unknown";
/// How long what should not come is waited for, and how long a program may take to notice that it should end.
const SHORT: Duration = Duration::from_millis(500);

/// Most ids of answers that nobody asked for which are remembered. One is told.
const UNASKED_MAX: usize = 100;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Pass,
    /// It works, but something else is promised.
    Warn,
    /// It does not work.
    Fail,
    /// There was nothing to check.
    Skip,
}

impl Mark {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mark::Pass => "pass",
            Mark::Warn => "warn",
            Mark::Fail => "fail",
            Mark::Skip => "skip",
        }
    }
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) mark: Mark,
    pub(super) detail: String,
}

impl Findings {
    pub(super) fn new(mark: Mark, detail: impl Into<String>) -> Self {
        Findings { mark, detail: detail.into() }
    }
}

/// What came of sending something.
pub(super) struct Exchange {
    pub(super) wait: Wait,
    /// All answers that came, in order.
    pub(super) answers: Vec<Answer>,
    /// An answer that answers nothing: what is wrong with it.
    malformed: Option<String>,
    /// When it ended: how, with its last words. When it wrote too much: what.
    end: String,
    limit: Duration,
}

impl Exchange {
    /// The answer to one request.
    pub(super) fn to(&self, id: &str) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.id == id)
    }

    /// What is wrong when not everything was answered.
    pub(super) fn fault(&self) -> Option<Findings> {
        if let Some(malformed) = &self.malformed {
            return Some(Findings::new(Mark::Fail, malformed.clone()));
        }
        match self.wait {
            Wait::Done => None,
            Wait::TimedOut => {
                Some(Findings::new(Mark::Fail, format!("no answer within {:?}; does it flush its output?", self.limit)))
            }
            Wait::Ended | Wait::Flooded => Some(Findings::new(Mark::Fail, self.end.clone())),
        }
    }
}

/// The program and what was seen of it so far.
pub(super) struct Bench<'a> {
    argv: &'a [OsString],
    pub(super) timeout: Duration,
    pub(super) calls: &'a [(String, String)],
    session: Option<Session>,
    next_id: u64,
    /// Whether it ended while it was asked something.
    pub(super) has_ended: bool,
    /// Answers to requests that were not open.
    pub(super) unasked: Vec<String>,
    /// Lines that were no messages: how many, and the first.
    pub(super) stray: (usize, String),
}

impl<'a> Bench<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Bench {
            argv: &options.argv,
            timeout: options.timeout,
            calls: &options.calls,
            session: None,
            next_id: 1,
            has_ended: false,
            unasked: Vec::new(),
            stray: (0, String::new()),
        }
    }

    /// The program, running.
    pub(super) fn session(&mut self) -> Result<&mut Session, SpawnError> {
        if self.session.is_none() {
            self.session = Some(Session::start(self.argv)?);
        }
        Ok(self.session.as_mut().expect("just started"))
    }

    /// Whether it does not run.
    fn is_dead(&self) -> bool {
        self.session.is_none()
    }

    /// The program, started anew.
    pub(super) fn fresh(&mut self) -> Result<&mut Session, SpawnError> {
        self.drop_session();
        self.session()
    }

    /// Ends it, and keeps what was seen.
    pub(super) fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            if self.stray.0 == 0 {
                self.stray.1.clone_from(&session.stray.1);
            }
            self.stray.0 += session.stray.0;
        }
    }

    /// What it wrote so far that is no message.
    pub(super) fn stray(&mut self) -> (usize, String) {
        self.drop_session();
        self.stray.clone()
    }

    /// A request with an id of its own, as a line.
    pub(super) fn request(&mut self, method: &str, params: &str) -> (String, Vec<u8>) {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = Vec::new();
        encode::request(&mut line, id, method, params);
        (id.to_string(), line)
    }

    /// Sends lines and waits until these requests are answered.
    pub(super) fn exchange(&mut self, lines: &[u8], ids: &[&str]) -> Result<Exchange, SpawnError> {
        let limit = self.timeout;
        let session = self.session()?;
        session.send(lines);
        let answered = |session: &Session, id: &str| session.answers.iter().any(|answer| answer.id == id);
        let is_one_of = |(id, _): &&(String, String)| ids.contains(&id.as_str());
        let wait = session.wait(limit, |session| {
            session.malformed.iter().any(|one| is_one_of(&one)) || ids.iter().all(|id| answered(session, id))
        });
        let answers = session.take_answers();
        let malformed = session.malformed.iter().find(is_one_of).map(|(_, what)| what.clone());
        let mut end = String::new();
        if wait == Wait::Ended {
            let status = session.wait_end(SHORT);
            end = how_it_ended(status, &session.last_words);
        } else if wait == Wait::Flooded {
            end = session.excess.clone().unwrap_or_default();
        }
        self.has_ended |= wait == Wait::Ended;
        if wait != Wait::Done || malformed.is_some() {
            self.drop_session();
        }
        let mut open: Vec<&str> = ids.to_vec();
        for answer in &answers {
            match open.iter().position(|id| *id == answer.id) {
                Some(at) => drop(open.swap_remove(at)),
                None if answer.id != "null" && self.unasked.len() < UNASKED_MAX => {
                    self.unasked.push(answer.id.chars().take(ID_CHARS_MAX).collect());
                }
                None => {}
            }
        }
        Ok(Exchange { wait, answers, malformed, end, limit })
    }

    /// Sends something that needs no answer, then a request; gives what came until that was answered, and its id.
    pub(super) fn before_a_request(&mut self, lines: &[u8]) -> Result<(Exchange, String), SpawnError> {
        let (id, request) = self.request(UNKNOWN, "[]");
        let exchange = self.exchange(&[lines, &request].concat(), &[&id])?;
        Ok((exchange, id))
    }

    /// Whether an answer to this comes after all, when answers may come out of order.
    pub(super) fn answered_late(&mut self, id: &str) -> Result<bool, SpawnError> {
        Ok(!self.is_dead() && self.listen()?.iter().any(|answer| answer.id == id))
    }

    /// Waits a little for what should not come.
    pub(super) fn listen(&mut self) -> Result<Vec<Answer>, SpawnError> {
        let session = self.session()?;
        session.wait(SHORT, |_| false);
        Ok(session.take_answers())
    }
}

/// `it exited with 3: last words`.
pub(super) fn how_it_ended(status: Option<ExitStatus>, last_words: &[u8]) -> String {
    let how = match status {
        Some(ExitStatus::Code(code)) => format!("it exited with {code}"),
        Some(ExitStatus::Signal(signal)) => format!("it was killed by {}", crate::status::SignalName(signal)),
        None => "it closed its output".into(),
    };
    let text = String::from_utf8_lossy(last_words);
    match text.trim_end().lines().last() {
        Some(line) if !line.is_empty() => format!("{how}: {}", line.chars().take(200).collect::<String>()),
        _ => how,
    }
}
