//! What is started as a worker: our own program as the worker that runs commands or as a guard, and what control groups
//! are for. Says it; starts nothing.

use crate::config::{Launch, Program};
use crate::process::cgroup::{Group, Use};
use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What it is given.
pub(super) struct Belongings {
    /// How many processes the kernel has killed for want of memory.
    pub(super) kernel_kills: u64,
    /// What guards wait for the end of.
    pub(super) lifeline: RawFd,
    /// Where it writes down what it has begun, and the place in there.
    pub(super) marks: Option<(RawFd, u64)>,
}

/// What our own program is told to be: the worker that runs commands, or a guard.
pub(super) fn arguments(launch: &Launch, given: &Belongings, group: Option<&Group>, own: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let (passes, relays) = match &launch.program {
        Program::Builtin(_) => (true, true),
        Program::Guarded { marks_begun, .. } => (*marks_begun, false),
    };
    if group.is_some() || !relays {
        args.push("guard".into());
        args.extend(launch.keep_leftovers.then(|| "--keep-leftovers".into()));
        args.extend(relays.then(|| "--relay".into()));
        args.extend(["--lifeline".into(), given.lifeline.to_string().into()]);
        if let Some((fd, _)) = given.marks {
            args.extend([if passes { "--pass" } else { "--hold" }.into(), fd.to_string().into()]);
        }
        if let Some(group) = group {
            args.extend(["--group".into(), group.directory().into()]);
        }
        args.push("--".into());
    }
    match &launch.program {
        Program::Guarded { argv, .. } => args.extend(argv.iter().cloned()),
        Program::Builtin(arguments) => {
            args.extend(group.map(|_| own.into()));
            args.push("worker".into());
            args.extend(arguments.iter().cloned());
            args.extend(["--kernel-kills".into(), given.kernel_kills.to_string().into()]);
            if let Some((fd, place)) = given.marks {
                args.extend(["--marks".into(), format!("{fd}:{place}").into()]);
            }
        }
    }
    args
}

/// What control groups are made for. The worker that runs commands starts in a millisecond and is its own guard: it gets a
/// group, and a guard outside of it, only for a limit of memory. Where leftovers may live on, groups would live as long.
pub(super) fn use_of_groups(launch: &Launch, memory_max: Option<u64>) -> Use {
    match (&launch.program, memory_max) {
        _ if launch.keep_leftovers => Use::None,
        (Program::Guarded { .. }, limit) => Use::Kill(limit),
        (Program::Builtin(_), Some(limit)) => Use::Memory(limit),
        (Program::Builtin(_), None) => Use::None,
    }
}

/// The program that runs, to be started again as worker or guard.
#[derive(Debug)]
pub(super) struct OwnProgram {
    path: PathBuf,
    /// Device and number of its file.
    file: (u64, u64),
}

/// What runs, whatever has become of its file. A process that is started so is called `exe` in lists of processes.
const RUNNING_IMAGE: &str = "/proc/self/exe";

impl OwnProgram {
    /// Finds it. Where there is no /proc, or that of other processes, no run begins: what jobs leave behind could not be
    /// found, and would outlive it.
    pub(super) fn find() -> io::Result<Self> {
        let mount = "mount -t proc proc /proc";
        let path = std::env::current_exe().map_err(|error| {
            let needed = format!("/proc is needed to find what jobs leave behind; mount it ({mount})");
            if PathBuf::from("/proc/self").exists() { error } else { io::Error::other(needed) }
        })?;
        if std::fs::read_link("/proc/self")? != Path::new(&std::process::id().to_string()) {
            let foreign =
                "/proc shows another PID namespace, so that what jobs leave behind could not be found; mount ours";
            return Err(io::Error::other(format!("{foreign} ({mount}, or unshare --mount-proc)")));
        }
        // Under valgrind the image is another program; the path is ours.
        let file = file_of(&path).or_else(|_| file_of(Path::new(RUNNING_IMAGE)))?;
        Ok(OwnProgram { path, file })
    }

    /// Where it is to be had now: its file may have been removed, or replaced by another version.
    pub(super) fn path(&self) -> &Path {
        let is_there = file_of(&self.path).is_ok_and(|file| file == self.file);
        if is_there { &self.path } else { Path::new(RUNNING_IMAGE) }
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let facts = std::fs::metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}
