//! **The shell**: one thread that turns readiness into events, and the core's actions into system calls.
//!
//! It never decides anything about jobs or workers, and never blocks: the job list and the results go through the two
//! threads of [`crate::edge`], because files and terminals cannot be polled.
//!
//! A turn: wait until something is ready or a deadline has come; tell the core everything that happened; carry out what
//! it wants done. Work in a turn is bounded (one read a descriptor, one spawn, some jobs), so that signals are never
//! far away.

mod children;
mod clock;
mod feed;
mod finish;
mod guests;
mod hands;
mod joblog;
mod keeper;
mod launch;
mod outbox;
mod poller;
mod setup;
mod shelf;
mod signals;

use crate::config::Config;
use crate::drive::finish_turn;
use crate::edge::{self, Lookout, Standard, Wake, fault_text, take_copy};
use crate::exit::ExitCode;
use crate::ids::{Generation, WorkerId};
use crate::pool::{Event, OUTPUT_BACKLOG_BYTES_MAX, Pool};
use crate::process::cgroup::Group;
use crate::process::{self, Death, Reaper};
use crate::report::{Hub, Jobs, Stderr, Surroundings, stderr::say};
use crate::status::{ExitStatus, WANTING};
use crate::time::{Now, Time};
use children::{Got, Stream};
use clock::Clock;
use feed::Feed;
use hands::{Echo, Hands};
use joblog::JobLog;
use keeper::Gate;
use poller::Ready;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signals::Signals;
use std::time::Duration;

/// Bytes read from a worker at a time: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// What is still read of a worker that has ended: more than its pipe can hold, so that somebody else who has the pipe
/// cannot keep us reading for ever.
const LAST_WORDS_BYTES: usize = 4 << 20;

// The core waits for the backlog to fall, so the bell has to ring not later than it waits.
const _: () = assert!(edge::LOW_WATER_BYTES <= OUTPUT_BACKLOG_BYTES_MAX);

