//! Files to the output without passing through memory of ours: splice(2) into pipes, copy_file_range(2) into
//! files, sendfile(2) into devices, read and write where none of them goes. Owns the choice between them.

use super::pipe::enlarge_pipe;
use super::writer::Writer;
use nix::fcntl::{SpliceFFlags, copy_file_range, splice};
use nix::sys::sendfile::sendfile;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Most bytes moved by one call: the backlog is told that often.
const STEP_BYTES: u64 = 1024 * 1024;
/// Bytes read at a time where the kernel does not copy.
const READ_BYTES: usize = 128 * 1024;

/// What kind of descriptor is written to, as far as copying depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A pipe.
    Pipe,
    /// A regular file.
    Regular,
    /// A terminal, a socket, a device.
    Other,
}

/// Writes the first `length` bytes of `file`.
pub(super) fn whole(writer: &mut Writer, file: &File, length: u64) -> io::Result<()> {
    let done = move_by_kernel(writer, file, length)?;
    let mut chunks = Chunks { file, offset: done, end: length, buffer: Vec::new() };
    while let Some(chunk) = chunks.next()? {
        writer.write_bytes(chunk)?;
    }
    Ok(())
}

/// The same, with `prefix` in front of each line.
pub(super) fn lines(writer: &mut Writer, file: &File, length: u64, prefix: &[u8]) -> io::Result<()> {
    let mut chunks = Chunks { file, offset: 0, end: length, buffer: Vec::new() };
    let mut prefixed = Vec::new();
    let mut is_line_start = true;
    while let Some(chunk) = chunks.next()? {
        prefixed.clear();
        for line in chunk.split_inclusive(|&byte| byte == b'\n') {
            if is_line_start {
                prefixed.extend_from_slice(prefix);
            }
            prefixed.extend_from_slice(line);
            is_line_start = line.ends_with(b"\n");
        }
        writer.write_uncounted(&prefixed)?;
        writer.written(chunk.len());
    }
    Ok(())
}

/// Moves as much as the kernel will move; says how much that was. What is left has to be read and written.
fn move_by_kernel(writer: &Writer, file: &File, length: u64) -> io::Result<u64> {
    let mut offset = 0;
    if length > STEP_BYTES && writer.target() == Target::Pipe {
        enlarge_pipe(writer.output());
    }
    while (offset as u64) < length {
        let step = (length - offset as u64).min(STEP_BYTES) as usize;
        let moved = match writer.target() {
            Target::Pipe => splice(file, Some(&mut offset), writer.output(), None, step, SpliceFFlags::SPLICE_F_MORE),
            Target::Regular => copy_file_range(file, Some(&mut offset), writer.output(), None, step),
            Target::Other => send(writer.output(), file, &mut offset, step),
        };
        match moved {
            Ok(0) => break,
            Ok(bytes) => writer.written(bytes),
            // Not between these two descriptors, or not on this kernel.
            Err(errno) if is_refusal(errno as i32) => break,
            Err(errno) => writer.mend(errno.into())?,
        }
    }
    Ok(offset as u64)
}

fn send(output: &File, file: &File, offset: &mut i64, step: usize) -> nix::Result<usize> {
    sendfile(output, file, Some(offset), step)
}

fn is_refusal(errno: i32) -> bool {
    [libc::EINVAL, libc::ENOSYS, libc::EXDEV, libc::EOPNOTSUPP, libc::EBADF, libc::EPERM].contains(&errno)
}

/// A file's bytes in order, through one buffer.
struct Chunks<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl Chunks<'_> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        self.buffer.resize(READ_BYTES.min((self.end - self.offset) as usize), 0);
        let length = loop {
            match self.file.read_at(&mut self.buffer, self.offset) {
                // The file holds less than was promised: to go on would lose output without a word.
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::EIO)),
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.offset += length as u64;
        Ok(Some(&self.buffer[..length]))
    }
}
