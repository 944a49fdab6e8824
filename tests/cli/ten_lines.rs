//! The workers of docs/workers, each in ten lines and without any library of ours.

use crate::harness::{Run, TempDir};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/workers");

/// The command line of each worker; the one in C is compiled first.
pub(crate) fn workers(directory: &TempDir) -> Vec<String> {
    let binary = directory.path().join("ten_lines");
    let source = format!("{FOLDER}/ten_lines.c");
    Run::text(["--", "cc", "-Wall", "-Werror", "-o"])
        .args([binary.as_os_str()])
        .args([":::", &source])
        .run()
        .expect_code(0);
    vec![
        format!("python3 {FOLDER}/ten_lines.py"),
        format!("node {FOLDER}/ten_lines.mjs"),
        format!("bash {FOLDER}/ten_lines.sh"),
        binary.to_str().expect("a path that is text").to_owned(),
    ]
}

#[test]
fn all_of_them_give_the_same_results() {
    let directory = TempDir::new("ten-lines");
    let jobs: String = (0..200).map(|x| format!("{{\"method\":\"add_one\",\"params\":[{x}]}}\n")).collect();
    for worker in workers(&directory) {
        let done = Run::json(["-w", "2", "-k", "--worker", &worker]).stdin(&jobs).run().expect_code(0);
        let results: Vec<Value> = done.records().iter().map(|record| record["result"].clone()).collect();
        let expected: Vec<Value> = (1..=200).map(Value::from).collect();
        assert_eq!(results, expected, "{worker}");
    }
}

#[test]
fn all_of_them_refuse_an_unknown_method() {
    let directory = TempDir::new("ten-lines-unknown");
    for worker in workers(&directory) {
        let done = Run::json(["-w", "1", "--worker", &worker]).stdin("{\"method\":\"x\",\"params\":[]}\n").run();
        let done = done.expect_code(1);
        assert_eq!(done.records()[0]["error"]["code"], -32601, "{worker}");
    }
}
