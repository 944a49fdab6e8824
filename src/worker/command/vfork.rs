//! Starting a process, and all that is unsafe about it.
//!
//! The way of `posix_spawn`: the child shares our memory, on a stack of its own, and we stand still until it executes the
//! program. Done here since the C library's asks about each of the 64 signals and maps a new stack every time, which
//! is a twentieth of what a short command costs. We know our dispositions ([`super::signals`]) and need neither.
//!
//! We stand still by a futex that the kernel wakes when the child leaves our memory, and not by `CLONE_VFORK`: that wait hears
//! nothing but SIGKILL, so that a child which somebody stops (SIGSTOP) before it executes its program would keep us for
//! ever, also when the supervisor is gone and nobody is left to end the two of us.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getppid};
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::num::NonZero;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The child's stack: it makes seven system calls.
const STACK_BYTES: usize = 32 << 10;
/// Below it, at least a page that cannot be written, whatever size pages have.
const GUARD_BYTES: usize = 64 << 10;
/// How long a child that does not come to its program is waited for before we look whether we are alone.
const LOOK_NANOS: c_long = 100_000_000;
/// How often a program is executed anew when the reason why not may be a word of our own wait: see [`begin`].
const EXECUTE_MAX: u32 = 3;
/// The flags of the clone: our memory, and word when the child has left it.
const WATCHED: c_int = libc::CLONE_VM | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
/// The same where nobody's end is waited for, and for emulators of Linux that know no other children which share memory.
const STANDING_STILL: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;

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
    /// Whoever started us, where we are to end with him.
    parent: Option<Pid>,
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
    fault: AtomicI32,
    /// Not 0 as long as the child is in our memory.
    inside: AtomicU32,
}

impl Starter {
    /// Makes ready. With a `parent`, a child that does not come to its program is killed once he is ours no more.
    pub(super) fn new(parent: Option<Pid>) -> nix::Result<Starter> {
        let size = NonZero::new(GUARD_BYTES + STACK_BYTES).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping wherever the system likes; the guard is its lower part, which nothing refers to.
        unsafe {
            let lowest = mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags)?;
            mprotect(lowest, GUARD_BYTES, ProtFlags::PROT_NONE)?;
            Ok(Starter { stack: lowest.byte_add(size.get()), parent })
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
            fault: AtomicI32::new(0),
            inside: AtomicU32::new(1),
        };
        let pid = match self.parent.map(|parent| (parent, self.clone(WATCHED, &plan))) {
            None | Some((_, Err(Errno::EINVAL))) => self.clone(STANDING_STILL, &plan)?,
            Some((parent, pid)) => {
                let pid = pid?;
                await_departure(pid, &plan.inside, parent);
                pid
            }
        };
        match plan.fault.load(Ordering::Acquire) {
            0 => Ok(pid.as_raw()),
            fault => {
                // It is gone; before anybody else learns of it, it must be reaped.
                while waitpid(pid, Some(WaitPidFlag::__WALL)) == Err(Errno::EINTR) {}
                Err(Errno::from_raw(fault))
            }
        }
    }

    fn clone(&mut self, flags: c_int, plan: &Plan) -> Result<Pid, Errno> {
        let (stack, argument) = (self.stack.as_ptr(), ptr::from_ref(plan).cast_mut().cast());
        let none = ptr::null_mut::<c_void>();
        // SAFETY: the stack is ours, large enough, and used by one child at a time, since `start` goes on only when the
        // child has executed its program or is gone; so the plan and what it points to outlive the child's
        // use of them. The child runs nothing but `begin`. No signal makes it run a handler in our memory: we install
        // none, and those of Rust's runtime, for faults, only put back the default.
        let pid = unsafe { libc::clone(begin, stack, flags, argument, none, none, plan.inside.as_ptr()) };
        if pid < 0 { Err(Errno::last()) } else { Ok(Pid::from_raw(pid)) }
    }
}

/// Waits until the child has left our memory: it has executed its program, or is gone. Kills it when `parent` is ours no more.
fn await_departure(pid: Pid, inside: &AtomicU32, parent: Pid) {
    let span = libc::timespec { tv_sec: 0, tv_nsec: LOOK_NANOS };
    while inside.load(Ordering::Acquire) != 0 {
        // SAFETY: the word lives as long as this call. Why it returns does not matter: the word says all there is.
        unsafe { libc::syscall(libc::SYS_futex, inside.as_ptr(), libc::FUTEX_WAIT, 1, &raw const span) };
        if inside.load(Ordering::Acquire) == 0 {
            return;
        }
        if parent != getppid() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        // The kernel says nothing of a child that ends with a dump of its memory.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::Pid(pid), flags).is_ok_and(|status| status != WaitStatus::StillAlive) {
            return;
        }
    }
}

/// The child: executes the program, or says why not.
extern "C" fn begin(plan: *mut c_void) -> c_int {
    // SAFETY: `start` hands over its plan and waits. Nothing here allocates, locks or panics: these are system
    // calls with pointers to strings and arrays that end as they must.
    unsafe {
        let plan = &*plan.cast::<Plan>();
        let ready = libc::setpgid(0, 0) == 0
            && plan.streams.iter().zip(0..).all(|(&fd, number)| libc::dup2(fd, number) == number)
            && (plan.cwd.is_null() || libc::chdir(plan.cwd) == 0)
            && libc::sigprocmask(libc::SIG_SETMASK, &plan.mask, ptr::null_mut()) == 0;
        let mut fault = Errno::last_raw();
        for _ in 0..if ready { EXECUTE_MAX } else { 0 } {
            libc::execve(plan.program, plan.argv, plan.environment);
            fault = Errno::last_raw();
            // Both of us have one `errno`, and a wait that was in vain writes these there.
            if !matches!(fault, libc::ETIMEDOUT | libc::EAGAIN | libc::EINTR) {
                break;
            }
        }
        plan.fault.store(fault, Ordering::Release);
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
