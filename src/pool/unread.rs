//! Answers to what workers ask, which wait until they are read: how many may, so that a worker that only asks takes no
//! more memory than that. It never stops the reading of what a worker writes: one that stands in a write before it reads
//! on would then wait for us, and we for it.

use super::Pool;
use crate::ids::WorkerId;
use std::collections::VecDeque;

/// Most bytes of answers that may wait for a worker. While there are more it may ask for nothing further (one longer answer
/// passes alone): as much as there may be of values and items, so that each of them can be had.
pub(super) const UNREAD_BYTES_MAX: usize = 64 << 20;

/// Most answers that may wait for it, and most bytes of them all the same, refusals and what others bring about. Beyond
/// this it is taken for one that never reads. A job with many tasks may ask for much before it reads the first answer.
pub(super) const NEVER_READ: usize = 250_000;
const NEVER_READ_BYTES: usize = 4 * UNREAD_BYTES_MAX;

/// The answers that are on their way to a worker.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Where each ends among all bytes sent, and how long it is.
    answers: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Unread {
    fn add(&mut self, end: u64, len: usize) {
        self.answers.push_back((end, len));
        self.bytes += len;
    }

    /// So many of all bytes sent have left us.
    fn leave(&mut self, up_to: u64) {
        while let Some(&(_, len)) = self.answers.front().filter(|(end, _)| *end <= up_to) {
            self.answers.pop_front();
            self.bytes -= len;
        }
    }
}

impl Pool {
    /// Sends a worker the answer to something it asked.
    pub(super) fn reply(&mut self, id: WorkerId, write: impl FnOnce(&mut Vec<u8>)) {
        if self.workers[id.index()].stdin_closed {
            return;
        }
        let before = self.workers[id.index()].outgoing.len();
        self.say(id, write);
        let worker = &mut self.workers[id.index()];
        let len = worker.outgoing.len();
        worker.unread.add(worker.sent + len as u64, len - before);
    }

    /// So many bytes wait because the worker's pipe is full.
    pub(super) fn stdin_backlog(&mut self, id: WorkerId, bytes: usize) {
        self.workers[id.index()].backlog = bytes;
        self.offer(id);
        self.leaves_unread(id, b"");
    }

    /// Whether the worker must not ask for more now: so many bytes that it asked for wait already.
    pub(super) fn has_much_to_read(&self, id: WorkerId) -> bool {
        self.workers[id.index()].unread.bytes > UNREAD_BYTES_MAX
    }

    /// Whether the worker, which has said `line`, asks and does not read the answers. It is replaced then.
    pub(super) fn leaves_unread(&mut self, id: WorkerId, line: &[u8]) -> bool {
        let worker = &mut self.workers[id.index()];
        worker.unread.leave(worker.sent.saturating_sub(worker.backlog as u64));
        let Unread { answers, bytes } = &worker.unread;
        if worker.deaf || answers.len() <= NEVER_READ && *bytes <= NEVER_READ_BYTES {
            return false;
        }
        let message = format!("asks and does not read: {} answers of {bytes} bytes wait for it", answers.len());
        self.protocol_broken(id, message, line);
        true
    }
}
