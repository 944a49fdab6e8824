//! What a program writes, taken in beside the test. Waits have a deadline.

use crate::harness::{DEADLINE, spawn_thread};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};

/// Everything that is read from a pipe, as it comes.
pub(crate) struct Captured(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    /// Reads in the background until the end.
    pub(crate) fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        spawn_thread(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = writer.0.lock().unwrap();
                state.bytes.extend_from_slice(&buffer[..count]);
                state.ended = count == 0;
                writer.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Captured(shared)
    }

    /// Waits until what has come is like this.
    #[track_caller]
    pub(crate) fn wait_for(&self, condition: impl Fn(&[u8]) -> bool) {
        let state = self.0.0.lock().unwrap();
        let waits = |state: &mut State| !condition(&state.bytes) && !state.ended;
        let (state, _) = self.0.1.wait_timeout_while(state, DEADLINE, waits).unwrap();
        assert!(condition(&state.bytes), "it did not come: {}", String::from_utf8_lossy(&state.bytes));
    }

    /// All of it, at its end.
    pub(crate) fn all(&self) -> Vec<u8> {
        let state = self.0.0.lock().unwrap();
        let (mut state, _) = self.0.1.wait_timeout_while(state, DEADLINE, |state| !state.ended).unwrap();
        assert!(state.ended, "somebody still holds the pipe");
        std::mem::take(&mut state.bytes)
    }

    /// What has come so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }
}
