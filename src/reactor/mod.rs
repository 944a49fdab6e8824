//! **The shell**: one thread that turns readiness into events, and the core's actions into system calls.
//!
//! It never decides anything about jobs or workers, and never blocks: the job list and the results go through the two
//! threads of [`crate::edge`], because files and terminals cannot be polled.
//!
//! A turn: wait until something is ready or a deadline has come; tell the core everything that happened; carry out what
//! it wants done. Work in a turn is bounded (one read a descriptor, some spawns, some jobs), so that signals are never
//! far away.

mod children;
mod clock;
mod feed;
mod guests;
mod hands;
mod outbox;
mod poller;
mod signals;

use crate::config::Config;
use crate::drive::finish_turn;
use crate::edge::{self, Standard, Wake, fault_text, take_copy};
use crate::exit::ExitCode;
use crate::ids::{Generation, WorkerId};
use crate::pool::{Event, Pool};
use crate::process::{self, Death, Reaper};
use crate::report::{Ending, Hub, Stderr, Surroundings};
use crate::time::{Now, Time};
use children::{Got, Stream};
use clock::Clock;
use feed::Feed;
use hands::{Echo, Hands};
use poller::Ready;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signals::Signals;
use std::time::Duration;

/// Bytes read from a worker at a time: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// What is still read of a worker that has ended: more than its pipe can hold, so that somebody else who has the pipe
/// cannot keep us reading for ever.
const LAST_WORDS_BYTES: usize = 4 << 20;

/// How long messages may take to be written when nobody reads standard error.
const STDERR_SPAN: Duration = Duration::from_secs(1);

/// How long results may take to be written once a signal has asked for the end.
const STDOUT_SPAN: Duration = Duration::from_secs(1);

/// A run in progress.
#[derive(Debug)]
struct Reactor {
    pool: Pool,
    hands: Hands,
    feed: Feed,
    clock: Clock,
    signals: Signals,
    reaper: Reaper,
    wake: Wake,
    stdout: edge::Output,
    stderr: Stderr,
    buffer: Box<[u8]>,
    /// Whether the core was told that output waits, or cannot be written.
    told_backlog: bool,
    told_lost: bool,
    /// When the progress line is due again.
    progress_due: Option<Time>,
    /// How many signals have asked for the end.
    stops: u32,
}

/// Runs a job list to its end and says how it ended. Results go to standard output, everything else to standard error.
///
/// # Errors
///
/// When the run could not begin: the job file cannot be opened, or the system gives no descriptors.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    signals::reset_inherited();
    process::close_inherited();
    // Without it, what a killed worker leaves behind is out of our sight; the run is still right.
    let _ = process::become_subreaper();
    let wake = Wake::new()?;
    let feed = Feed::open(&config.input, wake.clone()).map_err(|error| match &config.input.source {
        crate::config::Source::File(path) => {
            anyhow::anyhow!("cannot read the job list {}: {}", path.display(), fault_text(&error))
        }
        _ => anyhow::anyhow!("cannot read the job list: {}", fault_text(&error)),
    })?;
    let stdout = match take_copy(Standard::Output) {
        Ok(fd) => edge::Output::start(fd, wake.clone()),
        Err(error) => edge::Output::lost(&error, wake.clone()),
    };
    let hub = Hub::new(&config.output, config.pool.target.is_command(), Surroundings::detect());
    let mut reactor = Reactor {
        hands: Hands::new(hub, config.launch, config.pool.workers)?,
        pool: Pool::new(config.pool),
        feed,
        clock: Clock::start(),
        signals: Signals::watch()?,
        reaper: Reaper::new(),
        stderr: Stderr::start(wake.clone()),
        wake,
        stdout,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        told_backlog: false,
        told_lost: false,
        progress_due: None,
        stops: 0,
    };
    reactor.hands.poller.watch(reactor.signals.as_fd(), Ready::Signal)?;
    reactor.hands.poller.watch(&reactor.wake, Ready::Edge)?;
    // Where processes and threads are short, our workers would take the last of them.
    reactor.stdout.prepare();
    reactor.stderr.prepare();
    reactor.run_to_end()
}

