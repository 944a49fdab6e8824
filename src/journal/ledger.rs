//! What earlier runs know of the jobs of a list. Owns the matching: by content and id, as often as there are records; never
//! by the place in the list. Pure.

use crate::job::{Fingerprint, Job, UserId};
use crate::record::Status;

/// What is known of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It has its record.
    Ended(Status),
    /// It was running when an earlier run ended without a word. `again` says whether it may run once more.
    Unknown {
        /// How often it was begun, as far as is known.
        attempts: u32,
        /// Whether it may run again.
        again: bool,
        /// Where its mark is kept, until it has a record.
        mark: usize,
    },
}

/// So many jobs of one content of which the same is known: 32 bytes for each content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    content: Fingerprint,
    status: Status,
    left: u32,
}

/// A job whose outcome nobody knows.
#[derive(Debug, Clone, Copy)]
struct Open {
    content: Fingerprint,
    attempts: u32,
    mark: usize,
}

/// What earlier runs know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In order of content, then of status, so that `ok` is claimed first.
    lines: Vec<Line>,
    unknown: Vec<Open>,
    may_repeat_unknown: bool,
}

impl Ledger {
    /// `ended` are the records that stand, `unknown` the marks that count.
    pub(super) fn new(
        mut ended: Vec<(Fingerprint, Status)>,
        unknown: impl Iterator<Item = (Fingerprint, u32, usize)>,
        may_repeat_unknown: bool,
    ) -> Self {
        ended.sort_unstable();
        let mut lines: Vec<Line> = Vec::new();
        for (content, status) in ended {
            match lines.last_mut() {
                Some(last) if (last.content, last.status) == (content, status) => last.left += 1,
                _ => lines.push(Line { content, status, left: 1 }),
            }
        }
        lines.shrink_to_fit();
        let unknown = unknown.map(|(content, attempts, mark)| Open { content, attempts, mark }).collect();
        Ledger { lines, unknown, may_repeat_unknown }
    }

    /// What is known of this job, which is then used up: the next job of the same content is another one.
    pub fn claim(&mut self, content: Fingerprint, job: &Job) -> Option<Known> {
        // Records of runs without a journal do not say what the job was. An id that was given stands for it then.
        let by_id = match &job.id {
            UserId::Json(id) => Some(Fingerprint::of_id(id)),
            UserId::Number(_) => None,
        };
        let ended = self.take_ended(content).or_else(|| self.take_ended(by_id?));
        ended.map(Known::Ended).or_else(|| self.take_unknown(content))
    }

    /// How many jobs of unknown outcome were not met in the list.
    pub fn unknown_left(&self) -> usize {
        self.unknown.len()
    }

    fn take_ended(&mut self, content: Fingerprint) -> Option<Status> {
        let from = self.lines.partition_point(|line| line.content < content);
        let same = self.lines[from..].iter_mut().take_while(|line| line.content == content);
        let line = same.into_iter().find(|line| line.left > 0)?;
        line.left -= 1;
        Some(line.status)
    }

    fn take_unknown(&mut self, content: Fingerprint) -> Option<Known> {
        // As many as were in flight when the run ended: few.
        let at = self.unknown.iter().position(|open| open.content == content)?;
        let Open { attempts, mark, .. } = self.unknown.swap_remove(at);
        Some(Known::Unknown { attempts, again: self.may_repeat_unknown, mark })
    }
}
