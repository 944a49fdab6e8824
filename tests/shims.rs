//! Drives the embedded shims over pipes, without the supervisor: runs the Python tests in `tests/shims`.

use std::path::Path;
use std::process::Command;

/// Where the libraries are that the shims load, as `build.rs` has built them.
const LIBRARIES: &str = env!("OUT_DIR");

fn run(script: &str, arguments: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shims").join(script);
    #[expect(clippy::disallowed_methods, reason = "a test starts its own programs")]
    let output = Command::new("python3")
        .arg(file)
        .args(arguments)
        .env("SHIM_LIBRARIES", LIBRARIES)
        .output()
        .expect("python3 is needed for the tests of the shims");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_python_shim() {
    run("test_python.py", &[]);
}

#[test]
fn plain_calls_in_the_python_shim() {
    run("test_python_quick.py", &[]);
}

#[test]
fn the_python_shim_without_its_library() {
    for script in ["test_python.py", "test_python_output.py", "test_python_tasks.py"] {
        run(script, &["--without-library"]);
    }
}

#[test]
fn what_is_printed_in_the_python_shim() {
    run("test_python_output.py", &[]);
}

#[test]
fn the_start_of_the_python_shim() {
    run("test_python_start.py", &[]);
}

#[test]
fn several_jobs_at_a_time_in_the_python_shim() {
    run("test_python_tasks.py", &[]);
}

#[test]
fn shared_state_in_the_python_shim() {
    run("test_python_shared.py", &[]);
}

#[test]
fn the_shelves_of_the_shims() {
    run("test_shelf.py", &[]);
}

#[test]
fn locks_among_the_threads_of_a_job_in_the_python_shim() {
    run("test_shared_threads.py", &[]);
}

#[test]
fn the_node_shim() {
    run("test_node.py", &[]);
}

#[test]
fn shared_state_in_the_node_shim() {
    run("test_node_shared.py", &[]);
}

#[test]
fn the_node_shim_without_its_library() {
    run("test_node.py", &["--without-library"]);
}
