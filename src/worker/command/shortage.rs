//! What to do while the machine is short of processes, memory or descriptors. Pure.
//!
//! Shortage is back-pressure: as long as commands of ours run, the next try comes when one of them ends; when none
//! runs, tries come at growing intervals, and at last the command is failed, since somebody else has taken everything.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// First pause when no command of ours is going to free anything; doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// So long it is tried; then the command is failed.
const TOTAL_MAX: Duration = Duration::from_secs(10);

/// A shortage that has been met and not overcome.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    /// Nothing is to be tried now.
    pub(super) pauses: bool,
    /// When to try again; otherwise when a command ends.
    pub(super) again: Option<Instant>,
    /// Since when nothing of ours could have freed anything.
    alone_since: Option<Instant>,
    pause: Duration,
}

impl Shortage {
    /// A try failed. Breaks with the time for which it was tried when there is no point in going on.
    pub(super) fn fell(&mut self, now: Instant, others_run: bool) -> ControlFlow<Duration> {
        self.pauses = true;
        if others_run {
            (self.again, self.alone_since, self.pause) = (None, None, Duration::ZERO);
            return ControlFlow::Continue(());
        }
        let waited = now.saturating_duration_since(*self.alone_since.get_or_insert(now));
        if waited >= TOTAL_MAX {
            return ControlFlow::Break(waited);
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.again = Some(now + self.pause);
        ControlFlow::Continue(())
    }

    /// A command has ended, or the pause is over: the next try may come.
    pub(super) fn try_again(&mut self) {
        (self.pauses, self.again) = (false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_others_first_and_not_for_ever_afterwards() {
        let start = super::super::watch::now();
        let mut shortage = Shortage::default();
        assert!(shortage.fell(start, true).is_continue());
        assert!(shortage.pauses && shortage.again.is_none());
        shortage.try_again();
        assert!(!shortage.pauses);
        let (mut now, mut pauses) = (start, Vec::new());
        while shortage.fell(now, false).is_continue() {
            let again = shortage.again.unwrap();
            pauses.push((again - now).as_millis());
            now = again;
        }
        assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 640, 1000]);
        assert!(now - start >= TOTAL_MAX && now - start < TOTAL_MAX + PAUSE_MAX);
    }
}
