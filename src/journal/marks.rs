//! The marks: which jobs are with a worker now. A small file beside the journal (`FILE.running`) that is written before a
//! job is sent, and forgotten when its record is safe. Owns its layout; removed when a run ends in order.
//!
//! ```text
//! 64 bytes                 MAGIC, how many workers (u32), the process of the run (u32)
//! 8 bytes for each worker  1 + the request it began last, written by the worker itself; 0 when it has begun none
//! 48 bytes for each mark   content (16), end (u64), request (u64), worker (u32), attempt (u32), kind (u32), 0 (u32)
//! ```
//!
//! `end` is how long the journal is when the job's row is in it, told before the row is written, and 0 before the job has
//! ended: so of each mark it is known whether its row is there, also where jobs are the same as others to the letter. In the
//! same way it says of rows that are about to give way that they are still there.
//!
//! Numbers are little-endian. What dies with the machine and not with the process alone is not what this is for: nothing
//! here is synced.

use crate::ids::{JobId, WorkerId};
use crate::job::Fingerprint;
use crate::pool::Entrusted;
use nix::fcntl::posix_fallocate;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

const MAGIC: &[u8; 24] = b"supervisor marks 2\n\0\0\0\0\0";
const HEAD_BYTES: u64 = 64;
const WORD_BYTES: u64 = 8;
const MARK_BYTES: usize = 48;
/// Where in a mark its `end` stands.
const END_AT: usize = 16;
/// Lowest number that workers inherit the file under.
const NUMBER_MIN: i32 = 10;
/// The file grows by so many marks.
const GROWTH: usize = 64;

/// What a mark means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Begun as soon as it was sent.
    Begun = 1,
    /// Begun when the word of its worker says so.
    InTurn = 2,
    /// An attempt before was begun; this one when the word of its worker says so.
    Again = 3,
}

/// A job that an earlier run left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) content: Fingerprint,
    pub(super) attempt: u32,
}

/// The file of marks of this run.
#[derive(Debug)]
pub struct Marks {
    file: File,
    path: PathBuf,
    workers: u32,
    /// The marks as they are to be in the file.
    image: Vec<u8>,
    /// How many there is room for in the file.
    room: usize,
    free: BTreeSet<usize>,
    of_job: BTreeMap<JobId, usize>,
    /// What of the image is not in the file.
    dirty: Option<(usize, usize)>,
}

/// Reads what an earlier run left open: the jobs it had begun, as far as can be known, and whose rows are not in its
/// journal of so many bytes. `None` when it is no file of marks; an empty one is one.
pub(super) fn read(file: &File, journal: u64) -> io::Result<Option<Vec<Left>>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(FILE_BYTES_MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(if filled == 0 { Some(Vec::new()) } else { parse(&bytes[..filled], journal) })
}

/// The process whose run it is, as far as the file says.
pub(super) fn owner(file: &File) -> Option<i32> {
    let mut head = [0; HEAD_BYTES as usize];
    file.read_exact_at(&mut head, 0).ok()?;
    let pid = head.starts_with(MAGIC).then(|| u32_at(&head, MAGIC.len() + 4))?;
    i32::try_from(pid).ok().filter(|&pid| pid > 0)
}

/// More than this no run writes: a million jobs in flight.
const FILE_BYTES_MAX: usize = 64 << 20;

/// The jobs that were begun and have no row, from the bytes of a file.
pub(super) fn parse(bytes: &[u8], journal: u64) -> Option<Vec<Left>> {
    let head = bytes.get(..HEAD_BYTES as usize).filter(|head| head.starts_with(MAGIC))?;
    let workers = u32_at(head, MAGIC.len()) as usize;
    let words_end = HEAD_BYTES as usize + workers.saturating_mul(WORD_BYTES as usize);
    let (words, marks) = (bytes.get(HEAD_BYTES as usize..words_end)?, bytes.get(words_end..)?);
    let word_says = |mark: &[u8]| {
        let worker = (u32_at(mark, 32) as usize).wrapping_sub(1).wrapping_mul(WORD_BYTES as usize);
        words.get(worker..).is_none_or(|word| word.len() < 8 || u64_at(word, 0) > u64_at(mark, 24))
    };
    let left = |mark: &[u8]| {
        let left = left_of(mark);
        match u32_at(mark, 40) {
            1 => Some(left),
            2 | 3 if word_says(mark) => Some(left),
            3 => Some(Left { attempt: left.attempt.saturating_sub(1).max(1), ..left }),
            _ => None,
        }
    };
    let has_no_row = |mark: &&[u8]| u64_at(mark, END_AT) == 0 || u64_at(mark, END_AT) > journal;
    Some(marks.chunks_exact(MARK_BYTES).filter(has_no_row).filter_map(left).collect())
}

