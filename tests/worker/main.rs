//! The built-in command worker, driven through its pipes as the supervisor drives it.

mod commands;
mod harness;
mod leftovers;
mod output;
mod protocol;
mod stopping;
