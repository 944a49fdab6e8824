//! [`Context`]: what a call knows about itself, and how it asks the supervisor for shared state.

use super::failure::Failure;
use super::outgoing::OUT;
use super::request::{Incoming, cancelled_id, lines};
use super::streams::Inbox;
use crate::protocol::encode;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// What is common to all calls of a worker.
pub(super) struct Wire {
    pub(super) inbox: RefCell<Inbox>,
    /// Ids, as JSON text, of requests that were read, not begun, and are not wanted any more.
    pub(super) cancelled: RefCell<Vec<Box<str>>>,
    next_id: Cell<u64>,
}

impl Wire {
    pub(super) fn new(inbox: Inbox) -> Self {
        Wire { inbox: RefCell::new(inbox), cancelled: RefCell::new(Vec::new()), next_id: Cell::new(1) }
    }

    /// Remembers what a piece cancels, before anything in it is begun.
    pub(super) fn note_cancellations(&self, piece: &[u8]) {
        if memchr::memmem::find(piece, b"\"$/").is_some() {
            self.cancelled.borrow_mut().extend(lines(piece).filter_map(cancelled_id).map(Box::from));
        }
    }

    /// Sends a request without waiting for its answer, and gives its id as JSON text.
    fn send(&self, method: &str, params: &Value) -> String {
        let id = format!("\"rs-{}\"", self.next_id.get());
        self.next_id.set(self.next_id.get() + 1);
        OUT.say(true, |out| {
            out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(br#","method":"#);
            encode::string(out, method);
            out.extend_from_slice(br#","params":"#);
            out.extend_from_slice(params.to_string().as_bytes());
            out.extend_from_slice(b"}\n");
        });
        id
    }

    /// Sends a request and waits for its answer. Requests to us that come meanwhile wait for their turn.
    fn ask(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let id = self.send(method, params);
        let mut inbox = self.inbox.borrow_mut();
        while let Some(piece) = inbox.read()? {
            let (mut answer, mut others) = (None, Vec::new());
            for line in lines(&piece) {
                match answered(line, &id).filter(|_| answer.is_none()) {
                    Some(found) => answer = Some(found),
                    None => {
                        others.extend_from_slice(line);
                        others.push(b'\n');
                    }
                }
            }
            self.note_cancellations(&others);
            inbox.keep(others);
            inbox.give_back(piece);
            if let Some(answer) = answer {
                return answer;
            }
        }
        Err(Failure::new(format!("{method}: the supervisor is gone")))
    }
}

/// What a line says if it is the answer to this request.
fn answered(line: &[u8], id: &str) -> Option<Result<Value, Failure>> {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
        message: String,
    }
    // Cheap for the many that are something else.
    memchr::memmem::find(line, id.as_bytes())?;
    let incoming = Incoming::parse(line).filter(|incoming| incoming.is_answer() && incoming.valid_id() == Some(id))?;
    Some(match (incoming.error, incoming.result) {
        (Some(error), _) => Err(match serde_json::from_str(error) {
            Ok(Refusal { code, message }) => Failure::new(message).code(code),
            Err(_) => Failure::new(error),
        }),
        (None, result) => serde_json::from_str(result.unwrap_or("null")).map_err(Failure::from),
    })
}

/// The call that runs: its name for the supervisor, and the state that it shares with other workers, in whatever
/// language. What it holds is released when the call ends, however it ends.
///
/// What each of these does is described under "Shared state" in `docs/protocol.md`.
pub struct Context<'a> {
    pub(super) wire: &'a Wire,
    /// The id of the request, as JSON text; empty for none.
    pub(super) id: &'a str,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.id)
    }
}

impl Context<'_> {
    /// The id of the request as JSON text: `7`.
    pub fn id(&self) -> &str {
        self.id
    }

    /// Sends text as the job's own output: it becomes `stdout` of its record. What is printed by `println!` goes to
    /// standard error.
    pub fn print(&self, text: &str) {
        OUT.say(false, |out| {
            out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"output","params":{"id":"#);
            out.extend_from_slice(self.id.as_bytes());
            out.extend_from_slice(br#","stream":"stdout","data":"#);
            encode::string(out, text);
            out.extend_from_slice(b"}}\n");
        });
    }

    pub(super) fn ask(&self, method: &str, name: &str, more: Value) -> Result<Value, Failure> {
        self.wire.ask(method, &self.params(name, more))
    }

    /// Asks for something whose answer says nothing of use.
    pub(super) fn tell(&self, method: &str, name: &str, more: Value) {
        self.wire.send(method, &self.params(name, more));
    }

    fn params(&self, name: &str, more: Value) -> Value {
        let mut params = match more {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        params.insert("name".into(), name.into());
        // Only requests of the supervisor, which have integers as ids, are jobs that can hold something.
        if let Ok(job) = self.id.parse::<u64>() {
            params.insert("job".into(), job.into());
        }
        params.into()
    }
}

/// Puts the limit of a wait among the parameters; without one it is for ever.
pub(super) fn with_timeout(mut params: Value, timeout: Option<Duration>) -> Value {
    if let Some(timeout) = timeout {
        params["timeout"] = timeout.as_secs_f64().into();
    }
    params
}
