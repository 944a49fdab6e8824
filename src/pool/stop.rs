//! Why a run is being stopped. Reasons only rise: a lesser one never takes back a greater one.

use crate::config::{Failures, Halt};

/// Why a run is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// It is not.
    Running,
    /// Enough jobs failed; those that run may finish.
    HaltSoon,
    /// Enough jobs failed; those that run are stopped.
    HaltNow,
    /// Workers cannot be started or keep dying.
    GivenUp,
    /// Records can no longer be written.
    OutputLost,
    /// A signal asked for it.
    Signal(i32),
    /// A second signal asked for it at once.
    SignalTwice(i32),
}

impl Stop {
    /// Whether jobs that run are stopped too.
    pub(super) fn stops_running(self) -> bool {
        self >= Stop::HaltNow
    }

    /// Whether the rest of the list is still read so that each of its jobs gets a record.
    pub(super) fn reads_on(self) -> bool {
        matches!(self, Stop::Running | Stop::HaltSoon | Stop::HaltNow | Stop::GivenUp)
    }

    /// Why a job that was never begun is skipped, or one that ran was cancelled.
    pub(super) fn cause(self) -> String {
        match self {
            Stop::Running => "the run was not stopped".into(),
            Stop::HaltSoon | Stop::HaltNow => "stopped because other jobs failed (--halt)".into(),
            Stop::GivenUp => "no worker could be kept running".into(),
            Stop::OutputLost => "records could no longer be written".into(),
            Stop::Signal(signal) | Stop::SignalTwice(signal) => {
                format!("stopped by {}", crate::status::SignalName(signal))
            }
        }
    }
}

/// Shares are judged from this many ended jobs on (GNU parallel's rule), so that a first failure is not 100 %.
const PERCENT_JOBS_MIN: u64 = 3;

/// What the failures so far call for.
pub(super) fn after_failures(halt: Halt, failed: u64, ended: u64) -> Stop {
    let enough = |failures| match failures {
        Failures::Count(count) => failed >= count,
        Failures::Percent(share) => ended >= PERCENT_JOBS_MIN && failed * 100 >= ended * u64::from(share),
    };
    match halt {
        Halt::Soon(failures) if failed > 0 && enough(failures) => Stop::HaltSoon,
        Halt::Now(failures) if failed > 0 && enough(failures) => Stop::HaltNow,
        _ => Stop::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_rise() {
        assert!(Stop::Running < Stop::HaltSoon && Stop::HaltSoon < Stop::HaltNow);
        assert!(Stop::OutputLost < Stop::Signal(1) && Stop::Signal(64) < Stop::SignalTwice(1));
    }

    #[test]
    fn counts_and_shares() {
        let count = Halt::Now(Failures::Count(2));
        assert_eq!(after_failures(count, 1, 100), Stop::Running);
        assert_eq!(after_failures(count, 2, 2), Stop::HaltNow);
        let share = Halt::Soon(Failures::Percent(50));
        assert_eq!(after_failures(share, 1, 1), Stop::Running, "too few to judge");
        assert_eq!(after_failures(share, 1, 3), Stop::Running);
        assert_eq!(after_failures(share, 2, 4), Stop::HaltSoon);
        assert_eq!(after_failures(Halt::Never, 9, 9), Stop::Running);
    }
}
