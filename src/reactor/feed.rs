//! The job list on its way in: from chunks of bytes to events, as fast as the core wants jobs.

use super::poller::{Poller, Ready};
use crate::config::{Input as InputConfig, Source};
use crate::drive;
use crate::edge::{Input, InputEvent, Standard, Wake, take_copy};
use crate::ids::JobId;
use crate::job::{End, Entry, Fingerprint, Job, Past, Reader, from_arguments};
use crate::journal::{Known, Ledger};
use crate::pool::{Event, Pool};
use crate::time::Now;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// Jobs handed in during a turn: signals and answers are looked at in between.
const JOBS_PER_TURN: usize = 2048;

/// Bytes taken in during a turn: a huge job must not keep the workers from being written to and read from.
const BYTES_PER_TURN: usize = 1 << 20;

/// Where the list stands.
#[derive(Debug)]
enum State {
    Reading(Input),
    /// All bytes are there; not all jobs may have been handed in. The fault that ended it, if one did.
    Ended(Option<String>),
    /// The core was told of the end, or does not want the rest.
    Closed,
}

/// What reading on brought.
enum Chunk {
    /// So many bytes, which may have brought jobs; of the end none.
    Bytes(usize),
    /// Nothing follows. The fault that ended it, if one did.
    Last(Option<String>),
    /// Nothing that is there now.
    NotYet,
}

/// The job list.
#[derive(Debug)]
pub(super) struct Feed {
    state: State,
    reader: Reader,
    arguments: VecDeque<Entry>,
    /// What earlier runs know, where there is a journal.
    ledger: Option<Ledger>,
    /// Jobs of unknown outcome that were met, and where their marks are.
    met: Vec<(JobId, usize)>,
    /// The list was not read to its end.
    cut_short: bool,
    /// Whether everything that is there was handed in: the edge rings its bell when there is more.
    starved: bool,
    /// The source, where it has no bell and is polled. A copy, since what is watched has to be open until it no longer is:
    /// the poller would go on reporting it otherwise, as long as anybody has the same pipe open.
    polled: Option<OwnedFd>,
    /// Whether the poller watches it.
    watched: bool,
}

impl Feed {
    /// Opens the source. Fails only for a file that cannot be opened: nothing has run then.
    pub(super) fn open(config: &InputConfig, wake: Wake) -> io::Result<Self> {
        let mut arguments = VecDeque::new();
        let state = match &config.source {
            Source::Arguments(words) => {
                arguments = from_arguments(words).into_iter().map(Entry::Job).collect();
                State::Ended(None)
            }
            Source::File(path) => State::Reading(Input::start(OwnedFd::from(File::open(path)?), wake)?),
            Source::Stdin => match take_copy(Standard::Input) {
                Ok(stdin) => State::Reading(Input::start(stdin, wake)?),
                Err(error) => State::Ended(Some(format!("standard input: {}", crate::edge::fault_text(&error)))),
            },
        };
        let reader = Reader::new(config.format, config.max_line);
        let polled = match &state {
            State::Reading(input) => input.poll_fd().map(|fd| fd.try_clone_to_owned()).transpose()?,
            State::Ended(_) | State::Closed => None,
        };
        Ok(Feed {
            state,
            reader,
            arguments,
            ledger: None,
            met: Vec::new(),
            cut_short: false,
            starved: false,
            polled,
            watched: false,
        })
    }

    /// From now on jobs are looked up in what earlier runs know.
    pub(super) fn look_up_in(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
    }

    /// Jobs of unknown outcome that were met since the last call, and where their marks are.
    pub(super) fn met(&mut self) -> Vec<(JobId, usize)> {
        std::mem::take(&mut self.met)
    }

    /// How many jobs of unknown outcome the list did not hold.
    pub(super) fn unmet(&self) -> usize {
        self.ledger.as_ref().map_or(0, Ledger::unknown_left)
    }

