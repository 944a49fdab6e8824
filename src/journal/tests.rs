//! Tests of what a journal tells the next run: files in, what is known out.

use super::*;
use crate::config::{InputFormat, Journal, Resume, Sync};
use crate::ids::{JobId, WorkerId};
use crate::job::{End, Entry, Fingerprint, Job, Reader};
use crate::pool::Entrusted;
use crate::record::Status;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

fn job(line: &str) -> Job {
    let mut reader = Reader::new(InputFormat::Lines, 1 << 20);
    reader.push(line.as_bytes());
    reader.finish(End::Complete);
    let Some(Entry::Job(job)) = reader.next() else { panic!("{line} is no job") };
    job
}

fn content(line: &str) -> Fingerprint {
    Fingerprint::of(&job(line))
}

fn journal(path: PathBuf, resume: Option<Resume>) -> Journal {
    Journal { path, resume, sync: Sync::Never }
}

fn entrusted(line: &str, number: u64, worker: u32, request: u64, tells_begun: bool) -> Entrusted {
    let (number, worker) = (JobId(number), WorkerId(worker));
    Entrusted { number, content: content(line), attempt: 1, worker, request, tells_begun }
}

fn row(line: &str, number: u64, status: &str) -> String {
    format!("{{\"id\":{number},\"status\":\"{status}\",\"attempts\":1,\"job\":\"{}\"}}\n", content(line))
}

const RESUME: Resume = Resume { failed: false, unknown: false };

/// What the next run knows of a job.
fn known(ledger: &mut Ledger, line: &str) -> Option<Known> {
    ledger.claim(content(line), &job(line))
}

#[test]
fn only_what_was_begun_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut marks = open(&journal(path.clone(), None), 2).unwrap().marks.unwrap();
    let all = [
        entrusted("begun", 1, 1, 0, true),
        entrusted("ahead", 2, 1, 1, true),
        entrusted("at once", 3, 2, 0, false),
        entrusted("with a record", 4, 2, 1, false),
        entrusted("taken back", 5, 2, 2, false),
    ];
    all.iter().for_each(|entrusted| marks.set(entrusted));
    marks.clear(JobId(5));
    marks.end(JobId(4), row("with a record", 4, "ok").len() as u64);
    marks.flush().unwrap();
    // The worker writes down what it begins; the record was written, and its mark not yet cleared.
    let (fd, place) = marks.word_of(WorkerId(1));
    std::fs::File::from(fd.try_clone_to_owned().unwrap()).write_all_at(&1u64.to_le_bytes(), place).unwrap();
    std::fs::write(&path, row("with a record", 4, "ok")).unwrap();
    drop(marks);
    let refused = open(&journal(path.clone(), None), 2).unwrap_err();
    assert!(refused.contains("--resume"), "{refused}");
    for again in [false, true] {
        let resume = Resume { unknown: again, ..RESUME };
        // Once more, as if this run had been killed as well before it met any of them.
        let mut ledger = open(&journal(path.clone(), Some(resume)), 7).unwrap().ledger;
        for line in ["begun", "at once"] {
            let found = known(&mut ledger, line);
            assert!(matches!(found, Some(Known::Unknown { attempts: 1, again: may, .. }) if may == again), "{found:?}");
            assert_eq!(known(&mut ledger, line), None, "it is one job");
        }
        assert_eq!(known(&mut ledger, "ahead"), None);
        assert_eq!(known(&mut ledger, "taken back"), None);
        assert_eq!(known(&mut ledger, "with a record"), Some(Known::Ended(Status::Ok)));
        assert_eq!(ledger.unknown_left(), 0);
    }
}

#[test]
fn a_new_process_in_a_slot_does_not_make_begun_jobs_unbegun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut marks = open(&journal(path.clone(), None), 1).unwrap().marks.unwrap();
    marks.set(&entrusted("begun", 1, 1, 4, true));
    marks.set(&entrusted("ahead", 2, 1, 5, true));
    marks.flush().unwrap();
    let (fd, place) = marks.word_of(WorkerId(1));
    std::fs::File::from(fd.try_clone_to_owned().unwrap()).write_all_at(&5u64.to_le_bytes(), place).unwrap();
    marks.renew(WorkerId(1)).unwrap();
    drop(marks);
    let mut ledger = open(&journal(path, Some(RESUME)), 1).unwrap().ledger;
    assert!(matches!(known(&mut ledger, "begun"), Some(Known::Unknown { .. })));
    assert_eq!(known(&mut ledger, "ahead"), None);
}

