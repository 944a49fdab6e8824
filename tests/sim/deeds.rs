//! What the actors do: read, begin, answer, misbehave, end.

use crate::actor::{Actor, Fate, Incoming, Run, parse};
use crate::options::{MICROSECOND, MILLISECOND, SECOND};
use crate::outside::{Deed, Outside, Process, spawn_fault};
use supervisor::pool::Event;
use supervisor::status::ExitStatus;

/// What the core is told of a deed.
pub(crate) enum Fact {
    Nothing,
    Event(Event<'static>),
    Output(Process, Vec<u8>),
    Stderr(Process, Vec<u8>),
}

impl Outside {
    /// Lets something happen.
    pub(crate) fn enact(&mut self, deed: Deed) -> Fact {
        match deed {
            Deed::Spawned(process) => self.is_born(process),
            Deed::SpawnFailed((worker, generation), permanent) => Fact::Event(Event::SpawnFailed {
                worker,
                generation,
                fault: spawn_fault(permanent),
                message: "no process to be had".into(),
            }),
            Deed::Ready(process) => self.says_ready(process),
            Deed::Refuses(process) => {
                self.write(process, br#"{"jsonrpc":"2.0","method":"failed","params":{"message":"no such module"}}"#);
                self.plan(MILLISECOND, Deed::Dies(process, 1));
                Fact::Nothing
            }
            Deed::Reads(process) => self.reads(process),
            Deed::Done(process, wire_id) => self.is_done(process, wire_id),
            Deed::Delivers(process) => self.delivers(process),
            Deed::Closes(process) => self.closes(process),
            Deed::Dies(process, how) => self.dies(process, how),
            Deed::Exits(process) => self.exits(process),
            Deed::Probed((worker, generation)) => match self.actor((worker, generation)) {
                Some(actor) => Fact::Event(Event::Unread { worker, generation, bytes: actor.unread() }),
                None => Fact::Nothing,
            },
            Deed::Looked((worker, generation)) => {
                let rate = self.options.faults.invalid;
                let memory = if self.fault(rate) { 1001 } else { 1000 };
                let stopped = self.fault(500);
                match self.actor((worker, generation)) {
                    Some(_) => Fact::Event(Event::Looked { worker, generation, memory, stopped }),
                    None => Fact::Nothing,
                }
            }
            Deed::LookedAround => {
                let bytes = if self.fault(300) { 999 } else { 1000 };
                Fact::Event(Event::MemoryAvailable { bytes })
            }
            Deed::ShelfTaken(process) => self.shelf_is_taken(process),
            Deed::OnShelf(process) => self.is_looked_at(process),
            Deed::StdinBacklog((worker, generation), bytes) => {
                Fact::Event(Event::StdinBacklog { worker, generation, bytes: bytes as usize })
            }
            Deed::OutputBacklog(bytes) => {
                if bytes > 0 {
                    let after = self.rng.span(MICROSECOND, SECOND);
                    self.plan(after, Deed::OutputBacklog(0));
                }
                Fact::Event(Event::OutputBacklog { bytes: bytes as usize })
            }
            Deed::OutputLost => {
                self.oracle.output_lost();
                Fact::Event(Event::OutputLost { message: "no space left on device".into() })
            }
            Deed::Stop(signal) => {
                self.oracle.signalled(signal);
                Fact::Event(Event::StopRequested { signal })
            }
            Deed::JobsRead(count) => {
                self.jobs_at_hand += u64::from(count);
                Fact::Nothing
            }
            Deed::InputEnds => self.input_ends(),
        }
    }

    fn is_born(&mut self, process: Process) -> Fact {
        let (worker, generation) = process;
        let pid = 1000 + worker.0 * 100_000 + generation.0;
        let mut actor = Actor::new(worker, generation);
        let faults = self.options.faults.clone();
        actor.concurrency = self.options.config.concurrency as usize;
        actor.ignores_term = self.fault(faults.ignores_term);
        actor.ignores_eof = self.fault(faults.ignores_eof);
        actor.ignores_cancel = self.fault(faults.ignores_cancel);
        actor.unkillable = self.fault(faults.unkillable);
        actor.reads = !self.fault(faults.never_reads);
        let announces = self.options.config.announces_ready;
        self.actors[worker.index()] = Some(actor);
        let soon = self.rng.span(MICROSECOND, 50 * MILLISECOND);
        if self.fault(faults.dies_before_ready) {
            let how = if self.rng.coin() { 1 } else { -11 };
            self.plan(soon, Deed::Dies(process, how));
        } else if self.fault(faults.refuses_to_start) {
            self.plan(soon, Deed::Refuses(process));
        } else if announces && !self.fault(faults.never_ready) {
            let slow = self.fault(faults.slow_ready);
            let after = if slow { self.rng.span(SECOND, 20 * SECOND) } else { soon };
            self.plan(after, Deed::Ready(process));
        }
        if self.fault(faults.dies_idle) {
            let after = self.rng.span(MILLISECOND, 10 * SECOND);
            self.plan(after, Deed::Dies(process, -6));
        }
        Fact::Event(Event::Spawned { worker, generation, pid })
    }

    fn says_ready(&mut self, process: Process) -> Fact {
        let (prefetch, batch, stuck) = (self.options.prefetch, self.options.batch, self.options.tells_stuck());
        let recall = batch || self.options.config.target.is_command();
        let shelf = if self.options.shelf { r#","shelf":{"fd":7,"mark":"00"}"# } else { "" };
        let Some(actor) = self.actor(process).filter(|actor| actor.dead.is_none()) else { return Fact::Nothing };
        actor.announces = true;
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"ready","params":{{"protocol":1,"concurrency":{},"prefetch":{prefetch},"recall":{recall},"batch":{batch},"stuck":{stuck}{shelf}}}}}"#,
            actor.concurrency
        );
        self.write(process, line.as_bytes());
        Fact::Nothing
    }

