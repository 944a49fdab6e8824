//! The decoders: a list of jobs, and what workers say.

use crate::workload::{ITEMS, Workload, lines};
use divan::black_box;
use supervisor::config::InputFormat;
use supervisor::job::{Entry, LINE_BYTES_MAX_DEFAULT, Reader};
use supervisor::protocol::{Line, LineDecoder};

/// Bytes that arrive at once, as the edges read them.
const PIECE_BYTES: usize = 64 << 10;

pub(crate) const LINES: Workload =
    Workload { name: "list: a line", start: || list(lines(|number| format!("gzip -9 file-{number}.txt"))) };

pub(crate) const CALLS: Workload = Workload {
    name: "list: a call",
    start: || list(lines(|number| format!(r#"{{"method":"add_one","params":[{number}]}}"#))),
};

pub(crate) const OPTIONS: Workload = Workload {
    name: "list: a call with options",
    start: || {
        list(lines(|number| {
            format!(
                r#"{{"id":"job-{number}","method":"convert","params":{{"from":"a/{number}.wav","to":"b"}},"timeout":30,"retries":2,"priority":{},"tags":["night"]}}"#,
                number % 3
            )
        }))
    },
};

pub(crate) const RESULTS: Workload = Workload {
    name: "message: a result",
    start: || talk(lines(|number| format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{number}}}"#))),
};

pub(crate) const ERRORS: Workload = Workload {
    name: "message: an error",
    start: || {
        talk(lines(|number| {
            format!(r#"{{"jsonrpc":"2.0","id":{number},"error":{{"code":-32000,"message":"ValueError: no \"x\""}}}}"#)
        }))
    },
};

/// One reader goes on reading the same lines.
fn list(bytes: Vec<u8>) -> Box<dyn FnMut()> {
    let mut reader = Reader::new(InputFormat::Auto, LINE_BYTES_MAX_DEFAULT);
    Box::new(move || {
        let mut jobs = 0;
        for piece in bytes.chunks(PIECE_BYTES) {
            reader.push(black_box(piece));
            for entry in reader.by_ref() {
                assert!(matches!(black_box(entry), Entry::Job(_)));
                jobs += 1;
            }
        }
        assert_eq!(jobs, ITEMS);
    })
}

fn talk(bytes: Vec<u8>) -> Box<dyn FnMut()> {
    let mut decoder = LineDecoder::new(1 << 20);
    Box::new(move || {
        let mut messages = 0;
        for mut piece in bytes.chunks(PIECE_BYTES) {
            while let Some(line) = decoder.next(&mut piece) {
                let line = Line::parse(black_box(line.expect("short lines")));
                assert!(matches!(black_box(line), Line::One(_)));
                messages += 1;
            }
        }
        assert_eq!(messages, ITEMS);
    })
}
