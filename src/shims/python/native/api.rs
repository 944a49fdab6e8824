//! What is used of Python's C interface, and a reference that counts itself. All of it is in every CPython from 3.8 on:
//! https://docs.python.org/3/c-api/stable.html, but for the names said to be otherwise.

use core::ffi::{CStr, c_char, c_double, c_int, c_longlong, c_void};
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// The front of every object: its layout is part of the stable interface (not so in builds for free threads, nor in those
/// for tracing references, which `quick.py` leaves alone).
#[repr(C)]
pub struct Object {
    pub count: isize,
    pub kind: *mut Object,
}

/// A reference that somebody else counts.
pub type Borrowed = *mut Object;

#[repr(C)]
pub struct MethodDef {
    pub name: *const c_char,
    pub function: Option<unsafe extern "C" fn(Borrowed, Borrowed) -> Borrowed>,
    pub flags: c_int,
    pub doc: *const c_char,
}

#[repr(C)]
pub struct ModuleDef {
    pub object: Object,
    pub init: *mut c_void,
    pub index: isize,
    pub copy: *mut c_void,
    pub name: *const c_char,
    pub doc: *const c_char,
    pub size: isize,
    pub methods: *mut MethodDef,
    pub slots: *mut c_void,
    pub traverse: *mut c_void,
    pub clear: *mut c_void,
    pub free: *mut c_void,
}

/// What `PyObject_GetBuffer` fills in. Stable since 3.11, and the same since 3.0.
#[repr(C)]
pub struct Buffer {
    pub place: *mut c_void,
    pub owner: Borrowed,
    pub length: isize,
    pub item: isize,
    pub is_readonly: c_int,
    pub dimensions: c_int,
    pub shape: [*mut c_void; 5],
}

pub const BUFFER_WRITABLE: c_int = 1;
pub const STABLE_INTERFACE: c_int = 3;
pub const METH_VARARGS: c_int = 1;
pub const METH_NOARGS: c_int = 4;
pub const METH_O: c_int = 8;

unsafe extern "C" {
    pub static mut PyLong_Type: Object;
    pub static mut PyFloat_Type: Object;
    pub static mut PyUnicode_Type: Object;
    pub static mut PyDict_Type: Object;
    pub static mut PyList_Type: Object;
    pub static mut PyTuple_Type: Object;
    pub static mut _Py_NoneStruct: Object;
    pub static mut _Py_TrueStruct: Object;
    pub static mut _Py_FalseStruct: Object;
    pub static mut PyExc_IndexError: Borrowed;
    pub static mut PyExc_TypeError: Borrowed;

    pub fn Py_IncRef(object: Borrowed);
    pub fn Py_DecRef(object: Borrowed);
    pub fn PyModule_Create2(def: *mut ModuleDef, version: c_int) -> Borrowed;
    pub fn PyErr_Clear();
    pub fn PyErr_ExceptionMatches(kind: Borrowed) -> c_int;
    pub fn PyErr_SetString(kind: Borrowed, text: *const c_char);
    pub fn PyObject_GetAttr(object: Borrowed, name: Borrowed) -> Borrowed;
    pub fn PyObject_SetAttr(object: Borrowed, name: Borrowed, value: Borrowed) -> c_int;
    pub fn PyObject_Call(function: Borrowed, arguments: Borrowed, named: Borrowed) -> Borrowed;
    pub fn PyObject_CallObject(function: Borrowed, arguments: Borrowed) -> Borrowed;
    pub fn PyObject_Size(object: Borrowed) -> isize;
    pub fn PyObject_Repr(object: Borrowed) -> Borrowed;
    pub fn PyDict_New() -> Borrowed;
    pub fn PyDict_Copy(dict: Borrowed) -> Borrowed;
    pub fn PyDict_SetItem(dict: Borrowed, key: Borrowed, value: Borrowed) -> c_int;
    pub fn PyDict_GetItemWithError(dict: Borrowed, key: Borrowed) -> Borrowed;
    pub fn PyList_New(length: isize) -> Borrowed;
    pub fn PyList_Append(list: Borrowed, item: Borrowed) -> c_int;
    pub fn PyList_AsTuple(list: Borrowed) -> Borrowed;
    pub fn PyTuple_New(length: isize) -> Borrowed;
    pub fn PyTuple_GetItem(tuple: Borrowed, at: isize) -> Borrowed;
    pub fn PyTuple_SetItem(tuple: Borrowed, at: isize, item: Borrowed) -> c_int;
    pub fn PyLong_FromLongLong(number: c_longlong) -> Borrowed;
    pub fn PyLong_AsLongLongAndOverflow(object: Borrowed, overflow: *mut c_int) -> c_longlong;
    pub fn PyFloat_FromDouble(number: c_double) -> Borrowed;
    pub fn PyFloat_AsDouble(object: Borrowed) -> c_double;
    pub fn PyOS_string_to_double(text: *const c_char, end: *mut *mut c_char, overflow: Borrowed) -> c_double;
    pub fn PyUnicode_GetLength(string: Borrowed) -> isize;
    pub fn PyUnicode_FromStringAndSize(text: *const c_char, length: isize) -> Borrowed;
    pub fn PyUnicode_InternFromString(text: *const c_char) -> Borrowed;
    /// Stable since 3.10, and there since 3.3.
    pub fn PyUnicode_AsUTF8AndSize(object: Borrowed, length: *mut isize) -> *const c_char;
    pub fn PyBytes_AsStringAndSize(object: Borrowed, text: *mut *mut c_char, length: *mut isize) -> c_int;
    pub fn PyObject_GetBuffer(object: Borrowed, buffer: *mut Buffer, flags: c_int) -> c_int;
    pub fn PySys_GetObject(name: *const c_char) -> Borrowed;
}

