//! What leaves the reactor: the output of each turn, and the end of a run, when nothing is owed any more but bytes that
//! wait to be written. Owns the waits of the end and their limits.

use super::Reactor;
use super::joblog::JobLog;
use super::keeper::Keeper;
use super::poller::Ready;
use crate::edge::{self, fault_text};
use crate::exit::ExitCode;
use crate::pool::Event;
use crate::process;
use crate::report::Ending;
use crate::report::stderr::say;
use crate::time::{Now, Time};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::time::Duration;

/// How long messages may take to be written when nobody reads standard error.
const STDERR_SPAN: Duration = Duration::from_secs(1);

/// How long results may take to be written once a signal has asked for the end.
const RESULTS_SPAN: Duration = Duration::from_secs(1);

impl Reactor {
    /// Hands over what the turn has brought: rows first, and what is shown of them behind them.
    pub(super) fn flush(&mut self) {
        if let Some(keeper) = &mut self.hands.keeper {
            if let Some(rows) = self.hands.hub.rows() {
                self.stdout.set_group(rows.take(|rows| keeper.hand_over(rows)));
            }
            self.stdout.open_to(keeper.settle());
        }
        if let (Some(output), Some(lines)) = (&mut self.joblog, self.hands.hub.joblog()) {
            lines.take(|lines| output.push(lines));
        }
        self.hands.hub.flush(&mut self.stdout, &mut self.stderr);
    }

    /// Why results cannot be written any more, if so.
    fn lost_output(&self) -> Option<String> {
        let standard = self.stdout.output.error().map(|error| format!("standard output: {}", fault_text(&error)));
        standard.or_else(|| self.hands.keeper.as_ref()?.error()).or_else(|| self.joblog.as_ref()?.error())
    }

    pub(super) fn tell_output(&mut self, now: Now) {
        let kept = self.hands.keeper.as_ref().map_or(0, Keeper::backlog);
        let logged = self.joblog.as_ref().map_or(0, JobLog::backlog);
        let bytes = self.stdout.backlog().max(self.stderr.backlog()).max(kept).max(logged);
        if bytes > 0 || self.told_backlog {
            self.told_backlog = bytes > 0;
            self.pool.handle(now, Event::OutputBacklog { bytes });
        }
        if self.told_lost {
            return;
        }
        if let Some(message) = self.lost_output() {
            self.told_lost = true;
            self.pool.handle(now, Event::OutputLost { message });
        }
    }

    /// Nothing is owed any more but the bytes that wait to be written. A signal shortens the wait for a stopped reader.
    pub(super) fn finish(&mut self, exit: ExitCode) -> ExitCode {
        // Whatever our workers left behind ends with us, unless it may live on.
        self.hands.kill_groups();
        process::sweep(&|pid| self.hands.is_spared(pid));
        self.hands.guests.close();
        self.feed.close();
        self.feed.watch(&self.hands.poller);
        let joined = self.pool.joined();
        let wall = self.clock.now().time.since(Time::ZERO);
        let ending = Ending { stats: self.pool.stats(), joined: &joined, wall, exit };
        self.hands.hub.finish(&ending);
        self.flush();
        if let Some(keeper) = &mut self.hands.keeper {
            keeper.close();
        }
        if let Some(joblog) = &mut self.joblog {
            joblog.close();
        }
        let lost = !self.await_results();
        if lost && !self.told_lost {
            let why = self.lost_output().unwrap_or("standard output: nobody reads it".into());
            say(&format!("supervisor: results cannot be written: {why}\n"));
        }
        let unmet = self.feed.unmet() > 0;
        // Of a list that was not read to its end nobody knows what it holds; one of nothing is rather a mistake.
        if unmet && !self.feed.is_cut_short() && self.pool.stats().accepted > 0 {
            self.tell_unmet();
        }
        self.stderr.finish(STDERR_SPAN);
        if let Some(keeper) = self.hands.keeper.take() {
            // What this run did not meet is as unknown to the next one.
            keeper.finish(unmet);
        }
        if lost { exit.max(ExitCode::OutputLost) } else { exit }
    }

    /// Jobs of unknown outcome that the list did not hold: a list that does will be told of them.
    fn tell_unmet(&mut self) {
        let count = self.feed.unmet();
        let jobs = if count == 1 { "1 job".into() } else { format!("{count} jobs") };
        let marks = self.hands.keeper.as_ref().map(Keeper::marks_name).unwrap_or_default();
        let text = format!(
            "supervisor: warning: {jobs} of unknown outcome, running when an earlier run ended: not in this list, and not \
             forgotten (remove {marks} to forget them)\n"
        );
        self.stderr.push(edge::Piece::Bytes(text.into_bytes()));
    }

    /// Waits until the results are written; whether they were.
    fn await_results(&mut self) -> bool {
        let mut ready = Vec::new();
        let mut until = (self.stops > 0).then(|| self.clock.now().time.after(RESULTS_SPAN));
        while !self.results_are_settled() {
            let now = self.clock.now().time;
            if until.is_some_and(|until| until <= now) {
                return false;
            }
            if self.hands.poller.wait(until.map(|until| until.since(now)), &mut ready).is_err() {
                return false;
            }
            for &ready in &ready {
                match ready {
                    Ready::Edge => self.wake.clear(),
                    Ready::Signal => {
                        for signal in self.signals.take() {
                            if matches!(signal, SIGINT | SIGTERM | SIGHUP) {
                                self.stops += 1;
                                until.get_or_insert(now.after(RESULTS_SPAN));
                            }
                        }
                    }
                    // The list is not watched any more; what else there was belongs to workers that are gone.
                    Ready::Input
                    | Ready::Stderr(..)
                    | Ready::Stdout(..)
                    | Ready::Stdin(..)
                    | Ready::Door
                    | Ready::Guest(_) => {}
                }
            }
        }
        self.lost_output().is_none()
    }

    /// Whether there is nothing left to wait for: the journal first, since standard output waits for it.
    fn results_are_settled(&mut self) -> bool {
        if let Some(keeper) = &mut self.hands.keeper {
            let safe = keeper.settle();
            let settled = keeper.is_settled();
            self.stdout.open_to(if settled { u64::MAX } else { safe });
            if !settled {
                return false;
            }
        }
        self.stdout.output.close();
        self.stdout.output.is_settled() && self.joblog.as_ref().is_none_or(JobLog::is_settled)
    }
}