impl Reactor {
    fn run_to_end(&mut self) -> anyhow::Result<ExitCode> {
        let mut ready = Vec::new();
        let mut deadline = None;
        // The first turn does not wait: the list may be there already.
        let mut busy = true;
        loop {
            self.wait(busy, deadline, &mut ready)?;
            let now = self.clock.now();
            // First what was done last: a worker may have spoken before the core knows that it is there.
            self.tell_echoes(now);
            for &ready in &ready {
                self.look(ready, now);
            }
            if self.pool.next_deadline().is_some_and(|at| at <= now.time) {
                self.pool.handle(now, Event::DeadlineReached);
            }
            self.feed.pump(&mut self.pool, now);
            self.tell_output(now);
            deadline = finish_turn(&mut self.pool, &mut self.hands);
            self.hands.spawn_some();
            if std::mem::take(&mut self.hands.input_dropped) {
                self.feed.close();
            }
            self.progress_due = self.hands.hub.progress(self.pool.stats(), now.time);
            self.hands.hub.flush(&mut self.stdout, &mut self.stderr);
            if let Some(exit) = self.hands.exit {
                return Ok(self.finish(exit));
            }
            // Jobs may be wanted again now that some were begun or ended.
            busy = self.hands.is_busy() || self.pool.wants_job() && self.feed.has_more();
        }
    }

