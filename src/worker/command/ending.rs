//! How commands end: by themselves, cancelled, or with the worker; and what they left behind ends with them.
//!
//! A command is answered when it has ended and nothing of it is left. What is left has a short grace, is then named and
//! killed, and looked at again until it is gone.

use super::answer::{self, Leaked};
use super::complain;
use super::job::{Job, Phase, exit_status};
use super::leftover::{self, left_by, may_be_left};
use super::signals::{Reap, reap};
use super::watch::now;
use super::work::Worker;
use crate::process::{freeze_tree, kernel_kills, sweep, terminate_tree, thaw_tree};
use crate::status::ExitStatus;
use std::time::{Duration, Instant};

/// After a kill, what may have been born in the meantime is looked for this much later.
const SWEEP_AGAIN: Duration = Duration::from_millis(10);
/// Processes that do not die of SIGKILL for this long are stuck inside the system; nobody can wait for them.
const SWEEP_MAX: Duration = Duration::from_secs(2);
/// What those die of whom the kernel takes when there is no memory. That a shell says so of its command (exit code 137) is
/// not enough: the kernel's count is of the whole machine.
const KERNELS_SIGNAL: ExitStatus = ExitStatus::Signal(libc::SIGKILL);
/// With more commands than this at a time, the list of our children is not read whenever one of them ends, unless its
/// group or pipes show that something is left. What escaped both is found when the last command ends, if it is
/// to end at all.
const SCANNED_MAX: usize = 64;

/// What the system says about our children once all that ended have been reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    /// There are some.
    Some,
    /// There are none: nothing of any command is left, and nobody else holds its pipes.
    None,
}

impl Worker {
    /// Reaps what has ended, and goes on with the commands that this concerns.
    pub(super) fn reap_all(&mut self) {
        // Asked once for all that have ended together.
        let mut short = None;
        let children = loop {
            match reap() {
                Reap::One(reaped) => {
                    // Anything else was adopted: its end is only news for the command that left it behind.
                    let Some(slot) = self.by_pid.remove(&reaped.pid) else {
                        self.kept.remove(&reaped.pid);
                        continue;
                    };
                    let kernel_was_short = exit_status(reaped.status) == KERNELS_SIGNAL
                        && *short.get_or_insert_with(|| self.kernel_was_short());
                    if let Some(job) = &mut self.slots[slot].job {
                        job.kernel_was_short = kernel_was_short && !job.cancelled;
                        job.ended = Some(reaped);
                        self.ending.insert(slot);
                    }
                }
                Reap::NoneYet => break Children::Some,
                Reap::Childless => break Children::None,
            }
        };
        self.settle_all(children);
        if let Some(shortage) = &mut self.shortage {
            shortage.try_again();
        }
    }

    /// Whether the kernel has killed processes for want of memory since this was asked last, or since the run began.
    fn kernel_was_short(&mut self) -> bool {
        let Some(before) = self.options.kernel_kills else { return false };
        let now = kernel_kills();
        self.options.kernel_kills = Some(now);
        now > before
    }

    /// Reads what a slot's command has written; that may have been all that was missing for its answer.
    pub(super) fn drain(&mut self, slot: usize) {
        let Some(place) = self.slots.get_mut(slot) else { return };
        place.drain(&self.limits, &mut self.buffer);
        if place.is_at_end() && self.ending.contains(&slot) {
            self.settle(slot);
        }
    }

    /// Asks a command and all it started to end. One that has ended by itself is answered as if nobody had asked, and so
    /// are the processes treated that it left behind.
    pub(super) fn stop(&mut self, slot: usize) {
        // Its end may not have been looked at yet: whoever asks is to learn how it was.
        self.reap_all();
        let until = now() + self.options.grace;
        let Some(job) = self.slots[slot].job.as_mut().filter(|job| job.phase == Phase::Running) else { return };
        job.cancelled = true;
        job.phase = Phase::Stopping { until };
        self.ending.insert(slot);
        self.trees_of(slot).into_iter().for_each(terminate_tree);
    }

