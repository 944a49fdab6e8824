//! libFuzzer over the decoder `command_line` of tests/fuzz/targets.rs.

#![no_main]

#[path = "../../tests/fuzz/driver.rs"]
mod driver;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::command_line(data));
