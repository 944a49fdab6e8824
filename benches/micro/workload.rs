//! What can be timed and counted: some work on many items, in rounds of equal size. Two counts of different numbers of
//! rounds differ by what the items cost; what is done once is in neither.

use std::fmt;

/// Items of one round.
pub(crate) const ITEMS: u64 = 1000;

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Makes what a round needs; the function that it gives does one round.
    pub(crate) start: fn() -> Box<dyn FnMut()>,
}

impl fmt::Display for Workload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// The items of a round as lines, made by `line` from the item's number.
pub(crate) fn lines(line: impl Fn(u64) -> String) -> Vec<u8> {
    (1..=ITEMS).map(|number| line(number) + "\n").collect::<String>().into_bytes()
}
