//! What is written when the process ends in any other way than by returning from [`super::Server::run`]: the answers of
//! calls that are finished. By `exit`, and by signals that nobody else handles.

use super::outgoing::OUT;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::sync::OnceLock;

/// Signals that end a process.
const DEADLY: [Signal; 9] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
    Signal::SIGSYS,
    Signal::SIGTERM,
    Signal::SIGXCPU,
    Signal::SIGALRM,
];

/// What was done about them before.
static BEFORE: OnceLock<Vec<(Signal, SigAction)>> = OnceLock::new();

/// Sets everything up, once in a process.
pub(super) fn install() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // SAFETY: the function takes and gives nothing, and does not unwind.
    unsafe { libc::atexit(at_exit) };
    let flags = SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(on_signal), flags, SigSet::empty());
    let mut before = Vec::new();
    for signal in DEADLY {
        // SAFETY: the handler keeps to what a handler may do: atomics, write(2), sigaction(2), raise(3).
        let old = unsafe { sigaction(signal, &action)? };
        // The runtime of Rust handles the first two itself, to tell of a full stack; it comes after us. Other handlers are
        // the user's, and ignored signals stay ignored.
        let is_runtimes = matches!(signal, Signal::SIGSEGV | Signal::SIGBUS);
        if matches!(old.handler(), SigHandler::SigDfl) || is_runtimes {
            before.push((signal, old));
        } else {
            // SAFETY: what was there before is put back.
            unsafe { sigaction(signal, &old)? };
        }
    }
    BEFORE.set(before).unwrap_or(());
    Ok(())
}

extern "C" fn at_exit() {
    OUT.flush_dying();
}

/// Writes, puts the former action back, and lets the signal do what it would have done.
extern "C" fn on_signal(number: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    OUT.flush_dying();
    let ours = BEFORE.get().and_then(|before| before.iter().find(|(signal, _)| *signal as libc::c_int == number));
    let Some((signal, former)) = ours else { return };
    // SAFETY: what was there before is put back, which a handler may do.
    let restored = unsafe { sigaction(*signal, former) };
    // SAFETY: the kernel hands a valid structure to handlers of this kind.
    let is_sent = unsafe { (*info).si_code } <= 0;
    // A fault comes again by itself when the handler returns, with all that the runtime wants to know about it.
    if is_sent && restored.is_ok() {
        // SAFETY: raise may be called in a handler. The signal is blocked until this one returns.
        unsafe { libc::raise(number) };
    }
}
