//! The way of a worker: start, ready (by way of `initialising`), drain, end. What its death costs whom is in `outcome`, how
//! often it may happen in `restart`.

use super::deadline::Timer;
use super::event::SpawnFault;
use super::flight::{Cancel, Flight};
use super::judge::Ending;
use super::restart::wanting;
use super::stop::Stop;
use super::worker::{State, Worker};
use super::{Action, Joined, Notice, Pool, Reading};
use crate::ids::WorkerId;
use crate::status::{ExitStatus, WANTING};
use std::time::Duration;

/// A worker that should be gone gets this long at most: to end after its standard output has, or, when it ignored the
/// end of its input, to hear that it is asked.
const LEAVE_SPAN_MAX: Duration = Duration::from_secs(1);

/// How long a worker that tells of cancelled requests which go on may be silent about one whose time is over, until nothing
/// in it is taken to go on.
const SILENCE_SPAN: Duration = Duration::from_secs(1);

/// A built-in worker stops a cancelled command by itself, within the grace; so much more until we stop waiting for it.
const CANCEL_SLACK: Duration = Duration::from_secs(2);

/// A process that outlives SIGKILL for so long (it hangs in the kernel) is no longer waited for.
const KILL_SPAN: Duration = Duration::from_secs(10);

/// Why a run gives up whose workers can start no command.
const NOTHING_STARTS: &str = "for 10 s no command could be started, for want of processes or descriptors; see ulimit -u, ulimit -n, \
                              and pids.max of the control group";

/// The signal that no program sends to itself.
const SIGKILL: i32 = 9;

impl Pool {
    pub(super) fn set_timer(&mut self, id: WorkerId, span: Duration) {
        let worker = &mut self.workers[id.index()];
        let timer = Timer::Worker(id, worker.generation);
        self.deadlines.set(&mut worker.timer, self.now.time.after(span), timer);
    }

    fn clear_timers(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        self.deadlines.clear(&mut worker.timer, Timer::Worker(id, worker.generation));
        self.deadlines.clear(&mut worker.recall_at, Timer::Recall(id, worker.generation));
        self.deadlines.clear(&mut worker.shelf_at, Timer::Shelf(id, worker.generation));
    }

    /// Moves on from being started, to whatever comes next.
    pub(super) fn leave_start(&mut self, id: WorkerId, next: State) {
        let worker = &mut self.workers[id.index()];
        if matches!(worker.state, State::Spawning | State::Starting | State::Initialising { .. }) {
            self.starting -= 1;
        }
        if let (State::Initialising { message }, true) = (worker.state, next.is_ending()) {
            worker.init_left_open = Some(message);
        }
        worker.state = next;
    }

    pub(super) fn spawned(&mut self, id: WorkerId, pid: u32) {
        self.restarts.started();
        let worker = &mut self.workers[id.index()];
        worker.pid = pid;
        worker.shown_pid = pid;
        worker.state = State::Starting;
        worker.concurrency = self.config.concurrency as usize;
        self.notice(Notice::WorkerStarted { worker: id, pid });
        if matches!(self.stop, Stop::SignalTwice(_)) {
            self.kill(id);
        } else if self.stop > Stop::Running {
            self.drain(id);
        } else {
            self.set_timer(id, self.config.start_timeout);
            if !self.config.announces_ready {
                self.begin_initialising(id);
            }
        }
    }

    pub(super) fn spawn_failed(&mut self, id: WorkerId, fault: SpawnFault, message: String) {
        self.leave_start(id, State::Empty);
        let delay = match fault {
            SpawnFault::Permanent => Err(()),
            SpawnFault::Shortage => {
                let something_runs = self.workers.iter().any(|worker| worker.state.has_process());
                self.restarts.short(self.now.time, something_runs)
            }
        };
        self.rest(id, delay, &message);
    }

    /// The slot stays empty for a while, or the run gives up.
    fn rest(&mut self, id: WorkerId, delay: Result<Duration, ()>, why: &str) {
        match delay {
            Ok(delay) => {
                let worker = &mut self.workers[id.index()];
                worker.state = State::Resting;
                self.deadlines.set(&mut worker.timer, self.now.time.after(delay), Timer::Restart(id));
            }
            Err(()) => {
                self.empty.insert(id);
                self.give_up(why);
            }
        }
    }

