//! How a run is stopped, and how it ends.

use super::deadline::Timer;
use super::flight::Cancel;
use super::job_table::{JobKey, JobState};
use super::stop::Stop;
use super::worker::State;
use super::{Action, Notice, Pool, Reading};
use crate::exit::ExitCode;
use crate::ids::WorkerId;
use crate::status::SignalName;
use std::time::Duration;

/// After a stop for the sake of failures the rest of the list is still read, so that each of its jobs has its record;
/// but a producer that never ends must not keep the run alive.
const READ_ON: Duration = Duration::from_secs(5);

/// Once everything was killed, nothing is waited for longer than this.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A worker that knows how to be told so stops its jobs by itself, which cleans up behind them; when it has not after this
/// time, it is asked to end.
const HEED_SPAN: Duration = Duration::from_millis(500);

/// Longest reason for giving up that each skipped job's record repeats, in characters.
const CAUSE_CHARS_MAX: usize = 200;

impl Pool {
    pub(super) fn stop_requested(&mut self, signal: i32) {
        if !matches!(self.exit, ExitCode::Signal(_)) {
            self.exit = self.exit.max(ExitCode::Signal(signal));
        }
        match self.stop {
            Stop::SignalTwice(_) => self.finish_without_waiting(),
            Stop::Signal(first) => self.halt(Stop::SignalTwice(first)),
            _ => self.halt(Stop::Signal(signal)),
        }
    }

    pub(super) fn output_lost(&mut self, message: String) {
        self.exit = self.exit.max(ExitCode::OutputLost);
        if self.stop < Stop::OutputLost {
            self.notice(Notice::Fault { message: format!("results cannot be written: {message}") });
            self.halt(Stop::OutputLost);
        }
    }

    pub(super) fn give_up(&mut self, why: &str) {
        self.exit = self.exit.max(ExitCode::NoWorkers);
        if self.stop < Stop::GivenUp {
            self.given_up = in_short(why);
            self.notice(Notice::GivingUp { message: why.to_owned() });
            self.halt(Stop::GivenUp);
        }
    }

    /// Stops the run for a reason, unless it is already being stopped for a greater one.
    pub(super) fn halt(&mut self, reason: Stop) {
        if reason <= self.stop {
            return;
        }
        self.stop = reason;
        self.tell_of_stop(reason);
        self.skip_waiting_jobs();
        if !reason.reads_on() {
            self.drop_input();
        } else if self.input == Reading::Open && self.stop_reading_at.is_none() {
            self.deadlines.set(&mut self.stop_reading_at, self.now.time.after(READ_ON), Timer::StopReading);
        }
        if matches!(reason, Stop::SignalTwice(_)) {
            self.kill_everything();
        } else if reason.stops_running() {
            self.stop_running_jobs();
        }
    }

    fn tell_of_stop(&mut self, reason: Stop) {
        let message = match reason {
            Stop::HaltSoon => "a job failed; no further job is begun (--fail-fast or --halt soon)".to_owned(),
            Stop::HaltNow => "a job failed; the running ones are stopped (--halt now)".to_owned(),
            Stop::Signal(signal) => format!(
                "{}: stopping the running jobs (up to {} s; once more to kill them)",
                SignalName(signal),
                self.config.grace.as_secs_f64()
            ),
            Stop::SignalTwice(_) => "killing the running jobs".to_owned(),
            Stop::Running | Stop::GivenUp | Stop::OutputLost => return,
        };
        self.notice(Notice::Stopping { message });
    }

    /// Whatever has not been begun never will be.
    fn skip_waiting_jobs(&mut self) {
        let waiting: Vec<JobKey> =
            self.jobs.iter().filter(|(_, entry)| entry.state != JobState::Sent).map(|(key, _)| key).collect();
        for key in waiting {
            let entry = self.jobs.get_mut(key);
            match entry.state {
                JobState::Ready | JobState::Locked => {
                    self.queued_bytes -= entry.bytes;
                    self.forget_locks(key);
                }
                JobState::Delayed => {
                    self.delayed -= 1;
                    self.deadlines.clear(&mut entry.retry_at, Timer::Retry(key));
                }
                JobState::Blocked(_) => self.needs.unblocked(),
                JobState::Sent => unreachable!("filtered out"),
            }
            self.finish_waiting(key);
        }
        self.queue = super::queue::Queue::default();
    }

