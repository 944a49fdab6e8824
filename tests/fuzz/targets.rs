//! The decoders as functions of bytes, each with what must hold whatever it is given: no panic, no hang, nothing lost,
//! errors that name a place. Run over the corpora by `tests/fuzz`, and under libFuzzer by `fuzz/`.

use crate::driver::Driver;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use supervisor::config::{InputFormat, Target};
use supervisor::job::{self, End, Entry, Fingerprint, Reader, Template, units};
use supervisor::pool::Event;
use supervisor::report::escape;

/// A decoder's name and its function.
pub(crate) type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: &[Decoder] = &[
    ("job_list", job_list),
    ("worker_talk", worker_talk),
    ("guest_talk", guest_talk),
    ("command_request", command_request),
    ("journal", journal),
    ("command_line", command_line),
    ("texts", texts),
];

/// Two bytes that choose, and the rest.
fn choices(data: &[u8]) -> (u8, u8, &[u8]) {
    match data {
        [first, second, rest @ ..] => (*first, *second, rest),
        _ => (0, 0, data),
    }
}

/// A list means the same however it is cut, every piece of it is a job or a fault with a place, and every job can be sent.
pub(crate) fn job_list(data: &[u8]) {
    let (kind, cut, list) = choices(data);
    let formats = [InputFormat::Auto, InputFormat::Lines, InputFormat::Null, InputFormat::Json];
    let format = formats[usize::from(kind % 4)];
    let max_line = if kind & 4 == 0 { 64 } else { 1 << 20 };
    let end = || if kind & 8 == 0 { End::Complete } else { End::Torn };
    let read = |pieces: &[&[u8]]| {
        let mut reader = Reader::new(format, max_line);
        let mut entries = Vec::new();
        for piece in pieces {
            reader.push(piece);
            entries.extend(reader.by_ref());
        }
        reader.finish(end());
        entries.extend(reader);
        entries
    };
    let whole = read(&[list]);
    let at = usize::from(cut).min(list.len());
    let (head, tail) = list.split_at(at);
    assert_eq!(format!("{whole:?}"), format!("{:?}", read(&[head, tail])), "cut at {at}");
    let target = if kind & 16 == 0 { Target::Shell } else { Target::Function { default: Some("f".into()) } };
    let mut driver = Driver::new(target, 1, true);
    for (number, entry) in (1..).zip(whole) {
        let event = match entry {
            Entry::Job(job) => {
                assert_eq!(job.number.0, number, "jobs are numbered without gaps");
                assert!(job.label().len() <= job::LABEL_BYTES_MAX);
                let content = Fingerprint::of(&job);
                assert_eq!(Fingerprint::parse(&content.to_string()), Some(content));
                Event::JobArrived(job)
            }
            Entry::Invalid(invalid) => {
                assert_eq!(invalid.number.0, number);
                assert!(invalid.line > 0 && invalid.column > 0 && !invalid.message.is_empty(), "{invalid:?}");
                Event::JobInvalid(invalid)
            }
        };
        if driver.wants_job() {
            driver.tell(event);
        }
    }
    driver.run_to_end();
}

/// Whatever a worker writes: every job gets its one record, and the run ends.
pub(crate) fn worker_talk(data: &[u8]) {
    let (kind, cut, talk) = choices(data);
    let target = match kind % 3 {
        0 => Target::Shell,
        1 => Target::Function { default: Some("f".into()) },
        _ => Target::Tool,
    };
    let mut driver = Driver::new(target, 1 + u32::from(kind >> 6), kind & 8 == 0);
    driver.tell_jobs(5);
    // In pieces of a size, or line by line, so that what is answered was asked before.
    let by_size = talk.chunks(usize::from(cut) + 1);
    let by_line = talk.split_inclusive(|&byte| byte == b'\n');
    let pieces: Vec<&[u8]> = if kind & 32 == 0 { by_line.collect() } else { by_size.collect() };
    for piece in pieces {
        driver.tell_output(piece, kind & 16 != 0);
    }
    driver.run_to_end();
}

/// Whatever somebody who asks for locks sends.
pub(crate) fn guest_talk(data: &[u8]) {
    let (_, cut, talk) = choices(data);
    let mut driver = Driver::new(Target::Shell, 1, true);
    driver.tell_jobs(2);
    for (at, piece) in talk.chunks(usize::from(cut) + 1).enumerate() {
        driver.tell(Event::GuestAsked { guest: at as u64 % 2, bytes: piece });
    }
    driver.tell(Event::GuestLeft { guest: 0 });
    driver.run_to_end();
}

/// What the built-in worker is asked: each message of a line is understood or refused.
pub(crate) fn command_request(data: &[u8]) {
    for line in data.split(|&byte| byte == b'\n') {
        let messages = supervisor::worker::command::messages_in(line);
        assert!(messages <= line.len(), "no more messages than bytes");
    }
}

/// A row and the marks beside it, of any bytes: something is known of it or nothing.
pub(crate) fn journal(data: &[u8]) {
    supervisor::journal::understand(data);
}

/// A command line: understood or refused with words, and a template fills without losing bytes.
pub(crate) fn command_line(data: &[u8]) {
    let words = data.split(|&byte| byte == b'\n' || byte == 0).take(20);
    let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    let args = ["supervisor", "spawn"].into_iter().map(OsString::from).chain(words.iter().cloned()).collect();
    if let Err(error) = supervisor::cli::parse(args) {
        assert!(!error.to_string().trim().is_empty());
    }
    let words: Vec<Box<[u8]>> = words.into_iter().map(|word| word.into_vec().into()).collect();
    if let Ok(template) = Template::parse(words) {
        let filled = template.fill(b"/a/b.c", 7, 3);
        assert!(filled.len() >= template.words().len());
    }
}

/// Durations, sizes, and text that is shown to people: none of it can move the cursor.
pub(crate) fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = units::duration(&text);
    if let Some(bytes) = units::size(&text) {
        assert!(!units::size_text(bytes).is_empty());
    }
    let line = escape::to_line(data);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let mut lines = Vec::new();
    escape::multi_line(data, &mut lines);
    let lines = String::from_utf8(lines).expect("what is escaped is UTF-8");
    assert!(!lines.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t'), "{lines:?}");
}
