//! What a job is called when people read of it: one short piece of text. Bytes stay as they are; whoever shows them
//! escapes control characters.

use super::model::{Argument, Call, Job};

/// Longest label in bytes: it fits a line of a terminal.
pub const LABEL_BYTES_MAX: usize = 80;

const CUT_MARK: &[u8] = "…".as_bytes();

impl Job {
    /// The line, or the command, or the method with its parameters, or these alone; at most [`LABEL_BYTES_MAX`] bytes, the last of them
    /// `…` when it was cut.
    pub fn label(&self) -> Vec<u8> {
        let mut label = Label(Vec::new());
        match &self.call {
            Call::Line(line) => label.add(line),
            Call::Function(call) => {
                let params = call.params().trim();
                let Some(method) = call.method() else {
                    label.add(params.as_bytes());
                    return label.finish();
                };
                let inner = params.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                label.add(method.as_bytes());
                label.add(b"(");
                label.add(inner.map_or(params, str::trim).as_bytes());
                label.add(b")");
            }
            Call::Command(command) => match &command.argument {
                Argument::Shell(line) => label.add(line),
                Argument::Argv(words) => {
                    for (index, word) in words.iter().enumerate() {
                        label.add(if index == 0 { b"" } else { b" " });
                        label.add(word);
                    }
                }
            },
        }
        label.finish()
    }
}

/// Text that stops growing soon after it is too long, so that a huge job costs nothing here.
struct Label(Vec<u8>);

impl Label {
    fn add(&mut self, bytes: &[u8]) {
        let room = (LABEL_BYTES_MAX + 1).saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.0.len() <= LABEL_BYTES_MAX {
            return self.0;
        }
        self.0.truncate(char_boundary(&self.0, LABEL_BYTES_MAX - CUT_MARK.len()));
        self.0.extend_from_slice(CUT_MARK);
        self.0
    }
}

/// The greatest place up to `at` where UTF-8 text can be cut; `at` itself when the bytes there are no UTF-8.
pub(super) fn char_boundary(bytes: &[u8], at: usize) -> usize {
    if at >= bytes.len() {
        return bytes.len();
    }
    let is_inside = |index: usize| bytes[index] & 0b1100_0000 == 0b1000_0000;
    (at.saturating_sub(3)..=at).rev().find(|index| !is_inside(*index)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use crate::config::InputFormat;
    use crate::job::{End, Entry, Reader};

    fn label(text: &str) -> String {
        let mut reader = Reader::new(InputFormat::Auto, 1 << 20);
        reader.push(text.as_bytes());
        reader.finish(End::Complete);
        match reader.next() {
            Some(Entry::Job(job)) => String::from_utf8(job.label()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_of_all_kinds() {
        for (job, expected) in [
            ("echo  hi\tthere", "echo  hi\tthere"),
            (r#"{"method":"tugas","params":["Tugas 1", 2]}"#, r#"tugas("Tugas 1", 2)"#),
            (r#"{"method":"tugas"}"#, "tugas()"),
            (r#"{"method":"tugas","params":{"a":1}}"#, r#"tugas({"a":1})"#),
            (r#"["Tugas 1",2]"#, r#"["Tugas 1",2]"#),
            (r#"{"command":["convert","a b.png"]}"#, "convert a b.png"),
            (r#"{"command":"make && make check"}"#, "make && make check"),
        ] {
            assert_eq!(label(job), expected);
        }
    }

    #[test]
    fn long_ones_are_cut_between_characters() {
        assert_eq!(label(&"a".repeat(80)), "a".repeat(80));
        assert_eq!(label(&"a".repeat(81)), "a".repeat(77) + "…");
        assert_eq!(label(&"é".repeat(50)), "é".repeat(38) + "…");
        assert_eq!(label(&"🦀".repeat(50)), "🦀".repeat(19) + "…");
    }
}
