//! Every decoder over its corpus, and over changes of it that a seed draws. What libFuzzer finds (`fuzz/`) becomes part of
//! the corpus and is run here for ever: what made a decoder fail a file, what only led to new places a line.
//!
//! `SIM_SEED` is the seed, as for the simulator. A failing input is printed; put into the corpus it fails until mended.

mod driver;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use targets::{Decoder, TARGETS};

/// Changed inputs for each decoder.
const CHANGED: usize = 1_500;
/// Longest of them.
const BYTES_MAX: usize = 4096;

/// What stands in lists, messages and flags: a change may put one anywhere.
const WORDS: &str = "{ } [ ] \" : , \n \r\n \0 \u{feff} null true -1 1e999 0 \\u0000 \\ud800 \"id\" \"method\" \"params\" \"result\" \
    \"error\" \"command\" \"jsonrpc\":\"2.0\" \"needs\" \"locks\" ready output stuck lock.acquire value.add queue.get barrier.wait {} {.} \
    {//} -- ::: \x1b[2J \"base64\" \u{202e} 999999999999999999999 \"ok\" crashed";

/// The inputs written by hand, a file each, and those that libFuzzer found, a line each.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&directory).expect("each decoder has a corpus").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    let found =
        std::fs::read_to_string(directory.with_extension("found")).expect("tests/fuzz/long.py --keep writes it");
    paths.iter().map(|path| std::fs::read(path).unwrap()).chain(found.lines().map(unpacked)).collect()
}

/// The bytes of a line of `corpus/*.found`, in which `\xNN` stands for what cannot be shown.
fn unpacked(line: &str) -> Vec<u8> {
    let mut pieces = line.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, plain) = piece.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(plain.as_bytes());
    }
    bytes
}

fn try_one((name, decoder): Decoder, input: &[u8]) {
    let tried = catch_unwind(AssertUnwindSafe(|| decoder(input)));
    assert!(tried.is_ok(), "{name} fails on {:?}", String::from_utf8_lossy(input));
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) % end.max(1) as u64) as usize
    }

    /// One change of one input, or two inputs joined.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        match self.below(6) {
            0 if !input.is_empty() => {
                let at = at.min(input.len() - 1);
                input[at] ^= 1 << self.below(8);
            }
            1 => drop(input.drain(at..(at + self.below(16)).min(input.len()))),
            2 => {
                let words: Vec<&str> = WORDS.split(' ').collect();
                let word = words[self.below(words.len())];
                input.splice(at..at, word.bytes());
            }
            3 => {
                let from = self.below(other.len() + 1);
                let piece = other[from..(from + self.below(64)).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let from = self.below(at + 1);
                let again = input[from..at].to_vec();
                input.splice(at..at, again);
            }
            _ => input.truncate(at),
        }
        input.truncate(BYTES_MAX);
    }
}

#[expect(clippy::disallowed_methods, reason = "the seed is the one option of a test run")]
fn seed() -> u64 {
    let text = std::env::var_os("SIM_SEED").unwrap_or_default();
    text.as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn a_corpus_reaches_what_it_is_for() {
    let mut driver = driver::Driver::new(supervisor::config::Target::Function { default: Some("f".into()) }, 1, true);
    driver.tell_jobs(5);
    let answers = &corpus("worker_talk")[0];
    answers[2..].split_inclusive(|&byte| byte == b'\n').for_each(|line| driver.tell_output(line, false));
    assert_eq!(driver.ended_ok(), 1, "the answer of the corpus ends a job");
    driver.run_to_end();
}

#[test]
fn a_line_of_found_inputs_is_bytes() {
    assert_eq!(unpacked(r#"{"a":\x5cx\x0a\xff}"#), b"{\"a\":\\x\n\xff}");
    assert_eq!(unpacked(""), b"");
}

#[test]
fn decoders_stand_their_corpora_and_changes_of_them() {
    let mut dice = Dice(seed());
    for &target in TARGETS {
        let inputs = corpus(target.0);
        inputs.iter().for_each(|input| try_one(target, input));
        for _ in 0..CHANGED {
            let mut input = inputs[dice.below(inputs.len())].clone();
            for _ in 0..=dice.below(4) {
                let other = &inputs[dice.below(inputs.len())];
                dice.change(&mut input, other);
            }
            try_one(target, &input);
        }
    }
}
