//! Workers written in Rust: a [`Server`] answers the calls of a job list with functions of its own.
//!
//! ```no_run
//! use supervisor::worker::serve::{Failure, Server};
//!
//! fn main() -> std::io::Result<()> {
//!     Server::new("sums")
//!         .function("add_one", |(x,): (i64,)| Ok::<_, Failure>(x + 1))
//!         .function_with("count", |context, (by,): (i64,)| {
//!             let _guard = context.lock("total")?;
//!             context.value("total", 0).add(by)
//!         })
//!         .run()
//! }
//! ```
//!
//! and `supervisor spawn --worker target/release/sums` runs it. Parameters and results are whatever serde understands:
//! a tuple takes `params` by position, a struct by name.
//!
//! # What is promised
//!
//! * Calls are done one after the other, in the order they came, on the thread that called [`Server::run`].
//! * A panic is the failure of its call, with message and place; the worker lives. (Unless panics abort the process.)
//! * The channel is out of reach: `println!` and everything else that writes to descriptor 1 goes to standard error, and
//!   descriptor 0 is empty. [`Context::print`] sends text as the job's own output.
//! * **A finished call stays finished.** Answers are gathered, up to 500 µs and 60 KiB, so that many go in one write. They
//!   are written before the worker waits for more, while the next call takes longer than that, when the process exits, and
//!   when it ends by a fault, by abort or by a signal that can be caught. What cannot be caught (SIGKILL, the
//!   out-of-memory killer, `_exit`) does not take them either: they lie in memory that supervisor has open too. Where it
//!   has not (a worker on another machine, or in a container), such a death can take those of the last 500 µs: the first
//!   of them is then `crashed`, and the others are done again. Where a call must never be done twice even there, use
//!   [`Server::prompt`]: every answer is then written before the next call begins, which costs a write for each.
//! * `$/cancelRequest` is heard for requests that are not begun. A call that runs cannot be stopped but by ending the
//!   process, which is what happens at a timeout.

mod call;
mod context;
mod failure;
mod last_words;
mod outgoing;
mod request;
mod shared;
mod shelf;
mod streams;

pub use context::Context;
pub use failure::Failure;
pub use shared::{Event, Guard, Queue, Value};

use crate::protocol::{INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, REQUEST_CANCELLED, encode};
use call::Function;
use context::Wire;
use outgoing::OUT;
use request::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io;
use streams::Inbox;

/// Pieces read ahead at most, looking for cancellations.
const AHEAD_MAX: usize = 16;

/// A worker: functions by name.
pub struct Server {
    name: String,
    functions: BTreeMap<String, Function>,
    prompt: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("functions", &self.functions.keys()).finish()
    }
}

impl Server {
    /// A worker without functions, with a name for people.
    pub fn new(name: impl Into<String>) -> Self {
        Server { name: name.into(), functions: BTreeMap::new(), prompt: false }
    }

