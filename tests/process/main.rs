//! Real processes: what the guard, the sweep, the reaper and `Process` promise.
//!
//! All tests here share one parent, this test program, and look at all its children: they run one at a time.

#![expect(clippy::disallowed_methods, reason = "tests read the clock for deadlines and start programs of their own")]

mod cgroup;
mod contain;
mod guard;
mod handle;
mod harness;