    /// The worker answered: it and its program are fit.
    #[inline(always)]
    pub(super) fn worked(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        if !worker.did_work {
            worker.did_work = true;
            worker.stderr_tail.clear();
            if worker.state == State::Up {
                self.deadlines.clear(&mut worker.timer, Timer::Worker(id, worker.generation));
            }
            self.restarts.worked();
        }
    }

    /// Closes a worker's standard input: it should finish and end.
    pub(super) fn drain(&mut self, id: WorkerId) {
        self.leave_start(id, State::Draining);
        self.withdraw(id);
        self.flush();
        self.workers[id.index()].stdin_closed = true;
        let generation = self.workers[id.index()].generation;
        self.actions.push_back(Action::CloseStdin { worker: id, generation });
        self.set_timer(id, self.config.grace);
    }

    /// Asks a worker to end, and kills it when `span` is over.
    pub(super) fn terminate(&mut self, id: WorkerId, span: Duration) {
        self.leave_start(id, State::Terminating);
        self.withdraw(id);
        let generation = self.workers[id.index()].generation;
        self.actions.push_back(Action::Terminate { worker: id, generation });
        self.set_timer(id, span);
    }

    /// Ends a worker at once.
    pub(super) fn kill(&mut self, id: WorkerId) {
        if !self.workers[id.index()].state.has_process() || self.workers[id.index()].state == State::Killed {
            return;
        }
        self.leave_start(id, State::Killed);
        self.withdraw(id);
        let generation = self.workers[id.index()].generation;
        self.actions.push_back(Action::Kill { worker: id, generation });
        self.set_timer(id, KILL_SPAN);
    }

    /// A worker's state has lasted too long.
    pub(super) fn worker_overdue(&mut self, id: WorkerId) {
        let worker = &mut self.workers[id.index()];
        match worker.state {
            State::Empty | State::Resting | State::Spawning => unreachable!("these have no timer of this kind"),
            State::Starting | State::Initialising { .. } => {
                let why =
                    format!("was not ready within {} s (--start-timeout)", self.config.start_timeout.as_secs_f64());
                self.never_ready(id, why);
            }
            State::Up if self.stop.stops_running() => self.not_heeded(id),
            State::Up => {
                // Where nothing was sent there is nothing it could have read: the first bytes start the clock again.
                if worker.sent > 0 {
                    let generation = worker.generation;
                    self.actions.push_back(Action::Probe { worker: id, generation });
                }
            }
            State::Mute => {
                let which = if worker.stdin_closed { "input" } else { "output" };
                worker.blame = Some(format!("worker {} closed its standard {which} and lived on", id.0));
                self.terminate(id, self.config.grace.min(LEAVE_SPAN_MAX));
            }
            State::Draining => self.terminate(id, self.config.grace.min(LEAVE_SPAN_MAX)),
            State::Terminating => self.kill(id),
            State::Killed => self.abandon(id),
        }
    }

    /// How much a worker that has not answered anything yet has left unread.
    pub(super) fn probed(&mut self, id: WorkerId, unread: usize) {
        let worker = &self.workers[id.index()];
        if worker.state == State::Up && !worker.did_work && unread as u64 >= worker.sent {
            let why = format!("read nothing within {} s (--start-timeout)", self.config.start_timeout.as_secs_f64());
            self.never_ready(id, why);
        }
    }

    /// A start that hangs is no accident that another try would mend, unless this program has worked before or another
    /// worker is still on its way.
    pub(super) fn never_ready(&mut self, id: WorkerId, why: String) {
        self.workers[id.index()].blame = Some(why.clone());
        let hopeful = |worker: &super::worker::Worker| {
            worker.did_work || (worker.id != id && worker.state.has_process() && worker.state != State::Killed)
        };
        if !self.workers.iter().any(hopeful) && self.stats.done() == 0 {
            self.give_up(&format!("worker {} {why}", id.0));
        }
        self.kill(id);
    }

