//! Where the output goes that is too much for memory: a named file, an unlinked one, or memory of the system's own.
//!
//! Bytes are read and written, though the system could move them itself: `splice` keeps the pipe locked while the file takes
//! them, and the command, which wants to write, turns in circles for as long.

use crate::process;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// So often another name is tried when a file is there already.
const NAMES_MAX: u32 = 1000;
/// A longer name of a job is cut in its file's name.
const STEM_BYTES_MAX: usize = 100;

/// A file that takes the output of one stream.
pub(super) struct Spill {
    file: File,
    /// Its name, if it has one that stays.
    path: Option<PathBuf>,
    /// Bytes that are in it for sure.
    stored: u64,
    /// Whether it may still be moved to memory when its file system fails.
    movable: bool,
}

/// What one move brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many bytes.
    Bytes(u64),
    /// The pipe is at its end.
    End,
    /// The pipe holds nothing just now.
    Nothing,
}

impl Spill {
    /// A file `STEM.STREAM` in a directory that is there, under a name that nothing had before.
    pub(super) fn named(directory: &Path, stem: &str, stream: &str) -> io::Result<Spill> {
        for number in 1..=NAMES_MAX {
            let suffix = if number == 1 { String::new() } else { format!(".{number}") };
            let path = directory.join(format!("{stem}{suffix}.{stream}"));
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => return Ok(Spill { file, path: Some(path), stored: 0, movable: false }),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{NAMES_MAX} files of that name are there already")))
    }

    /// A file without a name in a directory for temporary files; system memory when that does not work.
    pub(super) fn unnamed(directory: &Path) -> io::Result<Spill> {
        let flags = libc::O_TMPFILE | libc::O_CLOEXEC;
        match OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(directory) {
            Ok(file) => Ok(Spill { file, path: None, stored: 0, movable: true }),
            Err(_) => Spill::unlinked(directory).or_else(|_| Spill::in_memory()),
        }
    }

    /// For file systems that know no `O_TMPFILE`.
    fn unlinked(directory: &Path) -> io::Result<Spill> {
        let random = u64::from_ne_bytes(process::random());
        let mut spill = Spill::named(directory, &format!(".spv-{random:016x}"), "spill")?;
        if let Some(path) = spill.path.take() {
            remove_file(path)?;
        }
        spill.movable = true;
        Ok(spill)
    }

    fn in_memory() -> io::Result<Spill> {
        let fd = memfd_create(c"supervisor-spill", MFdFlags::MFD_CLOEXEC)?;
        Ok(Spill { file: fd.into(), path: None, stored: 0, movable: false })
    }

    /// Appends bytes that we hold.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            self.move_to_memory(error)?;
            self.file.write_all(bytes)?;
        }
        self.stored += bytes.len() as u64;
        Ok(())
    }

    /// Appends what is in the pipe, as much of it as fits `buffer`. Fails when the file does not take it: the bytes were
    /// read all the same, as many as the error comes with.
    pub(super) fn take_from(&mut self, pipe: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Moved, (io::Error, u64)> {
        match nix::unistd::read(pipe, buffer) {
            Ok(0) => Ok(Moved::End),
            Ok(count) => match self.append(&buffer[..count]) {
                Ok(()) => Ok(Moved::Bytes(count as u64)),
                Err(error) => Err((error, count as u64)),
            },
            Err(Errno::EAGAIN) => Ok(Moved::Nothing),
            Err(Errno::EINTR) => Ok(Moved::Bytes(0)),
            Err(_) => Ok(Moved::End),
        }
    }

    /// The name of the file; none when it has none.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A path under which others can open a file without a name, as long as we hold it.
    pub(super) fn descriptor_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The open file alone.
    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.file.into()
    }

    /// Gives up: nothing stays behind.
    pub(super) fn discard(self) {
        if let Some(path) = self.path {
            let _ = remove_file(path);
        }
    }

    /// The file system failed, most likely it is full: go on in memory, if the rest of the machine is to see the file only
    /// through us.
    fn move_to_memory(&mut self, cause: io::Error) -> io::Result<()> {
        if !self.movable {
            return Err(cause);
        }
        let mut memory = Spill::in_memory()?;
        self.file.set_len(self.stored)?;
        self.file.seek(SeekFrom::Start(0))?;
        memory.stored = io::copy(&mut self.file, &mut memory.file)?;
        *self = memory;
        Ok(())
    }
}

/// A file's name for a job: only characters that are safe anywhere, no leading dot.
pub(super) fn stem(job: &[u8], attempt: &str) -> String {
    let safe = |&byte: &u8| {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) { char::from(byte) } else { '_' }
    };
    let mut name: String = job.iter().take(STEM_BYTES_MAX).map(safe).collect();
    if name.is_empty() || name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    format!("{name}.{attempt}")
}

/// A path's bytes, for the answer.
pub(super) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_safe() {
        assert_eq!(stem(b"a1", "2"), "a1.2");
        assert_eq!(stem(b"../../etc/passwd", "1"), "_.._.._etc_passwd.1");
        assert_eq!(stem(b"-rf \n\xff", "1"), "_-rf___.1");
        assert_eq!(stem(b"", "1"), "_.1");
        assert_eq!(stem(&[b'x'; 1000], "1").len(), STEM_BYTES_MAX + 2);
    }

    #[test]
    fn a_failing_file_moves_to_memory() {
        let mut spill = Spill::unnamed(&std::env::temp_dir()).unwrap();
        spill.append(b"one").unwrap();
        spill.move_to_memory(io::Error::other("full")).unwrap();
        spill.append(b"two").unwrap();
        spill.file.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(io::read_to_string(&spill.file).unwrap(), "onetwo");
        assert!(spill.move_to_memory(io::Error::other("full")).is_err());
    }
}