    /// A job as it is told to the core: new, or known from an earlier run.
    fn arrival(&mut self, mut job: Job) -> Event<'static> {
        let Some(ledger) = &mut self.ledger else { return Event::JobArrived(job) };
        let content = Fingerprint::of(&job);
        let known = ledger.claim(content, &job);
        let attempts = if let Some(Known::Unknown { attempts, .. }) = known { attempts } else { 0 };
        job.past = Some(Box::new(Past { content, attempts }));
        match known {
            None => Event::JobArrived(job),
            Some(Known::Ended(status)) => Event::JobEndedBefore { job, status },
            Some(Known::Unknown { again, mark, .. }) => {
                self.met.push((job.number, mark));
                if again { Event::JobArrived(job) } else { Event::JobUnknown(job) }
            }
        }
    }

    /// Hands in jobs as long as the core wants some and some are there. How many bytes of the list were taken for that.
    pub(super) fn pump(&mut self, pool: &mut Pool, now: Now) -> usize {
        self.starved = false;
        let (mut events, mut bytes) = (0, 0);
        drive::hand_in(pool, now, || {
            events += 1;
            if events > JOBS_PER_TURN { None } else { self.next(&mut bytes) }
        });
        bytes
    }

    /// What comes next, for as long as less than a turn's bytes were taken.
    fn next(&mut self, bytes: &mut usize) -> Option<Event<'static>> {
        while *bytes < BYTES_PER_TURN && !matches!(self.state, State::Closed) {
            match self.arguments.pop_front().or_else(|| self.reader.next()) {
                Some(Entry::Job(job)) => return Some(self.arrival(job)),
                Some(Entry::Invalid(invalid)) => {
                    // Nobody knows which jobs it should have been.
                    self.cut_short = true;
                    return Some(Event::JobInvalid(invalid));
                }
                None => match self.read_on() {
                    Chunk::Bytes(more) => *bytes += more,
                    Chunk::Last(error) => return Some(Event::InputClosed { error }),
                    Chunk::NotYet => {
                        self.starved = true;
                        break;
                    }
                },
            }
        }
        None
    }

    /// Takes in the next chunk.
    fn read_on(&mut self) -> Chunk {
        match &mut self.state {
            State::Reading(input) => match input.try_next() {
                InputEvent::Chunk(chunk) => {
                    let bytes = chunk.len();
                    self.reader.push(&chunk);
                    input.give_back(chunk);
                    Chunk::Bytes(bytes)
                }
                InputEvent::End => {
                    self.reader.finish(End::Complete);
                    self.state = State::Ended(None);
                    Chunk::Bytes(0)
                }
                InputEvent::Failed(why) => {
                    self.cut_short = true;
                    self.reader.finish(End::Torn);
                    self.state = State::Ended(Some(why));
                    Chunk::Bytes(0)
                }
                InputEvent::Nothing => Chunk::NotYet,
            },
            State::Ended(error) => {
                let error = error.take();
                self.state = State::Closed;
                Chunk::Last(error)
            }
            State::Closed => Chunk::NotYet,
        }
    }

    /// The source has become readable. When nobody reads it, it is not watched either: it would be reported for ever.
    pub(super) fn readable(&mut self, poller: &Poller) {
        let State::Reading(input) = &mut self.state else { return };
        if input.readable() {
            self.unwatch(poller);
        }
    }

    /// Sees to it that a source without a bell is watched when all of it that was there is taken, and not after its end.
    pub(super) fn watch(&mut self, poller: &Poller) {
        match &mut self.state {
            State::Reading(input) if input.poll_fd().is_some() => {
                let Some(fd) = self.polled.as_ref().filter(|_| self.starved && !self.watched) else { return };
                self.watched = poller.watch(fd, Ready::Input).is_ok();
                if !self.watched {
                    input.use_thread();
                }
            }
            State::Reading(_) | State::Ended(_) | State::Closed => self.unwatch(poller),
        }
    }

    fn unwatch(&mut self, poller: &Poller) {
        if let (true, Some(fd)) = (std::mem::take(&mut self.watched), &self.polled) {
            poller.forget(fd);
        }
    }

    /// Whether there may be jobs that could be handed in without waiting.
    pub(super) fn has_more(&self) -> bool {
        !self.starved && !matches!(self.state, State::Closed)
    }

    /// Whether there may be jobs in the list that were never looked at.
    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// The core does not want the rest.
    pub(super) fn close(&mut self) {
        self.cut_short |= !matches!(self.state, State::Closed);
        self.state = State::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Invocation, parse};
    use crate::edge::wake::tests::wait_for;
    use std::io::Write;

    #[test]
    fn a_huge_line_is_taken_in_a_mebibyte_a_turn() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let line = format!("{{\"method\":\"f\",\"params\":[\"{}\"]}}\n", "x".repeat(3 * BYTES_PER_TURN));
        file.write_all(line.as_bytes()).unwrap();
        let words = ["supervisor", "spawn", "--worker", "none", "--job-file"].map(Into::into);
        let argv = words.into_iter().chain([file.path().into()]).collect();
        let Ok(Invocation::Spawn(config)) = parse(argv) else { panic!("a run") };
        let wake = Wake::new().unwrap();
        let mut feed = Feed::open(&config.input, wake.clone()).unwrap();
        let mut pool = Pool::new(config.pool);
        let mut turns = Vec::new();
        while pool.stats().accepted == 0 {
            turns.push(feed.pump(&mut pool, Now::default()));
            if feed.starved {
                wait_for(&wake);
            }
        }
        assert_eq!(turns.iter().sum::<usize>(), line.len());
        // The last chunk of a turn may go beyond.
        assert!(turns.iter().all(|&taken| taken < BYTES_PER_TURN + (64 << 10)), "{turns:?}");
    }
}
