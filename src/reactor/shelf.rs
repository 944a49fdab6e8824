//! The shelf of a worker: memory in which it puts what it has said until that is worth a write to its pipe. Owns the
//! descriptor and the reading, by the place of each byte in all that the worker said since `ready`, so that nothing is
//! taken twice or missed at whatever moment the worker dies. Decides nothing.
//!
//! It is read and not mapped: the worker may do with the file what it likes, and a mapping of a file that was made
//! shorter kills who looks at it.

use crate::protocol::ShelfPlace;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes before what is held: eight words of this machine, of which four are in use.
const HEAD_BYTES: u64 = 64;

/// The largest shelf that is taken. What is held must be read at once when its worker dies.
const SHELF_BYTES_MAX: u64 = 1 << 20;

/// Where the word is that tells the worker that we look.
const TAKEN_AT: u64 = 8;

/// How often a look is tried again because the worker has begun anew meanwhile; the next look finds the rest.
const TRIES: u32 = 3;

/// What the link in /proc must begin with: any other file is none of our business.
const NAME: &[u8] = b"/memfd:supervisor-shelf";

/// A shelf that is open here too.
#[derive(Debug)]
pub(super) struct Shelf {
    file: File,
    length: u64,
}

/// The words at its beginning that matter when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// The place of the first byte that is held.
    base: u64,
    /// Where in the file what is held ends.
    end: u64,
}

impl Shelf {
    /// Opens the shelf of a process and tells it so. Fails where the process is not to be seen (another machine, a
    /// container, a kernel without /proc): the worker then holds nothing back.
    pub(super) fn take(pid: u32, place: &ShelfPlace) -> io::Result<Self> {
        let path = format!("/proc/{pid}/fd/{}", place.fd);
        let link = std::fs::read_link(&path)?;
        if !std::os::unix::ffi::OsStrExt::as_bytes(link.as_os_str()).starts_with(NAME) {
            return Err(io::Error::other("it is no shelf"));
        }
        Shelf::open(File::options().read(true).write(true).open(path)?, &place.mark)
    }

    fn open(file: File, mark: &str) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let found = u64::from_be_bytes(read_array(&file, 0)?);
        if format!("{found:016x}") != mark || !(HEAD_BYTES..=SHELF_BYTES_MAX).contains(&length) {
            return Err(io::Error::other("it is another worker's shelf"));
        }
        file.write_all_at(&1u64.to_ne_bytes(), TAKEN_AT)?;
        Ok(Shelf { file, length })
    }

    /// What is held from `place` on, as much as fits; how much that was. Nothing when what comes before it is still in the
    /// pipe.
    pub(super) fn read(&self, place: u64, buffer: &mut [u8]) -> usize {
        (0..TRIES).find_map(|_| self.try_read(place, buffer).ok()?).unwrap_or(0)
    }

    /// `None` when the worker emptied the shelf under our hands.
    ///
    /// A process that lives is read a system call after the word that vouches for the bytes: they are in memory by then.
    fn try_read(&self, place: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let head = self.head()?;
        let held = head.end.saturating_sub(HEAD_BYTES);
        let sound = head.end <= self.length && place >= head.base && place - head.base < held;
        if !sound {
            return Ok(Some(0));
        }
        let skip = place - head.base;
        let count = usize::try_from(held - skip).unwrap_or(usize::MAX).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..count], HEAD_BYTES + skip)?;
        Ok((self.head()?.base == head.base).then_some(count))
    }

    fn head(&self) -> io::Result<Head> {
        let words: [u8; 16] = read_array(&self.file, 16)?;
        let word = |at: usize| u64::from_ne_bytes(words[at..at + 8].try_into().expect("eight bytes"));
        Ok(Head { base: word(0), end: word(8) })
    }
}

fn read_array<const N: usize>(file: &File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::os::fd::AsRawFd;

    const MARK: &str = "00000000000000ff";

    /// A shelf as a worker makes it, and as it is taken.
    fn shelf() -> (File, Shelf) {
        let file = File::from(memfd_create(c"supervisor-shelf", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(4096).unwrap();
        file.write_all_at(&0xff_u64.to_be_bytes(), 0).unwrap();
        let place = ShelfPlace { fd: u32::try_from(file.as_raw_fd()).unwrap(), mark: MARK.into() };
        let shelf = Shelf::take(std::process::id(), &place).unwrap();
        (file, shelf)
    }

    fn hold(file: &File, base: u64, held: &[u8]) {
        file.write_all_at(held, HEAD_BYTES).unwrap();
        file.write_all_at(&base.to_ne_bytes(), 16).unwrap();
        file.write_all_at(&(HEAD_BYTES + held.len() as u64).to_ne_bytes(), 24).unwrap();
    }

    fn read(shelf: &Shelf, place: u64, room: usize) -> Vec<u8> {
        let mut buffer = vec![0; room];
        let count = shelf.read(place, &mut buffer);
        buffer[..count].to_vec()
    }

    #[test]
    fn each_byte_is_found_by_its_place() {
        let (file, shelf) = shelf();
        assert_eq!(read_array(&file, TAKEN_AT).map(u64::from_ne_bytes).unwrap(), 1, "the worker is told");
        hold(&file, 100, b"one\ntwo\n");
        assert_eq!(read(&shelf, 100, 99), b"one\ntwo\n");
        assert_eq!(read(&shelf, 104, 99), b"two\n", "the first line came through the pipe");
        assert_eq!(read(&shelf, 100, 3), b"one", "the rest comes with the next look");
        assert_eq!(read(&shelf, 108, 99), b"", "all of it came through the pipe");
        assert_eq!(read(&shelf, 500, 99), b"", "and more than that");
        assert_eq!(read(&shelf, 99, 99), b"", "what comes before it is still in the pipe");
    }

    #[test]
    fn a_head_of_nonsense_yields_nothing() {
        let (file, shelf) = shelf();
        for end in [0, 63, 4097, u64::MAX] {
            file.write_all_at(&end.to_ne_bytes(), 24).unwrap();
            assert_eq!(read(&shelf, 0, 99), b"");
        }
        hold(&file, 0, b"one\n");
        file.set_len(65).unwrap();
        assert_eq!(read(&shelf, 0, 99), b"", "the worker has made the file shorter");
    }

    #[test]
    fn what_is_no_shelf_is_not_opened() {
        let (file, _shelf) = shelf();
        let fd = u32::try_from(file.as_raw_fd()).unwrap();
        let take = |fd, mark: &str| Shelf::take(std::process::id(), &ShelfPlace { fd, mark: mark.into() });
        assert!(take(fd, "00000000000000fe").is_err(), "another worker's");
        let null = File::open("/dev/null").unwrap();
        assert!(take(u32::try_from(null.as_raw_fd()).unwrap(), MARK).is_err());
        assert!(take(999_999, MARK).is_err());
    }
}
