//! What leaves the reactor: the output of each turn, and the end of a run, when nothing is owed any more but bytes that
//! wait to be written. Owns the waits of the end and their limits.

use super::Reactor;
use super::joblog::JobLog;
use super::keeper::Keeper;
use super::poller::Ready;
use super::signals;
use crate::edge::{self, fault_text};
use crate::exit::ExitCode;
use crate::pool::Event;
use crate::process;
use crate::report::Ending;
use crate::report::stderr::say;
use crate::time::{Now, Time};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long messages may take to be written when nobody reads standard error.
const STDERR_SPAN: Duration = Duration::from_secs(1);

/// How long results may take to be written once a signal has asked for the end.
const RESULTS_SPAN: Duration = Duration::from_secs(1);

/// How long the terminal may take for what is still to be shown before we stop (Ctrl-Z).
const SCREEN_SPAN: Duration = Duration::from_millis(500);

impl Reactor {
    /// Hands over what the turn has brought: rows first, and what is shown of them behind them.
    pub(super) fn flush(&mut self) {
        if let Some(keeper) = &mut self.hands.keeper {
            if let Some(rows) = self.hands.hub.rows() {
                self.stdout.set_group(rows.take(|rows| keeper.hand_over(rows)));
            }
        }
        if let (Some(output), Some(lines)) = (&mut self.joblog, self.hands.hub.joblog()) {
            lines.take(|lines| output.push(lines));
        }
        self.hands.hub.flush(&mut self.stdout, &mut self.stderr);
    }

    /// Waits until what was to be shown is on the terminal, before this process and its threads stop.
    pub(super) fn await_screen(&mut self) {
        let until = self.clock.now().time.after(SCREEN_SPAN);
        if !self.hands.hub.is_one_terminal() {
            return self.stderr.await_written(SCREEN_SPAN);
        }
        while self.hands.keeper.is_some() {
            self.let_out();
            let left = until.since(self.clock.now().time);
            if !self.stdout.is_holding() || left.is_zero() {
                break;
            }
            // What else the bell may have told of is looked at in each turn anyway.
            let mut polled = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
            self.wake.clear();
        }
        self.stdout.output.await_written(until.since(self.clock.now().time));
    }

    /// Why results cannot be written any more, if so.
    fn lost_output(&self) -> Option<String> {
        let standard = self.stdout.output.error().map(|error| format!("standard output: {}", fault_text(&error)));
        standard.or_else(|| self.hands.keeper.as_ref()?.error()).or_else(|| self.joblog.as_ref()?.error())
    }

    /// Lets out what waited for the journal. Each time more of it is safe the bell rings, and the turn that follows begins
    /// with this: what can be written at once is gone then before the core is told how much waits. No bell rings for that.
    fn let_out(&mut self) {
        if let Some(keeper) = &mut self.hands.keeper {
            self.stdout.open_to(keeper.settle());
        }
    }

    pub(super) fn tell_output(&mut self, now: Now) {
        self.let_out();
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
                            self.signal_came_late(signal);
                        }
                        if self.stops > 0 {
                            until.get_or_insert(now.after(RESULTS_SPAN));
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

    /// A signal while results wait for their reader: nothing else is left that it could concern.
    fn signal_came_late(&mut self, signal: i32) {
        match signal {
            SIGINT | SIGTERM | SIGHUP => self.stops += 1,
            SIGTSTP => {
                let since = self.clock.now().time;
                signals::stop_self();
                self.clock.skip_since(since);
            }
            SIGUSR1 => {
                let bytes = self.stdout.backlog();
                let text = format!("supervisor: every job has ended; {bytes} bytes of results wait to be read\n");
                self.stderr.push(edge::Piece::Bytes(text.into_bytes()));
            }
            _ => {}
        }
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