#[test]
fn what_an_earlier_run_had_begun_is_not_forgotten_while_it_is_only_sent_ahead_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut marks = open(&journal(path.clone(), None), 1).unwrap().marks.unwrap();
    marks.set(&entrusted("a", 1, 1, 0, false));
    marks.flush().unwrap();
    drop(marks);
    let all = Resume { failed: false, unknown: true };
    // Killed twice while it waits at a worker, then once when the worker has begun it.
    for (begins, comes_back) in [(false, false), (false, true), (true, false)] {
        let opened = open(&journal(path.clone(), Some(all)), 1).unwrap();
        let (mut ledger, mut marks) = (opened.ledger, opened.marks.unwrap());
        let Some(Known::Unknown { attempts: before, .. }) = known(&mut ledger, "a") else { panic!("forgotten") };
        assert_eq!(before, 1);
        marks.adopt(JobId(1), 0);
        marks.set(&Entrusted { attempt: before + 1, ..entrusted("a", 1, 1, 7, true) });
        marks.flush().unwrap();
        if comes_back {
            marks.take_back(JobId(1), before);
            marks.flush().unwrap();
        }
        if begins {
            let (fd, place) = marks.word_of(WorkerId(1));
            std::fs::File::from(fd.try_clone_to_owned().unwrap()).write_all_at(&8u64.to_le_bytes(), place).unwrap();
        }
    }
    let mut ledger = open(&journal(path, Some(all)), 1).unwrap().ledger;
    assert!(matches!(known(&mut ledger, "a"), Some(Known::Unknown { attempts: 2, .. })));
}

#[test]
fn a_row_that_was_to_give_way_and_did_not_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let unknown =
        row("u", 1, "crashed").replace("\"attempts\"", "\"error\":{\"data\":{\"outcome\":\"unknown\"}},\"attempts\"");
    let rows = unknown.clone() + &row("other", 2, "ok");
    // Whoever was to run it again was killed before its row was taken out, or behind that.
    for (rows_then, stands) in [(rows.clone(), true), (row("other", 2, "ok"), false)] {
        std::fs::write(&path, &rows).unwrap();
        let marks = dir.path().join("out.running");
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&marks).unwrap();
        let left = super::marks::Left { content: content("u"), attempt: 1 };
        let length = rows.len() as u64;
        drop(Marks::begin(file, marks, 1, &[], (&[left], length)).unwrap());
        std::fs::write(&path, rows_then).unwrap();
        let mut ledger = open(&journal(path.clone(), Some(RESUME)), 1).unwrap().ledger;
        let found = known(&mut ledger, "u");
        assert_eq!(found == Some(Known::Ended(Status::Crashed)), stands, "{found:?}");
        assert_eq!(matches!(found, Some(Known::Unknown { attempts: 1, .. })), !stands, "{found:?}");
        assert_eq!(known(&mut ledger, "u"), None, "it is one job");
    }
}

