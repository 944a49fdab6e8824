//! A core between a list and one worker, driven by whatever bytes there are until it ends: what every decoder inside the
//! core has in common.

use std::time::Duration;
use supervisor::config::{Halt, Limits, PoolConfig, Target};
use supervisor::drive::{self, Shell};
use supervisor::ids::{Generation, JobId, WorkerId};
use supervisor::job::{Call, FunctionCall, Job, UserId};
use supervisor::json::Json;
use supervisor::pool::{Action, Event, Pool};
use supervisor::record::Status;
use supervisor::status::ExitStatus;
use supervisor::time::{Now, Time, Wall};

/// More turns than that no run takes that was not given more bytes.
const TURNS_MAX: usize = 20_000;

/// A run with invented processes.
pub(crate) struct Driver {
    pool: Pool,
    /// A command is what the built-in worker gets; the others take functions.
    is_command: bool,
    hands: Hands,
    now: Time,
    accepted: u64,
    next_job: u64,
}

#[derive(Default)]
struct Hands {
    records: u64,
    finished: bool,
    process: Option<(WorkerId, Generation)>,
    /// What is to be told in the next turn.
    news: Vec<News>,
}

enum News {
    Spawned(WorkerId, Generation),
    Exited(WorkerId, Generation, ExitStatus),
    Unread(WorkerId, Generation),
}

impl Shell for Hands {
    fn perform(&mut self, action: Action) {
        assert!(!self.finished, "nothing is done after the end");
        match action {
            Action::Spawn { worker, generation } => {
                self.process = Some((worker, generation));
                self.news.push(News::Spawned(worker, generation));
            }
            Action::Send { bytes, .. } => {
                assert_eq!(bytes.last(), Some(&b'\n'), "whole lines are sent");
                for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    // Numbers of any size: an id comes back as it was sent.
                    let message: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(line);
                    assert!(message.is_ok(), "what is sent is JSON: {}", String::from_utf8_lossy(line));
                }
            }
            Action::SendPart { .. } => unreachable!("no job here is as large"),
            Action::CloseStdin { worker, generation } => {
                self.news.push(News::Exited(worker, generation, ExitStatus::Code(0)));
            }
            Action::Terminate { worker, generation } | Action::Kill { worker, generation } => {
                self.news.push(News::Exited(worker, generation, ExitStatus::Signal(9)));
            }
            Action::Probe { worker, generation } => self.news.push(News::Unread(worker, generation)),
            Action::Emit(_) => self.records += 1,
            Action::Finish(_) => self.finished = true,
            Action::Entrust(_)
            | Action::TakeBack { .. }
            | Action::Look { .. }
            | Action::LookAround
            // It is never said that a shelf was taken, so none is looked at.
            | Action::TakeShelf { .. }
            | Action::LookAtShelf { .. }
            | Action::SendGuest { .. }
            | Action::DropGuest { .. }
            | Action::DropInput
            | Action::Notice(_) => {}
        }
    }
}

impl Driver {
    pub(crate) fn new(target: Target, concurrency: u32, announces_ready: bool) -> Self {
        let second = Duration::from_secs(1);
        let is_command = target.is_command();
        let config = PoolConfig {
            workers: 1,
            concurrency,
            target,
            announces_ready,
            start_timeout: second,
            keep_order: false,
            timeout: Some(second),
            retries: 1,
            retry_delay: Duration::ZERO,
            grace: second,
            halt: Halt::Never,
            max_jobs_per_worker: None,
            init: Vec::new(),
            max_restarts: 2,
            restart_window: second,
            max_message: 2000,
            memory_max: None,
            memory_free: None,
            heartbeat: None,
            max_output: 100,
            labels: true,
            commands: true,
            fail_on_no_jobs: false,
            seed: 1,
            limits: Limits::default(),
        };
        Driver {
            pool: Pool::new(config),
            is_command,
            hands: Hands::default(),
            now: Time::ZERO,
            accepted: 0,
            next_job: 1,
        }
    }

    /// Jobs that have ended ok.
    #[cfg(test)]
    pub(crate) fn ended_ok(&self) -> u64 {
        self.pool.stats().ended[Status::Ok as usize]
    }

    pub(crate) fn wants_job(&self) -> bool {
        self.pool.wants_job()
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) {
        self.accepted += u64::from(matches!(event, Event::JobArrived(_) | Event::JobInvalid(_)));
        self.pool.handle(Now { time: self.now, wall: Wall(0) }, event);
        self.end_turn();
    }

    /// Hands in jobs, so that a process is asked for, and lets it be there.
    pub(crate) fn tell_jobs(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.next_job;
            self.next_job += 1;
            let params = Json::parse("{}").expect("it is JSON");
            let call = if self.is_command {
                Call::Line(b"true"[..].into())
            } else {
                Call::Function(FunctionCall::new(Some("f"), &params))
            };
            let job = Job { number: JobId(number), id: UserId::Number(number), call, options: None, past: None };
            self.tell(Event::JobArrived(job));
        }
        self.tell_news();
    }

    /// The process that is there writes this; to its standard error when `aside`.
    pub(crate) fn tell_output(&mut self, bytes: &[u8], aside: bool) {
        self.tell_news();
        let Some((worker, generation)) = self.hands.process else { return };
        if aside {
            self.tell(Event::Stderr { worker, generation, bytes, in_step: true });
        }
        self.tell(Event::Output { worker, generation, bytes });
    }

    /// Lets time pass until the run is over, and looks whether all is accounted for.
    pub(crate) fn run_to_end(mut self) {
        self.tell(Event::InputClosed { error: None });
        for _ in 0..TURNS_MAX {
            if self.hands.finished {
                break;
            }
            if !self.tell_news() {
                let at = self.pool.next_deadline().expect("somebody is waited for, with a deadline");
                self.now = self.now.max(at);
                self.tell(Event::DeadlineReached);
            }
        }
        assert!(self.hands.finished, "the run ends");
        assert_eq!(self.hands.records, self.accepted, "every job has one record");
    }

    /// What became of orders; whether there was any.
    fn tell_news(&mut self) -> bool {
        let news = std::mem::take(&mut self.hands.news);
        let any = !news.is_empty();
        for news in news {
            match news {
                News::Spawned(worker, generation) => self.tell(Event::Spawned { worker, generation, pid: 4711 }),
                News::Exited(worker, generation, status) => {
                    self.tell(Event::Exited { worker, generation, status, unread: 0 });
                }
                News::Unread(worker, generation) => self.tell(Event::Unread { worker, generation, bytes: 0 }),
            }
        }
        any
    }

    fn end_turn(&mut self) {
        drive::finish_turn(&mut self.pool, &mut self.hands);
        self.pool.sanity_check();
    }
}
