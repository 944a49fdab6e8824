//! The rules of the house that no compiler checks: who may import whom, how long files and functions may get, that every
//! file says what it owns, and that the documents speak of what is there. Reads the sources; knows nothing of what they do.

#[path = "tidy/source.rs"]
mod source;

use source::{
    blank, contains_word, documents, files, functions, has_extension, imports, is_test_file, links, module_of, read,
    root, slug, sources, without_tests,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A module of the library and what it may import.
struct Wall {
    module: &'static str,
    /// Other modules of the library. `pool::Stats` admits this one item, `pool` all of them.
    imports: &'static [&'static str],
    /// Whether it may speak to the system: files, processes, threads, clocks, the environment.
    system: bool,
}

const fn pure(module: &'static str, imports: &'static [&'static str]) -> Wall {
    Wall { module, imports, system: false }
}

const fn shell(module: &'static str, imports: &'static [&'static str]) -> Wall {
    Wall { module, imports, system: true }
}

/// Who may import whom. Nothing points back up.
const WALLS: &[Wall] = &[
    pure("ids", &[]),
    pure("time", &[]),
    pure("status", &[]),
    pure("exit", &["status"]),
    pure("part", &[]),
    pure("json", &["part"]),
    pure("config", &["job"]),
    pure("job", &["config", "ids", "json", "part"]),
    pure("protocol", &["json", "part"]),
    pure("record", &["ids", "job", "json", "time"]),
    pure("pool", &["config", "exit", "ids", "job", "json", "part", "protocol", "record", "status", "time"]),
    pure("drive", &["pool", "time"]),
    pure("shims", &[]),
    shell("edge", &["part"]),
    // The one word that a failed start has in common with the core: whether another try may help.
    shell("process", &["status", "pool::SpawnFault"]),
    // `pool::Entrusted` is plain data.
    shell("journal", &["config", "edge", "ids", "job", "record", "pool::Entrusted", "process::is_zombie"]),
    // Of the edges what has nothing to do with threads.
    shell(
        "worker",
        &["json", "status", "protocol", "process", "edge::Lookout", "edge::enlarge_pipe", "edge::fault_text"],
    ),
    // Plain data of a run, and the threads that write; no decisions.
    shell(
        "report",
        &[
            "config",
            "exit",
            "ids",
            "job",
            "json",
            "part",
            "record",
            "status",
            "time",
            "edge",
            "pool::Stats",
            "pool::Joined",
            "pool::Running",
            "pool::Notice",
        ],
    ),
    shell(
        "reactor",
        &[
            "config", "drive", "edge", "exit", "ids", "job", "journal", "part", "pool", "process", "protocol",
            "record", "report", "status", "time",
        ],
    ),
    // Between the command line and the reactor: one invocation.
    shell("run", &["config", "dry_run", "edge", "exit", "places", "process", "reactor", "report"]),
    shell("places", &["config", "edge", "journal"]),
    shell("lock", &["edge", "process", "status"]),
    shell("dry_run", &["config", "edge", "exit", "job", "journal", "pool", "protocol", "record", "report"]),
    // A program of its own: no run, no records.
    shell("check", &["exit", "process", "protocol", "status"]),
    shell("cli", &["check", "config", "edge", "exit", "job", "lock", "protocol", "shims"]),
];

/// What a pure module may not name.
const SYSTEM: &[&str] = &[
    "std::io",
    "std::fs",
    "std::os",
    "std::process",
    "std::thread",
    "std::net",
    "std::env",
    "Instant",
    "SystemTime",
    "nix::",
    "libc::",
    "mio::",
    "signal_hook",
];

/// No function is longer than this …
const FUNCTION_LINES_MAX: usize = 70;
/// … but these, which may only become shorter: (file, function, lines).
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// No file is longer than this …
const FILE_LINES_MAX: usize = 450;
/// … but these, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[("tests/sim/deeds.rs", "what the actors do, as one table of deeds")];

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let module = module_of(&file);
        if module == "lib" || is_test_file(&file) {
            continue;
        }
        let Some(wall) = WALLS.iter().find(|wall| wall.module == module) else {
            faults.push(format!("{file}: module {module} has no row in WALLS of tests/tidy.rs"));
            continue;
        };
        let code = without_tests(&blank(&read(&file)));
        for import in imports(&code) {
            let parent = import.split("::").next().unwrap_or_default();
            let admitted = parent == module || wall.imports.iter().any(|&one| one == parent || one == import);
            if !admitted {
                faults.push(format!("{file}: {module} may not import crate::{import}"));
            }
        }
        // A file name as bytes is not the system.
        let code = code.replace("std::os::unix::ffi", "");
        for name in SYSTEM.iter().filter(|name| !wall.system && contains_word(&code, name)) {
            faults.push(format!("{file}: {module} is pure and may not use {name}"));
        }
    }
    report(&faults);
}

