//! The one place where the command line looks at the environment other than by its options.

use super::args::{VARIABLE_PREFIX, variable};
use super::cores;
use super::resolve::Machine;
use crate::config::When;
use clap::error::{ContextKind, ContextValue};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What this machine contributes to a run.
pub(super) fn machine() -> Machine {
    Machine { cores: cores::usable, color: color(), seed: RandomState::new().hash_one(0) }
}

/// What the variables that all programs know say about colours.
pub(super) fn color() -> When {
    color_from(get)
}

/// NO_COLOR goes before CLICOLOR_FORCE, which goes before CLICOLOR; empty ones say nothing.
fn color_from(get: impl Fn(&str) -> Option<OsString>) -> When {
    let value = |name| get(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        When::Never
    } else if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        When::Always
    } else if value("CLICOLOR").is_some_and(|value| value == "0") {
        When::Never
    } else {
        When::Auto
    }
}

/// The variable that a bad value came from, when it was not typed.
pub(super) fn variable_at_fault(error: &clap::Error, argv: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    };
    let long = text(ContextKind::InvalidArg)?.strip_prefix("--")?;
    let long = &long[..long.find([' ', '=', '[']).unwrap_or(long.len())];
    let bad = text(ContextKind::InvalidValue)?;
    let name = variable(long);
    let is_typed = argv.iter().filter_map(|word| word.to_str()).any(|word| !bad.is_empty() && word.ends_with(&**bad));
    (!is_typed && get(&name).as_deref() == Some(OsStr::new(bad))).then_some(name)
}

/// Whether any variable is set that may stand for an option.
pub(super) fn has_options() -> bool {
    std::env::vars_os().any(|(name, _)| name.as_bytes().starts_with(VARIABLE_PREFIX.as_bytes()))
}

/// Where the user's caches are (XDG base directories).
pub(super) fn caches() -> Option<PathBuf> {
    let folder = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))
}

#[expect(clippy::disallowed_methods, reason = "one door: colours, caches, and naming the variable of a bad value")]
fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours() {
        for (variables, expected) in [
            (&[][..], When::Auto),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], When::Never),
            (&[("NO_COLOR", ""), ("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], When::Always),
            (&[("CLICOLOR_FORCE", "0"), ("CLICOLOR", "0")], When::Never),
            (&[("CLICOLOR", "1")], When::Auto),
        ] {
            let get =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            assert_eq!(color_from(get), expected, "{variables:?}");
        }
    }
}
