//! The loop that calls functions and puts their answers on the shelf, for calls in which nothing is unusual: a function that
//! was called before, a result of a plain type, nothing printed. All else is handed back to `serial.py`, which knows the rest.
//! Owns the account of how many calls of a stretch are left. Never writes to a pipe, and never decides what an error means.

use core::ffi::{c_int, c_longlong};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicI64, compiler_fence};

use super::api::*;
use super::text::{Digits, Text, is_long};

// As in `shelf.py`.
const TAKEN: usize = 1;
const END: usize = 3;
const SHELF_HEAD: usize = 64;
pub const SHELF_BYTES: usize = 1 << 16;

const SEEK_END: c_int = 2;

// The C library.
unsafe extern "C" {
    fn lseek(fd: c_int, offset: c_longlong, whence: c_int) -> c_longlong;
}

/// What the loop works with, as `serial.py` keeps it.
pub struct Calls {
    pub worker: Owned,
    pub channel: Owned,
    pub turn: Owned,
    /// Takes the next request out of the queue; raises `IndexError` when there is none.
    pub take: Owned,
    /// Method -> function, of those that were called before.
    pub known: Owned,
    /// What was printed and is not told yet.
    pub printed: Owned,
    /// The streams that stand for standard output and standard error, unless the user puts others there.
    pub streams: [Owned; 2],
    /// The JSON text of a result; where it has none, what the attempt has raised, as its value.
    pub text_of: Owned,
    /// The file behind descriptor 1.
    pub capture: c_int,
    pub shelf: NonNull<u8>,
    /// Where the call that is begun is written down.
    pub mark: Option<NonNull<u64>>,
    pub names: Names,
}

/// How many calls of this stretch are not begun.
static LEFT: AtomicI64 = AtomicI64::new(0);

pub fn left() -> i64 {
    LEFT.load(Relaxed)
}

/// Names of attributes, and of a member; and arguments for a function that takes none.
pub struct Names {
    pub id: Owned,
    pub current: Owned,
    pub forked: Owned,
    pub claimed: Owned,
    pub resting: Owned,
    pub nothing: Owned,
}

impl Names {
    pub fn new() -> Option<Self> {
        Some(Self {
            id: name(c"id")?,
            current: name(c"current")?,
            forked: name(c"forked")?,
            claimed: name(c"claimed")?,
            resting: name(c"resting")?,
            nothing: Owned::taken(tuple([]))?,
        })
    }
}

/// Why the loop ends before its time.
enum Stop {
    /// Nothing is queued.
    Empty,
    /// The current request is no plain call, and was not called.
    LookInto,
    /// It was called, this is its result, and what `text_of` made of it if it was asked.
    Tell(Owned, Option<Owned>),
    /// What was called, or Python itself, has raised.
    Raised,
}

/// A plain call.
struct Call {
    id: i64,
    function: Owned,
    arguments: Owned,
    named: Option<Owned>,
}

impl Calls {
    /// Runs so many calls. What it returns is for `serial.py`: `None` when all are done or none is queued, `()` when the
    /// current request has to be looked into, `(result, text or error or None)` when its result has to be told; null is what
    /// a function has raised.
    pub fn run(&self, count: i64) -> Borrowed {
        LEFT.store(count, Relaxed);
        let is_alone = count == 1;
        let mut stop = Stop::Empty;
        while left() > 0 {
            if let Err(why) = self.one(is_alone) {
                stop = why;
                break;
            }
        }
        let nothing = || Owned::shared(none());
        match stop {
            Stop::Empty => nothing().map_or(null_mut(), Owned::given),
            Stop::LookInto => self.names.nothing.clone().given(),
            Stop::Tell(result, text) => match text.or_else(nothing) {
                Some(text) => tuple([result, text]),
                None => null_mut(),
            },
            Stop::Raised => null_mut(),
        }
    }

    fn one(&self, is_alone: bool) -> Result<(), Stop> {
        let request = self.taken()?;
        let call = self.understood(&request).ok_or(Stop::LookInto)?;
        drop(request);
        let named = call.named.as_ref().map_or(null_mut(), Owned::lent);
        // SAFETY: all are alive; the arguments are a tuple, those with names a dictionary that nobody else has, or null.
        let result = unsafe { PyObject_Call(call.function.lent(), call.arguments.lent(), named) };
        let result = Owned::taken(result).ok_or(Stop::Raised)?;
        if self.is_set(&self.channel, &self.names.forked)? {
            return Err(Stop::Tell(result, None));
        }
        let mut digits = Digits::default();
        let is_told = match Text::of(&result, &mut digits) {
            Text::Unknown => return Err(Stop::Tell(result, None)),
            Text::Hard => {
                let text = self.told(&result)?;
                let fits = is_exactly(text.lent(), &raw mut PyUnicode_Type) && !is_long(text.lent());
                return match fits.then(|| utf8(&text)).flatten() {
                    Some(bytes) if self.is_quiet(is_alone)? && self.put(call.id, bytes, b"") => Ok(()),
                    _ => Err(Stop::Tell(result, Some(text))),
                };
            }
            Text::Plain(text) => self.is_quiet(is_alone)? && self.put(call.id, text, b""),
            Text::Quoted(text) => self.is_quiet(is_alone)? && self.put(call.id, text, b"\""),
            Text::Float(string) => {
                let text = utf8(&string).unwrap_or_default();
                self.is_quiet(is_alone)? && self.put(call.id, text, b"")
            }
        };
        if is_told { Ok(()) } else { Err(Stop::Tell(result, None)) }
    }

