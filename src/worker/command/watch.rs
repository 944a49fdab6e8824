//! What the worker waits for, and its only clock.

use super::channel::Outbox;
use super::signals::Signals;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::time::{Duration, Instant};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Requests can be read.
    Input,
    /// Nobody holds the other end of the input any more; there may still be requests in it.
    InputHungUp,
    /// Answers can be written.
    Output,
    /// Signals can be read.
    Signals,
    /// The streams of this slot can be read.
    Slot(usize),
}

const INPUT: u64 = 0;
const OUTPUT: u64 = 1;
const SIGNALS: u64 = 2;
const FIRST_SLOT: u64 = 3;
/// Events taken at a time.
const EVENTS_MAX: usize = 32;

/// The token of a slot's streams.
pub(super) fn slot_token(slot: usize) -> u64 {
    FIRST_SLOT + slot as u64
}

/// The moment it is. Read only where there is a deadline.
pub(super) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the worker's one clock; it is a process of its own and has no core")]
    Instant::now()
}

/// Everything that is waited for.
pub(super) struct Watch {
    pub(super) epoll: Epoll,
    /// How the input is watched; none when it cannot be polled (a file), and is always readable.
    input: Option<Interest>,
    output_watched: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    /// Requests and the end.
    All,
    /// The end alone.
    HangUp,
    /// Nothing.
    None,
}

impl Watch {
    /// Watches signals and input.
    pub(super) fn open(signals: &Signals) -> nix::Result<Watch> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
        let input = match epoll.add(io::stdin(), EpollEvent::new(EpollFlags::EPOLLIN, INPUT)) {
            Ok(()) => Some(Interest::All),
            Err(Errno::EPERM) => None,
            Err(errno) => return Err(errno),
        };
        Ok(Watch { epoll, input, output_watched: false })
    }

    /// Whether input is always readable, since it is a file.
    pub(super) fn input_is_file(&self) -> bool {
        self.input.is_none()
    }

    /// Watches the input for requests, or for its end alone; a hang-up that nobody waits for would be reported for ever.
    pub(super) fn want_input(&mut self, requests: bool, hang_up: bool) {
        let wanted = match (requests, hang_up) {
            (true, _) => Interest::All,
            (false, true) => Interest::HangUp,
            (false, false) => Interest::None,
        };
        let Some(current) = self.input.replace(wanted) else {
            self.input = None;
            return;
        };
        let flags = if requests { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        let mut event = EpollEvent::new(flags, INPUT);
        let done = match (current, wanted) {
            _ if current == wanted => Ok(()),
            (_, Interest::None) => self.epoll.delete(io::stdin()),
            (Interest::None, _) => self.epoll.add(io::stdin(), event),
            _ => self.epoll.modify(io::stdin(), &mut event),
        };
        debug_assert_eq!(done, Ok(()));
    }

    /// Watches the output for room.
    pub(super) fn want_output(&mut self, outbox: &Outbox, wanted: bool) {
        let Some(fd) = outbox.watched() else { return };
        if self.output_watched != wanted {
            let event = EpollEvent::new(EpollFlags::EPOLLOUT, OUTPUT);
            let _ = if wanted { self.epoll.add(fd, event) } else { self.epoll.delete(fd) };
            self.output_watched = wanted;
        }
    }

    /// Waits until something happens or the deadline has come.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Happened {
        let mut happened = Happened { events: [EpollEvent::empty(); EVENTS_MAX], count: 0, next: 0 };
        let timeout = deadline.map_or(EpollTimeout::NONE, |deadline| {
            // Rounded up, so that the deadline has come when the wait is over.
            let left = deadline.saturating_duration_since(now()) + Duration::from_micros(999);
            EpollTimeout::try_from(left.as_millis().min(3_600_000) as u32).unwrap_or(EpollTimeout::ZERO)
        });
        happened.count = self.epoll.wait(&mut happened.events, timeout).unwrap_or(0);
        happened
    }
}

/// What one wait brought.
pub(super) struct Happened {
    events: [EpollEvent; EVENTS_MAX],
    count: usize,
    next: usize,
}

impl Iterator for Happened {
    type Item = Source;

    fn next(&mut self) -> Option<Source> {
        let event = self.events[..self.count].get(self.next)?;
        self.next += 1;
        Some(match event.data() {
            INPUT if event.events().contains(EpollFlags::EPOLLHUP) => Source::InputHungUp,
            INPUT => Source::Input,
            OUTPUT => Source::Output,
            SIGNALS => Source::Signals,
            token => Source::Slot((token - FIRST_SLOT) as usize),
        })
    }
}