    /// Asks all jobs that run to stop. The built-in worker stops its commands itself; other workers are asked to end.
    fn stop_running_jobs(&mut self) {
        for index in 0..self.workers.len() {
            let worker = &self.workers[index];
            let id = worker.id;
            if !worker.state.has_process() || matches!(worker.state, State::Terminating | State::Killed) {
                continue;
            }
            let open: Vec<u64> = worker.flights.iter().map(|(wire_id, _)| wire_id).collect();
            for &wire_id in &open {
                self.cancel_flight(id, wire_id, Cancel::Stop);
                self.await_cancelled(id, wire_id);
            }
            self.withdraw(id);
            if !open.is_empty() && !self.config.target.is_command() {
                let worker = &self.workers[id.index()];
                if worker.announced && worker.state == State::Up {
                    self.set_timer(id, HEED_SPAN.min(self.config.grace));
                } else {
                    self.terminate(id, self.config.grace);
                }
            }
        }
    }

    /// A worker had time to stop what it was told to.
    pub(super) fn not_heeded(&mut self, id: WorkerId) {
        if self.workers[id.index()].flights.open() > 0 {
            self.terminate(id, self.config.grace.saturating_sub(HEED_SPAN));
        }
    }

    fn kill_everything(&mut self) {
        for index in 0..self.workers.len() {
            let id = self.workers[index].id;
            let open: Vec<u64> = self.workers[index].flights.iter().map(|(wire_id, _)| wire_id).collect();
            for wire_id in open {
                self.cancel_flight(id, wire_id, Cancel::Stop);
            }
            self.kill(id);
        }
        self.deadlines.set(&mut self.give_up_waiting_at, self.now.time.after(LAST_WAIT), Timer::GiveUpWaiting);
    }

    /// The end, whatever still lives: every job gets its record now.
    pub(super) fn finish_without_waiting(&mut self) {
        for index in 0..self.workers.len() {
            let id = self.workers[index].id;
            self.kill(id);
            self.lose_flights(id, None, Some(0));
            // Its jobs have their records: what it still says counts for nothing.
            self.workers[index].deaf = true;
        }
        self.drop_input();
        self.impatient = true;
        self.finish_if_over();
    }

    /// Ends the run when nothing is owed and nothing lives.
    pub(super) fn finish_if_over(&mut self) {
        // A process that was asked for is waited for in any case: it must be killed when it is there.
        let lives = |state: State| state == State::Spawning || (state.has_process() && !self.impatient);
        let over = self.input != Reading::Open
            && self.jobs.len() == 0
            && !self.workers.iter().any(|worker| lives(worker.state));
        if over {
            self.finish_run();
        }
    }

    fn finish_run(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        if self.stats.accepted == 0 && self.stop == Stop::Running {
            let message = "the job list is empty".to_owned();
            if self.config.fail_on_no_jobs {
                self.exit = self.exit.max(ExitCode::NoJobs);
                self.notice(Notice::Fault { message });
            } else {
                self.notice(Notice::Warning { message });
            }
        }
        self.actions.push_back(Action::Finish(self.exit));
    }
}

/// What happened and the last that was said about it, in a line. The last line of a traceback says again what the first one says.
fn in_short(why: &str) -> String {
    let mut lines = why.lines();
    let first = lines.next().unwrap_or_default();
    let text = match lines.next_back().map(str::trim) {
        Some(last) if !first.contains(last) => format!("{first}: {last}"),
        _ => first.to_owned(),
    };
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cause_is_said_once() {
        for (why, short) in [
            ("SystemExit: 0\nTraceback:\n  File \"t.py\"\nSystemExit: 0", "SystemExit: 0"),
            ("SyntaxError: bad (t.py, line 1)\n  File \"t.py\"\nSyntaxError: bad", "SyntaxError: bad (t.py, line 1)"),
            ("refused: ValueError: no\nTraceback:\n  File \"t.py\"\nValueError: no", "refused: ValueError: no"),
            ("worker 1 ended\nlast words\n  no database", "worker 1 ended: no database"),
            ("no file t.py", "no file t.py"),
            ("", ""),
        ] {
            assert_eq!(super::in_short(why), short);
        }
    }
}
