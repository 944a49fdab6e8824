//! `needs`: jobs that wait for others to end ok.
//!
//! Jobs are remembered by a hash of their id. To keep ten million jobs without `needs` in little memory, only the last
//! [`REMEMBERED_ENDED`] ended ones are remembered until the first `needs` shows that the list uses them; those without an
//! id of their own, most of most lists, in two bits each.

use super::job_table::JobKey;
use crate::ids::JobId;
use crate::job::UserId;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many ended jobs are remembered while no job has had `needs`: so many with an id of their own, and of the others
/// those whose number is among the last so many.
pub(super) const REMEMBERED_ENDED: usize = 100_000;

/// Most jobs that may wait for others at a time. They cannot count against the limit of the queue, or a list whose
/// first jobs need its last would never be read to the end; so they have a limit of their own.
pub(super) const BLOCKED_JOBS_MAX: usize = 1_000_000;

/// A job that waits: where it stands, and its number, since the place may have been given to another one meanwhile.
pub(super) type Waiting = (JobKey, JobId);

/// What is known of a job that others may need.
#[derive(Debug, Default)]
struct Known {
    /// Accepted and not ended; more than one when an id was given twice.
    open: u32,
    /// One of that id did not end ok.
    failed: bool,
    /// One of that id has been seen, open or ended.
    seen: bool,
    /// The jobs that wait for it.
    waiting: Vec<Waiting>,
}

/// In an [`Ended`]: it failed.
const FAILED: u64 = 1;

/// A job that has ended: the hash of its id, and in the bit that hashes leave free whether it failed. A long
/// run holds little else.
type Ended = u64;

/// Which jobs that go by their number have ended, and how: the last [`REMEMBERED_ENDED`] numbers, two bits each.
#[derive(Debug, Default)]
struct Numbered {
    /// The first four numbers are four times this, and the three after it.
    first: u64,
    /// The outcomes of four numbers each; 0 for a job that has not ended, or has an id of its own.
    fours: VecDeque<u8>,
}

const ENDED_OK: u8 = 1;
const ENDED_BADLY: u8 = 2;

impl Numbered {
    fn note(&mut self, number: u64, ok: bool) {
        let Some(at) = (number / 4).checked_sub(self.first) else { return };
        let mut at = at as usize;
        if at >= self.fours.len() {
            // Mostly by one: that needs no look at how many.
            if at == self.fours.len() {
                self.fours.push_back(0)
            } else {
                self.fours.resize(at + 1, 0)
            }
            let excess = self.fours.len().saturating_sub(REMEMBERED_ENDED / 4);
            self.fours.drain(..excess);
            self.first += excess as u64;
            at -= excess;
        }
        self.fours[at] |= if ok { ENDED_OK } else { ENDED_BADLY } << (number % 4 * 2);
    }

    fn ended(self) -> impl Iterator<Item = (UserId, bool)> {
        let one = |four: u8, place: u64| four >> (place * 2) & (ENDED_OK | ENDED_BADLY);
        (self.first..).zip(self.fours).flat_map(move |(at, four)| {
            let ended = (0..4).filter(move |&place| one(four, place) != 0);
            ended.map(move |place| (UserId::Number(at * 4 + place), one(four, place) == ENDED_OK))
        })
    }
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Ended jobs with an id of their own, newest last, while `used` is false.
    recent: VecDeque<Ended>,
    /// Ended jobs that go by their number, while `used` is false.
    numbered: Numbered,
    /// Everything known by hash of id, once `used`.
    known: BTreeMap<u64, Known>,
    used: bool,
    blocked: usize,
}

/// What becomes of a job with `needs`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All it needs has ended ok.
    Ready,
    /// It waits for so many.
    Blocked(u32),
    /// One that it needs did not end ok.
    Failed(UserId),
}

impl Needs {
    /// Whether any job so far has had `needs`.
    pub(super) fn used(&self) -> bool {
        self.used
    }

    /// The first `needs` has come: from now on all is remembered. `open` are the jobs in the table.
    pub(super) fn begin(&mut self, open: impl Iterator<Item = UserId>) {
        self.used = true;
        let numbered = std::mem::take(&mut self.numbered).ended().map(|(id, ok)| ended(&id, ok));
        for ended in std::mem::take(&mut self.recent).into_iter().chain(numbered) {
            let known = self.known.entry(ended & !FAILED).or_default();
            known.seen = true;
            known.failed |= ended & FAILED != 0;
        }
        for id in open {
            self.accepted(&id);
        }
    }