    /// Adds a function of the parameters alone.
    #[must_use]
    pub fn function<P, R, E, F>(self, name: &str, mut function: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        E: Into<Failure>,
        F: FnMut(P) -> Result<R, E> + 'static,
    {
        self.function_with(name, move |_: &Context<'_>, params| function(params))
    }

    /// Adds a function that also gets the [`Context`] of its call.
    #[must_use]
    pub fn function_with<P, R, E, F>(mut self, name: &str, function: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        E: Into<Failure>,
        F: FnMut(&Context<'_>, P) -> Result<R, E> + 'static,
    {
        self.functions.insert(name.to_owned(), call::typed(name, function));
        self
    }

    /// Whether every answer is written before the next call begins.
    #[must_use]
    pub fn prompt(mut self, prompt: bool) -> Self {
        self.prompt = prompt;
        self
    }

    /// Takes descriptors 0 and 1 for the channel and answers calls until there are no more. Once in a process.
    ///
    /// # Errors
    ///
    /// When the channel cannot be set up or breaks.
    pub fn run(mut self) -> io::Result<()> {
        let (input, output) = streams::take()?;
        OUT.open(output)?;
        call::remember_places_of_panics();
        OUT.say_ready(|shelf| {
            let pid = std::process::id();
            let mut params = json!({"protocol": 1, "name": self.name, "pid": pid, "concurrency": 1, "prefetch": true, "batch": true});
            if let Some(shelf) = shelf {
                params["shelf"] = shelf;
            }
            json!({"jsonrpc": "2.0", "method": "ready", "params": params}).to_string() + "\n"
        });
        let wire = Wire::new(Inbox::new(input));
        let mut desk = Desk {
            wire: &wire,
            functions: &mut self.functions,
            prompt: self.prompt,
            ticks: 0,
            look: false,
            result: Vec::new(),
        };
        let served = desk.serve();
        OUT.flush();
        served
    }
}

/// Where requests are taken and answered.
struct Desk<'a> {
    wire: &'a Wire,
    functions: &'a mut BTreeMap<String, Function>,
    prompt: bool,
    /// When what came meanwhile was looked at last.
    ticks: u32,
    look: bool,
    /// The result of the call that runs.
    result: Vec<u8>,
}

impl Desk<'_> {
    fn serve(&mut self) -> io::Result<()> {
        while !OUT.is_broken() {
            let ahead = self.wire.inbox.borrow_mut().next_ahead();
            let piece = match ahead {
                Some(piece) => piece,
                None => {
                    OUT.flush();
                    let Some(piece) = self.wire.inbox.borrow_mut().read()? else { return Ok(()) };
                    self.wire.note_cancellations(&piece);
                    piece
                }
            };
            for line in request::lines(&piece) {
                self.line(line);
            }
            self.wire.inbox.borrow_mut().give_back(piece);
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn line(&mut self, line: &[u8]) {
        match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => {}
            Some(b'{') => match Incoming::parse(line) {
                Some(incoming) => self.incoming(&incoming),
                None => self.misfit(line),
            },
            Some(b'[') => match Incoming::parse_batch(line) {
                Some(batch) if !batch.is_empty() => batch.iter().for_each(|incoming| self.incoming(incoming)),
                _ => match serde_json::from_slice::<Vec<&RawValue>>(line) {
                    Ok(batch) if !batch.is_empty() => batch.iter().for_each(|part| self.line(part.get().as_bytes())),
                    _ => self.misfit(line),
                },
            },
            Some(_) => self.misfit(line),
        }
    }

    /// Something that is no message: no JSON, or JSON of another shape.
    fn misfit(&mut self, line: &[u8]) {
        let failure = match serde_json::from_slice::<&RawValue>(line) {
            Ok(_) => Failure::new("not a request of JSON-RPC 2.0").code(INVALID_REQUEST),
            Err(error) => Failure::new(format!("not JSON: {error}")).code(PARSE_ERROR),
        };
        self.refuse("null", &failure);
    }

    fn incoming(&mut self, incoming: &Incoming<'_>) {
        let Some(method) = incoming.method.as_deref() else {
            // Answers that nobody waits for, such as those to the release of a lock, say nothing.
            if !incoming.is_answer() {
                let id = incoming.valid_id().unwrap_or("null");
                self.refuse(id, &Failure::new("a request needs a \"method\"").code(INVALID_REQUEST));
            }
            return;
        };
        let Some(id) = incoming.valid_id() else {
            if incoming.id.is_some() {
                self.refuse("null", &Failure::new("an id is a number or a string").code(INVALID_REQUEST));
            } else if method == request::CANCEL {
                self.forget_cancellation(incoming);
            }
            // Other notifications are none that this worker knows.
            return;
        };
        self.look_ahead();
        if self.take_cancellation(id) {
            let begun = json!({"begun": false});
            return self.refuse(id, &Failure::new("cancelled").code(REQUEST_CANCELLED).data(begun));
        }
        self.request(id, method, incoming.params);
    }

    fn request(&mut self, id: &str, method: &str, params: Option<&str>) {
        let Some(function) = self.functions.get_mut(method) else {
            let meant = request::near_miss(method, self.functions.keys().map(String::as_str));
            let hint = meant.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            return self
                .refuse(id, &Failure::new(format!("no function named {method:?}{hint}")).code(METHOD_NOT_FOUND));
        };
        self.result.clear();
        let context = Context { wire: self.wire, id };
        match call::call(function, &context, params, &mut self.result) {
            Ok(()) => {
                let result = &self.result;
                self.look |= OUT.say(self.prompt, |out| {
                    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
                    out.extend_from_slice(id.as_bytes());
                    out.extend_from_slice(br#","result":"#);
                    out.extend_from_slice(result);
                    out.extend_from_slice(b"}\n");
                });
                self.result.shrink_to(1 << 20);
            }
            Err(failure) => self.refuse(id, &failure),
        }
    }

    fn refuse(&mut self, id: &str, failure: &Failure) {
        self.look |= OUT.say(self.prompt, |out| {
            out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
            encode::one_line(out, id);
            out.extend_from_slice(br#","error":"#);
            failure.write(out);
            out.extend_from_slice(b"}\n");
        });
    }

    /// After some time: reads what came meanwhile, since it may cancel what is about to begin.
    fn look_ahead(&mut self) {
        let ticks = OUT.ticks();
        if ticks == self.ticks && !self.look {
            return;
        }
        (self.ticks, self.look) = (ticks, false);
        let mut inbox = self.wire.inbox.borrow_mut();
        if inbox.ahead().count() < AHEAD_MAX && inbox.is_readable() {
            // An error, or the end, is seen again by the next who reads.
            if let Ok(Some(piece)) = inbox.read() {
                self.wire.note_cancellations(&piece);
                inbox.keep(piece);
            }
        }
    }

    fn take_cancellation(&self, id: &str) -> bool {
        let mut cancelled = self.wire.cancelled.borrow_mut();
        let at = cancelled.iter().position(|other| **other == *id);
        at.map(|at| cancelled.swap_remove(at)).is_some()
    }

    /// The notification itself has come: what it was about is done, or never was.
    fn forget_cancellation(&self, incoming: &Incoming<'_>) {
        #[derive(serde::Deserialize)]
        struct About<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
        }
        let about = incoming.params.and_then(|params| serde_json::from_str::<About<'_>>(params).ok());
        if let Some(about) = about {
            self.take_cancellation(about.id.get());
        }
    }
}
