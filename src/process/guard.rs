//! The guard: a small process between the supervisor and a program that knows nothing of being supervised.
//!
//! `supervisor guard [--keep-leftovers] [--relay] [--lifeline FD] [--hold FD | --pass FD] [--group DIR] -- PROGRAM ARGS...`
//! starts the program with descriptors 0, 1 and 2 untouched, keeps no copy of them, and adopts every orphan below it. It
//! ends as the program ends, after all that the program left behind is killed. When the lifeline ends, the supervisor is
//! gone: everything is killed at once. It does not understand the protocol and decides nothing.
//!
//! It blocks all signals and takes them in turn from a descriptor; it has one thread and no timers.

use super::cgroup;
use super::contain::{self, become_subreaper, close_inherited, leave_session, parent_death_signal};
use super::into_group::spawn_into;
use super::signal::{freeze_tree, terminate_tree, thaw_tree, unblock_all};
use super::spawn::SpawnError;
use super::{Live, Reaper};
use crate::pool::SpawnFault;
use crate::status::ExitStatus;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code of a guard that could not do its own part.
const GUARD_FAILED: i32 = 125;

const USAGE: &str = "guard: expected [--keep-leftovers] [--relay] [--lifeline FD] [--hold FD | --pass FD] \
                     [--group DIR] -- PROGRAM ARGS...";

/// How often, and with which pause in milliseconds, the start of the target is tried while the machine is short: 10 s.
const SHORTAGE_TRIES: u32 = 200;
const SHORTAGE_PAUSE_MS: u16 = 50;

/// Runs a guard by its command line, without program name and subcommand: `--lifeline FD -- PROGRAM ARGS...`. To be
/// called first thing in the process, before there are threads.
pub fn main_from_args(args: &[OsString]) -> ! {
    let mut belongings = Belongings::default();
    let mut rest = args;
    while let [flag, after @ ..] = rest {
        rest = after;
        match flag.to_str() {
            Some("--") => break,
            Some("--keep-leftovers") => belongings.keeps_leftovers = true,
            Some("--relay") => belongings.relays = true,
            _ => {
                let [value, after @ ..] = after else { end_like(complain(USAGE, 2)) };
                rest = after;
                match flag.to_str() {
                    Some("--group") => belongings.group = Some(value.into()),
                    Some("--lifeline") => belongings.lifeline = Some(descriptor(flag, value)),
                    Some("--hold") => belongings.held = Some(descriptor(flag, value)),
                    Some("--pass") => belongings.passed = Some(descriptor(flag, value)),
                    _ => end_like(complain(USAGE, 2)),
                }
            }
        }
    }
    if rest.is_empty() {
        end_like(complain(USAGE, 2));
    }
    end_like(main(belongings, rest))
}

/// What a guard is given.
#[derive(Debug, Default)]
pub struct Belongings {
    /// The read end of a pipe whose write end only the supervisor holds.
    pub lifeline: Option<OwnedFd>,
    /// Kept open as long as anything is left to guard: a lock that stands for it.
    pub held: Option<OwnedFd>,
    /// The same, and the program inherits it.
    pub passed: Option<OwnedFd>,
    /// What the program leaves running lives on when it ends with exit code 0.
    pub keeps_leftovers: bool,
    /// The program takes care of what is below it: signals to stop, go on and end are passed to it alone.
    pub relays: bool,
    /// The control group that the program is started in, if that can be done.
    pub group: Option<PathBuf>,
}

/// Runs a program under guard and says how the guard should end: as the program did.
pub fn main(belongings: Belongings, argv: &[OsString]) -> ExitStatus {
    let lifeline = belongings.lifeline.as_ref();
    let parent = nix::unistd::getppid();
    match set_up(lifeline, belongings.passed.as_ref()) {
        // From before the first look at the lifeline to here nothing was started, so nothing can be left over when the
        // supervisor dies early: its end of file is seen by the first look in the loop at the latest.
        Ok(signals) => match start_patiently(argv, &belongings) {
            Ok(target) => {
                release_standard_streams();
                watch(&signals, &belongings, &Live::new(target), parent)
            }
            Err(error) => complain(&error.message, error.exit_code()),
        },
        Err(error) => complain(&format!("guard: cannot be set up: {error}"), GUARD_FAILED),
    }
}

