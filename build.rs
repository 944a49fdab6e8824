//! Links the program without shared libraries where that can be done, because it is started again for every worker: loading
//! three of them is a third of such a start (docs/performance.md).
//!
//! `-C target-feature=+crt-static` would do the same, but cannot be asked for from here, and without `--target` it breaks
//! the macros of our dependencies. So the linker is told, and finds static libraries where rustc names shared ones. It is
//! tried on a small program first: where that does not work, the program is linked as usual.
//!
//! Builds the libraries that workers in Node and Python load, too. Where that does not work they are left empty, and those
//! do without.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "this is how a build script speaks with cargo"
)]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// The libraries of the C library that rustc names; each has a static one of the same name.
const C_LIBRARIES: [&str; 6] = ["c", "m", "rt", "dl", "util", "pthread"];

/// What stands for libgcc_s, which has no static one of its name.
const UNWINDER: &str = "GROUP(-lgcc_eh -lgcc -lc)";

/// Uses what a static program could lack: threads, unwinding, the environment.
const TRIAL: &str = r#"
    fn main() {
        let thread = std::thread::spawn(|| std::panic::catch_unwind(|| panic!("{:?}", std::env::var("PATH"))).is_err());
        assert!(thread.join().unwrap());
    }
"#;

/// The libraries for workers: name, source, and whose functions take longer without it.
const LIBRARIES: [(&str, &str, &str); 2] =
    [("node_memory", "src/shims/node/memory.rs", "Node"), ("python_calls", "src/shims/python/native/lib.rs", "Python")];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let directory = env::var_os("OUT_DIR").unwrap_or_default();
    let directory = Path::new(&directory);
    for (name, source, language) in LIBRARIES {
        println!("cargo:rerun-if-changed={}", Path::new(source).with_file_name("").display());
        let built = directory.join(format!("{name}.so"));
        if !build_library(name, source, &built) {
            println!(
                "cargo:warning={source} cannot be built here: short calls of {language} functions will take twice as long"
            );
            fs::write(built, []).expect("OUT_DIR takes files");
        }
    }
    let is_gnu = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if !is_gnu || variable("TARGET") != variable("HOST") {
        return;
    }
    let arguments = link_arguments(directory);
    if place_libraries(directory).is_ok() && works(directory, &arguments) {
        arguments.iter().for_each(|argument| println!("cargo:rustc-link-arg-bins={argument}"));
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn link_arguments(directory: &Path) -> [String; 3] {
    ["-static".into(), "-no-pie".into(), format!("-L{}", directory.display())]
}

/// Linker scripts under the names that rustc asks for: the linker looks into this directory before its own.
fn place_libraries(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("libgcc_s.a"), UNWINDER)?;
    for name in C_LIBRARIES {
        let file = format!("lib{name}.a");
        let found = Command::new(linker()).arg(format!("-print-file-name={file}")).output()?.stdout;
        let place = String::from_utf8_lossy(&found).trim().to_string();
        if !Path::new(&place).is_absolute() {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::write(directory.join(file), format!("INPUT(\"{place}\")"))?;
    }
    Ok(())
}

/// Whether a small program can be linked so, by the compiler and with the flags of this build, and runs.
fn works(directory: &Path, arguments: &[String]) -> bool {
    let (source, program) = (directory.join("trial.rs"), directory.join("trial"));
    let mut compiler = compiler();
    compiler.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    compiler.arg("-o").arg(&program).arg(&source);
    fs::write(&source, TRIAL).is_ok() && succeeds(&mut compiler) && succeeds(&mut Command::new(&program))
}

/// Builds a library that needs neither our standard library nor the C library's start. Whether that worked. Only as one whole
/// with the core library (`lto`) is nothing left in it that would have to be found elsewhere.
fn build_library(name: &str, source: &str, built: &Path) -> bool {
    let mut compiler = compiler();
    compiler.args(["--edition=2024", "--crate-type=cdylib", "--crate-name", name]);
    compiler.arg("--target").arg(variable("TARGET"));
    compiler.args(["-Cpanic=abort", "-Copt-level=2", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols"]);
    compiler.args(["-Ctarget-feature=-crt-static", "-Clink-arg=-nostdlib", "-Clink-arg=-Wl,-z,noseparate-code"]);
    compiler.arg("-o").arg(built).arg(source);
    variable("CARGO_CFG_TARGET_POINTER_WIDTH") == "64" && succeeds(&mut compiler)
}

/// The compiler of this build, with its flags and its linker.
fn compiler() -> Command {
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let mut compiler = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    let mut named = OsString::from("linker=");
    named.push(linker());
    compiler.arg("-C").arg(named);
    compiler
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn linker() -> OsString {
    env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into())
}