    /// Writes an answer, which says that the job ended ok, failed, or (nothing) was not begun. Nobody hears it once the
    /// output is closed.
    fn answer(&mut self, process: Process, wire_id: u64, ok: Option<bool>, line: &str) {
        let Some(actor) = self.actor(process).filter(|actor| !actor.stdout_closed) else { return };
        // After something that is no answer nothing it says counts any more.
        let job = if actor.broke_protocol { None } else { actor.open.remove(&wire_id) };
        if let (Some(job), Some(ok)) = (job, ok) {
            self.oracle.answered(job, ok);
        }
        self.write(process, line.as_bytes());
    }

    /// Writes a line to standard output.
    pub(crate) fn write(&mut self, process: Process, line: &[u8]) {
        let Some(actor) = self.actor(process).filter(|actor| actor.dead.is_none() && !actor.stdout_closed) else {
            return;
        };
        let holds = actor.has_shelf && (actor.running.len() + actor.waiting.len() > 0);
        actor.held.extend_from_slice(line);
        actor.held.push(b'\n');
        if !holds || self.rng.chance(300) {
            self.empties_shelf(process);
        }
    }

    /// Writes what it has held back.
    fn empties_shelf(&mut self, process: Process) {
        let Some(actor) = self.actor(process) else { return };
        let held = std::mem::take(&mut actor.held);
        actor.stdout.extend_from_slice(&held);
        self.plan_delivery(process);
    }

    fn shelf_is_taken(&mut self, process: Process) -> Fact {
        let (worker, generation) = process;
        let Some(actor) = self.actor(process) else { return Fact::Nothing };
        actor.has_shelf = true;
        Fact::Event(Event::ShelfTaken { worker, generation })
    }

    /// The shell sees what is held back, unless something before it is still in the pipe. What it saw is not delivered
    /// again when it is written.
    fn is_looked_at(&mut self, process: Process) -> Fact {
        let Some(actor) = self.actor(process).filter(|actor| actor.stdout.is_empty()) else { return Fact::Nothing };
        let seen = std::mem::take(&mut actor.held);
        if seen.is_empty() {
            return Fact::Nothing;
        }
        self.coverage.seen_on_shelves += 1;
        Fact::Output(process, seen)
    }

    fn plan_delivery(&mut self, process: Process) {
        let Some(actor) = self.actor(process) else { return };
        if !actor.delivery_planned && !actor.stdout.is_empty() {
            actor.delivery_planned = true;
            let after = self.rng.span(MICROSECOND, 100 * MICROSECOND);
            self.plan(after, Deed::Delivers(process));
        }
    }

