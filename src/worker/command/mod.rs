//! `supervisor worker`: runs commands for the supervisor and answers for each of them.
//!
//! One thread, one level-triggered epoll. It owns the commands it started and everything they start in turn, down to
//! daemons that left their session: it is their subreaper. It never blocks on the supervisor, and nothing it started
//! outlives it, save when the system kills it; then its own parent takes over.

mod answer;
mod capture;
mod channel;
mod ending;
mod fault;
mod job;
mod leftover;
mod lookup;
mod marks;
mod options;
mod request;
mod shortage;
mod signals;
mod spawn;
mod spill;
mod vfork;
mod watch;
mod work;

pub use options::Options;

use crate::edge::fault_text;
use std::io::Write;

/// Runs the worker until its input ends, and gives the process's exit code: 0 when all that was asked for was answered,
/// 1 when the supervisor went away or the worker could not go on.
pub fn main(options: Options) -> u8 {
    match work::Worker::open(options) {
        Ok(mut worker) => worker.run(),
        Err(errno) => {
            complain(&format!("the worker cannot start: {}", fault_text(&errno.into())));
            1
        }
    }
}

/// How many messages a line holds, understood or refused: for tests of the decoder.
#[doc(hidden)]
pub fn messages_in(line: &[u8]) -> usize {
    let mut count = 0;
    request::read_line(line, |_| count += 1);
    count
}

/// Tells something on standard error. Nobody listening is no reason to stop.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(format!("supervisor worker: {text}\n").as_bytes());
}
