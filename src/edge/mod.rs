//! The edges of the program: plain threads that move bytes in from the job list and out to standard
//! output and standard error, because files and terminals cannot be polled and the descriptors we were
//! given must not be made non-blocking (the flag would be shared with the shell and our siblings).
//!
//! They decide nothing: they know neither jobs nor records. Each tells the reactor through a [`Wake`]
//! that something has changed, and the reactor asks what. Nothing outside sees that there is a thread, and
//! where a pipe or socket can be used without waiting (`now`), the reactor's own thread moves the bytes: a
//! job then passes no other thread on its way.

mod copy;
mod durable;
mod fault;
mod input;
mod lookout;
mod now;
mod output;
mod pipe;
mod standard;
mod thread;
pub(crate) mod wake;
mod writer;

pub use durable::{Durable, Syncing};
pub use fault::fault_text;
pub use input::{Chunk, Input, InputEvent};
pub use lookout::Lookout;
pub use output::{LOW_WATER_BYTES, Output, Piece, Way};
pub use pipe::enlarge_pipe;
pub use standard::{Standard, is_open_at_start, pass_on_closed, take_copy};
pub use thread::share_heap;
pub use wake::Wake;
