//! The exit code of a run: documented numbers, ordered by which one wins.

use crate::status::SignalName;

/// How a run ends. Where several hold, the greatest wins, so that codes are merged with `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// 0: every job ended `ok`.
    Success,
    /// 1: at least one job did not end `ok`.
    JobsFailed,
    /// 4: the list held no job, under `--no-jobs fail`.
    NoJobs,
    /// 3: part of the job list could not be read as jobs.
    BadInput,
    /// 5: workers could not be started, or kept dying before doing any work.
    NoWorkers,
    /// 6: results could not be written.
    OutputLost,
    /// 128 + N: stopped by signal N; the process ends by that signal.
    Signal(i32),
    /// 2: usage; nothing ran.
    Usage,
    /// 70: a defect in supervisor itself.
    Defect,
}

impl ExitCode {
    /// The number a shell sees in `$?`.
    pub fn number(self) -> i32 {
        match self {
            ExitCode::Success => 0,
            ExitCode::JobsFailed => 1,
            ExitCode::Usage => 2,
            ExitCode::BadInput => 3,
            ExitCode::NoJobs => 4,
            ExitCode::NoWorkers => 5,
            ExitCode::OutputLost => 6,
            ExitCode::Signal(number) => 128 + number,
            ExitCode::Defect => 70,
        }
    }

    /// The code in words, for the closing summary.
    pub fn reason(self) -> String {
        match self {
            ExitCode::Success => "every job ended ok".into(),
            ExitCode::JobsFailed => "at least one job did not end ok".into(),
            ExitCode::Usage => "bad usage".into(),
            ExitCode::BadInput => "part of the job list could not be read as jobs".into(),
            ExitCode::NoJobs => "the list held no job".into(),
            ExitCode::NoWorkers => "workers could not be started, or kept dying before doing any work".into(),
            ExitCode::OutputLost => "results could not be written".into(),
            ExitCode::Signal(number) => format!("stopped by {}", SignalName(number)),
            ExitCode::Defect => "a defect in supervisor".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_70_signal_6_5_3_1_wins() {
        let order = [
            ExitCode::Defect,
            ExitCode::Signal(2),
            ExitCode::OutputLost,
            ExitCode::NoWorkers,
            ExitCode::BadInput,
            ExitCode::JobsFailed,
            ExitCode::Success,
        ];
        for pair in order.windows(2) {
            assert!(pair[0] > pair[1], "{pair:?}");
            assert_eq!(pair[0].max(pair[1]), pair[0]);
        }
    }
}