    /// The process does not even die of SIGKILL: the run goes on without it and without its slot.
    fn abandon(&mut self, id: WorkerId) {
        let message =
            format!("worker {} (pid {}) does not die; going on without it", id.0, self.workers[id.index()].pid);
        self.notice(Notice::Warning { message });
        self.lose_flights(id, None, None);
        self.clear_timers(id);
        let worker = &mut self.workers[id.index()];
        worker.state = State::Empty;
        worker.generation.0 += 1;
        let usable = |worker: &Worker| worker.state != State::Empty || self.empty.contains(&worker.id);
        let wanted = self.stop == Stop::Running && (self.jobs.len() > 0 || self.input == Reading::Open);
        if wanted && !self.workers.iter().any(usable) {
            self.give_up("no worker is left: the last one did not die when it was killed");
        }
    }

    /// Its standard output is closed, so no answer can come any more. It is most likely ending; if not, it is ended.
    pub(super) fn stdout_closed(&mut self, id: WorkerId) {
        if !self.workers[id.index()].state.is_ending() {
            self.await_end(id);
        }
    }

    /// Nothing can be sent to it any more. It is most likely ending; if not, it may finish what it has read, and the rest
    /// goes to others.
    pub(super) fn stdin_broken(&mut self, id: WorkerId, unread: usize) {
        let worker = &mut self.workers[id.index()];
        if worker.state != State::Up {
            return;
        }
        worker.stdin_closed = true;
        worker.condemned = true;
        self.withdraw(id);
        self.put_unread_back(id, unread);
        self.kill_if_useless(id);
    }

    /// It should be gone in a moment.
    fn await_end(&mut self, id: WorkerId) {
        self.leave_start(id, State::Mute);
        self.withdraw(id);
        self.set_timer(id, self.config.grace.min(LEAVE_SPAN_MAX));
    }

    pub(super) fn exited(&mut self, id: WorkerId, status: ExitStatus, unread: usize) {
        let was = self.workers[id.index()].state;
        self.lose_flights(id, Some(status), Some(unread));
        self.clear_timers(id);
        self.withdraw(id);
        let worker = &self.workers[id.index()];
        // The program's, not that of the guard in front of it: it is the one that records name too.
        let pid = worker.shown_pid;
        // A death that was charged to a job, now or when the worker was condemned for it, is not the program's fault.
        let worked = worker.did_work || worker.jobs_ended > 0;
        let before = self.joined[id.index()].as_ref().map_or((0, 0), |joined| (joined.jobs, joined.processes));
        let (jobs, processes) = (before.0 + worker.jobs_ended, before.1 + 1);
        self.joined[id.index()] = Some(Joined { worker: id, pid, processes, jobs, exit: status });
        let worker = &mut self.workers[id.index()];
        let last_words = if worker.was_up { std::mem::take(&mut worker.untold) } else { Vec::new() };
        let tail = std::mem::take(&mut worker.stderr_tail);
        let blame = worker.blame.take();
        self.leave_start(id, State::Empty);
        let is_wanting = self.config.target.is_command() && status == ExitStatus::Code(WANTING.into());
        // One that never worked is told of once, when the run gives up because of such.
        if worked && !was.is_ending() && !is_wanting {
            self.notice(Notice::WorkerDied { worker: id, pid, status, stderr: last_words });
        } else if !last_words.is_empty() {
            self.notice(Notice::WorkerStderr { worker: id, bytes: last_words });
        }
        if is_wanting && self.stop == Stop::Running {
            let others_run = self.workers.iter().any(|worker| worker.state.has_process() && worker.flights.open() > 0);
            self.rest(id, wanting(others_run), NOTHING_STARTS);
        } else if worked || was == State::Draining || self.stop > Stop::Running {
            self.empty.insert(id);
        } else {
            let from_outside = status == ExitStatus::Signal(SIGKILL) && was != State::Killed;
            let now = self.now.time;
            let delay = if from_outside { self.restarts.killed_idle(now) } else { self.restarts.died_idle(now) };
            let how = blame.unwrap_or_else(|| format!("ended ({status}) before it did any work"));
            let name = format!("worker {} ", id.0);
            let words = String::from_utf8_lossy(&tail);
            self.rest(
                id,
                delay,
                format!("{name}{}\n{}", how.strip_prefix(&name).unwrap_or(&how), words.trim_end()).trim_end(),
            );
        }
    }