    /// A job was accepted. Only to be called once `used`.
    pub(super) fn accepted(&mut self, id: &UserId) {
        let known = self.known.entry(hash(id)).or_default();
        known.seen = true;
        known.open += 1;
    }

    /// Makes a job wait for what it needs.
    pub(super) fn enlist(&mut self, job: Waiting, needs: &[UserId]) -> Verdict {
        let mut missing = 0;
        for need in needs {
            let known = self.known.entry(hash(need)).or_default();
            if known.failed {
                return Verdict::Failed(need.clone());
            }
            if known.open > 0 || !known.seen {
                known.waiting.push(job);
                missing += 1;
            }
        }
        if missing == 0 {
            return Verdict::Ready;
        }
        self.blocked += 1;
        Verdict::Blocked(missing)
    }

    /// A job has ended. Gives the jobs that waited for it: each entry is one need met, or failed. Only to be called once
    /// `used`.
    pub(super) fn ended(&mut self, id: &UserId, ok: bool) -> Vec<Waiting> {
        let known = self.known.entry(hash(id)).or_default();
        known.open = known.open.saturating_sub(1);
        known.failed |= !ok;
        if known.open == 0 || known.failed { std::mem::take(&mut known.waiting) } else { Vec::new() }
    }

    /// A job has ended. Only to be called until `used`.
    #[inline(always)]
    pub(super) fn remember(&mut self, id: &UserId, ok: bool) {
        if let UserId::Number(number) = id {
            return self.numbered.note(*number, ok);
        }
        if self.recent.len() == REMEMBERED_ENDED {
            self.recent.pop_front();
        }
        self.recent.push_back(ended(id, ok));
    }

    /// A blocked job waits no longer.
    pub(super) fn unblocked(&mut self) {
        self.blocked -= 1;
    }

    /// How many jobs wait for others.
    pub(super) fn blocked(&self) -> usize {
        self.blocked
    }

    /// Whether a need was ever seen in the list.
    pub(super) fn is_known(&self, id: &UserId) -> bool {
        self.known.get(&hash(id)).is_some_and(|known| known.seen)
    }

    /// Whether a need is still open.
    pub(super) fn is_open(&self, id: &UserId) -> bool {
        self.known.get(&hash(id)).is_some_and(|known| known.open > 0)
    }
}

fn ended(id: &UserId, ok: bool) -> Ended {
    hash(id) | if ok { 0 } else { FAILED }
}

/// The longest number of a job.
const DIGITS_MAX: usize = 20;

/// `1` as a number given by the user and the job numbered 1 are the same id; `"1"` is another.
pub(super) fn hash(id: &UserId) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut digits = [0; DIGITS_MAX];
    let text = match id {
        UserId::Number(number) => {
            let (mut at, mut rest) = (DIGITS_MAX, *number);
            while at == DIGITS_MAX || rest > 0 {
                at -= 1;
                digits[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            &digits[at..]
        }
        UserId::Json(text) => text.as_bytes(),
    };
    text.hash(&mut hasher);
    hasher.finish() & !FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_id_as_its_text() {
        for number in [0, 1, 9, 10, 4711, u64::MAX] {
            let text = UserId::Json(number.to_string().into());
            assert_eq!(hash(&UserId::Number(number)), hash(&text));
            assert_ne!(hash(&UserId::Number(number)), hash(&UserId::Json(format!("\"{number}\"").into())));
        }
    }

    #[test]
    fn of_the_jobs_that_ended_before_the_first_need_the_last_are_known_by_id_and_by_number() {
        let last = REMEMBERED_ENDED as u64 + 8;
        let named = |number: u64| UserId::Json(format!("\"job {number}\"").into());
        let mut needs = Needs::default();
        // Two at a time, the later one first; every one has a namesake with an id of its own.
        for number in (1..=last).map(|number| if number % 2 == 0 { number - 1 } else { number + 1 }) {
            needs.remember(&UserId::Number(number), number != 50);
            needs.remember(&named(number), true);
        }
        needs.begin(std::iter::empty());
        for (number, known) in
            [(last, true), (50, true), (13, true), (12, true), (11, false), (1, false), (last + 1, false)]
        {
            assert_eq!(needs.is_known(&UserId::Number(number)), known, "{number}");
        }
        assert!(needs.is_known(&named(9)) && !needs.is_known(&named(8)));
        let failed = |number: u64| needs.known[&hash(&UserId::Number(number))].failed;
        assert!(failed(50) && !failed(49));
    }
}
