//! The worker's loop: requests in, commands started in turn, answers out. How commands end is in [`super::ending`].

use super::answer;
use super::capture::{BUFFER_BYTES, Beyond, Limits};
use super::channel::{Flushed, Input, LINE_BYTES_MAX, Lines, Outbox};
use super::complain;
use super::fault;
use super::job::{Job, Slot};
use super::marks::Marks;
use super::options::Options;
use super::request::{self, Id, Message, Refusal, Request};
use super::shortage::Shortage;
use super::signals::{Signals, is_childless};
use super::spawn::{SpawnError, Spawner};
use super::vfork::Streams;
use super::watch::{Source, Watch, now, slot_token};
use crate::process::{become_subreaper, close_inherited, leave_session, wake_when_orphaned};
use crate::status::WANTING;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, getppid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{Seek, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Requests waiting in memory; with more, reading pauses. The supervisor sends a few ahead, others a whole list.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// What a request takes beside its JSON.
const REQUEST_BYTES: usize = 256;
/// Answers that nobody takes; with more, nothing new is read.
const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// A running worker.
pub(super) struct Worker {
    pub(super) options: Options,
    pub(super) limits: Limits,
    pub(super) signals: Signals,
    pub(super) outbox: Outbox,
    pub(super) slots: Vec<Slot>,
    /// Slots without a command.
    pub(super) free: Vec<usize>,
    /// Commands that have not been reaped, and their slots.
    pub(super) by_pid: BTreeMap<i32, usize>,
    /// What commands have left running and were allowed to (`keep_leftovers`), by process id.
    pub(super) kept: BTreeSet<i32>,
    /// The slot whose command owns all that is below us: nothing was there when it began, and no other has begun since.
    pub(super) sole: Option<usize>,
    /// Slots whose command does not simply run: it has ended, or is being ended.
    pub(super) ending: BTreeSet<usize>,
    /// Files without names, until they are released.
    pub(super) spilled: BTreeMap<Id, Vec<OwnedFd>>,
    /// Since when everything is frozen.
    pub(super) frozen: Option<Instant>,
    pub(super) shortage: Option<Shortage>,
    pub(super) buffer: Box<[u8]>,
    marks: Option<Marks>,
    spawner: Spawner,
    watch: Watch,
    lines: Lines,
    waiting: VecDeque<Box<Request>>,
    waiting_bytes: usize,
    input_open: bool,
    /// Whoever started this process.
    parent: Pid,
}

impl Worker {
    /// Takes the process over: signals, session, subreaper, descriptors.
    pub(super) fn open(options: Options) -> nix::Result<Worker> {
        close_inherited();
        let parent = getppid();
        if options.lifeline {
            wake_when_orphaned();
        }
        let signals = Signals::open()?;
        // Without a terminal: a command that asks it for something fails, where in a group that is not the terminal's it would
        // be stopped and wait for ever.
        leave_session();
        become_subreaper().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)))?;
        let beyond = match (&options.output_dir, options.spill) {
            (Some(directory), _) => Beyond::Directory(directory.clone()),
            (None, true) => Beyond::Unnamed(std::env::temp_dir()),
            (None, false) => Beyond::Cut,
        };
        let null = File::options().read(true).write(true).open("/dev/null").map_err(|error| {
            complain("cannot open /dev/null, which is what commands read");
            Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
        })?;
        Ok(Worker {
            limits: Limits { max_output: options.max_output, beyond, null },
            watch: Watch::open(&signals)?,
            marks: options.marks.and_then(|(fd, place)| Marks::open(fd, place)),
            spawner: Spawner::new(options.lifeline.then_some(parent))?,
            outbox: Outbox::open(),
            lines: Lines::default(),
            buffer: vec![0; BUFFER_BYTES].into(),
            slots: Vec::new(),
            free: Vec::new(),
            by_pid: BTreeMap::new(),
            kept: BTreeSet::new(),
            sole: None,
            ending: BTreeSet::new(),
            spilled: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            input_open: true,
            parent,
            frozen: None,
            shortage: None,
            signals,
            options,
        })
    }

    /// Works until the input ends, and gives the exit code.
    pub(super) fn run(&mut self) -> u8 {
        answer::ready(&mut self.outbox.bytes, std::process::id(), self.options.concurrency);
        loop {
            if let ControlFlow::Break(code) = self.turn() {
                // In order and allowed to: what is left goes to whoever is our parent.
                if code == LOST || !self.options.keep_leftovers {
                    self.sweep_all();
                } else {
                    self.reap_all();
                    self.keep_strays();
                    let _ = self.flush(false);
                }
                return code;
            }
        }
    }

    /// Commands that were started and not answered.
    pub(super) fn busy(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// One round: answers out, commands started, then whatever happens next. Breaks with the exit code.
    fn turn(&mut self) -> ControlFlow<u8> {
        self.flush(false)?;
        self.start_waiting()?;
        if !self.input_open {
            self.may_leave()?;
        }
        let reading = self.wants_input();
        self.watch.want_input(reading, self.input_open && self.options.lifeline);
        let from_file = reading && self.watch.input_is_file();
        let deadline = if from_file { Some(now()) } else { self.next_deadline() };
        for source in self.watch.wait(deadline) {
            match source {
                Source::Input => self.read_input()?,
                Source::InputHungUp => self.input_hung_up(reading)?,
                Source::Output => self.flush(true)?,
                Source::Signals => self.take_signals()?,
                Source::Slot(slot) => self.drain(slot),
            }
        }
        if from_file {
            self.read_input()?;
        }
        self.meet_deadlines();
        ControlFlow::Continue(())
    }

    fn is_idle(&self) -> bool {
        self.busy() == 0 && self.waiting.is_empty()
    }

    fn wants_input(&self) -> bool {
        let room = self.waiting_bytes < WAITING_BYTES_MAX && self.outbox.backlog() < OUTBOX_BYTES_MAX;
        self.input_open && room
    }

    fn flush(&mut self, writable: bool) -> ControlFlow<u8> {
        let flushed = self.outbox.flush(writable);
        self.watch.want_output(&self.outbox, flushed == Flushed::Later);
        if flushed == Flushed::Lost { ControlFlow::Break(LOST) } else { ControlFlow::Continue(()) }
    }

    /// After the end of the input: with a lifeline it is the end of everything, without one what is there is finished.
    fn may_leave(&self) -> ControlFlow<u8> {
        match (self.is_idle(), self.options.lifeline) {
            (false, true) => ControlFlow::Break(LOST),
            (true, _) if self.outbox.backlog() == 0 => ControlFlow::Break(0),
            _ => ControlFlow::Continue(()),
        }
    }

    fn input_hung_up(&mut self, reading: bool) -> ControlFlow<u8> {
        if self.options.lifeline && !self.is_idle() {
            return ControlFlow::Break(LOST);
        }
        if reading { self.read_input() } else { ControlFlow::Continue(()) }
    }

    fn read_input(&mut self) -> ControlFlow<u8> {
        let mut messages = Vec::new();
        let input =
            self.lines.read(&mut self.buffer, |line| request::read_line(line, |message| messages.push(message)));
        for message in messages {
            self.take_message(message);
        }
        match input {
            Input::Bytes => {}
            Input::End => self.input_open = false,
            Input::TooLong => {
                let message = format!("the line is longer than {LINE_BYTES_MAX} bytes, the limit of this worker");
                complain(&message);
                let refusal = Refusal { id: None, code: request::PARSE_ERROR, message };
                answer::refused(&mut self.outbox.bytes, &refusal);
                self.flush(false)?;
                return ControlFlow::Break(LOST);
            }
        }
        ControlFlow::Continue(())
    }

    fn take_message(&mut self, message: Message) {
        match message {
            Message::Exec(request) => {
                self.waiting_bytes += request.size + REQUEST_BYTES;
                self.waiting.push_back(request);
            }
            Message::Cancel(id) => self.cancel(&id),
            Message::Recall(id) => drop(self.give_back(&id)),
            Message::Release(id) => drop(self.spilled.remove(&id)),
            Message::Ignored => {}
            Message::Refused(refusal) => answer::refused(&mut self.outbox.bytes, &refusal),
        }
    }

    /// Takes back a request that was not begun; whether there was one.
    fn give_back(&mut self, id: &str) -> bool {
        let Some(at) = self.waiting.iter().position(|request| *request.id == *id) else { return false };
        if let Some(request) = self.waiting.remove(at) {
            self.waiting_bytes -= request.size + REQUEST_BYTES;
        }
        answer::cancelled_before(&mut self.outbox.bytes, id);
        true
    }

    fn cancel(&mut self, id: &str) {
        if self.give_back(id) {
            return;
        }
        let named = |slot: &Slot| slot.job.as_ref().is_some_and(|job| *job.request.id == *id);
        if let Some(slot) = self.slots.iter().position(named) {
            self.stop(slot);
        }
    }

    fn take_signals(&mut self) -> ControlFlow<u8> {
        let arrived = self.signals.take();
        // Whoever holds the other end of our input, a command for one, cannot keep us from seeing that we are alone.
        if self.options.lifeline && arrived.thaw && getppid() != self.parent {
            return ControlFlow::Break(LOST);
        }
        if arrived.freeze {
            self.freeze();
        }
        if arrived.thaw {
            self.thaw();
        }
        if arrived.terminate {
            self.terminate_all();
        }
        if arrived.child {
            self.reap_all();
        }
        ControlFlow::Continue(())
    }

    /// Starts what can be started, strictly in turn.
    fn start_waiting(&mut self) -> ControlFlow<u8> {
        while self.may_start() {
            let Some(mut request) = self.waiting.pop_front() else { break };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::new());
                self.slots.len() - 1
            });
            if let Some(marks) = &self.marks {
                marks.begin(&request.id);
            }
            let is_sole = self.busy() == 1 && is_childless();
            match self.spawn(slot, &mut request) {
                Ok(pid) => {
                    self.waiting_bytes -= request.size + REQUEST_BYTES;
                    self.shortage = None;
                    self.by_pid.insert(pid, slot);
                    self.slots[slot].job = Some(Job::new(request, pid));
                    self.sole = is_sole.then_some(slot);
                }
                Err(error) => {
                    self.free.push(slot);
                    let goes_on = self.not_started(request, error);
                    self.flush(false)?;
                    goes_on?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Nothing is begun while an answer waits to be taken: who takes answers concludes from them what has begun, also when
    /// we are killed in this moment.
    fn may_start(&self) -> bool {
        let paused = self.shortage.as_ref().is_some_and(|shortage| shortage.pauses);
        !paused && self.frozen.is_none() && self.busy() < self.options.concurrency && self.outbox.backlog() == 0
    }

    fn spawn(&mut self, slot: usize, request: &mut Request) -> Result<i32, SpawnError> {
        let text = match &request.stdin {
            Some(bytes) => Some(file_with(bytes).map_err(descriptor_fault)?),
            None => None,
        };
        let place = &mut self.slots[slot];
        let token = slot_token(slot);
        let streams = Streams {
            stdin: text.as_ref().unwrap_or(&self.limits.null).as_fd(),
            stdout: place.stdout.open(&self.watch.epoll, token).map_err(descriptor_fault)?,
            stderr: place.stderr.open(&self.watch.epoll, token).map_err(descriptor_fault)?,
        };
        let pid = self.spawner.spawn(request, &streams)?;
        request.stdin = None;
        Ok(pid)
    }

    fn not_started(&mut self, request: Box<Request>, error: SpawnError) -> ControlFlow<u8> {
        let fault = match error {
            SpawnError::Failed(fault) => fault,
            SpawnError::Shortage(errno) => {
                let shortage = self.shortage.get_or_insert_default();
                match shortage.fell(now(), self.slots.len() > self.free.len()) {
                    ControlFlow::Continue(()) => {
                        self.waiting.push_front(request);
                        return ControlFlow::Continue(());
                    }
                    ControlFlow::Break(waited) if fault::concerns_all(errno) => {
                        self.waiting.push_front(request);
                        return self.leave_for_want(&fault::gave_up(errno, waited).message);
                    }
                    ControlFlow::Break(waited) => fault::gave_up(errno, waited),
                }
            }
        };
        self.shortage = None;
        self.waiting_bytes -= request.size + REQUEST_BYTES;
        answer::not_started(&mut self.outbox.bytes, &request.id, &fault);
        ControlFlow::Continue(())
    }

    /// No command can be started here, and it is nobody's fault: all are given back, and this worker makes room.
    fn leave_for_want(&mut self, message: &str) -> ControlFlow<u8> {
        complain(message);
        for request in std::mem::take(&mut self.waiting) {
            answer::cancelled_before(&mut self.outbox.bytes, &request.id);
        }
        ControlFlow::Break(WANTING)
    }
}

/// The supervisor is gone, or cannot be spoken to.
const LOST: u8 = 1;

fn descriptor_fault(errno: Errno) -> SpawnError {
    SpawnError::Shortage(errno)
}

/// A file that holds these bytes, at its beginning. No loop has to feed a command that reads slowly.
fn file_with(bytes: &[u8]) -> nix::Result<File> {
    let mut file = File::from(memfd_create(c"supervisor-stdin", MFdFlags::MFD_CLOEXEC)?);
    let filled = file.write_all(bytes).and_then(|()| file.rewind());
    filled.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM)))?;
    Ok(file)
}
