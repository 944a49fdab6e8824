//! From the path of a journal to a run that can write it: locked, mended, and with what it knows in memory.

use super::marks::{self, Left};
use super::rows::{self, Rows};
use super::{Ledger, Marks, lock};
use crate::config::{Journal, Resume};
use crate::edge::fault_text;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A journal that is ready to be written.
#[derive(Debug)]
pub struct Opened {
    /// The file of records, written at its end.
    pub file: File,
    /// The marks of what is running; none for what is no regular file.
    pub marks: Option<Marks>,
    /// What earlier runs know.
    pub ledger: Ledger,
    /// What the user should know about what was found.
    pub notes: Vec<String>,
}

/// Opens the journal of a run with so many workers.
///
/// # Errors
///
/// In words, with the path: it cannot be opened or written, another run has it, or it belongs to a run that did not end.
pub fn open(journal: &Journal, workers: u32) -> Result<Opened, String> {
    let shown = journal.path.display();
    let fault = |error: io::Error| format!("cannot open the output file {shown}: {}", fault_text(&error));
    if journal.path.metadata().is_ok_and(|facts| !facts.is_file()) {
        if journal.resume.is_some() {
            return Err(no_regular_file(&journal.path));
        }
        // For writing alone: of a pipe we must not be a reader, or its end would never be seen.
        let file = OpenOptions::new().append(true).open(&journal.path).map_err(fault)?;
        return Ok(Opened { file, marks: None, ledger: Ledger::default(), notes: Vec::new() });
    }
    open_file(&journal.path).map_err(fault)?;
    // One file has one lock, by whatever name it is called.
    let path = &journal.path.canonicalize().map_err(fault)?;
    let marks_path = beside(path);
    let locked = lock::take(&marks_path).map_err(|error| {
        format!("cannot lock {}, which says what is running: {}", marks_path.display(), fault_text(&error))
    })?;
    // Whoever had the lock may have put another file in its place.
    let file = open_file(path).map_err(fault)?;
    // A second lock, on the file itself: that of the marks goes with them when somebody removes them.
    let taken = || format!("another run is writing {shown}; wait for its end, or choose another --output");
    let locked = locked.ok_or_else(taken)?;
    if !lock::keep(&file) {
        leave_nothing(&locked, &marks_path);
        return Err(taken());
    }
    let length = file.metadata().map_err(fault)?.len();
    let Some(left) = marks::read(&locked, length).map_err(fault)? else {
        return Err(no_marks(&marks_path, path));
    };
    let found = Found { file, path, locked, marks_path, left, workers };
    match journal.resume {
        None => found.begin(),
        Some(resume) => found.go_on(resume),
    }
}

/// The file of marks of a journal.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".running");
    name.into()
}