    /// A request has lasted too long: at first it is to stop, then the worker is unfit.
    pub(super) fn flight_overdue(&mut self, id: WorkerId, wire_id: u64) {
        let worker = &mut self.workers[id.index()];
        let flight = worker.flights.get_mut(wire_id).expect("a deadline goes with its flight");
        flight.deadline = None;
        if flight.cancel >= Some(Cancel::Timeout) {
            self.give_flight_up(id, wire_id);
            return;
        }
        if self.look_on_shelf_first(id, wire_id) {
            return;
        }
        self.cancel_flight(id, wire_id, Cancel::Timeout);
        self.await_cancelled(id, wire_id);
        let worker = &mut self.workers[id.index()];
        if !worker.announced && worker.flights.open() == 1 && worker.state == State::Up {
            // It does not know how to cancel; and nothing else runs in it that would be lost.
            worker.condemned = true;
            self.terminate(id, self.config.grace);
        }
    }

    /// Waits for the answer to a cancelled request for as long as the grace allows.
    pub(super) fn await_cancelled(&mut self, id: WorkerId, wire_id: u64) {
        let slack = if self.config.target.is_command() { CANCEL_SLACK } else { Duration::ZERO };
        let at = self.now.time.after(self.config.grace + slack);
        let worker = &mut self.workers[id.index()];
        let timer = Timer::Flight(id, worker.generation, wire_id);
        if let Some(flight) = worker.flights.get_mut(wire_id) {
            self.deadlines.set(&mut flight.deadline, at, timer);
        }
    }

    /// The worker does not stop a request it was asked to stop: the job ends without it, and the worker is killed as
    /// soon as that costs no other job; or when none of the others in it can go on.
    pub(super) fn give_flight_up(&mut self, id: WorkerId, wire_id: u64) {
        let worker = &mut self.workers[id.index()];
        worker.condemned = true;
        let tells_stuck = worker.tells_stuck;
        let Some(flight) = worker.flights.get_mut(wire_id) else { return };
        let timer = Timer::Flight(id, worker.generation, wire_id);
        self.deadlines.clear(&mut flight.deadline, timer);
        let blocks = tells_stuck && !flight.said.as_ref().is_some_and(|said| said.lets_others_run);
        if let Some(job) = flight.job.take() {
            self.stats.running -= u64::from(flight.begun.is_some());
            // Tried again, it must not hold up the same ones again.
            self.jobs.get_mut(job).suspect |= blocks;
            if blocks {
                self.deadlines.set(&mut flight.deadline, self.now.time.after(SILENCE_SPAN), timer);
            }
            let said = flight.said.take();
            let given_up = Flight { job: Some(job), said, deadline: None, ..*flight };
            self.end_flight(id, wire_id, given_up, Ending::Overdue);
        } else if blocks && worker.state == State::Up {
            return self.kill_blocked(id);
        }
        self.withdraw(id);
        for follower in self.workers[id.index()].flights.followers() {
            self.cancel_flight(id, follower, Cancel::Recall);
        }
        self.kill_if_useless(id);
    }

    /// A request that was given up keeps everything else in its worker from going on, for ever.
    fn kill_blocked(&mut self, id: WorkerId) {
        let why = format!("worker {} was killed, since a job over its time let none of the others in it go on", id.0);
        self.notice(Notice::Warning { message: why.clone() });
        self.workers[id.index()].blame = Some(why);
        self.kill(id);
    }

    /// Kills a condemned worker once nothing runs in it whose answer is still wanted.
    pub(super) fn kill_if_useless(&mut self, id: WorkerId) {
        let worker = &self.workers[id.index()];
        let wanted = worker.flights.iter().any(|(_, flight)| flight.begun.is_some() && flight.job.is_some());
        if worker.condemned && !wanted && worker.state == State::Up {
            if worker.stdin_closed { self.await_end(id) } else { self.kill(id) }
        }
    }
}
