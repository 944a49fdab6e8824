//! Which file a program's name means: the search of `execvp`, without its second try through a shell.

use super::watch::now;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So long it is remembered where a program was. A search looks into every directory before the right one, and with a
/// dozen of them costs as much as all else we do for a short command.
const REMEMBERED: Duration = Duration::from_millis(100);

/// Searches, and remembers the last find as long as no other program is asked for: then nothing but the program itself,
/// or somebody outside, can have put another of its name before it.
#[derive(Default)]
pub(super) struct Lookup {
    last: Option<Found>,
}

struct Found {
    name: Vec<u8>,
    path: Vec<u8>,
    program: CString,
    at: Instant,
}

impl Lookup {
    /// Tries `execute` on what the name may mean, in turn, until one works or fails for a reason of its own.
    pub(super) fn execute(
        &mut self,
        name: &CStr,
        path: &[u8],
        cwd: Option<&CStr>,
        mut execute: impl FnMut(&CStr) -> Result<i32, Errno>,
    ) -> Result<i32, Errno> {
        if name.is_empty() || name.to_bytes().contains(&b'/') {
            self.forget();
            return execute(name);
        }
        let remembered = self.last.take().filter(|last| cwd.is_none() && last.is_meant_by(name, path));
        if let Some(found) = remembered {
            if let Ok(pid) = execute(&found.program) {
                self.last = Some(found);
                return Ok(pid);
            }
        }
        let mut outcome = Errno::ENOENT;
        for directory in path.split(|&byte| byte == b':') {
            let Some(program) = candidate(directory, name) else { continue };
            match may_execute(&program, cwd).and_then(|()| execute(&program)) {
                Err(errno @ (Errno::EACCES | Errno::ENOENT | Errno::ENOTDIR)) => {
                    // As a shell says it: a file that may not be executed is better news than none.
                    if errno == Errno::EACCES && seen_from(&program, cwd).is_file() {
                        outcome = errno;
                    }
                }
                Ok(pid) => {
                    let (name, path) = (name.to_bytes().to_vec(), path.to_vec());
                    self.last = cwd.is_none().then(|| Found { name, path, program, at: now() });
                    return Ok(pid);
                }
                fault => return fault,
            }
        }
        Err(outcome)
    }

    /// Something else ran, which may have changed what a name means.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

impl Found {
    fn is_meant_by(&self, name: &CStr, path: &[u8]) -> bool {
        self.name == name.to_bytes() && self.path == path && now() < self.at + REMEMBERED
    }
}

/// A path as it will be seen from the command's working directory.
pub(super) fn seen_from(path: &CStr, cwd: Option<&CStr>) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    cwd.map_or_else(|| path.to_owned(), |cwd| Path::new(OsStr::from_bytes(cwd.to_bytes())).join(path))
}

/// An empty directory means the working directory.
fn candidate(directory: &[u8], name: &CStr) -> Option<CString> {
    let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    CString::new([directory, slash, name.to_bytes()].concat()).ok()
}

fn may_execute(program: &CStr, cwd: Option<&CStr>) -> Result<(), Errno> {
    match cwd {
        None => access(program, AccessFlags::X_OK),
        Some(_) => access(&seen_from(program, cwd), AccessFlags::X_OK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_works_is_taken_and_remembered() {
        let mut lookup = Lookup::default();
        let mut tried = Vec::new();
        let mut run = |lookup: &mut Lookup, name: &CStr, path: &str, result: Result<i32, Errno>| {
            tried.clear();
            let outcome = lookup.execute(name, path.as_bytes(), None, |program| {
                tried.push(program.to_str().unwrap().to_owned());
                result
            });
            (outcome, tried.clone())
        };
        let found = (Ok(1), vec!["/bin/sh".to_owned()]);
        assert_eq!(run(&mut lookup, c"sh", "/no/such:/bin:/usr/bin", Ok(1)), found);
        assert!(lookup.last.is_some());
        assert_eq!(run(&mut lookup, c"sh", "/no/such:/bin:/usr/bin", Ok(1)), found);
        assert_eq!(run(&mut lookup, c"sh", "/no/such", Ok(1)), (Err(Errno::ENOENT), vec![]));
        assert!(lookup.last.is_none());
        assert_eq!(run(&mut lookup, c"sh", "/bin:/usr/bin", Err(Errno::E2BIG)), (Err(Errno::E2BIG), found.1.clone()));
        assert_eq!(run(&mut lookup, c"./sh", "/bin", Ok(2)), (Ok(2), vec!["./sh".to_owned()]));
        assert_eq!(run(&mut lookup, c"bin", "/:/usr", Err(Errno::EACCES)).0, Err(Errno::ENOENT));
    }
}
