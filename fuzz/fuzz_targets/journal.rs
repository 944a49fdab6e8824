//! libFuzzer over the decoder `journal` of tests/fuzz/targets.rs.

#![no_main]

#[path = "../../tests/fuzz/driver.rs"]
mod driver;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::journal(data));