/// The job of a mark, and its attempt.
fn left_of(mark: &[u8]) -> Left {
    let content = Fingerprint(mark[..16].try_into().expect("sixteen bytes"));
    Left { content, attempt: u32_at(mark, 36) }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Marks {
    /// Makes the file, which is locked, that of this run. `left` are open still, and so are jobs whose rows, in a journal of so
    /// many bytes, are to give way: they keep marks, the first ones, in order.
    pub(super) fn begin(
        file: File,
        path: PathBuf,
        workers: u32,
        left: &[Left],
        (repeated, journal): (&[Left], u64),
    ) -> io::Result<Self> {
        // Out of the way of the numbers that start-up scripts of workers use.
        let fd = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(NUMBER_MIN))?;
        // SAFETY: the number was just given to us, and nobody else owns it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut marks = Marks {
            file,
            path,
            workers,
            image: Vec::new(),
            room: 0,
            free: BTreeSet::new(),
            of_job: BTreeMap::new(),
            dirty: None,
        };
        let ends = left.iter().map(|left| (left, 0)).chain(repeated.iter().map(|left| (left, journal)));
        for (at, (left, end)) in ends.enumerate() {
            let taken = marks.take_place();
            debug_assert_eq!(taken, at);
            marks.put(at, &with_end(mark(left, 0, 0, Kind::Begun), end));
        }
        // Room for what is in flight at first; with a full disk the run does not begin.
        let words = vec![0; (u64::from(workers) * WORD_BYTES) as usize];
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&workers.to_le_bytes());
        head.extend_from_slice(&std::process::id().to_le_bytes());
        head.resize(HEAD_BYTES as usize, 0);
        // What the words of the former run mean for its marks was understood before: both change at once, in one write.
        let mut whole = [head, words, marks.image.clone()].concat();
        marks.reserve(marks.image.len() / MARK_BYTES + 1)?;
        // Behind them nothing of the former run's, which would be marks of this one.
        whole.resize(marks.place(marks.room) as usize, 0);
        marks.file.write_all_at(&whole, 0)?;
        marks.file.set_len(marks.place(marks.room))?;
        marks.dirty = None;
        Ok(marks)
    }

    /// The descriptor that workers inherit, and where the word of one is.
    pub fn word_of(&self, worker: WorkerId) -> (BorrowedFd<'_>, u64) {
        (self.file.as_fd(), HEAD_BYTES + u64::from(worker.0 - 1) * WORD_BYTES)
    }

    /// A process starts in this slot and has begun nothing. What the one before it had begun, and has no safe record yet,
    /// stays begun.
    ///
    /// # Errors
    ///
    /// As for [`Marks::flush`].
    pub fn renew(&mut self, worker: WorkerId) -> io::Result<()> {
        let place = self.word_of(worker).1;
        let mut word = [0; WORD_BYTES as usize];
        self.file.read_exact_at(&mut word, place)?;
        for at in 0..self.image.len() / MARK_BYTES {
            let mut begun = self.mark_at(at);
            let waits = [Kind::InTurn as u32, Kind::Again as u32].contains(&u32_at(&begun, 40));
            let in_turn = waits && u32_at(&begun, 32) == worker.0;
            if in_turn && u64::from_le_bytes(word) > u64_at(&begun, 24) {
                begun[40..44].copy_from_slice(&(Kind::Begun as u32).to_le_bytes());
                self.put(at, &begun);
            }
        }
        self.flush()?;
        self.file.write_all_at(&[0; WORD_BYTES as usize], place)
    }

    /// A worker is about to have this job.
    pub fn set(&mut self, entrusted: &Entrusted) {
        let at = match self.of_job.get(&entrusted.number) {
            Some(&at) => at,
            None => {
                let at = self.take_place();
                self.of_job.insert(entrusted.number, at);
                at
            }
        };
        let left = Left { content: entrusted.content, attempt: entrusted.attempt };
        // What was begun once is not forgotten while its next attempt is only sent ahead.
        let kind = match (entrusted.tells_begun, entrusted.attempt > 1) {
            (false, _) => Kind::Begun,
            (true, true) => Kind::Again,
            (true, false) => Kind::InTurn,
        };
        self.put(at, &mark(&left, entrusted.worker.0, entrusted.request, kind));
    }

    /// The mark at this place, which an earlier run left, is that of this job.
    pub fn adopt(&mut self, number: JobId, at: usize) {
        self.of_job.insert(number, at);
    }

    /// No worker has the job. That attempts were begun, by this run or an earlier one, stays known.
    pub fn take_back(&mut self, number: JobId, attempts: u32) {
        match self.of_job.get(&number) {
            Some(&at) if attempts > 0 => {
                let left = Left { attempt: attempts, ..left_of(&self.mark_at(at)) };
                self.put(at, &mark(&left, 0, 0, Kind::Begun));
            }
            _ => self.clear(number),
        }
    }

    /// The job has ended: when the journal has this length, its row is in it. To be told, and [flushed](Marks::flush),
    /// before the row is written.
    pub fn end(&mut self, number: JobId, journal: u64) {
        if let Some(&at) = self.of_job.get(&number) {
            self.put(at, &with_end(self.mark_at(at), journal));
        }
    }

    /// The rows that were to give way are in the journal no more.
    pub(super) fn rows_gave_way(&mut self) -> io::Result<()> {
        for at in 0..self.image.len() / MARK_BYTES {
            self.put(at, &with_end(self.mark_at(at), 0));
        }
        self.flush()
    }

    fn mark_at(&self, at: usize) -> [u8; MARK_BYTES] {
        self.image[at * MARK_BYTES..(at + 1) * MARK_BYTES].try_into().expect("its length")
    }

    /// The job's row is safe, or no worker has the job.
    pub fn clear(&mut self, number: JobId) {
        if let Some(at) = self.of_job.remove(&number) {
            self.put(at, &[0; MARK_BYTES]);
            self.free.insert(at);
        }
    }

    /// Writes what has changed. To be called before anything is sent.
    ///
    /// # Errors
    ///
    /// When the disk is full or broken: nothing more must be begun then. As many marks are written as there is room for.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some((from, mut to)) = self.dirty else { return Ok(()) };
        // Where there is no room, a place that holds nothing needs none.
        let holds_nothing = |at: usize| self.image[at * MARK_BYTES..][..MARK_BYTES].iter().all(|&byte| byte == 0);
        while to > self.room.max(from) && holds_nothing(to - 1) {
            to -= 1;
        }
        let reserved = self.reserve(to);
        let reach = to.min(self.room).max(from);
        self.file.write_all_at(&self.image[from * MARK_BYTES..reach * MARK_BYTES], self.place(from))?;
        self.dirty = (reach < to).then_some((reach, to));
        reserved
    }

    /// The run ended in order: every job has its record.
    pub fn remove(self) {
        let is_ours = |ours: Metadata, named: Metadata| (ours.dev(), ours.ino()) == (named.dev(), named.ino());
        let named = self.path.symlink_metadata();
        if named.is_ok_and(|named| self.file.metadata().is_ok_and(|ours| is_ours(ours, named))) {
            // When it stays, the next run finds marks that mean nothing.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn put(&mut self, at: usize, mark: &[u8; MARK_BYTES]) {
        self.image[at * MARK_BYTES..(at + 1) * MARK_BYTES].copy_from_slice(mark);
        let (from, to) = self.dirty.unwrap_or((at, at + 1));
        self.dirty = Some((from.min(at), to.max(at + 1)));
    }

    /// The first free place, so that what changes together stands together.
    fn take_place(&mut self) -> usize {
        self.free.pop_first().unwrap_or_else(|| {
            self.image.resize(self.image.len() + MARK_BYTES, 0);
            self.image.len() / MARK_BYTES - 1
        })
    }

    /// Room on the disk before it is needed: a write into it cannot fail for want of any.
    fn reserve(&mut self, marks: usize) -> io::Result<()> {
        if marks > self.room {
            let room = marks.next_multiple_of(GROWTH);
            let length = i64::try_from(self.place(room)).map_err(io::Error::other)?;
            match posix_fallocate(&self.file, 0, length) {
                // Where a file system knows no such call, writing will show.
                Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::EINVAL) => self.room = room,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn place(&self, at: usize) -> u64 {
        HEAD_BYTES + u64::from(self.workers) * WORD_BYTES + (at * MARK_BYTES) as u64
    }
}

fn with_end(mut mark: [u8; MARK_BYTES], journal: u64) -> [u8; MARK_BYTES] {
    mark[END_AT..END_AT + 8].copy_from_slice(&journal.to_le_bytes());
    mark
}

fn mark(left: &Left, worker: u32, request: u64, kind: Kind) -> [u8; MARK_BYTES] {
    let mut mark = [0; MARK_BYTES];
    mark[..16].copy_from_slice(&left.content.0);
    mark[24..32].copy_from_slice(&request.to_le_bytes());
    mark[32..36].copy_from_slice(&worker.to_le_bytes());
    mark[36..40].copy_from_slice(&left.attempt.to_le_bytes());
    mark[40..44].copy_from_slice(&(kind as u32).to_le_bytes());
    mark
}
