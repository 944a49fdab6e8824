//! What is looked at from outside while jobs run: how much memory workers take (`--memory-max`), how much the machine has
//! (`--memory-free`), and whether workers can run at all (`--heartbeat`).

use super::deadline::{Deadlines, Timer};
use super::stop::Stop;
use super::{Action, Notice, Pool};
use crate::config::PoolConfig;
use crate::ids::WorkerId;
use crate::job::units;
use crate::time::Time;
use std::time::Duration;

/// How often memory is looked at: a worker that takes a gigabyte a second is found 100 MB over the limit.
const LOOK_SPAN: Duration = Duration::from_millis(100);

/// Looking more often than this would cost more than it finds.
const LOOK_SPAN_MIN: Duration = Duration::from_millis(10);

/// How much memory the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Nobody has looked yet.
    Unknown,
    Enough,
    /// Jobs wait for more; the user was told.
    Short,
}

/// Something runs: the next look, if the run wants any.
pub(super) fn plan_look(config: &PoolConfig, deadlines: &mut Deadlines, look_at: &mut Option<Time>, now: Time) {
    let memory = config.memory_max.or(config.memory_free).map(|_| LOOK_SPAN);
    // Often enough that a stop is noticed within a quarter of the time that it may last.
    let pulse = config.heartbeat.map(|heartbeat| (heartbeat / 4).max(LOOK_SPAN_MIN));
    let span = match (memory, pulse) {
        (Some(memory), Some(pulse)) => memory.min(pulse),
        (Some(span), None) | (None, Some(span)) => span,
        (None, None) => return,
    };
    if look_at.is_none() {
        deadlines.set(look_at, now.after(span), Timer::Look);
    }
}

impl Pool {
    /// Whether jobs have to wait because the machine has too little memory. The first of them asks.
    pub(super) fn lacks_memory(&mut self) -> bool {
        if self.config.memory_free.is_none() || self.queue.len() == 0 {
            return false;
        }
        if self.memory != Memory::Enough && self.look_at.is_none() {
            let wait = if self.memory == Memory::Unknown { Duration::ZERO } else { LOOK_SPAN };
            self.deadlines.set(&mut self.look_at, self.now.time.after(wait), Timer::Look);
        }
        self.memory != Memory::Enough
    }

    /// The time for a look has come.
    pub(super) fn look(&mut self) {
        if self.config.memory_free.is_some() {
            self.actions.push_back(Action::LookAround);
        }
        let exact_above = self.config.memory_max.unwrap_or(u64::MAX);
        if self.config.memory_max.is_some() || self.config.heartbeat.is_some() {
            let busy = self.workers.iter().filter(|worker| worker.flights.begun() > 0 && worker.state.has_process());
            let looks =
                busy.map(|worker| Action::Look { worker: worker.id, generation: worker.generation, exact_above });
            self.actions.extend(looks);
        }
        if self.stats.running > 0 || self.memory != Memory::Enough && self.stop == Stop::Running && self.queue.len() > 0
        {
            plan_look(&self.config, &mut self.deadlines, &mut self.look_at, self.now.time);
        } else {
            self.memory = Memory::Unknown;
        }
    }

    pub(super) fn memory_available(&mut self, bytes: u64) {
        let Some(wanted) = self.config.memory_free else { return };
        if bytes >= wanted {
            self.memory = Memory::Enough;
        } else if self.memory != Memory::Short {
            self.memory = Memory::Short;
            let (has, wanted) = (units::size_text(bytes), units::size_text(wanted));
            let message =
                format!("no job is begun while the machine has {has} of memory to give: --memory-free {wanted}");
            self.notice(Notice::Warning { message });
        }
    }

    /// A worker was looked at while jobs ran in it.
    pub(super) fn looked(&mut self, id: WorkerId, memory: u64, stopped: bool) {
        let now = self.now.time;
        let worker = &mut self.workers[id.index()];
        if worker.flights.begun() == 0 || !worker.state.has_process() || worker.excess.is_some() {
            return;
        }
        if let Some(most) = self.config.memory_max.filter(|&most| memory > most) {
            let (took, most) = (units::size_text(memory), units::size_text(most));
            worker.excess = Some(memory);
            // Where the kernel keeps the limit, nobody gets above it.
            let took = if took == most { "all it may and wanted" } else { &format!("{took},") };
            worker.blame =
                Some(format!("worker {} and what it started took {took} more than --memory-max {most}", id.0));
            self.kill(id);
            return;
        }
        let Some(limit) = self.config.heartbeat.filter(|_| stopped) else {
            worker.stopped_since = None;
            return;
        };
        let since = *worker.stopped_since.get_or_insert(now);
        if now.since(since) >= limit {
            worker.blame.get_or_insert_with(|| {
                format!("worker {} was stopped from outside (SIGSTOP) for longer than --heartbeat allows", id.0)
            });
            self.kill(id);
        }
    }

    /// A worker is about to be found dead, by a signal that the kernel sends when there is no memory.
    pub(super) fn kernel_was_short(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        if !worker.state.is_ending() {
            worker.blame.get_or_insert_with(|| {
                format!("worker {} was killed by SIGKILL when the kernel was out of memory (its OOM killer)", id.0)
            });
        }
    }
}