    /// Sleeps until something is ready, the next deadline has come, or the progress line is due.
    fn wait(&mut self, busy: bool, deadline: Option<Time>, ready: &mut Vec<Ready>) -> anyhow::Result<()> {
        let before = self.clock.now().time;
        let next = match (deadline, self.progress_due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let limit = if busy { Some(Duration::ZERO) } else { next.map(|at| at.since(before)) };
        self.hands.poller.wait(limit, ready)?;
        if let Some(limit) = limit {
            self.clock.forgive_standstill(before, before.after(limit));
        }
        Ok(())
    }

    fn look(&mut self, ready: Ready, now: Now) {
        match ready {
            Ready::Signal => {
                for signal in self.signals.take() {
                    self.signal_came(signal, now);
                }
            }
            Ready::Edge => self.wake.clear(),
            Ready::Stdout(worker, generation) => self.read((worker, generation), Stream::Stdout, READ_BYTES, now),
            Ready::Stderr(worker, generation) => self.read((worker, generation), Stream::Stderr, READ_BYTES, now),
            Ready::Stdin(worker, generation) => {
                let Some((child, poller)) = self.hands.child_and_poller(worker, generation) else { return };
                child.flush(poller);
                let bytes = child.backlog();
                self.pool.handle(now, Event::StdinBacklog { worker, generation, bytes });
            }
            Ready::Door => self.hands.guests.welcome(&self.hands.poller),
            Ready::Guest(guest) => self.hear(guest, now),
        }
    }

    /// Reads what a guest sent, and hands it to the core.
    fn hear(&mut self, guest: u64, now: Now) {
        match self.hands.guests.read(guest, &mut self.buffer) {
            Got::Nothing => {}
            Got::Bytes(count) => {
                self.pool.handle(now, Event::GuestAsked { guest, bytes: &self.buffer[..count] });
            }
            Got::End => {
                self.hands.guests.remove(guest, &self.hands.poller);
                self.pool.handle(now, Event::GuestLeft { guest });
            }
        }
    }

    /// Reads what a worker wrote, up to `limit` bytes, and hands it to the core.
    fn read(&mut self, of: (WorkerId, Generation), stream: Stream, limit: usize, now: Now) {
        let (worker, generation) = of;
        let mut total = 0;
        while total < limit {
            let Some(child) = self.hands.child(worker, generation) else { return };
            match child.read(stream, &mut self.buffer) {
                Got::Nothing => return,
                Got::End => {
                    if stream == Stream::Stdout {
                        self.pool.handle(now, Event::StdoutClosed { worker, generation });
                    }
                    return;
                }
                Got::Bytes(count) => {
                    total += count;
                    let bytes = &self.buffer[..count];
                    let event = match stream {
                        Stream::Stdout => Event::Output { worker, generation, bytes },
                        Stream::Stderr => Event::Stderr { worker, generation, bytes },
                    };
                    self.pool.handle(now, event);
                    // A short read has emptied the pipe.
                    if count < self.buffer.len() && limit == READ_BYTES {
                        return;
                    }
                }
            }
        }
    }

    fn signal_came(&mut self, signal: i32, now: Now) {
        match signal {
            SIGCHLD => self.reap(now),
            SIGINT | SIGTERM | SIGHUP => {
                self.stops += 1;
                self.pool.handle(now, Event::StopRequested { signal });
            }
            SIGUSR1 => {
                let running = self.pool.running();
                self.hands.hub.running(self.pool.stats(), &running);
            }
            SIGTSTP => self.suspend(now),
            SIGCONT => self.hands.signal_all(SIGCONT),
            _ => {}
        }
    }

    /// Ctrl-Z: the workers stop what they run, then we stop; the time until we go on does not count.
    fn suspend(&mut self, now: Now) {
        self.hands.hub.hide_progress();
        self.hands.hub.flush(&mut self.stdout, &mut self.stderr);
        self.hands.signal_all(SIGTSTP);
        signals::stop_self();
        self.clock.skip_since(now.time);
        self.hands.signal_all(SIGCONT);
    }

    /// Children have ended: workers, and what ended workers left to us.
    fn reap(&mut self, now: Now) {
        let mut strays = false;
        while let Some(death) = self.reaper.next() {
            match self.hands.worker_of(death.pid) {
                Some(worker) => {
                    self.worker_ended(worker, death, now);
                    strays = true;
                }
                None => {
                    self.reaper.reap(death.pid);
                    strays = true;
                }
            }
        }
        if strays && !self.reaper.is_childless() {
            self.kill_strays();
        }
    }

    /// What it wrote is read before its death is told; its group is swept before its number is free again.
    fn worker_ended(&mut self, worker: WorkerId, death: Death, now: Now) {
        let Some(generation) = self.hands.generation(worker) else { return };
        self.read((worker, generation), Stream::Stderr, LAST_WORDS_BYTES, now);
        self.read((worker, generation), Stream::Stdout, LAST_WORDS_BYTES, now);
        let Some(child) = self.hands.take(worker) else { return };
        let unread = child.unread();
        self.hands.guests.reopen(&self.hands.poller);
        let _ = child.process.signal_group(libc::SIGKILL);
        self.reaper.reap(death.pid);
        self.pool.handle(now, Event::Exited { worker, generation, status: death.status, unread });
    }

    /// Children that are no workers were left by workers that are gone: nobody else will end them.
    fn kill_strays(&mut self) {
        for pid in process::children_of(std::process::id()) {
            if self.hands.worker_of(pid).is_none() {
                let _ = process::Live::new(pid).signal(libc::SIGKILL);
            }
        }
    }

    fn tell_echoes(&mut self, now: Now) {
        for echo in std::mem::take(&mut self.hands.echoes) {
            let event = match echo {
                Echo::Spawned { worker, generation, pid } => Event::Spawned { worker, generation, pid },
                Echo::SpawnFailed { worker, generation, fault, message } => {
                    Event::SpawnFailed { worker, generation, fault, message }
                }
                Echo::Unread { worker, generation, bytes } => Event::Unread { worker, generation, bytes },
                Echo::Backlog { worker, generation, bytes } => Event::StdinBacklog { worker, generation, bytes },
            };
            self.pool.handle(now, event);
        }
    }

    fn tell_output(&mut self, now: Now) {
        let bytes = self.stdout.backlog().max(self.stderr.backlog());
        if bytes > 0 || self.told_backlog {
            self.told_backlog = bytes > 0;
            self.pool.handle(now, Event::OutputBacklog { bytes });
        }
        if let Some(error) = self.stdout.error().filter(|_| !self.told_lost) {
            self.told_lost = true;
            self.pool.handle(now, Event::OutputLost { message: format!("standard output: {}", fault_text(&error)) });
        }
    }

    /// Nothing is owed any more but the bytes that wait to be written. A signal shortens the wait for a stopped reader.
    fn finish(&mut self, exit: ExitCode) -> ExitCode {
        // Whatever our workers left behind ends with us.
        process::sweep(&|_| false);
        self.hands.guests.close();
        let joined = self.pool.joined();
        let wall = self.clock.now().time.since(Time::ZERO);
        let ending = Ending { stats: self.pool.stats(), joined: &joined, wall, exit };
        self.hands.hub.finish(&ending);
        self.hands.hub.flush(&mut self.stdout, &mut self.stderr);
        self.stdout.close();
        let lost = !self.await_stdout();
        self.stderr.finish(STDERR_SPAN);
        if lost && !self.told_lost {
            let why = self.stdout.error().map_or("nobody reads them".into(), |error| fault_text(&error));
            crate::report::stderr::say(&format!("supervisor: results could not be written: {why}\n"));
        }
        if lost { exit.max(ExitCode::OutputLost) } else { exit }
    }

    /// Waits until the results are written; whether they were.
    fn await_stdout(&mut self) -> bool {
        let mut ready = Vec::new();
        let mut until = (self.stops > 0).then(|| self.clock.now().time.after(STDOUT_SPAN));
        while !self.stdout.is_settled() {
            let now = self.clock.now().time;
            if until.is_some_and(|until| until <= now) || self.stops > 1 {
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
                                until.get_or_insert(now.after(STDOUT_SPAN));
                            }
                        }
                    }
                    Ready::Stderr(..) | Ready::Stdout(..) | Ready::Stdin(..) | Ready::Door | Ready::Guest(_) => {}
                }
            }
        }
        self.stdout.error().is_none()
    }
}
