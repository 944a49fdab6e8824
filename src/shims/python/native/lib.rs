//! What takes Python the most of its time when calls are short: to read requests, to call, to answer. A library that the
//! shim loads once calls come in batches. `build.rs` builds it without any other library, `mod.rs` hands it over, `quick.py`
//! loads it. Owns the plain case of `serial.py`'s loop; what is unusual is left to that, and where this cannot be loaded, all is.

#![no_std]

mod api;
mod calls;
mod json;
mod text;

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::ptr::{NonNull, null_mut};

use api::*;
use calls::Calls;
use json::LastMethod;

/// What lasts as long as the process. Whoever comes here holds the interpreter's lock.
struct Kept<T>(UnsafeCell<T>);

// SAFETY: the interpreter's lock is held by whoever uses it.
unsafe impl<T> Sync for Kept<T> {}

impl<T> Kept<Option<T>> {
    const fn empty() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Takes it out: nobody has it twice, whatever Python runs meanwhile.
    fn take(&self) -> Option<T> {
        // SAFETY: a move, during which nothing of Python's runs.
        unsafe { (*self.0.get()).take() }
    }

    fn put(&self, value: T) {
        // SAFETY: as above. What was there before is dropped later, since that may run anything.
        let before = unsafe { (*self.0.get()).replace(value) };
        drop(before);
    }
}

static LAST_METHOD: Kept<Option<LastMethod>> = Kept::empty();
static CALLS: Kept<Option<Calls>> = Kept::empty();

static METHODS: Kept<[MethodDef; 5]> = Kept(UnsafeCell::new([
    MethodDef { name: c"prepare".as_ptr(), function: Some(prepare), flags: METH_VARARGS, doc: null_mut() },
    MethodDef { name: c"parse".as_ptr(), function: Some(parse), flags: METH_O, doc: null_mut() },
    MethodDef { name: c"run".as_ptr(), function: Some(run), flags: METH_O, doc: null_mut() },
    MethodDef { name: c"left".as_ptr(), function: Some(left), flags: METH_NOARGS, doc: null_mut() },
    MethodDef { name: null_mut(), function: None, flags: 0, doc: null_mut() },
]));

static MODULE: Kept<ModuleDef> = Kept(UnsafeCell::new(ModuleDef {
    object: Object { count: 1, kind: null_mut() },
    init: null_mut(),
    index: 0,
    copy: null_mut(),
    name: c"supervisor_calls".as_ptr(),
    doc: null_mut(),
    size: -1,
    methods: METHODS.0.get().cast(),
    slots: null_mut(),
    traverse: null_mut(),
    clear: null_mut(),
    free: null_mut(),
}));

/// What Python calls when it has loaded this.
///
/// # Safety
///
/// Called by Python, with its lock held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit_supervisor_calls() -> Borrowed {
    LAST_METHOD.put(LastMethod::new());
    // SAFETY: lives for ever, and is Python's from now on.
    unsafe { PyModule_Create2(MODULE.0.get(), STABLE_INTERFACE) }
}

/// `prepare(worker, channel, turn, take, known, printed, out, err, text_of, capture, shelf, mark)`: what `run` works with. The
/// last two are views of writable memory; `mark` may be `None`.
unsafe extern "C" fn prepare(_: Borrowed, arguments: Borrowed) -> Borrowed {
    match calls_of(arguments) {
        Some(calls) => {
            CALLS.put(calls);
            returned_none()
        }
        None => refused(c"prepare() takes what serial.py gives it".as_ptr()),
    }
}

fn calls_of(arguments: Borrowed) -> Option<Calls> {
    // SAFETY: a tuple; a place that is not there raises.
    let argument = |at| Owned::shared(unsafe { PyTuple_GetItem(arguments, at) });
    let mark = argument(11)?;
    let calls = Calls {
        worker: argument(0)?,
        channel: argument(1)?,
        turn: argument(2)?,
        take: argument(3)?,
        known: argument(4)?,
        printed: argument(5)?,
        streams: [argument(6)?, argument(7)?],
        text_of: argument(8)?,
        capture: c_int::try_from(number(argument(9)?.lent())?).ok()?,
        shelf: memory(&argument(10)?, calls::SHELF_BYTES)?,
        mark: if mark.lent() == none() { None } else { Some(memory(&mark, size_of::<u64>())?.cast()) },
        names: calls::Names::new()?,
    };
    is_exactly(calls.known.lent(), &raw mut PyDict_Type).then_some(calls)
}

/// Where a view has so many bytes, for ever: it is never released.
fn memory(view: &Owned, length: usize) -> Option<NonNull<u8>> {
    let mut buffer = Buffer {
        place: null_mut(),
        owner: null_mut(),
        length: 0,
        item: 0,
        is_readonly: 0,
        dimensions: 0,
        shape: [null_mut(); 5],
    };
    // SAFETY: an object that is alive, and a place for what is told of it.
    let status = unsafe { PyObject_GetBuffer(view.lent(), &mut buffer, BUFFER_WRITABLE) };
    let is_enough = status == 0 && usize::try_from(buffer.length).is_ok_and(|there| there >= length);
    let place = NonNull::new(buffer.place.cast::<u8>()).filter(|place| place.cast::<u64>().is_aligned());
    place.filter(|_| is_enough)
}

/// `parse(line)`: the calls of a line of bytes, as `json::calls`; `None` where it has to be read otherwise.
unsafe extern "C" fn parse(_: Borrowed, line: Borrowed) -> Borrowed {
    let (mut text, mut length): (*mut c_char, isize) = (null_mut(), 0);
    // SAFETY: an object that is alive, and places for what is told of it.
    let status = unsafe { PyBytes_AsStringAndSize(line, &mut text, &mut length) };
    let (Ok(length), 0) = (usize::try_from(length), status) else { return null_mut() };
    let Some(mut method) = LAST_METHOD.take() else { return returned_none() };
    // SAFETY: the bytes of an object that its caller holds; Python puts a NUL behind them.
    let value = unsafe { json::calls(core::slice::from_raw_parts(text.cast(), length), &mut method) };
    LAST_METHOD.put(method);
    value.map_or_else(
        || {
            // SAFETY: whatever is wrong is found again by who reads the line next.
            unsafe { PyErr_Clear() };
            returned_none()
        },
        Owned::given,
    )
}

/// `run(count)`: as `Calls::run`.
unsafe extern "C" fn run(_: Borrowed, count: Borrowed) -> Borrowed {
    let (Some(count), Some(calls)) = (number(count), CALLS.take()) else {
        return refused(c"run() takes a number, after prepare(), and not while it runs".as_ptr());
    };
    let result = calls.run(count);
    CALLS.put(calls);
    result
}

/// `left()`: how many calls of the last `run` were not begun.
unsafe extern "C" fn left(_: Borrowed, _: Borrowed) -> Borrowed {
    // SAFETY: a new number.
    unsafe { PyLong_FromLongLong(calls::left()) }
}

fn returned_none() -> Borrowed {
    Owned::shared(none()).map_or(null_mut(), Owned::given)
}

fn refused(text: *const c_char) -> Borrowed {
    // SAFETY: the text ends with a NUL.
    unsafe { PyErr_SetString(PyExc_TypeError, text) };
    null_mut()
}

/// Never called, as far as anybody knows: nothing here is meant to panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn abort() -> !;
    }
    // SAFETY: a function of the C library.
    unsafe { abort() }
}
