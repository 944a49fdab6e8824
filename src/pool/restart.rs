//! Restart intensity: how many workers may die without having done any work before the run gives up (as in Erlang/OTP).

use crate::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Delay before a slot is filled again after its process failed to do anything: doubles with each failure in a row.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// So many deaths by a SIGKILL that was not ours count as one: no program sends it to itself, somebody else did (the
/// kernel when memory is short, a person, a test). They are not the program's fault, but must have an end too.
const KILLS_PER_DEATH: u32 = 20;

/// How long a shortage (no process, memory or descriptor to be had while nothing runs) may last before the run gives
/// up. While something runs, a shortage is waited out without limit.
const SHORTAGE_MAX: Duration = Duration::from_secs(10);

/// How long a slot stays empty whose worker found no room to start commands while others had work: longer than a worker tries
/// by itself (10 s), so that of several to which this happens one is alone at last.
const WANTING_REST: Duration = Duration::from_secs(12);

/// Deaths of workers that never did any work.
#[derive(Debug)]
pub(super) struct Restarts {
    max: u32,
    window: Duration,
    recent: VecDeque<Time>,
    in_a_row: u32,
    kills: u32,
    shortage_since: Option<Time>,
    shortages_in_a_row: u32,
}

impl Restarts {
    pub(super) fn new(max: u32, window: Duration) -> Self {
        Restarts {
            max,
            window,
            recent: VecDeque::new(),
            in_a_row: 0,
            kills: 0,
            shortage_since: None,
            shortages_in_a_row: 0,
        }
    }

    /// A worker did some work: the machine and the program are not at fault.
    pub(super) fn worked(&mut self) {
        self.in_a_row = 0;
        self.started();
    }

    /// A process could be started: the machine is not short of anything.
    pub(super) fn started(&mut self) {
        self.shortage_since = None;
        self.shortages_in_a_row = 0;
    }

    /// Somebody else killed a worker before it did any work.
    pub(super) fn killed_idle(&mut self, now: Time) -> Result<Duration, ()> {
        self.kills += 1;
        if self.kills % KILLS_PER_DEATH == 0 { self.died_idle(now) } else { Ok(BACKOFF_FIRST) }
    }

    /// A worker died before it did any work. `Err` when that was once too often: either within the window, or in a row
    /// however long each took; otherwise the delay before the slot is filled again.
    pub(super) fn died_idle(&mut self, now: Time) -> Result<Duration, ()> {
        while self.recent.front().is_some_and(|&then| now.since(then) > self.window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.in_a_row += 1;
        if self.recent.len() > self.max as usize || self.in_a_row > self.max {
            return Err(());
        }
        Ok(backoff(self.in_a_row))
    }

    /// A process could not be started for want of something. `Err` when that has lasted too long and nothing else runs
    /// that could free it.
    pub(super) fn short(&mut self, now: Time, something_runs: bool) -> Result<Duration, ()> {
        let since = *self.shortage_since.get_or_insert(now);
        if something_runs {
            self.shortage_since = None;
        } else if now.since(since) >= SHORTAGE_MAX {
            return Err(());
        }
        self.shortages_in_a_row += 1;
        Ok(backoff(self.shortages_in_a_row))
    }
}

/// After a worker that could not start a command for want of processes or descriptors, for as long as it tries. `Err` when
/// nothing else runs that could free any.
pub(super) fn wanting(others_run: bool) -> Result<Duration, ()> {
    if others_run { Ok(WANTING_REST) } else { Err(()) }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn too_many_within_the_window() {
        let mut restarts = Restarts::new(2, Duration::from_secs(10));
        assert!(restarts.died_idle(at(0)).is_ok());
        restarts.worked();
        assert!(restarts.died_idle(at(1)).is_ok());
        restarts.worked();
        assert!(restarts.died_idle(at(12)).is_ok(), "the first two are out of the window");
        restarts.worked();
        assert!(restarts.died_idle(at(13)).is_ok());
        restarts.worked();
        assert!(restarts.died_idle(at(14)).is_err());
    }

    #[test]
    fn too_many_in_a_row_however_slowly() {
        let mut restarts = Restarts::new(2, Duration::from_secs(10));
        assert!(restarts.died_idle(at(0)).is_ok());
        assert!(restarts.died_idle(at(100)).is_ok());
        assert!(restarts.died_idle(at(200)).is_err());
    }

    #[test]
    fn kills_from_outside_count_little_but_have_an_end() {
        let mut restarts = Restarts::new(2, Duration::from_secs(10));
        let survived = (0..1000).take_while(|_| restarts.killed_idle(at(0)).is_ok()).count();
        assert_eq!(survived, 3 * KILLS_PER_DEATH as usize - 1);
    }

    #[test]
    fn a_shortage_is_waited_out_while_something_runs() {
        let mut restarts = Restarts::new(2, Duration::from_secs(10));
        for second in 0..100 {
            assert!(restarts.short(at(second), true).is_ok());
        }
        assert!(restarts.short(at(100), false).is_ok());
        assert!(restarts.short(at(109), false).is_ok());
        assert!(restarts.short(at(110), false).is_err());
    }
}