    fn delivers(&mut self, process: Process) -> Fact {
        let rate = self.options.faults.torn_reads;
        let torn = self.fault(rate);
        let cut = self.rng.next();
        let Some(actor) = self.actor(process) else { return Fact::Nothing };
        actor.delivery_planned = false;
        if actor.stdout.is_empty() {
            return Fact::Nothing;
        }
        let length = if torn { 1 + (cut % actor.stdout.len() as u64) as usize } else { actor.stdout.len() };
        let rest = actor.stdout.split_off(length);
        let bytes = std::mem::replace(&mut actor.stdout, rest);
        self.plan_delivery(process);
        Fact::Output(process, bytes)
    }

    fn dies(&mut self, process: Process, how: i32) -> Fact {
        let Some(actor) = self.actor(process) else { return Fact::Nothing };
        if actor.dead.is_none() {
            let status = if how < 0 { ExitStatus::Signal(-how) } else { ExitStatus::Code(how) };
            self.stop_executing(process, status);
            let after = self.rng.span(MICROSECOND, 10 * MILLISECOND);
            self.plan(after, Deed::Exits(process));
            if self.rng.coin() {
                return Fact::Stderr(process, b"last words\n".to_vec());
            }
        }
        Fact::Nothing
    }

    /// Its output is closed, and it lives on.
    fn closes(&mut self, process: Process) -> Fact {
        let (worker, generation) = process;
        let Some(actor) = self.actor(process).filter(|actor| !actor.end_told) else { return Fact::Nothing };
        if !actor.stdout.is_empty() {
            let bytes = std::mem::take(&mut actor.stdout);
            self.plan(0, Deed::Closes(process));
            return Fact::Output(process, bytes);
        }
        actor.end_told = true;
        Fact::Event(Event::StdoutClosed { worker, generation })
    }

    fn exits(&mut self, process: Process) -> Fact {
        let (worker, generation) = process;
        let closes_first = self.rng.coin();
        let Some(actor) = self.actor(process) else {
            // Nobody waits for it any more: the news of its end is stale.
            let status = ExitStatus::Signal(9);
            return Fact::Event(Event::Exited { worker, generation, status, unread: 0 });
        };
        if !actor.stdout.is_empty() {
            let bytes = std::mem::take(&mut actor.stdout);
            self.plan(0, Deed::Exits(process));
            return Fact::Output(process, bytes);
        }
        if closes_first && !actor.end_told {
            actor.end_told = true;
            self.plan(0, Deed::Exits(process));
            return Fact::Event(Event::StdoutClosed { worker, generation });
        }
        if !actor.held.is_empty() {
            let bytes = std::mem::take(&mut actor.held);
            self.coverage.left_on_shelves += 1;
            self.plan(0, Deed::Exits(process));
            return Fact::Output(process, bytes);
        }
        let status = actor.dead.expect("only the dead exit");
        let unread = actor.unread();
        self.stop_executing(process, status);
        self.actors[worker.index()] = None;
        self.coverage.exits += 1;
        Fact::Event(Event::Exited { worker, generation, status, unread })
    }

    fn input_ends(&mut self) -> Fact {
        if self.jobs_at_hand > 0 && !self.input_dropped {
            // What was read before is handed in first.
            self.plan(100 * MILLISECOND, Deed::InputEnds);
            return Fact::Nothing;
        }
        self.input_ended = true;
        let fails = self.options.faults.input_error && self.faults_on && !self.input_dropped;
        if fails {
            self.oracle.input_failed();
        }
        Fact::Event(Event::InputClosed { error: fails.then(|| "input/output error".into()) })
    }

    fn reads(&mut self, process: Process) -> Fact {
        let lines = self.rng.between(1, 8);
        let batch = self.options.config.announces_ready && self.options.batch;
        let Some(actor) = self.actor(process) else { return Fact::Nothing };
        actor.reading_planned = false;
        for _ in 0..lines {
            let Some(actor) = self.actor(process).filter(|actor| actor.dead.is_none() && actor.reads) else {
                return Fact::Nothing;
            };
            let Some(line) = actor.read_line() else { break };
            for message in parse(&line, batch) {
                self.hears(process, &message);
            }
        }
        let Some(actor) = self.actor(process) else { return Fact::Nothing };
        if actor.unread() > 0 {
            self.plan_reading(process);
        } else if actor.stdin_closed && !actor.ignores_eof {
            let after = self.rng.span(MICROSECOND, 20 * MILLISECOND);
            self.plan(after, Deed::Dies(process, 0));
        }
        Fact::Nothing
    }

