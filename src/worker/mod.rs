//! The built-in command worker and what it knows about shell lines; [`serve`], for workers written in Rust.
//!
//! A worker reads requests from its standard input and writes answers to its standard output. It is the guard of what
//! it runs: nothing that a command started outlives it. It never decides what runs where; that is the core's.

pub mod command;
pub mod serve;
pub mod simple;
