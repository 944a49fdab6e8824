//! How long to look for what comes next before sleeping: for supervisor, and for workers in Rust. (`LOOK` in
//! `shims/python` is the same for Python.) Decides that from what waits have taken; looks at nothing itself.
//!
//! To be woken takes longer than a short call does, and so does waking us for whoever answers: where answers come one by
//! one and at once, a look that does not sleep halves what a call takes. It costs a core's time, so it is for those
//! moments only in which each answer is waited for and a core is to spare, and it ends with the first wait that is long.

use std::cell::OnceCell;
use std::time::Duration;

/// How long a look takes at most, and how long a wait may have been for the next to begin with one: some times of what
/// waking takes.
const LOOK: Duration = Duration::from_micros(200);

/// From here on, what one turn moves is no small answer.
const FLOW_BYTES: usize = 16 << 10;

/// What is known of the waits so far.
#[derive(Debug, Default)]
pub struct Lookout {
    /// The last wait was short.
    comes_soon: bool,
    cores: OnceCell<u64>,
}

impl Lookout {
    /// How long to look before sleeping, while so many jobs run.
    pub fn span(&self, running: u64) -> Duration {
        let has_core_to_spare = || running < *self.cores.get_or_init(cores);
        if self.comes_soon && has_core_to_spare() { LOOK } else { Duration::ZERO }
    }

    /// So long it took until something came.
    pub fn waited(&mut self, span: Duration) {
        self.comes_soon = span <= LOOK;
    }

    /// So much came, or went. More than answers have is data that flows: whoever it flows from or to needs the cores.
    pub fn moved(&mut self, bytes: usize) {
        self.comes_soon &= bytes < FLOW_BYTES;
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cores(cores: u64) -> Lookout {
        Lookout { comes_soon: false, cores: OnceCell::from(cores) }
    }

    #[test]
    fn only_after_a_short_wait_is_the_next_one_looked_through() {
        let mut lookout = with_cores(2);
        assert_eq!(lookout.span(0), Duration::ZERO);
        lookout.waited(Duration::from_micros(20));
        assert_eq!(lookout.span(0), LOOK);
        assert_eq!(lookout.span(1), LOOK);
        lookout.waited(LOOK + Duration::from_nanos(1));
        assert_eq!(lookout.span(0), Duration::ZERO);
    }

    #[test]
    fn where_data_flows_nobody_looks() {
        let mut lookout = with_cores(2);
        lookout.waited(Duration::ZERO);
        lookout.moved(FLOW_BYTES - 1);
        assert_eq!(lookout.span(0), LOOK);
        lookout.moved(FLOW_BYTES);
        assert_eq!(lookout.span(0), Duration::ZERO);
    }

    #[test]
    fn no_core_is_taken_from_jobs() {
        let mut lookout = with_cores(2);
        lookout.waited(Duration::ZERO);
        assert_eq!(lookout.span(2), Duration::ZERO);
        let mut single = with_cores(1);
        single.waited(Duration::ZERO);
        assert_eq!(single.span(1), Duration::ZERO);
    }
}
