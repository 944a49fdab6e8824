//! How an edge's thread is started. Owns the name, the stack, the heap and the signal mask of these threads.

use nix::sys::signal::{SigSet, Signal};
use std::io;
use std::thread::Builder;

/// Bytes of stack; these threads call little more than read and write.
const STACK_BYTES: usize = 256 * 1024;

/// Starts a detached thread: nothing waits for it, and it ends with the process at the latest.
pub(super) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || {
        leave_signals_to_main();
        body();
    })?;
    Ok(())
}

/// Lets all threads share one heap. By default glibc maps 128 MiB for each thread that allocates anything and gives most
/// of it back, which takes longer at the start than all that these threads will ever allocate.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number in the C library; a thread that there is already would at most read it too late.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Signals are the reactor's business. Only those by which the terminal stops a background process that
/// reads or writes stay open: blocked, they would turn into EIO, and `fg` could not mend it.
fn leave_signals_to_main() {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGTTIN);
    signals.remove(Signal::SIGTTOU);
    // It cannot fail: the set is valid.
    let _ = signals.thread_block();
}
