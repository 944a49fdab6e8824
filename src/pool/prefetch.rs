//! How many jobs are put into a worker's pipe ahead of time: enough that it never waits for us, few enough that no job
//! waits long behind another.

use std::time::Duration;

/// How much expected work may wait in a worker's pipe. It covers the way there and back and the times in which a busy
/// machine runs somebody else, and is what a job can lose at most by standing in the wrong line.
const AHEAD: Duration = Duration::from_millis(4);

/// From this mean on no job is sent ahead: it would gain nothing that could be measured.
const LONG: Duration = Duration::from_millis(1);

/// Most jobs sent ahead, however short they are: of the shortest a tenth of a millisecond, which is as long as waking somebody
/// takes, and as many as a pipe holds. More are no faster.
pub(super) const DEPTH_MAX: usize = 1024;

/// Up to this mean one job is sent ahead to a worker that gives it back while another one runs: there the wrong line costs
/// no more than [`Prefetch::patience`], while the way there and back is some percent of jobs this short.
const ONE_AHEAD: Duration = Duration::from_millis(5);

/// Each look at a worker counts for one part in so many: a moment in which the machine ran somebody else is no pace.
const MEMORY: u64 = 16;

/// Parts of a job that are counted, so that little is lost by rounding.
const PARTS: u64 = 1024;

/// How long a worker needs for a job, of late, and the depth that follows from it.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefetch {
    /// Nanoseconds, older ones counted for less.
    span: u64,
    /// Parts of the jobs answered in them.
    parts: u64,
    /// Mean nanoseconds a job; `None` before the first.
    mean: Option<u64>,
    /// Jobs to send ahead, to a worker that does not give back, and to one that does. Asked for with each job.
    depth: [usize; 2],
}

impl Prefetch {
    /// `jobs` were answered in `span`.
    pub(super) fn observe(&mut self, jobs: u64, span: Duration) {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX / 2);
        let parts = jobs.saturating_mul(PARTS);
        // One long job is enough to become careful.
        let is_long = span / jobs.max(1) >= LONG.as_nanos() as u64;
        let kept = |sum: u64| if is_long { 0 } else { sum - sum / MEMORY };
        self.span = kept(self.span).saturating_add(span);
        self.parts = kept(self.parts).saturating_add(parts);
        let mean = || (u128::from(self.span) * u128::from(PARTS) / u128::from(self.parts)) as u64;
        self.mean = (self.parts > 0).then(mean);
        self.depth = [false, true].map(|gives_back| self.depth_now(gives_back));
    }

    /// Jobs to send ahead of those that run. `gives_back`: the worker hears a recall at any moment.
    pub(super) fn depth(&self, gives_back: bool) -> usize {
        self.depth[usize::from(gives_back)]
    }

    fn depth_now(&self, gives_back: bool) -> usize {
        let Some(mean) = self.mean else { return 0 };
        if mean >= LONG.as_nanos() as u64 {
            return usize::from(gives_back && mean <= ONE_AHEAD.as_nanos() as u64);
        }
        let ahead = AHEAD.as_nanos() as u64;
        usize::try_from(ahead / mean.max(1)).unwrap_or(DEPTH_MAX).min(DEPTH_MAX)
    }

    /// After how long a running job is so much longer than usual that its followers should not wait for it.
    pub(super) fn patience(&self) -> Duration {
        (LONG * 2).max(Duration::from_nanos(self.mean.unwrap_or(0).saturating_mul(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_for_short_jobs_and_none_for_long_ones() {
        let mut prefetch = Prefetch::default();
        assert_eq!(prefetch.depth(false), 0, "nothing is known yet");
        prefetch.observe(1, Duration::from_micros(1));
        assert_eq!(prefetch.depth(false), DEPTH_MAX);
        prefetch.observe(1000, Duration::from_micros(100));
        assert!(prefetch.depth(false) <= DEPTH_MAX);
        prefetch.observe(1, Duration::from_secs(1));
        assert_eq!(prefetch.depth(false), 0, "one long job is enough to become careful");
        for _ in 0..200 {
            prefetch.observe(1, Duration::from_micros(100));
        }
        assert!((39..=40).contains(&prefetch.depth(false)), "{}", prefetch.depth(false));
    }

    #[test]
    fn one_is_sent_ahead_to_those_that_give_it_back() {
        let mut prefetch = Prefetch::default();
        assert_eq!(prefetch.depth(true), 0, "nothing is known yet");
        prefetch.observe(1, Duration::from_millis(3));
        assert_eq!((prefetch.depth(true), prefetch.depth(false)), (1, 0));
        prefetch.observe(1, Duration::from_millis(30));
        assert_eq!(prefetch.depth(true), 0);
    }
}
