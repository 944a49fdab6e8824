//! The languages whose functions can be jobs: one row each.

/// How the functions of one language are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// The name in `ready`, and of the command line's flag.
    pub name: &'static str,
    /// The interpreter when none is named.
    pub interpreter: &'static str,
    /// Words in front of the interpreter; a shell that sorts out descriptors, where the language cannot.
    pub(super) prefix: &'static [&'static str],
    /// Words between the interpreter and the loader.
    pub(super) flags: &'static [&'static str],
    /// A line of code that runs the shim's text, which it finds in the environment.
    pub(super) loader: &'static str,
    /// What runs the shim's text from where it was kept compiled; without it the loader runs the text itself.
    pub(super) start: Option<&'static str>,
    /// The shim.
    pub(super) shim: &'static str,
    /// A library for what the language cannot do, or not fast; empty where it could not be built for this machine.
    pub(super) library: &'static [u8],
}

/// Python 3.8 and newer.
pub const PYTHON: Language = Language {
    name: "python",
    interpreter: "python3",
    prefix: &[],
    flags: &["-c"],
    loader: include_str!("python_loader.py"),
    start: Some(include_str!("python_start.py")),
    shim: concat!(
        include_str!("python/head.py"),
        include_str!("python/values.py"),
        include_str!("python/errors.py"),
        include_str!("python/shelf.py"),
        include_str!("python/marks.py"),
        include_str!("python/channel.py"),
        include_str!("python/streams.py"),
        include_str!("python/functions.py"),
        include_str!("python/threads.py"),
        include_str!("python/worker.py"),
        include_str!("python/quick.py"),
        include_str!("python/serial.py"),
        include_str!("python/concurrent.py"),
        include_str!("python/turns.py"),
        include_str!("python/shared.py"),
        include_str!("python/locks.py"),
        include_str!("python/main.py"),
    ),
    library: include_bytes!(concat!(env!("OUT_DIR"), "/python_calls.so")),
};

/// Node 18 and newer. It has no way to move a descriptor, so the shell moves the channel to 3 and 4 before it starts. There
/// is no `--input-type`: what a user's `new Worker` runs would be taken for that too.
pub const NODE: Language = Language {
    name: "node",
    interpreter: "node",
    prefix: &["/bin/sh", "-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#],
    flags: &["-e"],
    loader: include_str!("node_loader.cjs"),
    start: None,
    shim: concat!(
        include_str!("node/head.mjs"),
        include_str!("node/shelf.mjs"),
        include_str!("node/channel.mjs"),
        include_str!("node/streams.mjs"),
        include_str!("node/values.mjs"),
        include_str!("node/errors.mjs"),
        include_str!("node/functions.mjs"),
        include_str!("node/jobs.mjs"),
        include_str!("node/messages.mjs"),
        include_str!("node/shared.mjs"),
        include_str!("node/main.mjs"),
    ),
    library: include_bytes!(concat!(env!("OUT_DIR"), "/node_memory.so")),
};

/// All of them.
pub const LANGUAGES: [Language; 2] = [PYTHON, NODE];
