//! Scripted tests of the core: one for each hard case that is known. What the simulator finds becomes a script here.

mod asking;
mod crash;
mod jobs;
mod locks;
mod protocol;
mod script;
mod shelf;
mod start;
mod stop;
mod timeout;
mod watch;