/// The file of marks is ours alone if it is empty: then it was made for this run, which does not begin.
fn leave_nothing(locked: &File, marks: &Path) {
    if locked.metadata().is_ok_and(|facts| facts.len() == 0) {
        // Whoever waits for the lock looks whether the file still has its name.
        let _ = std::fs::remove_file(marks);
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// A journal and its marks, locked for us.
struct Found<'a> {
    file: File,
    path: &'a Path,
    locked: File,
    marks_path: PathBuf,
    /// What an earlier run left open.
    left: Vec<Left>,
    workers: u32,
}

impl Found<'_> {
    /// Begins anew. What a killed run has left is not thrown away without a word.
    fn begin(self) -> Result<Opened, String> {
        let shown = self.path.display();
        let was_left = self.locked.metadata().is_ok_and(|facts| facts.len() > 0);
        let holds_some = self.file.metadata().is_ok_and(|facts| facts.len() > 0) || !self.left.is_empty();
        if was_left && holds_some {
            return Err(format!(
                "{shown} belongs to a run that did not come to its end: go on with it (--resume), or remove it and {}",
                self.marks_path.display()
            ));
        }
        self.file.set_len(0).map_err(|error| format!("cannot write {shown}: {}", fault_text(&error)))?;
        self.ready(&[], (&[], 0), Ledger::default(), Vec::new())
    }

    /// Goes on with what is there: a torn end is cut off, and rows whose jobs run again give way.
    fn go_on(mut self, resume: Resume) -> Result<Opened, String> {
        let shown = self.path.display();
        let fault = |error: io::Error| format!("cannot resume from {shown}: {}", fault_text(&error));
        let rows = rows::read(&self.file, resume).map_err(fault)?;
        let (whole_bytes, torn_bytes, giving_way) = (rows.whole_bytes, rows.torn_bytes, rows.giving_way);
        let before = self.left.len();
        let learnt = learn(rows, std::mem::take(&mut self.left), self.path, resume);
        let Learnt { ledger, open, mut notes } =
            learnt.inspect_err(|_| leave_nothing(&self.locked, &self.marks_path))?;
        if torn_bytes > 0 {
            self.file.set_len(whole_bytes).map_err(fault)?;
            notes.push(format!("{shown}: the last line was torn ({torn_bytes} bytes) and is cut off"));
        }
        let path = self.path;
        let (left, repeated) = open.split_at(before);
        let mut opened = self.ready(left, (repeated, whole_bytes), ledger, notes)?;
        // Last, so that what rows that give way have said is in the marks before. Whoever is killed in between leaves either
        // the rows, and marks that say so, or none.
        if giving_way > 0 {
            rows::rewrite(&opened.file, path, resume).map_err(fault)?;
            opened.file = open_file(path).map_err(fault)?;
            lock::keep(&opened.file);
            opened.marks.as_mut().map_or(Ok(()), Marks::rows_gave_way).map_err(fault)?;
        }
        Ok(opened)
    }

    fn ready(
        self,
        left: &[Left],
        repeated: (&[Left], u64),
        ledger: Ledger,
        notes: Vec<String>,
    ) -> Result<Opened, String> {
        let unwritten = |error: io::Error| {
            let marks = beside(self.path);
            format!("cannot write {}, which says what is running: {}", marks.display(), fault_text(&error))
        };
        let marks = Marks::begin(self.locked, self.marks_path, self.workers, left, repeated).map_err(unwritten)?;
        Ok(Opened { file: self.file, marks: Some(marks), ledger, notes })
    }
}

/// What rows and marks tell a run that goes on with them.
struct Learnt {
    ledger: Ledger,
    /// Jobs of unknown outcome, in the order of their places.
    open: Vec<Left>,
    notes: Vec<String>,
}

fn learn(rows: Rows, left: Vec<Left>, path: &Path, resume: Resume) -> Result<Learnt, String> {
    let shown = path.display();
    if rows.are_foreign() {
        return Err(format!("cannot resume from {shown}: it holds no records of a run; name the file of one"));
    }
    let mut notes = Vec::new();
    if rows.damaged > 0 {
        notes.push(format!("{shown}: {} lines are no records; what they stood for runs again", rows.damaged));
    }
    let mut open = left;
    open.extend(rows.repeated);
    let unknown = open.iter().enumerate().map(|(at, left)| (left.content, left.attempt, at));
    Ok(Learnt { ledger: Ledger::new(rows.ended, unknown, resume.unknown), open, notes })
}

/// What a run that goes on with this journal would know, and what its user would be told. Nothing is locked, made or mended.
///
/// # Errors
///
/// In words, with the path: such a run would not begin.
pub fn peek(path: &Path, resume: Resume) -> Result<(Ledger, Vec<String>), String> {
    let shown = path.display();
    let fault = |error: io::Error| format!("cannot resume from {shown}: {}", fault_text(&error));
    // A file that is not there has no other name.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (mut rows, mut length, mut left) = (Rows::default(), 0, Vec::new());
    if let Some(facts) = if_there(path.metadata()).map_err(fault)? {
        if !facts.is_file() {
            return Err(no_regular_file(path));
        }
        length = facts.len();
        rows = rows::read(&File::open(path).map_err(fault)?, resume).map_err(fault)?;
    }
    let marks_path = beside(path);
    if let Some(marks) = if_there(File::open(&marks_path)).map_err(fault)? {
        left = marks::read(&marks, length).map_err(fault)?.ok_or_else(|| no_marks(&marks_path, path))?;
    }
    learn(rows, left, path, resume).map(|learnt| (learnt.ledger, learnt.notes))
}

fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn no_regular_file(path: &Path) -> String {
    format!("cannot resume from {}, which is no regular file", path.display())
}

fn no_marks(marks: &Path, path: &Path) -> String {
    format!(
        "{} should say what was running when a run of {} was ended from outside, and cannot be understood: \
         remove it if that does not matter, or choose another --output",
        marks.display(),
        path.display()
    )
}
