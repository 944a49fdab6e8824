//! libFuzzer over the decoder `job_list` of tests/fuzz/targets.rs.

#![no_main]

#[path = "../../tests/fuzz/driver.rs"]
mod driver;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::job_list(data));
