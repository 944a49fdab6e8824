//! The rows of a journal: what each says of its job, and which give way to a new one. Owns the mending of a torn end and
//! the rewriting without the rows that give way; a row that is no record means that nothing is known.

use super::marks::Left;
use crate::config::Resume;
use crate::job::Fingerprint;
use crate::record::Status;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// A row as far as it matters here.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    job: Option<Cow<'a, str>>,
    #[serde(default)]
    attempts: u32,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fault<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    outcome: Cow<'a, str>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stands.
    Stands(Fingerprint, Status),
    /// Its job runs again, so the row gives way.
    GivesWay,
    /// The same, of a job whose outcome is unknown: it was begun so many times.
    Repeated(Left),
    /// It is no record.
    Damaged,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Records that stand.
    pub(super) ended: Vec<(Fingerprint, Status)>,
    /// Jobs of unknown outcome that may run again.
    pub(super) repeated: Vec<Left>,
    /// Rows that give way.
    pub(super) giving_way: u64,
    /// Lines that are no records.
    pub(super) damaged: u64,
    /// Bytes up to the end of the last whole line.
    pub(super) whole_bytes: u64,
    /// Bytes of a line that was torn, behind that.
    pub(super) torn_bytes: u64,
    /// That line is not the beginning of a row.
    pub(super) torn_is_foreign: bool,
}

impl Rows {
    /// Nothing in it is of a run of ours, and yet it is not empty: it is somebody else's file.
    pub(super) fn are_foreign(&self) -> bool {
        self.ended.is_empty() && self.giving_way == 0 && (self.damaged > 0 || self.torn_is_foreign)
    }
}

/// Reads a journal from its beginning.
pub(super) fn read(file: &File, resume: Resume) -> io::Result<Rows> {
    let mut rows = Rows::default();
    each_line(file, |line| {
        if line.last() != Some(&b'\n') {
            rows.torn_bytes = line.len() as u64;
            rows.torn_is_foreign = !line.starts_with(ROW_BEGIN) && !ROW_BEGIN.starts_with(line);
            return Ok(());
        }
        rows.whole_bytes += line.len() as u64;
        match judge(line, resume) {
            Fate::Stands(content, status) => rows.ended.push((content, status)),
            Fate::GivesWay => rows.giving_way += 1,
            Fate::Repeated(left) => {
                rows.giving_way += 1;
                rows.repeated.push(left);
            }
            Fate::Damaged => rows.damaged += 1,
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Writes the journal anew without the rows that give way, beside it, and puts it in its place in one step: whoever is
/// killed meanwhile leaves the one or the other.
pub(super) fn rewrite(file: &File, path: &Path, resume: Resume) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fresh = tempfile::Builder::new().prefix(".supervisor-").suffix(".tmp").tempfile_in(directory)?;
    fresh.as_file().set_permissions(file.metadata()?.permissions())?;
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, fresh.as_file());
    each_line(file, |line| {
        let stays = !matches!(judge(line, resume), Fate::GivesWay | Fate::Repeated(_));
        if stays && line.last() == Some(&b'\n') { writer.write_all(line) } else { Ok(()) }
    })?;
    writer.flush()?;
    drop(writer);
    fresh.as_file().sync_all()?;
    fresh.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// How a row begins, a torn one as far as it goes.
const ROW_BEGIN: &[u8] = b"{\"id\":";

const BUFFER_BYTES: usize = 256 << 10;

/// Longest row that is read: a result of the longest message, each byte of it escaped, and then some. What is longer was
/// written by nobody here, and is not to be held in memory.
const ROW_BYTES_MAX: u64 = 1 << 30;

fn each_line(file: &File, take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    each_line_up_to(ROW_BYTES_MAX, file, take)
}

fn each_line_up_to(max: u64, mut file: &File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut line = Vec::new();
    let mut number: u64 = 0;
    loop {
        line.clear();
        number += 1;
        let count = reader.by_ref().take(max + 1).read_until(b'\n', &mut line)? as u64;
        if count == 0 {
            return Ok(());
        }
        if count > max {
            return Err(io::Error::other(format!("line {number} is longer than {max} bytes, which no record is")));
        }
        take(&line)?;
    }
}

/// What a line says of its job.
pub(super) fn judge(line: &[u8], resume: Resume) -> Fate {
    let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else { return Fate::Damaged };
    let Some(status) = Status::ALL.into_iter().find(|status| status.as_str() == row.status) else {
        return Fate::Damaged;
    };
    let content = row.job.as_deref().and_then(Fingerprint::parse);
    let content = content.unwrap_or_else(|| Fingerprint::of_id(row.id.get()));
    match status {
        Status::Ok => Fate::Stands(content, status),
        // It was never begun, or asked to stop, or is judged by reading it: nothing is known that would keep it from running.
        Status::Skipped | Status::Cancelled | Status::Invalid => Fate::GivesWay,
        Status::Crashed if is_unknown(row.error) && resume.unknown => {
            Fate::Repeated(Left { content, attempt: row.attempts })
        }
        Status::Crashed if is_unknown(row.error) => Fate::Stands(content, status),
        _ if resume.failed => Fate::GivesWay,
        _ => Fate::Stands(content, status),
    }
}

fn is_unknown(error: Option<&RawValue>) -> bool {
    error
        .and_then(|error| serde_json::from_str::<Fault<'_>>(error.get()).ok())
        .is_some_and(|fault| fault.data.outcome == "unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_no_record_can_be_is_refused_by_its_number() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345\n1234\n").unwrap();
        let mut lines = 0;
        each_line_up_to(6, &file, |_| {
            lines += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, 2);
        let error = each_line_up_to(5, &file, |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "line 1 is longer than 5 bytes, which no record is");
    }
}