/// A reference of ours. Every one of the functions here is called with the interpreter's lock held.
pub struct Owned(NonNull<Object>);

impl Owned {
    /// Takes over what a function of Python's has returned as a new reference; `None` where it has raised.
    pub fn taken(object: Borrowed) -> Option<Self> {
        NonNull::new(object).map(Self)
    }

    /// A reference more to what somebody else holds.
    pub fn shared(object: Borrowed) -> Option<Self> {
        let object = NonNull::new(object)?;
        // SAFETY: an object that is alive, since its owner is.
        unsafe { Py_IncRef(object.as_ptr()) };
        Some(Self(object))
    }

    pub fn lent(&self) -> Borrowed {
        self.0.as_ptr()
    }

    /// Gives the reference to whoever is told the place.
    pub fn given(self) -> Borrowed {
        ManuallyDrop::new(self).lent()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: counted by us.
        unsafe { Py_DecRef(self.lent()) }
    }
}

impl Clone for Owned {
    fn clone(&self) -> Self {
        // SAFETY: alive, since we hold it.
        unsafe { Py_IncRef(self.lent()) };
        Self(self.0)
    }
}

/// Whether the object is of that very type, and not of one derived from it.
pub fn is_exactly(object: Borrowed, kind: *mut Object) -> bool {
    // SAFETY: an object that is alive.
    unsafe { (*object).kind == kind }
}

pub fn none() -> Borrowed {
    &raw mut _Py_NoneStruct
}

/// A name, the same object wherever Python uses it.
pub fn name(text: &CStr) -> Option<Owned> {
    // SAFETY: it ends with a NUL.
    Owned::taken(unsafe { PyUnicode_InternFromString(text.as_ptr()) })
}

/// The attribute of that name; `None` where getting it has raised.
pub fn attribute(object: Borrowed, name: &Owned) -> Option<Owned> {
    // SAFETY: both are alive.
    Owned::taken(unsafe { PyObject_GetAttr(object, name.lent()) })
}

/// What stands under that key; `None` where there is nothing, whatever the key is.
pub fn entry(dict: Borrowed, key: Borrowed) -> Option<Owned> {
    // SAFETY: both are alive, and the first is a dictionary. A key that cannot be one raises, which tells nobody anything.
    unsafe {
        let found = Owned::shared(PyDict_GetItemWithError(dict, key));
        if found.is_none() {
            PyErr_Clear();
        }
        found
    }
}

/// The number, if it is one that fits.
pub fn number(object: Borrowed) -> Option<i64> {
    if !is_exactly(object, &raw mut PyLong_Type) {
        return None;
    }
    let mut overflow = 0;
    // SAFETY: an integer that is alive.
    let number = unsafe { PyLong_AsLongLongAndOverflow(object, &mut overflow) };
    (overflow == 0).then_some(number)
}

/// The UTF-8 of a string, kept by it as long as it lives; `None` where it has none.
pub fn utf8(string: &Owned) -> Option<&[u8]> {
    let mut length = 0;
    // SAFETY: a string that is alive, and stays so as long as what is returned.
    unsafe {
        let text = PyUnicode_AsUTF8AndSize(string.lent(), &mut length);
        if text.is_null() {
            PyErr_Clear();
            return None;
        }
        Some(core::slice::from_raw_parts(text.cast(), usize::try_from(length).ok()?))
    }
}

/// A tuple of these; null where it has raised.
pub fn tuple<const LENGTH: usize>(items: [Owned; LENGTH]) -> Borrowed {
    // SAFETY: the tuple is new, and each of its places is filled once.
    unsafe {
        let tuple = PyTuple_New(LENGTH as isize);
        if !tuple.is_null() {
            for (at, item) in (0..).zip(items) {
                PyTuple_SetItem(tuple, at, item.given());
            }
        }
        tuple
    }
}
