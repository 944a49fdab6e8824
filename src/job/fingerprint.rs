//! What a job is the same as: a number made of what it asks for and of the id it was given. Owns what belongs to it and
//! what does not; the same in every release, since journals keep it.
//!
//! The job's place in the list is no part of it, nor is how the run goes about it (`timeout`, `retries`, `priority`,
//! `tags`, `needs`, `locks`, the command of the run): a list may be edited, reordered and extended, and what is left of it
//! is still the same.

use super::model::{Argument, Call, Job, UserId};
use crate::json::{plain_string, push_plain_string, string_length};
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// 128 bits: among ten million jobs two that differ share one with a chance of 1 in 10^25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// That of a job.
    pub fn of(job: &Job) -> Self {
        let mut hash = Hash::new(b"job");
        if let UserId::Json(id) = &job.id {
            hash.part(b'i', id.as_bytes());
        }
        match &job.call {
            Call::Line(line) => hash.part(b'l', line),
            Call::Function(call) => {
                if let Some(method) = call.method() {
                    hash.part(b'm', method.as_bytes());
                }
                hash.json(call.params().as_bytes());
            }
            Call::Command(command) => {
                match &command.argument {
                    Argument::Argv(words) => words.iter().for_each(|word| hash.part(b'a', word)),
                    Argument::Shell(line) => hash.part(b's', line),
                }
                if let Some(cwd) = &command.cwd {
                    hash.part(b'd', cwd.as_bytes());
                }
                for (name, value) in &command.env {
                    hash.part(b'e', name.as_bytes());
                    hash.part(b'=', value.as_bytes());
                }
                if let Some(stdin) = &command.stdin {
                    hash.part(b't', stdin.as_bytes());
                }
            }
        }
        hash.finish()
    }

    /// Stands for any job that was given this id, for records that do not say what the job was.
    pub fn of_id(id: &str) -> Self {
        let mut hash = Hash::new(b"id");
        hash.part(b'i', plain_string(id).as_bytes());
        hash.finish()
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 32 {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let mut value = [0; 16];
        for (place, pair) in value.iter_mut().zip(bytes.chunks_exact(2)) {
            *place = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Fingerprint(value))
    }
}

impl fmt::Display for Fingerprint {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Hash(Xxh3);

impl Hash {
    fn new(kind: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(kind);
        Hash(hash)
    }

    /// A part with its kind and length, so that no two lists of parts run into the same bytes.
    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// JSON without the blanks between its tokens and the escapes that need not be: who writes the list anew may space and
    /// spell it otherwise.
    fn json(&mut self, json: &[u8]) {
        self.0.update(b"p");
        let mut rest = json;
        while let Some(at) = rest.iter().position(|&byte| byte == b'"' || byte.is_ascii_whitespace()) {
            self.0.update(&rest[..at]);
            let taken = if rest[at] == b'"' { string_length(&rest[at..]) } else { 0 };
            self.string(&rest[at..at + taken]);
            rest = &rest[at + taken.max(1)..];
        }
        self.0.update(rest);
    }

    fn string(&mut self, json: &[u8]) {
        if memchr::memchr(b'\\', json).is_none() {
            return self.0.update(json);
        }
        let mut plain = Vec::with_capacity(json.len());
        push_plain_string(&mut plain, json);
        self.0.update(&plain);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(self.0.digest128().to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::InputFormat;
    use crate::job::{End, Entry, Reader};

    fn of(list: &str) -> Fingerprint {
        let mut reader = Reader::new(InputFormat::Auto, 1 << 20);
        reader.push(list.as_bytes());
        reader.finish(End::Complete);
        let Some(Entry::Job(job)) = reader.next() else { panic!("{list} is no job") };
        Fingerprint::of(&job)
    }

    #[test]
    fn what_a_job_asks_for_counts_and_nothing_else() {
        let same = [
            (
                r#"{"method":"f","params":[1,"a b"]}"#,
                r#"{"method":"f","params": [ 1, "a b" ],"timeout":3,"tags":["x"]}"#,
            ),
            (
                r#"{"method":"f","params":["\u00e9\/",{"\n":1}]}"#,
                "{\"method\":\"f\",\"params\":[\"\u{e9}/\",{\"\\u000A\":1}]}",
            ),
            (r#"{"id":"\u00e9\/","command":"a"}"#, "{\"id\":\"\u{e9}/\",\"command\":\"a\"}"),
            (r#"{"command":["a","b"],"priority":2}"#, r#"{"command":["a","b"]}"#),
        ];
        for (one, other) in same {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        let different = [
            "true",
            "false",
            r#"{"command":"true"}"#,
            r#"{"command":["true"]}"#,
            r#"{"id":1,"command":["true"]}"#,
            r#"{"id":"1","command":["true"]}"#,
            r#"{"command":["a","b"]}"#,
            r#"{"command":["ab"]}"#,
            r#"{"command":["a","b"],"cwd":"/"}"#,
            r#"{"command":["a","b"],"env":{"a":"b"}}"#,
            r#"{"command":["a","b"],"stdin":"x"}"#,
            r#"{"method":"f","params":["a b"]}"#,
            r#"{"method":"f","params":["ab"]}"#,
            r#"{"method":"f","params":["a\" b"]}"#,
            r#"{"method":"f","params":["a\"b"]}"#,
            r#"["a b"]"#,
        ];
        let all: std::collections::BTreeSet<_> = different.iter().map(|list| of(list)).collect();
        assert_eq!(all.len(), different.len());
    }

    #[test]
    fn it_does_not_change_from_release_to_release() {
        // Journals hold these: a release that computes others would run finished jobs again.
        assert_eq!(of("true").to_string(), TRUE);
        assert_eq!(of(CALL).to_string(), CALLED);
        assert_eq!(Fingerprint::parse(TRUE), Some(of("true")));
        for bad in ["", "xyz", &TRUE.to_uppercase(), &TRUE[1..]] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    const CALL: &str = r#"{"id":"a\"b","method":"f","params":["a\\b\n",1.0]}"#;
    const CALLED: &str = "7fc901a2805784fbafaf8f95ef7c690c";
    const TRUE: &str = "6c60e9439129f26534dd7e26477af210";
}
