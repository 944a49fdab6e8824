//! The shims: what runs a user's functions as jobs, embedded in this program. Owns how an interpreter is started with
//! them; never reads the user's files: a shim says itself what is wrong with them, before it says `ready`.

mod table;

pub use table::{LANGUAGES, Language, NODE, PYTHON};

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The variable that carries a shim's text to its loader, which takes it out of the environment again.
const SHIM_VARIABLE: &str = "SPV_SHIM";

/// With something that starts the shim: the variable of its text, and the one of the place where it may be kept compiled.
const TEXT_VARIABLE: &str = "SPV_SHIM_TEXT";
const KEPT_VARIABLE: &str = "SPV_SHIM_KEPT";

/// How a worker for functions is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments; never empty.
    pub argv: Vec<OsString>,
    /// Variables to set for it.
    pub env: Vec<(OsString, OsString)>,
    /// A library that it can load from a file.
    pub library: Option<&'static [u8]>,
    /// The function called by jobs that name none.
    pub default_method: Option<String>,
}

/// The worker for `--python FILE_OR_MODULE[:FUNCTION]`. `caches` is where the user's caches are; without it nothing is kept.
pub fn python(spec: &OsStr, interpreter: &OsStr, concurrency: u32, caches: Option<&Path>) -> Result<Launch, String> {
    launch(&PYTHON, (spec, interpreter), concurrency, caches)
}

/// The worker for `--node FILE[:FUNCTION]`.
pub fn node(spec: &OsStr, interpreter: &OsStr, concurrency: u32) -> Result<Launch, String> {
    launch(&NODE, (spec, interpreter), concurrency, None)
}

fn launch(
    language: &Language,
    (spec, interpreter): (&OsStr, &OsStr),
    concurrency: u32,
    caches: Option<&Path>,
) -> Result<Launch, String> {
    let (place, function) = split_spec(spec);
    if place.is_empty() {
        return Err(format!("--{} needs a file, as in tasks:function, not {:?}", language.name, spec));
    }
    let mut argv: Vec<OsString> = language.prefix.iter().map(Into::into).collect();
    argv.push(interpreter.into());
    argv.extend(language.flags.iter().map(Into::into));
    argv.push(language.loader.trim_end().into());
    argv.push(concurrency.to_string().into());
    argv.push(spec.into());
    let env = match language.start {
        None => vec![(SHIM_VARIABLE.into(), language.shim.into())],
        Some(start) => vec![
            (SHIM_VARIABLE.into(), start.into()),
            (TEXT_VARIABLE.into(), language.shim.into()),
            (KEPT_VARIABLE.into(), caches.map_or_else(OsString::new, |caches| kept_place(language, caches).into())),
        ],
    };
    let library = Some(language.library).filter(|library| !library.is_empty());
    Ok(Launch { argv, env, library, default_method: function.map(str::to_owned) })
}

/// Where a shim may be kept compiled: among the user's caches, by a hash of its text.
fn kept_place(language: &Language, caches: &Path) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_128(language.shim.as_bytes());
    caches.join("supervisor").join(format!("{}-{hash:032x}", language.name))
}

/// Splits `FILE_OR_MODULE[:FUNCTION]`. A colon belongs to the file's name unless a dotted name follows the last one.
pub fn split_spec(spec: &OsStr) -> (&OsStr, Option<&str>) {
    let bytes = spec.as_bytes();
    let Some(colon) = memchr::memrchr(b':', bytes) else { return (spec, None) };
    match std::str::from_utf8(&bytes[colon + 1..]) {
        Ok(name) if name.split('.').all(is_identifier) => (OsStr::from_bytes(&bytes[..colon]), Some(name)),
        _ => (spec, None),
    }
}

fn is_identifier(part: &str) -> bool {
    let mut letters = part.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '$')
        && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(spec: &str) -> (&OsStr, Option<&str>) {
        split_spec(OsStr::new(spec))
    }

    #[test]
    fn a_dotted_name_after_the_last_colon_is_the_function() {
        assert_eq!(split("tasks.py"), (OsStr::new("tasks.py"), None));
        assert_eq!(split("tasks.py:inc"), (OsStr::new("tasks.py"), Some("inc")));
        assert_eq!(split("a.b:Class.method"), (OsStr::new("a.b"), Some("Class.method")));
        assert_eq!(split("dir:1/tasks.py"), (OsStr::new("dir:1/tasks.py"), None));
        assert_eq!(split("dir:x/tasks.py:f"), (OsStr::new("dir:x/tasks.py"), Some("f")));
        assert_eq!(split("tasks.py:"), (OsStr::new("tasks.py:"), None));
        assert_eq!(split("tugas.py:tugás"), (OsStr::new("tugas.py"), Some("tugás")));
    }

    #[test]
    fn the_text_goes_into_the_environment_and_the_spec_comes_last() {
        let caches = Some(Path::new("/home/me/.cache"));
        let launch = python(OsStr::new("t.py:f"), OsStr::new("/venv/bin/python"), 3, caches).expect("a launch");
        assert_eq!(launch.argv[0], "/venv/bin/python");
        assert_eq!(launch.argv[launch.argv.len() - 2..], ["3", "t.py:f"]);
        assert_eq!(launch.default_method.as_deref(), Some("f"));
        let names: Vec<_> = launch.env.iter().map(|(name, _)| name.to_str().expect("plain")).collect();
        assert_eq!(names, ["SPV_SHIM", "SPV_SHIM_TEXT", "SPV_SHIM_KEPT"]);
        let kept = launch.env[2].1.to_str().expect("plain");
        assert!(kept.starts_with("/home/me/.cache/supervisor/python-"), "{kept}");
        let launch = python(OsStr::new("t.py:f"), OsStr::new("python3"), 3, None).expect("a launch");
        assert_eq!(launch.env[2].1, "", "nothing is kept");
    }

    #[test]
    fn a_spec_without_a_file_is_refused() {
        assert!(node(OsStr::new(":f"), OsStr::new("node"), 1).unwrap_err().contains("--node"));
    }

    #[test]
    fn the_libraries_were_built() {
        for language in LANGUAGES {
            assert!(
                language.library.starts_with(b"\x7fELF"),
                "rustc could not build the library for {}",
                language.name
            );
        }
    }

    #[test]
    fn each_text_fits_into_one_variable_and_one_argument() {
        for language in LANGUAGES {
            assert!(language.shim.len() < 120 * 1024, "{} is over what one string of execve may hold", language.name);
            assert_eq!(language.loader.trim_end().lines().count(), 1);
        }
    }
}
