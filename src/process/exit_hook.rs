//! What becomes of processes that are still there when the program ends by returning from `main` or by `exit`: as in
//! Python, daemons are terminated, then all are waited for.

use super::started::Started;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

static RUNNING: Mutex<Vec<Arc<Started>>> = Mutex::new(Vec::new());

/// Has a process be seen to when the program ends.
pub(super) fn register(process: &Arc<Started>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // SAFETY: `at_exit` is a plain function that lives as long as the program and does not unwind (it is `extern "C"`).
        // Failure means that there are too many hooks; then Drop alone has to do.
        unsafe { libc::atexit(at_exit) };
    });
    running().push(Arc::clone(process));
}

/// The process has been seen to.
pub(super) fn forget(process: &Arc<Started>) {
    running().retain(|other| !Arc::ptr_eq(other, process));
}

extern "C" fn at_exit() {
    let rest = std::mem::take(&mut *running());
    // All are asked first, so that their graces run side by side.
    rest.iter().for_each(|process| process.dismiss());
    rest.iter().for_each(|process| process.await_end());
}

fn running() -> MutexGuard<'static, Vec<Arc<Started>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
