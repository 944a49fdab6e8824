//! How an attempt ended: from what happened to a request to the words of a record.

use super::Pool;
use super::flight::{Cancel, Flight};
use super::job_table::JobKey;
use crate::config::Target;
use crate::ids::WorkerId;
use crate::json::{self, Json};
use crate::protocol::{Outcome, REQUEST_CANCELLED, mcp};
use crate::record::Status;
use crate::status::{ExitStatus, SignalName};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Ending<'a> {
    /// The worker answered it.
    Answered(Outcome<'a>),
    /// The worker is gone, or was found unfit.
    WorkerLost {
        /// How its process ended, if it has.
        status: Option<ExitStatus>,
        /// Others were in flight with it.
        among_others: bool,
    },
    /// It was to stop and the worker did not answer in time.
    Overdue,
}

/// How an attempt ended: what the record will say if it was the last.
pub(super) struct Attempt {
    pub(super) status: Status,
    pub(super) result: Option<Json>,
    pub(super) error: Option<Box<Json>>,
}

impl Pool {
    #[inline(always)]
    pub(super) fn judge(&self, id: WorkerId, key: JobKey, flight: &mut Flight, ending: Ending<'_>) -> Attempt {
        let not_ok = |status, error| Attempt { status, result: None, error: Some(Box::new(error)) };
        let stuck = flight.said.as_mut().and_then(|said| said.stuck.take());
        match ending {
            // The run may be being stopped: this one made it.
            Ending::Answered(result @ (Outcome::Result(_) | Outcome::LargeResult(_)))
                if flight.cancel != Some(Cancel::Timeout) =>
            {
                match self.fault_of_tool(result.text()) {
                    None => Attempt { status: Status::Ok, result: Some(known(result)), error: None },
                    Some(message) => not_ok(Status::Failed, error_of(&message, Some(result.text()))),
                }
            }
            Ending::Answered(Outcome::Error(error)) if flight.cancel < Some(Cancel::Timeout) => {
                not_ok(Status::Failed, well_formed(error))
            }
            Ending::WorkerLost { status, .. } if flight.cancel < Some(Cancel::Timeout) => {
                let excess = self.workers[id.index()].excess;
                let error = Json::from(&self.crash_error(id, status));
                not_ok(if excess.is_some() { Status::Oom } else { Status::Crashed }, error)
            }
            ending => {
                let (status, message) = match flight.cancel {
                    Some(Cancel::Stop) => (Status::Cancelled, self.stop.cause()),
                    _ => (Status::Timeout, format!("ran longer than {}", seconds(self.timeout_of(key)))),
                };
                let left = match &ending {
                    Ending::Answered(answer) => answer_data(answer.text()),
                    _ => None,
                };
                let data = stuck.map_or(left.map(Cow::Borrowed), |stack| Some(with_traceback(left, &stack).into()));
                not_ok(status, error_of(&message, data.as_deref()))
            }
        }
    }

    /// Servers of tools tell of failures in results.
    fn fault_of_tool(&self, result: &str) -> Option<String> {
        if matches!(self.config.target, Target::Tool) { mcp::fault(result) } else { None }
    }

    fn crash_error(&self, id: WorkerId, status: Option<ExitStatus>) -> Value {
        let worker = &self.workers[id.index()];
        let mut data = json!({});
        if let Some(status) = status {
            data["exit_code"] = status.exit_code().into();
            if let ExitStatus::Signal(number) = status {
                data["signal"] = SignalName(number).to_string().into();
            }
        }
        if let Some(bytes) = worker.excess {
            data["memory"] = bytes.into();
        }
        data["stderr"] = String::from_utf8_lossy(&worker.stderr_tail).into_owned().into();
        let message = match (&worker.blame, status) {
            (Some(blame), _) => blame.clone(),
            (None, Some(ExitStatus::Signal(number))) => format!("worker {} was killed by {}", id.0, SignalName(number)),
            (None, Some(ExitStatus::Code(code))) => {
                format!("worker {} ended with exit code {code} in the middle of the job", id.0)
            }
            (None, None) => format!("worker {} was lost", id.0),
        };
        json!({"message": message, "data": data})
    }

    fn timeout_of(&self, key: JobKey) -> Duration {
        let own = self.jobs.get(key).job.options.as_ref().and_then(|options| options.timeout);
        own.or(self.config.timeout).unwrap_or_default()
    }
}