#[test]
fn rows_stand_give_way_or_are_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let unknown =
        row("u", 9, "crashed").replace("\"attempts\"", "\"error\":{\"data\":{\"outcome\":\"unknown\"}},\"attempts\"");
    let text = [
        row("a", 1, "ok"),
        row("a", 2, "ok"),
        row("f", 3, "failed"),
        row("s", 4, "skipped"),
        row("c", 5, "cancelled"),
        "\0\0\0\n".into(),
        unknown,
        row("torn", 6, "ok"),
    ]
    .concat();
    let torn = &text[..text.len() - 1];
    std::fs::write(&path, torn).unwrap();
    let opened = open(&journal(path.clone(), Some(RESUME)), 1).unwrap();
    assert_eq!(opened.notes.len(), 2, "{:?}", opened.notes);
    let mut ledger = opened.ledger;
    let statuses: Vec<_> = ["a", "a", "a", "f", "s", "c", "torn", "u"].map(|line| known(&mut ledger, line)).into();
    let ok = Some(Known::Ended(Status::Ok));
    let crashed = Some(Known::Ended(Status::Crashed));
    assert_eq!(statuses, [ok, ok, None, Some(Known::Ended(Status::Failed)), None, None, None, crashed]);
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains("skipped") && !kept.contains("cancelled") && kept.contains("failed"), "{kept}");
    drop(opened.file);
    opened.marks.unwrap().remove();
    // A failure gives way when asked, and what is unknown stays known as such until it has run.
    let all = Resume { failed: true, unknown: true };
    for _ in 0..2 {
        let mut ledger = open(&journal(path.clone(), Some(all)), 1).unwrap().ledger;
        assert_eq!(known(&mut ledger, "f"), None);
        assert!(matches!(known(&mut ledger, "u"), Some(Known::Unknown { attempts: 1, again: true, .. })));
        assert_eq!(known(&mut ledger, "u"), None);
    }
}

#[test]
fn a_file_of_somebody_else_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    for text in ["my notes\n", "my notes", "{\"name\":1}", "x\ny"] {
        std::fs::write(&path, text).unwrap();
        let error = open(&journal(path.clone(), Some(RESUME)), 1).err().unwrap();
        assert!(error.contains("holds no records"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    // The first row of a run that was killed while it was written.
    for torn in ["", "{", "{\"id\":1,\"sta"] {
        std::fs::write(&path, torn).unwrap();
        open(&journal(path.clone(), Some(RESUME)), 1).unwrap().marks.unwrap().remove();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}

#[test]
fn marks_that_cannot_be_understood_are_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (path, beside) = (dir.path().join("out"), dir.path().join("out.running"));
    std::fs::write(&path, row("a", 1, "ok")).unwrap();
    for bytes in [&b"x"[..], &[0xff; 4096], b"supervisor marks 2\n\0\0\0\0\0\xff\xff\xff\xff", &[b'a'; 100]] {
        std::fs::write(&beside, bytes).unwrap();
        for resume in [Some(RESUME), None] {
            let error = open(&journal(path.clone(), resume), 1).err().unwrap();
            assert!(error.contains("out.running"), "{error}");
            assert_eq!(std::fs::read(&beside).unwrap(), bytes);
        }
    }
    std::fs::write(&beside, "").unwrap();
    open(&journal(path, Some(RESUME)), 1).unwrap();
}

#[test]
fn of_jobs_that_are_the_same_each_is_known_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut marks = open(&journal(path.clone(), None), 1).unwrap().marks.unwrap();
    let first = row("a", 1, "ok");
    marks.set(&entrusted("a", 1, 1, 0, false));
    marks.set(&entrusted("a", 2, 1, 1, false));
    marks.end(JobId(1), first.len() as u64);
    marks.flush().unwrap();
    drop(marks);
    // Killed before the row was whole, and after.
    for (rows, ended, unknown) in [(&first[..first.len() - 1], 0, 2), (&first[..], 1, 1)] {
        std::fs::write(&path, rows).unwrap();
        let copy = std::fs::read(dir.path().join("out.running")).unwrap();
        let mut ledger = open(&journal(path.clone(), Some(RESUME)), 1).unwrap().ledger;
        let found: Vec<_> = (0..3).filter_map(|_| known(&mut ledger, "a")).collect();
        assert_eq!(found.iter().filter(|known| **known == Known::Ended(Status::Ok)).count(), ended);
        assert_eq!(found.len(), ended + unknown);
        std::fs::write(dir.path().join("out.running"), copy).unwrap();
    }
}

#[test]
fn nothing_of_the_marks_of_more_workers_becomes_a_mark_of_fewer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut marks = open(&journal(path.clone(), None), 8).unwrap().marks.unwrap();
    for number in 1..60 {
        marks.set(&entrusted(&format!("job {number}"), number, 8, number, true));
    }
    marks.flush().unwrap();
    drop(marks);
    // Killed before it sends anything.
    drop(open(&journal(path.clone(), Some(RESUME)), 2).unwrap());
    assert_eq!(open(&journal(path, Some(RESUME)), 2).unwrap().ledger.unknown_left(), 0);
}
