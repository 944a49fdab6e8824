//! All that supervisor itself does for a job, but for the system calls: from the bytes of the list to those of the record.

use crate::core::Run;
use crate::workload::{ITEMS, Workload, lines};
use divan::black_box;
use std::cell::RefCell;
use std::rc::Rc;
use supervisor::config::{InputFormat, Target};
use supervisor::job::{Entry, LINE_BYTES_MAX_DEFAULT, Reader};
use supervisor::record::Record;
use supervisor::report::json::RecordWriter;

pub(crate) const CALLS: Workload = Workload {
    name: "path: a call, many at once",
    start: || {
        let list = lines(|number| format!(r#"{{"method":"add_one","params":[{number}]}}"#));
        path(list, |take| Run::new(2, Target::Function { default: None }, take).in_batches())
    },
};

pub(crate) const COMMANDS: Workload = Workload {
    name: "path: a command",
    start: || path(lines(|number| format!("echo {number}")), |take| Run::new(2, Target::Shell, take)),
};

fn path(list: Vec<u8>, run: impl FnOnce(Box<dyn FnMut(&Record)>) -> Run) -> Box<dyn FnMut()> {
    let mut reader = Reader::new(InputFormat::Auto, LINE_BYTES_MAX_DEFAULT);
    let rows = Rc::new(RefCell::new(Vec::new()));
    let (mut writer, out) = (RecordWriter::default(), Rc::clone(&rows));
    let mut run = run(Box::new(move |record| writer.write(record, &mut out.borrow_mut())));
    Box::new(move || {
        let end = run.records() + ITEMS;
        reader.push(black_box(&list));
        loop {
            while run.wants_job() {
                match reader.next() {
                    Some(Entry::Job(job)) => run.hand_in(job),
                    Some(Entry::Invalid(invalid)) => panic!("{invalid:?}"),
                    None => break,
                }
            }
            run.end_turn();
            if run.records() == end {
                break;
            }
            run.answer();
        }
        black_box(&mut *rows.borrow_mut()).clear();
    })
}