fn known(result: Outcome<'_>) -> Json {
    match result {
        Outcome::Result(text) | Outcome::Error(text) => Json::known(text),
        Outcome::LargeResult(part) => Json::known_part(part),
    }
}

/// An error as records have it, with a message that is text and a code that is a whole number or missing, whatever the
/// worker made of it.
fn well_formed(error: Cow<'_, str>) -> Json {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(rename = "code", default)]
        _code: i64,
        #[serde(borrow, rename = "message")]
        _message: Cow<'a, str>,
    }
    if error.starts_with('{') && serde_json::from_str::<Error<'_>>(&error).is_ok() {
        return Json::known(error);
    }
    if let Some(message) = json::lossy_text(&error) {
        return error_of(&message, None);
    }
    if !error.starts_with('{') {
        return error_of(&error, None);
    }
    let member = |name| json::member(&error, name);
    let message = match member("message") {
        Some(message) => json::lossy_text(message).unwrap_or_else(|| message.to_owned()),
        None => "the worker gave no message".into(),
    };
    // A code that is null is none.
    let code = member("code").filter(|code| *code != "null");
    let is_code = |code: &str| code.parse::<i64>().is_ok();
    let mut text = String::from("{");
    match (code, member("data")) {
        (Some(code), data) if !is_code(code) => {
            text += &format!("\"data\":{{\"code\":{code},\"data\":{}}},", data.unwrap_or("null"));
        }
        (code, data) => {
            text += &code.map_or(String::new(), |code| format!("\"code\":{code},"));
            text += &data.map_or(String::new(), |data| format!("\"data\":{data},"));
        }
    }
    let is_ours = |name: &str| ["code", "data", "message"].contains(&json::plain_string(name).trim_matches('"'));
    for (name, value) in json::members(&error).filter(|(name, _)| !is_ours(name)) {
        text += &format!("{name}:{value},");
    }
    Json::known(format!("{text}\"message\":{}}}", Value::from(message)))
}

/// Whether the answer says that the job was called back before it was begun.
pub(super) fn was_not_begun(error: &str) -> bool {
    #[derive(Deserialize)]
    struct Error {
        code: i64,
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        begun: Option<bool>,
    }
    // Looked at for every failure, so the common ones are told apart before they are parsed.
    error.contains("\"begun\"")
        && serde_json::from_str::<Error>(error).is_ok_and(|error| {
            error.code == REQUEST_CANCELLED && error.data.is_some_and(|data| data.begun == Some(false))
        })
}

/// Whether the answer says that the job was stopped because that was asked for.
pub(super) fn was_cancelled(error: &str) -> bool {
    #[derive(Deserialize)]
    struct Error {
        code: i64,
    }
    serde_json::from_str::<Error>(error).is_ok_and(|error| error.code == REQUEST_CANCELLED)
}

/// What an answer to a cancelled request holds beside its message: partial output, or the result that came too late.
fn answer_data(answer: &str) -> Option<&str> {
    json::member(answer, "data").or_else(|| json::member(answer, "exit_code").map(|_| answer))
}

/// The data of an error, or what there is of it, with the stack of a function that could not be stopped.
fn with_traceback(data: Option<&str>, stack: &str) -> String {
    let others = json::members(data.unwrap_or_default()).filter(|(name, _)| *name != "\"traceback\"");
    let others: String = others.map(|(name, value)| format!("{name}:{value},")).collect();
    format!("{{{others}\"traceback\":{}}}", Value::from(stack))
}

/// The error of a job that was stopped while it waited for its next attempt. What the last one came to stays in it.
pub(super) fn stopped_between(cause: &str, last: &str) -> Json {
    let why = json::member(last, "message").and_then(json::lossy_text).unwrap_or_default();
    error_of(&format!("{cause} while it waited for its next attempt; the last one: {why}"), json::member(last, "data"))
}

/// An error with data that is passed on as the text it is.
fn error_of(message: &str, data: Option<&str>) -> Json {
    let message = Value::from(message);
    Json::known(match data {
        Some(data) => format!("{{\"data\":{data},\"message\":{message}}}"),
        None => format!("{{\"message\":{message}}}"),
    })
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}