    /// Takes the next request out of the queue: it is begun.
    fn taken(&self) -> Result<Owned, Stop> {
        // SAFETY: a function that is alive, called without arguments.
        let Some(request) = Owned::taken(unsafe { PyObject_CallObject(self.take.lent(), null_mut()) }) else {
            // SAFETY: an error is set.
            let is_empty = unsafe { PyErr_ExceptionMatches(PyExc_IndexError) } != 0;
            if is_empty {
                // SAFETY: as above.
                unsafe { PyErr_Clear() };
            }
            return Err(if is_empty { Stop::Empty } else { Stop::Raised });
        };
        LEFT.store(left() - 1, Relaxed);
        let next = self.mark.and_then(|_| self.id_of(&request)).and_then(|id| u64::try_from(id).ok());
        if let (Some(mark), Some(next)) = (self.mark, next) {
            // SAFETY: a word of the file of marks, mapped for as long as the process lives.
            unsafe { mark.write_volatile(next + 1) };
        }
        // SAFETY: all are alive.
        match unsafe { PyObject_SetAttr(self.worker.lent(), self.names.current.lent(), request.lent()) } {
            0 => Ok(request),
            _ => Err(Stop::Raised),
        }
    }

    fn id_of(&self, request: &Owned) -> Option<i64> {
        if is_exactly(request.lent(), &raw mut PyTuple_Type) {
            // SAFETY: a tuple of three, whose first is a number.
            number(unsafe { PyTuple_GetItem(request.lent(), 0) })
        } else if is_exactly(request.lent(), &raw mut PyDict_Type) {
            number(entry(request.lent(), self.names.id.lent())?.lent())
        } else {
            None
        }
    }

    /// The call that a request is, if `json` has read it as a plain one, and if its function was called before.
    fn understood(&self, request: &Owned) -> Option<Call> {
        if !is_exactly(request.lent(), &raw mut PyTuple_Type) {
            return None;
        }
        // SAFETY: a tuple of three, as `json` makes it; the request is held by its caller.
        let [id, method, params] = [0, 1, 2].map(|at| unsafe { PyTuple_GetItem(request.lent(), at) });
        let function = entry(self.known.lent(), method).filter(|function| function.lent() != none())?;
        let (arguments, named) = if is_exactly(params, &raw mut PyDict_Type) {
            // SAFETY: a dictionary. What is called may keep or change the one it gets.
            (self.names.nothing.clone(), Some(Owned::taken(unsafe { PyDict_Copy(params) })?))
        } else {
            (Owned::shared(params)?, None)
        };
        Some(Call { id: number(id)?, function, arguments, named })
    }

    fn told(&self, result: &Owned) -> Result<Owned, Stop> {
        let arguments = Owned::taken(tuple([result.clone()])).ok_or(Stop::Raised)?;
        // SAFETY: all are alive.
        Owned::taken(unsafe { PyObject_CallObject(self.text_of.lent(), arguments.lent()) }).ok_or(Stop::Raised)
    }

    fn is_set(&self, object: &Owned, name: &Owned) -> Result<bool, Stop> {
        attribute(object.lent(), name).map(|value| value.lent() != &raw mut _Py_FalseStruct).ok_or(Stop::Raised)
    }

    /// Whether the job has printed nothing. Where it is the only one of its stretch, it is looked whether it has put a stream of
    /// its own in place of ours, which may hold something back; among many that is seen a little later.
    fn is_quiet(&self, is_alone: bool) -> Result<bool, Stop> {
        let resting = attribute(self.channel.lent(), &self.names.resting).ok_or(Stop::Raised)?;
        // SAFETY: a deque that is alive; a descriptor of ours.
        let is_quiet = unsafe {
            PyObject_Size(self.printed.lent()) == 0 && Some(lseek(self.capture, 0, SEEK_END)) == number(resting.lent())
        };
        // SAFETY: the names end with a NUL; what is returned is only compared.
        let streams = || unsafe { [PySys_GetObject(c"stdout".as_ptr()), PySys_GetObject(c"stderr".as_ptr())] };
        Ok(is_quiet && (!is_alone || streams() == [self.streams[0].lent(), self.streams[1].lent()]))
    }

    /// Puts the answer on the shelf; whether it could. No other thread runs meanwhile; only one that waits for something in the
    /// middle of its own writing must not find this in between.
    fn put(&self, id: i64, text: &[u8], quote: &[u8]) -> bool {
        let Ok(false) = self.is_set(&self.turn, &self.names.claimed) else { return false };
        let words = self.shelf.cast::<u64>();
        // SAFETY: the shelf begins with its words, at a page's front. Supervisor writes one of them at any time.
        let (is_taken, held) = unsafe { (words.add(TAKEN).read_volatile() != 0, words.add(END).read_volatile()) };
        let held = usize::try_from(held).unwrap_or(usize::MAX);
        if !is_taken || !(SHELF_HEAD..=SHELF_BYTES).contains(&held) {
            return false;
        }
        let mut digits = Digits::default();
        let parts: [&[u8]; 7] =
            [b"{\"jsonrpc\":\"2.0\",\"id\":", digits.of(id), b",\"result\":", quote, text, quote, b"}\n"];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > SHELF_BYTES - held {
            return false;
        }
        let mut end = held;
        for part in parts {
            // SAFETY: `length` bytes behind what is held are on the shelf, and of nobody.
            unsafe { self.shelf.add(end).copy_from_nonoverlapping(NonNull::from(part).cast(), part.len()) };
            end += part.len();
        }
        compiler_fence(Release);
        // SAFETY: as above; after the bytes that it covers.
        unsafe { words.add(END).write_volatile(end as u64) };
        true
    }
}