    fn hears(&mut self, process: Process, message: &Incoming<'_>) {
        match (message.method, message.id) {
            (Some("init"), Some(id)) => {
                let refuses = self.options.faults.refuses_init;
                let answer = if self.fault(refuses) { r#""error":{"code":1,"message":"no"}"# } else { r#""result":0"# };
                self.write(process, format!(r#"{{"id":{id},{answer}}}"#).as_bytes());
            }
            (Some("$/cancelRequest"), None) => self.hears_cancel(process, message.about().expect("it names a request")),
            (Some("$/recall"), None) => _ = self.hears_recall(process, message.about().expect("it names a request")),
            (Some("told" | "$/release"), None) => {}
            (Some(_), Some(id)) => {
                let wire_id: u64 = id.get().parse().expect("checked when it was sent");
                let job = message.job().expect("checked when it was sent");
                self.actor(process).expect("it reads").waiting.push_back((wire_id, job));
                self.begins(process);
            }
            (None, Some(id)) => assert_eq!(id.get(), "\"own\"", "an answer to what was never asked"),
            _ => panic!("an unknown message: {message:?}"),
        }
    }

    /// Gives back what was not begun; whether it was.
    fn hears_recall(&mut self, process: Process, wire_id: u64) -> bool {
        let Some(actor) = self.actor(process).filter(|actor| actor.open.contains_key(&wire_id)) else { return false };
        let Some(at) = actor.waiting.iter().position(|&(id, _)| id == wire_id) else { return false };
        actor.waiting.remove(at);
        self.coverage.recalls_waiting += 1;
        let line =
            format!(r#"{{"id":{wire_id},"error":{{"code":-32800,"message":"cancelled","data":{{"begun":false}}}}}}"#);
        self.answer(process, wire_id, None, &line);
        true
    }

    fn hears_cancel(&mut self, process: Process, wire_id: u64) {
        if self.hears_recall(process, wire_id) {
            return;
        }
        let stuck = self.options.faults.stuck;
        let Some(actor) = self.actor(process) else { return };
        let Some(&job) = actor.open.get(&wire_id) else { return };
        if actor.ignores_cancel {
            // One that tells of such requests may be silent all the same.
            let told = match (self.fault(stuck), self.options.tells_stuck(), wire_id % 3) {
                (true, _, _) => Some(r#""traceback":"in sleep""#),
                (false, true, 1) => Some(r#""interruptible":true"#),
                (false, true, 2) => Some(r#""interruptible":true,"blocking":true"#),
                _ => None,
            };
            self.coverage.cancelled_in_vain += 1;
            if let Some(told) = told {
                let line = format!(r#"{{"method":"stuck","params":{{"id":{wire_id},{told}}}}}"#);
                self.write(process, line.as_bytes());
            }
            return;
        }
        if let Some(at) = actor.running.iter().position(|run| run.wire_id == wire_id) {
            actor.running.swap_remove(at);
            self.coverage.recalls_begun += 1;
            self.oracle.stopped_running(job, process);
            let line = format!(
                r#"{{"id":{wire_id},"error":{{"code":-32800,"message":"cancelled","data":{{"begun":true}}}}}}"#
            );
            self.answer(process, wire_id, Some(false), &line);
            self.begins(process);
        }
    }

    /// Begins whatever there is room for.
    fn begins(&mut self, process: Process) {
        loop {
            let Some(actor) = self.actor(process).filter(|actor| actor.dead.is_none()) else { return };
            if actor.running.len() >= actor.concurrency {
                return;
            }
            let Some((wire_id, job)) = actor.waiting.pop_front() else { return };
            self.may_begin(process, wire_id, job);
            let fate = self.draw_fate();
            self.actor(process).expect("it lives").running.push(Run { wire_id, job, fate });
            let slow = self.options.faults.slow;
            let longest = if self.fault(slow) { 30 * SECOND } else { self.options.job_span_max };
            let after = self.rng.span(MICROSECOND, longest);
            if fate != Fate::Never {
                self.plan(after, Deed::Done(process, wire_id));
            }
            self.talks(process, wire_id);
        }
    }

    /// Holds that the job runs nowhere else, and nothing else under its locks.
    fn may_begin(&mut self, process: Process, wire_id: u64, job: u64) {
        if self.actor(process).is_some_and(|actor| actor.told_to_cancel.contains(&wire_id)) {
            return self.oracle.begun_late(job);
        }
        if let Some(other) = self.oracle.runs_on(job).filter(|&other| other != process) {
            assert!(self.is_excused(other, job), "job {job} runs on {other:?} and on {process:?}");
        }
        for (holder, other) in self.oracle.begun(job, process) {
            assert!(self.is_excused(other, holder), "jobs {holder} and {job} run under the same lock");
        }
    }

    /// Whether a job that still runs somewhere was told to stop, or cannot be reached any more.
    fn is_excused(&mut self, process: Process, job: u64) -> bool {
        let plain = !self.options.config.announces_ready;
        let Some(actor) = self.actor(process) else { return true };
        let told = actor.told_to_cancel.iter().any(|wire_id| actor.open.get(wire_id) == Some(&job));
        actor.dead.is_some() || actor.condemned || actor.broke_protocol || actor.stdout_closed || told || plain
    }

    fn draw_fate(&mut self) -> Fate {
        let faults = self.options.faults.clone();
        for (rate, fate) in [
            (faults.fails, Fate::Fail),
            (faults.crashes, Fate::Crash),
            (faults.torn_answer, Fate::TornAnswer),
            (faults.never_answers, Fate::Never),
            (faults.answers_twice, Fate::Twice),
            (faults.wrong_id, Fate::WrongId),
            (faults.oversize, Fate::Oversize),
            (faults.bad_utf8, Fate::BadUtf8),
            (faults.closes_stdout, Fate::CloseStdout),
            (faults.lies_not_begun, Fate::LieNotBegun),
        ] {
            if self.fault(rate) {
                return fate;
            }
        }
        Fate::Ok
    }

    /// What else it may say while a job runs. None of it is an answer.
    fn talks(&mut self, process: Process, wire_id: u64) {
        let faults = self.options.faults.clone();
        if self.fault(faults.prints) {
            let line = format!(r#"{{"method":"output","params":{{"id":{wire_id},"stream":"stdout","data":"hi\n"}}}}"#);
            self.write(process, line.as_bytes());
        }
        if self.fault(faults.stray) {
            let line = *self.rng.pick(&[&b"Loading model..."[..], b"", b"42", b"\xff\xfe{", b"{\"id\":\"0\"}", b"[]"]);
            self.write(process, line);
        }
        if self.fault(faults.asks) {
            self.write(process, br#"{"jsonrpc":"2.0","id":"own","method":"roots/list"}"#);
        }
        if self.fault(faults.error_without_id) {
            self.write(process, br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#);
        }
    }

    fn is_done(&mut self, process: Process, wire_id: u64) -> Fact {
        let Some(actor) = self.actor(process).filter(|actor| actor.dead.is_none()) else { return Fact::Nothing };
        let Some(at) = actor.running.iter().position(|run| run.wire_id == wire_id) else { return Fact::Nothing };
        let run = actor.running.swap_remove(at);
        if !matches!(run.fate, Fate::Crash | Fate::TornAnswer) {
            self.oracle.stopped_running(run.job, process);
        }
        let fact = self.ends(process, run);
        self.begins(process);
        // One that has nothing left to do holds nothing back.
        if self.actor(process).is_some_and(|actor| actor.dead.is_none() && actor.running.is_empty()) {
            self.empties_shelf(process);
        }
        fact
    }

    fn ends(&mut self, process: Process, run: Run) -> Fact {
        let Run { wire_id, job, fate } = run;
        match fate {
            Fate::Ok | Fate::Never => self.answers_ok(process, run),
            Fate::Twice => {
                self.answers_ok(process, run);
                self.actor(process).expect("it lives").broke_protocol = true;
                self.write(process, format!(r##"{{"id":{wire_id},"result":"#{job}#"}}"##).as_bytes());
            }
            Fate::Fail | Fate::LieNotBegun => {
                let spills = self.spills_output(process, wire_id, job);
                let error = if spills {
                    r#"{"code":-32000,"message":"exit code 1","data":{"exit_code":1,"stdout_spill":"/proc/1/fd/3"}}"#
                } else if fate == Fate::Fail {
                    r#"{"code":-32000,"message":"ValueError: bad","data":{"type":"ValueError"}}"#
                } else {
                    self.oracle.lied_about(job);
                    r#"{"code":-32800,"message":"cancelled","data":{"begun":false}}"#
                };
                let line = format!(r#"{{"jsonrpc":"2.0","id":{wire_id},"error":{error}}}"#);
                self.answer(process, wire_id, Some(false), &line);
            }
            Fate::Crash => {
                let how = *self.rng.pick(&[-9, -11, 0, 1, 255]);
                return self.dies(process, how);
            }
            Fate::TornAnswer => {
                let line = format!(r##"{{"jsonrpc":"2.0","id":{wire_id},"result":"#{job}#"}}"##);
                let length = self.rng.below(line.len() as u64) as usize;
                self.empties_shelf(process);
                self.actor(process).expect("it lives").stdout.extend_from_slice(&line.as_bytes()[..length]);
                self.plan_delivery(process);
                return self.dies(process, -9);
            }
            Fate::WrongId | Fate::Oversize | Fate::BadUtf8 => {
                self.actor(process).expect("it lives").broke_protocol = true;
                let line = match fate {
                    Fate::WrongId => format!(r#"{{"id":{},"result":1}}"#, wire_id + 100_000).into_bytes(),
                    Fate::Oversize => vec![b'x'; self.options.config.max_message + 1],
                    _ => [format!(r#"{{"id":{wire_id},"result":""#).as_bytes(), b"\xff\"}"].concat(),
                };
                self.write(process, &line);
            }
            Fate::CloseStdout => {
                self.empties_shelf(process);
                self.actor(process).expect("it lives").stdout_closed = true;
                self.plan(MICROSECOND, Deed::Closes(process));
            }
        }
        Fact::Nothing
    }

    /// Whether a command had so much output that the worker keeps it in a file.
    fn spills_output(&mut self, process: Process, wire_id: u64, job: u64) -> bool {
        let spills = self.options.faults.spills;
        let spills = self.options.config.target.is_command() && self.fault(spills);
        let Some(actor) = self.actor(process).filter(|actor| !actor.stdout_closed && !actor.broke_protocol) else {
            return false;
        };
        if spills {
            actor.spills.insert(wire_id, job);
            actor.held_a_file = true;
        }
        spills
    }

    fn answers_ok(&mut self, process: Process, run: Run) {
        let Run { wire_id, job, .. } = run;
        let command = self.options.config.target.is_command();
        let line = if self.spills_output(process, wire_id, job) {
            format!(
                r##"{{"jsonrpc":"2.0","id":{wire_id},"result":{{"exit_code":0,"stdout":"#{job}#","stdout_spill":"/proc/1/fd/3"}}}}"##
            )
        } else if command {
            format!(r##"{{"jsonrpc":"2.0","id":{wire_id},"result":{{"exit_code":0,"stdout":"#{job}#","stderr":""}}}}"##)
        } else {
            format!(r##"{{"jsonrpc":"2.0","id":{wire_id},"result":"#{job}#"}}"##)
        };
        self.answer(process, wire_id, Some(true), &line);
    }

    /// The faults are over: whoever is stuck comes loose.
    pub(crate) fn heal(&mut self) {
        self.faults_on = false;
        for index in 0..self.actors.len() {
            let Some(actor) = &mut self.actors[index] else { continue };
            let process = (actor.worker, actor.generation);
            actor.reads = true;
            let stuck: Vec<u64> =
                actor.running.iter().filter(|run| run.fate == Fate::Never).map(|run| run.wire_id).collect();
            self.plan_reading(process);
            for wire_id in stuck {
                let after = self.rng.span(MICROSECOND, MILLISECOND);
                self.plan(after, Deed::Done(process, wire_id));
            }
        }
    }
}
