//! How much a pipe holds. Owns the size that large streams are given.

use nix::fcntl::{FcntlArg, fcntl};
use std::os::fd::AsFd;

/// What a pipe is enlarged to once much is to go through it.
const LARGE_BYTES: i32 = 1 << 20;

/// Lets more go through a pipe at a time, for fewer turns between its two sides: half the time. One that has as much is left
/// alone. Refused to users who have many large pipes; then it stays as it is.
pub fn enlarge_pipe(pipe: impl AsFd) {
    if fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).is_ok_and(|room| room < LARGE_BYTES) {
        let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(LARGE_BYTES));
    }
}