/// Ends this process as another one ended: with the same exit code, or by the same signal but without a core dump.
#[expect(clippy::disallowed_methods, reason = "the guard is a program of its own, and this is its end")]
pub fn end_like(status: ExitStatus) -> ! {
    if let ExitStatus::Signal(number) = status {
        die_by(number);
    }
    // A signal that does not kill after all is shown as shells show it.
    std::process::exit(match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(number) => 128 + number,
    })
}

/// Takes the signal's default action, with every way to a core file closed: the target has had its chance of one.
fn die_by(number: i32) {
    // Each step makes the next more likely to work; none is worth stopping for.
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid pointer to a limit; the other calls touch no memory. There is one thread, and no handler is set.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::signal(number, libc::SIG_DFL);
    }
    unblock_all();
    // SAFETY: raise(3) touches no memory of ours.
    unsafe { libc::raise(number) };
}

/// Everything before the start of the target. The order matters: signals are blocked first, so that none ends the guard
/// half-way.
fn set_up(lifeline: Option<&OwnedFd>, passed: Option<&OwnedFd>) -> io::Result<SignalFd> {
    let mask = blockable();
    mask.thread_set_mask()?;
    // With SIGCHLD ignored the kernel would reap behind our back.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is replaced; the default action of SIGCHLD runs no code.
    unsafe { sigaction(Signal::SIGCHLD, &default)? };
    leave_session();
    become_subreaper()?;
    close_inherited();
    if let Some(passed) = passed {
        // The target is the one thing that is started here.
        fcntl(passed, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    if let Some(lifeline) = lifeline {
        contain::wake_when_orphaned();
        if has_ended(lifeline) {
            end_like(ExitStatus::Signal(libc::SIGKILL));
        }
    }
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// All signals but those that mean a defect of the guard itself, which must end it.
fn blockable() -> SigSet {
    let mut mask = SigSet::all();
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGTRAP,
        Signal::SIGABRT,
        Signal::SIGSYS,
    ] {
        mask.remove(fault);
    }
    mask
}

/// Starts the target. Where the machine is short of processes or memory, others may end and make room: it is tried again
/// for a while.
fn start_patiently(argv: &[OsString], belongings: &Belongings) -> Result<u32, SpawnError> {
    let lifeline = belongings.lifeline.as_ref();
    let mut tries = 0;
    loop {
        match start(argv, belongings.group.as_deref()) {
            Err(error) if error.fault == SpawnFault::Shortage && tries < SHORTAGE_TRIES => {
                tries += 1;
                let mut fds: Vec<_> =
                    lifeline.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).into_iter().collect();
                poll(&mut fds, SHORTAGE_PAUSE_MS).unwrap_or(0);
                if lifeline.is_some_and(has_ended) {
                    end_like(ExitStatus::Signal(libc::SIGKILL));
                }
            }
            done => return done,
        }
    }
}

/// Starts the target in a process group of its own, with an empty signal mask, to be killed when the guard dies; in its
/// control group, if that can be done.
#[expect(clippy::disallowed_methods, reason = "the one spawn of the guard, which is a program of its own")]
fn start(argv: &[OsString], group: Option<&Path>) -> Result<u32, SpawnError> {
    let guard = std::process::id();
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).process_group(0);
    // SAFETY: between fork and exec only prctl, getppid, raise and sigprocmask are called, all async-signal-safe; nothing
    // is allocated and no lock is taken. A death signal can be set nowhere else, and the guard is small enough to fork.
    unsafe {
        command.pre_exec(move || {
            unblock_all();
            parent_death_signal(libc::SIGKILL, guard)
        });
    }
    let inside =
        group.and_then(|group| File::open(group).ok()).and_then(|group| spawn_into(group.as_fd(), &mut command));
    inside.unwrap_or_else(|| command.spawn().map(|child| child.id())).map_err(|error| SpawnError::new(&argv[0], &error))
}

/// Gives up descriptors 0, 1 and 2, so that the supervisor sees the end of a stream when the target ends it.
fn release_standard_streams() {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    for stream in 0..=2 {
        // SAFETY: 0, 1 and 2 are owned by nobody in this process; nothing reads or writes them from here on.
        unsafe {
            match &null {
                Ok(null) => libc::dup2(null.as_raw_fd(), stream),
                Err(_) => libc::close(stream),
            };
        }
    }
}

