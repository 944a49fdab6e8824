//! The one place where clocks are read, and where active time is made of them.

use crate::time::{Now, Time, Wall};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wake-up later than this was not the scheduler's doing: the whole machine, our cgroup or we ourselves stood still.
const LATE: Duration = Duration::from_millis(250);

/// Active time: the monotonic clock without the spans in which the run was suspended.
#[derive(Debug)]
pub(super) struct Clock {
    begin: Instant,
    suspended: Duration,
}

impl Clock {
    /// Time begins now.
    pub(super) fn start() -> Self {
        Clock { begin: monotonic(), suspended: Duration::ZERO }
    }

    /// Both clocks at this moment.
    pub(super) fn now(&self) -> Now {
        Now { time: self.at(monotonic()), wall: wall() }
    }

    /// Leaves out the span from `since` (as this clock told it) to now: we were stopped.
    pub(super) fn skip_since(&mut self, since: Time) {
        self.suspended += self.at(monotonic()).since(since);
    }

    /// We slept from `since` and were to be woken at `until`. When that was missed by far, everything stood still for a
    /// while, our workers too: twice what is known to be lost is left out, since the standstill may have begun before.
    pub(super) fn forgive_standstill(&mut self, since: Time, until: Time) {
        let now = self.at(monotonic());
        let late = now.since(until);
        if late > LATE {
            self.suspended += (late * 2).min(now.since(since));
        }
    }

    fn at(&self, instant: Instant) -> Time {
        Time::ZERO.after(instant.saturating_duration_since(self.begin).saturating_sub(self.suspended))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn wall() -> Wall {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
