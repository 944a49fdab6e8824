//! What Node cannot do by itself: make a file in memory, and map one. A library that the shim loads with `process.dlopen`.
//! `build.rs` builds it without any other library, `mod.rs` hands it over; the functions it names are in every Node from 18
//! on and in every C library of Linux. Owns two functions; what they made lasts as long as the process.

#![no_std]

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::null_mut;

/// Pointers of Node-API that only Node looks into.
type Env = *mut c_void;
type Info = *mut c_void;
type Value = *mut c_void;

/// 0 where all went well.
type Status = c_int;

type Callback = unsafe extern "C" fn(Env, Info) -> Value;

// Node-API, version 1: https://nodejs.org/api/n-api.html
unsafe extern "C" {
    fn napi_create_function(
        env: Env,
        name: *const c_char,
        length: usize,
        callback: Callback,
        data: *mut c_void,
        result: *mut Value,
    ) -> Status;
    fn napi_set_named_property(env: Env, object: Value, name: *const c_char, value: Value) -> Status;
    fn napi_get_cb_info(
        env: Env,
        info: Info,
        count: *mut usize,
        arguments: *mut Value,
        this: *mut Value,
        data: *mut *mut c_void,
    ) -> Status;
    fn napi_get_value_int64(env: Env, value: Value, result: *mut i64) -> Status;
    fn napi_create_int64(env: Env, value: i64, result: *mut Value) -> Status;
    fn napi_create_external_arraybuffer(
        env: Env,
        data: *mut c_void,
        length: usize,
        finalize: Option<unsafe extern "C" fn(Env, *mut c_void, *mut c_void)>,
        hint: *mut c_void,
        result: *mut Value,
    ) -> Status;
}

// The C library.
unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    fn ftruncate(fd: c_int, length: i64) -> c_int;
    fn mmap(place: *mut c_void, length: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
}

// Numbers of Linux that are the same on each of its machines with 64 bits, but for MIPS.
const MFD_CLOEXEC: c_uint = 1;
const PROT_READ_AND_WRITE: c_int = 1 | 2;
const MAP_SHARED: c_int = 1;
const MAP_FAILED: *mut c_void = usize::MAX as *mut c_void;

/// What `process.dlopen` calls.
///
/// # Safety
///
/// Called by Node, with an object that it is given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    let functions: [(&CStr, Callback); 2] = [(c"file", file), (c"map", map)];
    for (name, callback) in functions {
        let mut function = null_mut();
        // SAFETY: pointers of Node's, used while it waits; the name ends with a NUL and lives for ever.
        unsafe {
            if napi_create_function(env, name.as_ptr(), name.count_bytes(), callback, null_mut(), &mut function) == 0 {
                napi_set_named_property(env, exports, name.as_ptr(), function);
            }
        }
    }
    exports
}

/// `file(bytes)`: the descriptor of a new file in memory, by which supervisor knows it as a shelf; -1 where there can be none.
unsafe extern "C" fn file(env: Env, info: Info) -> Value {
    let [bytes, _] = numbers(env, info);
    let mut result = null_mut();
    // SAFETY: system calls that touch no memory of ours but the name; `env` is Node's and `result` ours.
    unsafe {
        let mut fd = memfd_create(c"supervisor-shelf".as_ptr(), MFD_CLOEXEC);
        if fd >= 0 && ftruncate(fd, bytes) < 0 {
            fd = -1;
        }
        napi_create_int64(env, fd.into(), &mut result);
    }
    result
}

/// `map(fd, bytes)`: the beginning of a file as an `ArrayBuffer`; `undefined` where that cannot be had.
unsafe extern "C" fn map(env: Env, info: Info) -> Value {
    let [fd, bytes] = numbers(env, info);
    let (Ok(fd), Ok(bytes)) = (c_int::try_from(fd), usize::try_from(bytes)) else { return null_mut() };
    let mut result = null_mut();
    // SAFETY: a new mapping at a place of the kernel's choice, which is never taken away; `env` is Node's and `result` ours.
    unsafe {
        let area = mmap(null_mut(), bytes, PROT_READ_AND_WRITE, MAP_SHARED, fd, 0);
        if area != MAP_FAILED {
            napi_create_external_arraybuffer(env, area, bytes, None, null_mut(), &mut result);
        }
    }
    result
}

/// The arguments of a call; -1 for what is no number.
fn numbers(env: Env, info: Info) -> [i64; 2] {
    let mut values = [null_mut(); 2];
    let mut count = values.len();
    // SAFETY: pointers of Node's, used while it waits; there is room for as many values as `count` says.
    unsafe { napi_get_cb_info(env, info, &mut count, values.as_mut_ptr(), null_mut(), null_mut()) };
    values.map(|value| {
        let mut number = -1;
        // SAFETY: as above; what is missing was filled in by Node as `undefined`, or refused as a null pointer.
        unsafe { napi_get_value_int64(env, value, &mut number) };
        number
    })
}

/// Never called: nothing here can panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
