//! Files of functions that cannot be used: the run gives up fast, with exit code 5 and the reason told once.

use crate::harness::{Done, Run, TempDir, counts};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Nothing runs, the exit code is 5, and the reason is told once.
#[track_caller]
fn expect_no_start(done: Done, reason: &str) {
    let done = done.expect_code(5);
    assert_eq!(done.statuses(), counts([("skipped", 2)]));
    assert_eq!(done.stderr.matches(reason).count(), 1, "{}", done.stderr);
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
}

#[test]
fn a_python_file_that_cannot_be_used_is_told_once() {
    let directory = TempDir::new("start-python");
    directory.file("good.py", "def f(x): return x\n");
    directory.file("needs.py", "import nosuchmodule\ndef f(x): return x\n");
    directory.file("syntax.py", "def f(:\n");
    directory.file("leaves.py", "import sys\nsys.exit(7)\n");
    directory.file("vanishes.py", "import os\nos._exit(7)\n");
    let run = |spec: &str, more: &[&str]| {
        Run::json(["-w", "2", "--python", spec]).args(more).cwd(directory.path()).stdin("[1]\n[2]\n").run()
    };
    expect_no_start(run("needs.py:f", &[]), "giving up: ModuleNotFoundError: No module named 'nosuchmodule'");
    expect_no_start(run("syntax.py:f", &[]), "File \"");
    expect_no_start(run("leaves.py:f", &[]), "giving up: SystemExit: 7");
    expect_no_start(run("vanishes.py:f", &[]), "(exit code 7) before it did any work");
    expect_no_start(run("good.py:nosuch", &[]), "no function nosuch in good");
    expect_no_start(run("nofile.py:f", &[]), "no file nofile.py");
    expect_no_start(run("no.such.module:f", &[]), "giving up: ModuleNotFoundError: No module named 'no'");
    expect_no_start(run("good.py:f", &["--python-bin", "/nonexistent/python3"]), "cannot start /nonexistent/python3");
}

#[test]
fn raw_standard_error_from_before_ready_is_shown_once() {
    let directory = TempDir::new("start-words");
    let words = |then: &str| format!("import os, time\nos.write(2, b'raw words\\n')\ntime.sleep(.3)\n{then}\n");
    directory.file("good.py", words("def f(x): return x"));
    directory.file("dies.py", words("os._exit(7)"));
    let run = |spec: &str| Run::json(["-w", "1", "--python", spec]).cwd(directory.path()).stdin("[1]\n[2]\n").run();
    let done = run("good.py:f").expect_code(0);
    assert_eq!(done.stderr.matches("raw words").count(), 1, "{}", done.stderr);
    assert!(done.stderr.contains("[worker 1] raw words"), "{}", done.stderr);
    expect_no_start(run("dies.py:f"), "raw words");
}

#[test]
fn the_python_shim_is_kept_compiled_for_its_user_alone() {
    let directory = TempDir::new("start-kept");
    directory.file(
        "tasks.py",
        "import os\ndef seen(_): return sorted(name for name in os.environ if name.startswith('SPV_SHIM'))\n",
    );
    let run = |caches: &std::path::Path| {
        let run = Run::json(["-w", "1", "--python", "tasks.py:seen"]).cwd(directory.path()).stdin("[1]\n");
        let done = run.env("XDG_CACHE_HOME", caches).env("PYTHONDONTWRITEBYTECODE", "").run().expect_code(0);
        assert_eq!(done.by_id()["1"]["result"], serde_json::json!([]), "its variables are not the user's");
    };
    let caches = directory.path().join("caches");
    let kept = || -> Vec<PathBuf> {
        let found = std::fs::read_dir(caches.join("supervisor")).unwrap();
        found.map(|entry| entry.unwrap().path()).collect()
    };
    run(&caches);
    let [file] = kept().try_into().expect("one file, and no temporary one");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&caches.join("supervisor"))), (0o600, 0o700));

    // It is what runs; torn, it is written anew; open to others, it is not trusted.
    let whole = std::fs::read(&file).unwrap();
    run(&caches);
    std::fs::write(&file, &whole[..1000]).unwrap();
    run(&caches);
    assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());
    std::fs::write(&file, "no code").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    run(&caches);
    assert_eq!((std::fs::read(&file).unwrap().len(), mode(&file)), (whole.len(), 0o600));

    // What can be read and is no code is written anew too.
    std::fs::write(&file, "N").unwrap();
    run(&caches);
    assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());

    run(std::path::Path::new("/proc/cannot/be/made"));
    let absent = directory.path().join("no home");
    run(&absent.join(".cache"));
    assert!(!absent.exists(), "a home was made where there is none");
}

#[test]
fn a_javascript_file_that_cannot_be_used_is_told_once() {
    let directory = TempDir::new("start-node");
    directory.file("good.cjs", "exports.f = (x) => x\n");
    directory.file("needs.mjs", "import './nosuch.mjs'\n");
    directory.file("syntax.mjs", "export function f() {}\nthis is none\n");
    let run = |spec: &str| Run::json(["-w", "2", "--node", spec]).cwd(directory.path()).stdin("[1]\n[2]\n").run();
    assert_eq!(run("good.cjs:f").expect_code(0).statuses(), counts([("ok", 2)]));
    expect_no_start(run("needs.mjs:f"), "giving up: Error: Cannot find module");
    expect_no_start(run("syntax.mjs:f"), "syntax.mjs:2");
    expect_no_start(run("good.cjs:nosuch"), "no function nosuch in good.cjs");
    expect_no_start(run("nofile.mjs:f"), "no file nofile.mjs");
}

#[test]
fn jobs_that_no_worker_could_be_kept_for_say_why() {
    for (worker, why) in [("nosuch-program", "ENOENT"), ("sh -c 'echo out of paper >&2; exit 7'", "(exit code 7)")] {
        let list = "{\"method\":\"f\",\"params\":[1]}\n";
        let done = Run::json(["-w", "1", "--worker", worker]).stdin(list).run().expect_code(5);
        let message = done.by_id()["1"]["error"]["data"]["cause"].as_str().unwrap().to_owned();
        assert!(message.contains(why), "{message}");
    }
}
