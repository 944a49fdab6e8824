//! One worker of a script: what it does, and what it was sent.

use super::*;

/// A slot in a script.
pub(crate) struct Slot<'t> {
    pub(super) t: &'t mut Script,
    pub(crate) worker: WorkerId,
    pub(crate) generation: Generation,
}

/// The first line of a worker that takes one job at a time, in turn.
pub(crate) const READY: &str = r#"{"method":"ready","params":{"concurrency":1,"prefetch":true}}"#;

const READY_WITH_SHELF: &str =
    r#"{"method":"ready","params":{"concurrency":1,"prefetch":true,"shelf":{"fd":70,"mark":"00000000000000ff"}}}"#;

impl Slot<'_> {
    // What it does.

    /// The process that was asked for is there.
    pub(crate) fn starts(&mut self) -> &mut Self {
        let generation = self.is_asked_for();
        let worker = self.worker;
        self.t.orders.workers.insert(worker, Sent { generation, ..Sent::default() });
        self.generation = generation;
        self.t.turn(vec![Event::Spawned { worker, generation, pid: 4711 }]);
        self
    }

    pub(crate) fn cannot_start(&mut self, fault: SpawnFault) {
        let (generation, worker) = (self.is_asked_for(), self.worker);
        self.t.turn(vec![Event::SpawnFailed { worker, generation, fault, message: "no such program".into() }]);
    }

    fn is_asked_for(&mut self) -> Generation {
        let actions = &mut self.t.orders.actions;
        let at =
            actions.iter().position(|action| matches!(action, Action::Spawn { worker, .. } if *worker == self.worker));
        match at.map(|at| actions.remove(at)) {
            Some(Action::Spawn { generation, .. }) => generation,
            _ => panic!("no process is asked for in slot {}; but {actions:?}", self.worker.0),
        }
    }

    pub(crate) fn says(&mut self, line: &str) -> &mut Self {
        self.writes(format!("{line}\n").as_bytes())
    }

    pub(crate) fn writes(&mut self, bytes: &[u8]) -> &mut Self {
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::Output { worker, generation, bytes }]);
        self
    }

    pub(crate) fn answers(&mut self, name: &str) -> &mut Self {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},"result":"{name}"}}"#, self.wire_id(name));
        self.says(&line)
    }

    /// Answers them all at once, each with a result of this many bytes.
    pub(crate) fn answers_all(&mut self, names: &[&str], bytes: usize) -> &mut Self {
        let result = "x".repeat(bytes);
        let lines = names.iter().map(|name| format!("{{\"id\":{},\"result\":\"{result}\"}}\n", self.wire_id(name)));
        let lines: String = lines.collect();
        self.writes(lines.as_bytes())
    }

    pub(crate) fn fails(&mut self, name: &str) -> &mut Self {
        let line = format!(r#"{{"id":{},"error":{{"code":-32000,"message":"bad"}}}}"#, self.wire_id(name));
        self.says(&line)
    }

    /// Answers that it stopped a job; `begun` tells whether it had begun it.
    pub(crate) fn answers_cancelled(&mut self, name: &str, begun: bool) -> &mut Self {
        let id = self.wire_id(name);
        let error = format!(r#"{{"code":-32800,"message":"cancelled","data":{{"begun":{begun}}}}}"#);
        self.says(&format!(r#"{{"id":{id},"error":{error}}}"#))
    }

    pub(crate) fn wire_id(&self, name: &str) -> u64 {
        self.t.orders.workers[&self.worker].wire_ids[name]
    }

    pub(crate) fn writes_stderr(&mut self, bytes: &[u8]) -> &mut Self {
        let (worker, generation, bytes) = (self.worker, self.generation, bytes.to_vec());
        self.t.turn(vec![Event::Stderr { worker, generation, bytes: &bytes, in_step: true }]);
        self
    }

    pub(crate) fn closes_stdout(&mut self) -> &mut Self {
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::StdoutClosed { worker, generation }]);
        self
    }

    pub(crate) fn dies_by(&mut self, signal: i32) {
        self.ends(ExitStatus::Signal(signal), 0);
    }

    pub(crate) fn exits(&mut self, code: i32) {
        self.ends(ExitStatus::Code(code), 0);
    }

    /// Dies of a signal, having read nothing from this job's request on.
    pub(crate) fn dies_before_reading(&mut self, name: &str, signal: i32) {
        let unread = self.unread_from(name);
        self.ends(ExitStatus::Signal(signal), unread);
    }

    /// Exits, having read nothing from this job's request on.
    pub(crate) fn exits_before_reading(&mut self, name: &str, code: i32) {
        let unread = self.unread_from(name);
        self.ends(ExitStatus::Code(code), unread);
    }

    fn unread_from(&self, name: &str) -> usize {
        let sent = &self.t.orders.workers[&self.worker];
        sent.bytes - sent.begins_at[name]
    }

    /// Closes its standard input, having read nothing from this job's request on.
    pub(crate) fn closes_stdin_before(&mut self, name: &str) -> &mut Self {
        let unread = self.unread_from(name);
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::StdinBroken { worker, generation, unread }]);
        self
    }

    fn ends(&mut self, status: ExitStatus, unread: usize) {
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::Exited { worker, generation, status, unread }]);
    }

    // What it is ordered, or sent.

    /// It was sent exactly this.
    pub(crate) fn gets(&mut self, expected: &[&str]) -> &mut Self {
        let sent = self.t.orders.workers.get_mut(&self.worker).expect("it is there");
        let found = std::mem::take(&mut sent.unmentioned);
        assert_eq!(found, expected, "what worker {} was sent", self.worker.0);
        self
    }

    /// It was sent so many messages, whatever they were.
    pub(crate) fn was_sent(&mut self) -> usize {
        let sent = self.t.orders.workers.get_mut(&self.worker).expect("it is there");
        std::mem::take(&mut sent.unmentioned).len()
    }

    pub(crate) fn is_terminated(&mut self) -> &mut Self {
        let order = self.takes(|action| matches!(action, Action::Terminate { .. }));
        assert!(order, "worker {} is not asked to end; but {:?}", self.worker.0, self.t.orders.actions);
        self
    }

    pub(crate) fn is_killed(&mut self) -> &mut Self {
        let order = self.takes(|action| matches!(action, Action::Kill { .. }));
        assert!(order, "worker {} is not killed; but {:?}", self.worker.0, self.t.orders.actions);
        self
    }

    pub(crate) fn is_probed(&mut self) -> &mut Self {
        assert!(self.takes(|action| matches!(action, Action::Probe { .. })), "nobody looks what it has read");
        self
    }

    /// Somebody looks at it and finds this.
    pub(crate) fn is_seen(&mut self, memory: u64, stopped: bool) -> &mut Self {
        assert!(self.takes(|action| matches!(action, Action::Look { .. })), "nobody looks at it");
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::Looked { worker, generation, memory, stopped }]);
        self
    }

    /// It says that it is ready and has a shelf, and the shelf is taken.
    pub(crate) fn has_a_shelf(&mut self) -> &mut Self {
        self.says(READY_WITH_SHELF);
        let from = READY_WITH_SHELF.len() as u64 + 1;
        let taken = self.takes(|action| matches!(action, Action::TakeShelf { from: found, .. } if *found == from));
        assert!(taken, "its shelf is not taken, or counted from elsewhere; but {:?}", self.t.orders.actions);
        let (worker, generation) = (self.worker, self.generation);
        self.t.turn(vec![Event::ShelfTaken { worker, generation }]);
        self
    }

    pub(crate) fn is_looked_at(&mut self) -> &mut Self {
        assert!(self.takes(|action| matches!(action, Action::LookAtShelf { .. })), "nobody looks what it holds back");
        self
    }

    /// How often it was looked at since that was last mentioned.
    pub(crate) fn looks(&mut self) -> usize {
        std::iter::from_fn(|| self.takes(|action| matches!(action, Action::LookAtShelf { .. })).then_some(())).count()
    }

    /// Its standard input is closed.
    pub(crate) fn hangs_up(&mut self) -> &mut Self {
        let order = self.takes(|action| matches!(action, Action::CloseStdin { .. }));
        assert!(order, "the input of worker {} stays open; but {:?}", self.worker.0, self.t.orders.actions);
        self
    }

    fn takes(&mut self, kind: impl Fn(&Action) -> bool) -> bool {
        let whose = (self.worker, self.generation);
        self.t.take(|action| {
            let (Action::Terminate { worker, generation }
            | Action::Kill { worker, generation }
            | Action::Probe { worker, generation }
            | Action::Look { worker, generation, .. }
            | Action::TakeShelf { worker, generation, .. }
            | Action::LookAtShelf { worker, generation }
            | Action::CloseStdin { worker, generation }) = *action
            else {
                return false;
            };
            kind(action) && (worker, generation) == whose
        })
    }
}