    /// SIGTERM: the commands are told; how they end is in their answers.
    pub(super) fn terminate_all(&mut self) {
        terminate_tree(std::process::id());
        self.thawed();
    }

    /// SIGTSTP: everything stands still, and so do our deadlines.
    pub(super) fn freeze(&mut self) {
        freeze_tree(std::process::id());
        self.frozen.get_or_insert_with(now);
    }

    /// SIGCONT: everything goes on.
    pub(super) fn thaw(&mut self) {
        if self.frozen.is_some() {
            thaw_tree(std::process::id());
            self.thawed();
        }
    }

    fn thawed(&mut self) {
        let Some(since) = self.frozen.take() else { return };
        let pause = now().saturating_duration_since(since);
        for job in self.slots.iter_mut().filter_map(|slot| slot.job.as_mut()) {
            job.phase = job.phase.moved(pause);
        }
    }

    /// When something is to be done at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.frozen.is_some() {
            return None;
        }
        let phases = self.ending.iter().filter_map(|&slot| self.slots[slot].job.as_ref());
        let jobs = phases.filter_map(|job| job.phase.deadline());
        jobs.chain(self.shortage.as_ref().and_then(|shortage| shortage.again)).min()
    }

    /// Does what is due.
    pub(super) fn meet_deadlines(&mut self) {
        if self.frozen.is_some() || self.next_deadline().is_none_or(|deadline| deadline > now()) {
            return;
        }
        let now = now();
        if let Some(shortage) = self.shortage.as_mut().filter(|shortage| shortage.again.is_some_and(|at| at <= now)) {
            shortage.try_again();
        }
        let due = |phase: Phase| phase.deadline().is_some_and(|deadline| deadline <= now);
        for slot in self.ending.clone() {
            if self.slots[slot].job.as_ref().is_some_and(|job| due(job.phase)) {
                self.kill(slot, now);
            }
        }
    }

    /// The grace is over: kills what there is of a command, and looks again later.
    fn kill(&mut self, slot: usize, now: Instant) {
        let left = self.trees_of(slot);
        let Some(phase) = self.slots[slot].job.as_ref().map(|job| job.phase) else { return };
        if let Phase::Lingering { .. } = phase {
            self.name(slot, &left);
            if self.options.keep_leftovers {
                self.keep(left);
                return self.finish(slot);
            }
        }
        let end = if let Phase::Sweeping { end, .. } = phase { end } else { now + SWEEP_MAX };
        let Some(job) = &mut self.slots[slot].job else { return };
        leftover::kill_group(job.pid, &left);
        leftover::kill_all(&left);
        job.phase = Phase::Sweeping { again: now + SWEEP_AGAIN, end };
        let gone = job.ended.is_some() && left.is_empty();
        if gone {
            // Whoever still holds a pipe is none of ours: another command handed it on, or it left through a socket.
            self.finish(slot);
        } else if job.ended.is_some() && now >= end {
            complain(&format!("{} processes of job {} do not die of SIGKILL", left.len(), job.request.id));
            self.finish(slot);
        }
    }

    /// Writes down what a command has left behind, for its answer. What is to go with the last of several commands, and may
    /// be that of another, is not said to be its own.
    fn name(&mut self, slot: usize, left: &[u32]) {
        let place = &self.slots[slot];
        let Some(job) = &place.job else { return };
        let marks = place.marks(job, self.sole == Some(slot));
        let (own, strays): (Vec<u32>, Vec<u32>) = left.iter().partition(|&&pid| leftover::is_of(pid, &marks));
        if let Some(job) = &mut self.slots[slot].job {
            job.leaked = leftover::named(&own);
        }
        self.tell_of(&strays, "is killed");
    }

    /// Lets live what a command has left, and from now on knows it for what it is. So too what is there when no other
    /// command is left whose it could turn out to be.
    fn keep(&mut self, left: Vec<u32>) {
        self.kept.extend(left.into_iter().map(|pid| pid as i32));
        if self.busy() == 1 {
            self.keep_strays();
        }
    }

    /// Lets live what nobody knows the owner of, and tells that it is there.
    pub(super) fn keep_strays(&mut self) {
        let strays = leftover::strays(|pid| self.is_other(pid));
        self.tell_of(&strays, "lives on");
        self.kept.extend(strays.into_iter().map(|pid| pid as i32));
    }

    /// Tells of processes that no record names.
    fn tell_of(&mut self, strays: &[u32], fate: &str) {
        for Leaked { pid, name } in leftover::named(strays) {
            let message = format!("{name} (pid {pid}) {fate}: a job left it running, and which one cannot be told");
            answer::log(&mut self.outbox.bytes, "warning", &message);
        }
    }

    /// The roots of all there is of a command: itself, and what it left to us.
    fn trees_of(&self, slot: usize) -> Vec<u32> {
        let place = &self.slots[slot];
        let Some(job) = &place.job else { return Vec::new() };
        let mut roots = left_by(&place.marks(job, self.is_alone(slot)), |pid| self.is_other(pid));
        if job.ended.is_none() {
            roots.push(job.pid as u32);
        }
        roots
    }

    /// Whether a child of ours is a command, or was left by one that was allowed to.
    fn is_other(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid) || self.kept.contains(&pid)
    }

    /// Whether all there is belongs to this command, or ends with it since no other is left that it could belong to.
    fn is_alone(&self, slot: usize) -> bool {
        self.sole == Some(slot) || (self.busy() == 1 && !self.options.keep_leftovers)
    }

    fn settle_all(&mut self, children: Children) {
        if children == Children::None {
            while let Some(slot) = self.ending.pop_first() {
                self.drain_whole(slot);
                self.answer(slot);
            }
            return;
        }
        for slot in self.ending.clone() {
            self.settle(slot);
        }
    }

    /// Answers for a command if it has ended and nothing of it is left; otherwise lets the grace begin.
    fn settle(&mut self, slot: usize) {
        let alone = self.is_alone(slot);
        let place = &mut self.slots[slot];
        if place.job.as_ref().is_none_or(|job| job.ended.is_none()) {
            return;
        }
        place.close_write_ends();
        place.drain(&self.limits, &mut self.buffer);
        let place = &self.slots[slot];
        let Some(job) = &place.job else { return };
        if place.is_at_end() && self.nothing_is_left_of(job, alone, slot) {
            self.finish(slot);
            return;
        }
        if job.phase == Phase::Running {
            let until = now() + self.options.leak_grace;
            if let Some(job) = &mut self.slots[slot].job {
                job.phase = Phase::Lingering { until };
            }
        }
    }

    fn nothing_is_left_of(&self, job: &Job, alone: bool, slot: usize) -> bool {
        if !leftover::group_is_gone(job.pid) {
            return false;
        }
        let trusted = !alone && !self.options.keep_leftovers && self.by_pid.len() > SCANNED_MAX;
        trusted || !may_be_left(&self.slots[slot].marks(job, alone), |pid| self.is_other(pid))
    }

    /// Reads to the end what nobody adds to any more.
    fn drain_whole(&mut self, slot: usize) {
        self.slots[slot].drain(&self.limits, &mut self.buffer);
    }

    /// Answers, and throws the pipes away since somebody else may hold them.
    fn finish(&mut self, slot: usize) {
        self.ending.remove(&slot);
        self.drain_whole(slot);
        self.slots[slot].close_pipes();
        self.answer(slot);
    }

    fn answer(&mut self, slot: usize) {
        let Some((job, files)) = self.slots[slot].finish(&mut self.outbox.bytes) else { return };
        self.free.push(slot);
        if !files.is_empty() {
            self.spilled.insert(job.request.id, files);
        }
    }

    /// Kills everything below this process until nothing is left, or nothing more can be done.
    pub(super) fn sweep_all(&mut self) {
        sweep(&|_| false);
    }
}