/// Waits for signals and for the end of the lifeline until there is nothing left to guard.
fn watch(signals: &SignalFd, belongings: &Belongings, target: &Live, parent: Pid) -> ExitStatus {
    let mut reaper = Reaper::new();
    let lifeline = belongings.lifeline.as_ref();
    loop {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(lifeline.map(|lifeline| PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)));
        // Signals are blocked, so that this is interrupted by nothing but a debugger: then it simply looks again.
        poll(&mut fds, PollTimeout::NONE).unwrap_or(0);
        // Whoever holds its other end, a child of ours for one, cannot keep us from seeing that our parent is gone.
        if lifeline.is_some_and(|lifeline| has_ended(lifeline) || nix::unistd::getppid() != parent) {
            end_run(belongings.group.as_deref());
            return ExitStatus::Signal(libc::SIGKILL);
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            obey(signal.ssi_signo as i32, target, belongings.relays);
        }
        while let Some(death) = reaper.next() {
            if death.pid == target.pid() {
                if belongings.keeps_leftovers && death.status == ExitStatus::Code(0) {
                    reaper.reap(death.pid);
                    return death.status;
                }
                // Still a zombie, so its group is surely its own. The sweep gets the rest, if there is any.
                target.signal_group(libc::SIGKILL).unwrap_or(());
                belongings.group.as_deref().into_iter().for_each(cgroup::kill);
                reaper.reap(death.pid);
                sweep_all();
                return death.status;
            }
            reaper.reap(death.pid);
        }
    }
}

fn obey(signal: i32, target: &Live, relays: bool) {
    let me = std::process::id();
    match signal {
        // It is not reaped as long as signals are taken, so it is surely reached.
        libc::SIGTERM | libc::SIGTSTP | libc::SIGCONT if relays => target.signal(signal).unwrap_or(()),
        libc::SIGTERM => terminate_tree(me),
        libc::SIGTSTP => freeze_tree(me),
        libc::SIGCONT => thaw_tree(me),
        // SIGCHLD has done its work by waking us. The others are meant for the supervisor, which decides what follows.
        _ => {}
    }
}

/// The supervisor is gone: whatever it has left is killed, by the control groups of its run and by ours below.
fn end_run(group: Option<&Path>) {
    if let Some(group) = group {
        cgroup::kill_run_of(group);
    }
    sweep_all();
    if let Some(group) = group {
        cgroup::clear_run_of(group);
    }
}

/// Kills all that is below, for as long as it takes while it gets less: the guard is the last one who knows of it.
fn sweep_all() {
    let mut rounds = 0;
    while !contain::sweep_for(contain::SWEEP_LIMIT, &|_| false).complete && rounds < 5 {
        rounds += 1;
    }
}

/// Whether the write end of the lifeline is closed. Bytes on it mean nothing and are dropped.
fn has_ended(lifeline: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return true,
        }
        match nix::unistd::read(lifeline.as_fd(), &mut [0; 64]) {
            Ok(0) => return true,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return errno != nix::errno::Errno::EAGAIN,
        }
    }
}

/// Takes over a descriptor named on the command line, or ends.
fn descriptor(flag: &OsStr, value: &OsStr) -> OwnedFd {
    let number: Option<RawFd> = value.to_str().and_then(|number| number.parse().ok()).filter(|&number| number > 2);
    // SAFETY: F_GETFD on any number only says whether it is open.
    match number.filter(|&number| unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0) {
        // SAFETY: it is open, was given to us by whoever started us, and this is the only place that takes it over.
        Some(number) => unsafe { OwnedFd::from_raw_fd(number) },
        None => end_like(complain(&format!("guard: {flag:?} {value:?} is not an open descriptor"), GUARD_FAILED)),
    }
}

/// Says what went wrong on standard error, which may be closed, and gives the exit code back.
fn complain(message: &str, code: i32) -> ExitStatus {
    // One write, so that the line is not mixed with others; when it fails there is nobody left to tell.
    io::stderr().write_all(format!("supervisor: {message}\n").as_bytes()).unwrap_or(());
    ExitStatus::Code(code)
}
