//! The files that one invocation names: none of them may be another's, and where outputs go must be a place to write to.
//! Looks at them before anything is opened or emptied.

use crate::config::{Config, Source};
use crate::edge::fault_text;
use crate::journal;
use anyhow::{Context, bail};
use nix::sys::stat::{FileStat, SFlag, fstat, stat};
use nix::unistd::{AccessFlags, access};
use std::fs::create_dir_all;
use std::io;
use std::path::{Path, PathBuf};

/// How many symbolic links are followed from a name to a file that is not there yet, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// Refuses what would destroy the job list or mix two files into one, and a folder for outputs that takes none.
///
/// # Errors
///
/// In words, with the options and the path.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let journal = config.output.journal.as_ref().map(|journal| ("--output", journal.path.as_path()));
    let joblog = config.output.joblog.as_deref().map(|path| ("--joblog", path));
    let list = match &config.input.source {
        Source::Stdin => fstat(io::stdin()).ok(),
        Source::File(path) => stat(path).ok(),
        Source::Arguments(_) => None,
    };
    for (option, path) in journal.iter().chain(&joblog) {
        if list.is_some_and(|list| stat(*path).is_ok_and(|file| is_same(&list, &file))) {
            bail!("{option} {}: that is the job list, which would be overwritten; name another file", path.display());
        }
    }
    for (name, to) in [("standard output", fstat(io::stdout())), ("standard error", fstat(io::stderr()))] {
        let Ok(to) = to else { continue };
        for (option, path) in journal.iter().chain(&joblog) {
            if stat(*path).is_ok_and(|file| is_same(&to, &file)) {
                bail!("{option} {}: {name} goes there too, and each would overwrite the other", path.display());
            }
        }
    }
    if let (Some((_, journal)), Some((_, joblog))) = (journal, joblog) {
        if is_one_place(journal, joblog) {
            bail!("--output and --joblog name the same file, {}; each needs one of its own", journal.display());
        }
    }
    if let Some((_, journal)) = journal {
        let marks = journal::beside(journal);
        let list = match &config.input.source {
            Source::File(path) => Some(("--job-file", path.as_path())),
            Source::Stdin | Source::Arguments(_) => None,
        };
        if let Some((option, path)) = joblog.into_iter().chain(list).find(|(_, path)| is_one_place(&marks, path)) {
            bail!("{option} {}: --output keeps there what is running; name another file", path.display());
        }
    }
    config.output.output_dir.as_deref().map_or(Ok(()), takes_files)
}

/// Whether two names stand for one regular file. What is written to a device or a pipe destroys nothing.
fn is_same(one: &FileStat, other: &FileStat) -> bool {
    let is_regular = SFlag::from_bits_truncate(one.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
    is_regular && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Whether two names lead to one file, or will once there is one.
fn is_one_place(one: &Path, other: &Path) -> bool {
    one == other
        || match (stat(one), stat(other)) {
            (Ok(one), Ok(other)) => is_same(&one, &other),
            _ => target(one).is_some_and(|one| target(other) == Some(one)),
        }
}

/// Where a file that is not there yet would be made.
fn target(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        path = match path.read_link() {
            Ok(to) => parent.join(to),
            Err(_) => return Some(parent.canonicalize().ok()?.join(path.file_name()?)),
        };
    }
    None
}

fn takes_files(directory: &Path) -> anyhow::Result<()> {
    let fault = |error: io::Error| anyhow::anyhow!("{}", fault_text(&error));
    create_dir_all(directory)
        .and_then(|()| access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from))
        .map_err(fault)
        .with_context(|| format!("cannot write to --output-dir {}", directory.display()))
}