/// A run in progress.
#[derive(Debug)]
struct Reactor {
    pool: Pool,
    hands: Hands,
    feed: Feed,
    clock: Clock,
    lookout: Lookout,
    signals: Signals,
    reaper: Reaper,
    wake: Wake,
    stdout: Gate,
    joblog: Option<JobLog>,
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
    edge::share_heap();
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
    let kept = setup::journal(&config, &wake)?;
    let joblog = setup::joblog(&config.output, &wake)?;
    let stdout = match take_copy(Standard::Output) {
        Ok(fd) => edge::Output::start(fd, wake.clone()),
        Err(error) => edge::Output::lost(&error, wake.clone()),
    };
    let around = Surroundings::detect(config.input.source == crate::config::Source::Stdin);
    let jobs = Jobs { is_command: config.pool.target.is_command(), keeps_leftovers: config.launch.keep_leftovers };
    let hub = Hub::new(&config.output, jobs, around);
    let mut reactor = Reactor {
        hands: Hands::new(hub, config.launch, &config.pool)?,
        pool: Pool::new(config.pool),
        feed,
        clock: Clock::start(),
        lookout: Lookout::default(),
        signals: Signals::watch()?,
        reaper: Reaper::new(),
        stderr: Stderr::start(wake.clone()),
        wake,
        stdout: Gate::new(stdout),
        joblog,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        told_backlog: false,
        told_lost: false,
        progress_due: None,
        stops: 0,
    };
    reactor.hands.poller.watch(reactor.signals.as_fd(), Ready::Signal)?;
    reactor.hands.poller.watch(&reactor.wake, Ready::Edge)?;
    if let Some((keeper, ledger)) = kept {
        reactor.hands.keeper = Some(keeper);
        reactor.feed.look_up_in(ledger);
    }
    // Where processes and threads are short, our workers would take the last of them.
    reactor.stdout.output.prepare();
    reactor.stderr.prepare();
    Ok(reactor.run_to_end().unwrap_or_else(|error| {
        // Workers end by themselves when we are gone.
        say(&format!("supervisor: the run cannot go on: {error:#}\n"));
        ExitCode::Defect
    }))
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
            let taken = self.feed.pump(&mut self.pool, now);
            self.lookout.moved(taken);
            self.adopt_marks();
            self.feed.watch(&self.hands.poller);
            self.tell_output(now);
            deadline = finish_turn(&mut self.pool, &mut self.hands);
            self.hands.spawn_one();
            if std::mem::take(&mut self.hands.input_dropped) {
                self.feed.close();
            }
            self.progress_due = self.hands.hub.progress(self.pool.stats(), now.time);
            self.flush();
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
        if limit != Some(Duration::ZERO) {
            self.look_out(before, ready)?;
        }
        if ready.is_empty() {
            self.hands.poller.wait(limit, ready)?;
        }
        if limit != Some(Duration::ZERO) {
            self.lookout.waited(self.clock.now().time.since(before));
        }
        if let Some(limit) = limit {
            self.clock.forgive_standstill(before, before.after(limit));
        }
        Ok(())
    }

    /// Looks for a while without sleeping, where something is soon to come and everybody waits for it.
    fn look_out(&mut self, since: Time, ready: &mut Vec<Ready>) -> anyhow::Result<()> {
        ready.clear();
        if !self.pool.awaits_each_answer() {
            return Ok(());
        }
        let until = since.after(self.lookout.span(self.pool.stats().running));
        while ready.is_empty() && self.clock.now().time < until {
            // Whoever shares this core goes first.
            std::thread::yield_now();
            self.hands.poller.wait(Some(Duration::ZERO), ready)?;
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
            Ready::Input => self.feed.readable(&self.hands.poller),
            Ready::Stdout(worker, generation) => self.read((worker, generation), Stream::Stdout, READ_BYTES, now),
            Ready::Stderr(worker, generation) => self.read_stderr((worker, generation), now),
            Ready::Stdin(worker, generation) => {
                let Some((child, poller)) = self.hands.child_and_poller(worker, generation) else { return };
                child.flush(poller);
                let news = child.news_of_stdin();
                // Its pipe was full: data flows to it.
                self.lookout.moved(usize::MAX);
                self.pool.handle(now, news);
            }
            Ready::Door => self.hands.guests.welcome(&self.hands.poller),
            Ready::Guest(guest) => self.hear(guest, now),
        }
    }

    /// Reads what a guest sent, and hands it to the core.
    fn hear(&mut self, guest: u64, now: Now) {
        match self.hands.guests.read(guest, &mut self.buffer) {
            Got::Nothing => {}
            Got::Bytes(count, _) => {
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
                Got::Bytes(count, fresh) => {
                    total += count;
                    self.lookout.moved(total);
                    let bytes = &self.buffer[..fresh];
                    let event = match stream {
                        Stream::Stdout => Event::Output { worker, generation, bytes },
                        Stream::Stderr => Event::Stderr { worker, generation, bytes, in_step: false },
                    };
                    if fresh > 0 {
                        self.pool.handle(now, event);
                    }
                    // A short read has emptied the pipe.
                    if count < self.buffer.len() && limit == READ_BYTES {
                        return;
                    }
                }
            }
        }
    }

    /// Reads what a worker says on standard error, and where it has several jobs what it has answered since: then nobody can
    /// tell whose words these are.
    fn read_stderr(&mut self, of: (WorkerId, Generation), now: Now) {
        let (worker, generation) = of;
        let Some(child) = self.hands.child(worker, generation) else { return };
        let Got::Bytes(count, _) = child.read(Stream::Stderr, &mut self.buffer) else { return };
        let bytes = self.buffer[..count].to_vec();
        self.lookout.moved(count);
        let before = child.delivered();
        if self.pool.has_several_jobs(worker) {
            self.read(of, Stream::Stdout, READ_BYTES, now);
            self.read_shelf(worker, generation, now);
        }
        let in_step = self.hands.child(worker, generation).is_some_and(|child| child.delivered() == before);
        self.pool.handle(now, Event::Stderr { worker, generation, bytes: &bytes, in_step });
    }

    /// Takes what a worker holds back, and hands it to the core.
    fn read_shelf(&mut self, worker: WorkerId, generation: Generation, now: Now) {
        while let Some(child) = self.hands.child(worker, generation) {
            match child.read_shelf(&mut self.buffer) {
                0 => return,
                count => {
                    self.pool.handle(now, Event::Output { worker, generation, bytes: &self.buffer[..count] });
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
                let running = self.pool.running(now.time);
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
        self.flush();
        self.hands.signal_all(SIGTSTP);
        self.await_screen();
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
                    self.hands.forget_kept(death.pid);
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
        self.read_shelf(worker, generation, now);
        let Some(child) = self.hands.take(worker) else { return };
        let unread = child.unread();
        self.hands.guests.reopen(&self.hands.poller);
        let _ = child.process.signal_group(libc::SIGKILL);
        self.reaper.reap(death.pid);
        // A worker that makes room since it can start nothing ends in order too.
        if [0, WANTING].map(|code| ExitStatus::Code(code.into())).contains(&death.status) {
            self.hands.keep_leftovers();
        }
        let excess = child.group.as_ref().and_then(Group::excess);
        self.hands.discard(child.group);
        if let Some(memory) = excess {
            // Killed by the kernel before we looked. Its kills are counted, so that they are not taken for others.
            self.hands.kernel_was_short();
            self.pool.handle(now, Event::Looked { worker, generation, memory, stopped: false });
        } else if death.status == ExitStatus::Signal(libc::SIGKILL) && self.hands.kernel_was_short() {
            self.pool.handle(now, Event::KernelWasShort { worker, generation });
        }
        self.pool.handle(now, Event::Exited { worker, generation, status: death.status, unread });
    }

    /// Other children that are no workers were left by workers that are gone: nobody else will end them.
    fn kill_strays(&mut self) {
        for pid in process::children_of(std::process::id()) {
            if self.hands.worker_of(pid).is_none() && !self.hands.is_spared(pid) {
                let _ = process::Live::new(pid).signal(libc::SIGKILL);
            }
        }
    }

    fn tell_echoes(&mut self, now: Now) {
        for echo in std::mem::take(&mut self.hands.echoes) {
            match echo {
                Echo::Event(event) => self.pool.handle(now, event),
                Echo::OnShelf(worker, generation) => {
                    // What it said before it answered is heard before its answers are.
                    self.read_stderr((worker, generation), now);
                    self.read_shelf(worker, generation, now);
                }
            }
        }
    }

    fn adopt_marks(&mut self) {
        if let Some(keeper) = &mut self.hands.keeper {
            self.feed.met().into_iter().for_each(|(number, mark)| keeper.adopt(number, mark));
        }
    }
}