#[test]
fn functions_do_not_grow_long() {
    let mut faults = Vec::new();
    let mut long: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in ["src", "bin", "tests", "examples", "benches"].iter().flat_map(|folder| sources(folder)) {
        for (name, lines) in functions(&blank(&read(&file))) {
            if lines > FUNCTION_LINES_MAX {
                long.insert((file.clone(), name), lines);
            }
        }
    }
    for (file, name, listed) in LONG_FUNCTIONS {
        match long.remove(&(file.to_string(), name.to_string())) {
            Some(lines) if lines > *listed => {
                faults.push(format!("{file}: {name} grew from {listed} to {lines} lines"))
            }
            Some(lines) if lines < *listed => {
                faults.push(format!("{file}: {name} has {lines} lines now: lower its row in LONG_FUNCTIONS"));
            }
            Some(_) => {}
            None => faults.push(format!("{file}: {name} is short now, or gone: remove its row in LONG_FUNCTIONS")),
        }
    }
    for ((file, name), lines) in long {
        faults.push(format!("{file}: {name} has {lines} lines, more than {FUNCTION_LINES_MAX}"));
    }
    report(&faults);
}

#[test]
fn files_have_one_subject_and_say_which() {
    let mut faults = Vec::new();
    for file in ["src", "bin", "tests", "examples", "benches"].iter().flat_map(|folder| files(folder)) {
        let listed = LONG_FILES.iter().any(|(name, _)| *name == file);
        let is_code = ["rs", "py", "mjs"].iter().any(|end| has_extension(&file, end));
        let text = read(&file);
        let lines = text.lines().count();
        if is_code && lines > FILE_LINES_MAX && !listed {
            faults.push(format!("{file}: {lines} lines, more than {FILE_LINES_MAX}: divide it by subject"));
        }
        let head = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!")).unwrap_or_default();
        if has_extension(&file, "rs") && !head.starts_with("//!") {
            faults.push(format!("{file}: does not begin with //! and what it owns"));
        }
    }
    report(&faults);
}

#[test]
fn nothing_is_left_undone_and_no_machine_is_named() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[al", "low"),
        concat!("#![al", "low"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
    ];
    let mut faults = Vec::new();
    let folders = ["src", "bin", "tests", "examples", "benches", "docs", ".ci", ".github"];
    for file in folders.iter().flat_map(|folder| files(folder)).chain(documents()) {
        for (number, line) in read(&file).lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for file in documents() {
        let text = read(&file);
        for target in links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
            let there = if path.is_empty() { PathBuf::from(&file) } else { folder.join(path) };
            if !root().join(&there).exists() {
                faults.push(format!("{file}: {target}: there is no such file"));
            } else if !anchor.is_empty() && has_extension(&there.to_string_lossy(), "md") {
                let headings = read(&there.to_string_lossy());
                if !headings.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor) {
                    faults.push(format!("{file}: {target}: there is no such heading"));
                }
            }
        }
    }
    report(&faults);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asks the program itself for its options")]
fn the_guide_names_every_option() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_supervisor")).args(["spawn", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let guide = read("docs/guide.md");
    let options = options(&help);
    assert!(options.len() > 10, "the options were not found in the help: {help}");
    let missing = options.iter().filter(|option| !contains_word(&guide, option));
    report(&missing.map(|option| format!("docs/guide.md: says nothing of {option}")).collect::<Vec<_>>());
}

/// Long options at the head of their entries in a help text.
fn options(help: &str) -> Vec<String> {
    let heads = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let long = heads.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    let name = |word: &str| word.split(['=', '[', '<']).next().unwrap_or_default().trim_end_matches('.').to_owned();
    long.map(name).filter(|name| name != "--help" && name.len() > 2).collect()
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
