//! Starting a process, and all that is unsafe about it.
//!
//! The way of `posix_spawn`: the child shares our memory, on a stack of its own, and we stand still until it executes the
//! program. Done here since the C library's asks about each of the 64 signals and maps a new stack every time, which
//! is a twentieth of what a short command costs. We know our dispositions ([`super::signals`]) and need neither.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::num::NonZero;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};

/// The child's stack: it makes seven system calls.
const STACK_BYTES: usize = 32 << 10;
/// Below it, at least a page that cannot be written, whatever size pages have.
const GUARD_BYTES: usize = 64 << 10;

/// The descriptors a command gets as 0, 1 and 2. None of them is one of those three.
pub(super) struct Streams<'a> {
    pub(super) stdin: BorrowedFd<'a>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
}

/// Starts processes, one at a time.
pub(super) struct Starter {
    /// Where the stack begins, which is its highest address. It stays as long as this process.
    stack: NonNull<c_void>,
}

/// What a process is started with beside its program.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) streams: &'a Streams<'a>,
    pub(super) cwd: Option<&'a CStr>,
    pub(super) environment: &'a [&'a CStr],
}

/// What the child needs, and its one word to us.
struct Plan {
    program: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
    cwd: *const c_char,
    streams: [RawFd; 3],
    mask: libc::sigset_t,
    /// Why the program could not be executed.
    fault: Cell<c_int>,
}

impl Starter {
    /// Makes ready.
    pub(super) fn new() -> nix::Result<Starter> {
        let size = NonZero::new(GUARD_BYTES + STACK_BYTES).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping wherever the system likes; the guard is its lower part, which nothing refers to.
        unsafe {
            let lowest = mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags)?;
            mprotect(lowest, GUARD_BYTES, ProtFlags::PROT_NONE)?;
            Ok(Starter { stack: lowest.byte_add(size.get()) })
        }
    }

    /// Starts a program in a process group of its own, with an empty signal mask; gives its process id.
    pub(super) fn start(&mut self, program: &CStr, argv: &[&CStr], setting: Setting) -> Result<i32, Errno> {
        let argv = pointers(argv);
        let environment = pointers(setting.environment);
        let streams = setting.streams;
        let plan = Plan {
            program: program.as_ptr(),
            argv: argv.as_ptr(),
            environment: environment.as_ptr(),
            cwd: setting.cwd.map_or(ptr::null(), CStr::as_ptr),
            streams: [&streams.stdin, &streams.stdout, &streams.stderr].map(AsRawFd::as_raw_fd),
            mask: empty_mask(),
            fault: Cell::new(0),
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is ours, large enough, and used by one child at a time, since CLONE_VFORK lets us go on
        // only when the child has executed its program or is gone; so the plan and what it points to outlive the child's
        // use of them. The child runs nothing but `begin`. No signal makes it run a handler in our memory: we install
        // none, and those of Rust's runtime, for faults, only put back the default.
        let pid = unsafe { libc::clone(begin, self.stack.as_ptr(), flags, ptr::from_ref(&plan).cast_mut().cast()) };
        if pid < 0 {
            return Err(Errno::last());
        }
        match plan.fault.get() {
            0 => Ok(pid),
            fault => {
                // It is gone; before anybody else learns of it, it must be reaped.
                let flag = nix::sys::wait::WaitPidFlag::__WALL;
                while nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), Some(flag)) == Err(Errno::EINTR) {}
                Err(Errno::from_raw(fault))
            }
        }
    }
}

/// The child: executes the program, or says why not.
extern "C" fn begin(plan: *mut c_void) -> c_int {
    // SAFETY: `start` hands over its plan and stands still. Nothing here allocates, locks or panics: these are system
    // calls with pointers to strings and arrays that end as they must.
    unsafe {
        let plan = &*plan.cast::<Plan>();
        let ready = libc::setpgid(0, 0) == 0
            && plan.streams.iter().zip(0..).all(|(&fd, number)| libc::dup2(fd, number) == number)
            && (plan.cwd.is_null() || libc::chdir(plan.cwd) == 0)
            && libc::sigprocmask(libc::SIG_SETMASK, &plan.mask, ptr::null_mut()) == 0;
        if ready {
            libc::execve(plan.program, plan.argv, plan.environment);
        }
        plan.fault.set(Errno::last_raw());
        libc::_exit(127)
    }
}

fn empty_mask() -> libc::sigset_t {
    // SAFETY: sigemptyset makes it a value.
    unsafe {
        let mut mask = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(mask.as_mut_ptr());
        mask.assume_init()
    }
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}
