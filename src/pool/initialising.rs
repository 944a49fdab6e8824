//! From a process to a worker that is ready: the messages of `--init`, and programs that say they cannot work at all.

use super::Pool;
use super::deadline::Timer;
use super::worker::State;
use crate::config::Target;
use crate::ids::WorkerId;
use crate::json;
use crate::protocol::{Outcome, encode, mcp};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Parameters of `failed`: why a worker cannot work at all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StartFailure {
    message: String,
    traceback: String,
}

impl Pool {
    pub(super) fn begin_initialising(&mut self, id: WorkerId) {
        self.workers[id.index()].state = State::Initialising { message: 0 };
        self.continue_initialising(id, 0);
    }

    /// Sends the messages of `--init` from this one on, up to the first that has to be answered.
    fn continue_initialising(&mut self, id: WorkerId, from: usize) {
        for at in from..self.config.init.len() {
            let message = self.config.init[at].clone();
            self.say(id, |out| {
                encode::one_line(out, message.get());
                out.push(b'\n');
            });
            if request_id(&message).is_some() {
                self.workers[id.index()].state = State::Initialising { message: at };
                return;
            }
        }
        self.leave_start(id, State::Up);
        self.workers[id.index()].was_up = true;
        self.show_untold(id);
        if self.workers[id.index()].announced {
            let worker = &mut self.workers[id.index()];
            self.deadlines.clear(&mut worker.timer, Timer::Worker(id, worker.generation));
        }
        self.offer(id);
    }

    /// The answer to the message of `--init` that is open.
    pub(super) fn init_answered(&mut self, id: WorkerId, at: usize, outcome: Outcome<'_>) {
        match outcome {
            // Where there are no sessions, none was begun: the notification that would say so is left out.
            Outcome::Result(_) | Outcome::LargeResult(_) if at == 0 && self.workers[id.index()].stateless => {
                self.workers[id.index()].blame = None;
                self.continue_initialising(id, 2);
            }
            Outcome::Result(_) | Outcome::LargeResult(_) => self.continue_initialising(id, at + 1),
            Outcome::Error(error) => self.init_refused(id, at, &error),
        }
    }

    /// A worker refused a message of `--init`, or an MCP server its handshake: that one may know no sessions.
    fn init_refused(&mut self, id: WorkerId, at: usize, error: &str) {
        let worker = &mut self.workers[id.index()];
        let shakes_hands = at == 0 && matches!(self.config.target, Target::Tool);
        if shakes_hands && !worker.stateless {
            worker.stateless = true;
            worker.blame = Some(format!("refused the request initialize: {}", in_words(error)));
            self.say(id, |out| {
                out.extend_from_slice(mcp::discover().get().as_bytes());
                out.push(b'\n');
            });
            return;
        }
        // Where both kinds of handshake were refused, the first refusal says more.
        let what = format!("refused the --init request: {}", in_words(error));
        let why = worker.blame.take().filter(|_| shakes_hands).unwrap_or(what);
        self.never_ready(id, why);
    }

    /// Whether this is the answer to a message of `--init` that was open when the worker was told to end: nobody waits
    /// for it any more.
    pub(super) fn is_late_init_answer(&self, id: WorkerId, answer: &str) -> bool {
        self.workers[id.index()].init_left_open.is_some_and(|at| self.is_answer_to_init(at, answer))
    }

    /// Whether an id is that of this message of `--init`.
    pub(super) fn is_answer_to_init(&self, at: usize, answer: &str) -> bool {
        request_id(&self.config.init[at]).is_some_and(|id| id.get() == answer)
    }

    /// The worker says that it cannot work at all: trying again would not help.
    pub(super) fn start_refused(&mut self, id: WorkerId, failure: &StartFailure) {
        if self.workers[id.index()].did_work {
            return;
        }
        let mut why = failure.message.clone();
        if why.trim().is_empty() {
            why = format!("worker {} says that it cannot work, and not why", id.0);
        }
        if !failure.traceback.is_empty() && failure.traceback.trim() != failure.message.trim() {
            why = format!("{why}\n{}", failure.traceback.trim_end());
        }
        self.workers[id.index()].blame = Some(why.clone());
        self.give_up(&why);
    }
}

/// An error as a person reads it: the message, and where there is one the traceback below it.
fn in_words(error: &str) -> String {
    let text = |json, name| json::member(json, name).and_then(json::lossy_text);
    let Some(message) = text(error, "message") else { return error.to_owned() };
    match json::member(error, "data").and_then(|data| text(data, "traceback")) {
        Some(traceback) => format!("{message}\n{}", traceback.trim_end()),
        None => message,
    }
}

fn request_id(message: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_str::<Id<'_>>(message.get()).ok()?.id
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_in_words() {
        for (error, words) in [
            (
                r#"{"code":1,"message":"KeyError: 'a'","data":{"traceback":"Traceback:\n  x\n"}}"#,
                "KeyError: 'a'\nTraceback:\n  x",
            ),
            (r#"{"code":1,"message":"no \ud800"}"#, "no \u{fffd}"),
            (r#"{"code":1}"#, r#"{"code":1}"#),
            ("5", "5"),
        ] {
            assert_eq!(super::in_words(error), words);
        }
    }
}
