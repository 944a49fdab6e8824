//! How a process ended, in Python's words: an exit code, or `-N` for "killed by signal N".

use std::fmt;

/// What the built-in worker exits with when it can start no command at all, for want of processes or descriptors: EX_TEMPFAIL
/// of sysexits.h. It has given back what it was sent.
pub const WANTING: u8 = 75;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// The single number of Python's `Process.exitcode`: the code, or `-N` for signal N.
    pub fn exit_code(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(number) => -number,
        }
    }

    /// Whether it ended with exit code 0.
    pub fn is_success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    /// `exit code 3`, or `killed by SIGKILL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(number) => write!(f, "killed by {}", SignalName(number)),
        }
    }
}

/// A signal's number, shown as its name (`SIGKILL`, `SIGRTMIN+3`, or `signal 99` when it has none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalName(pub i32);

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match LINUX_SIGNALS.get(self.0.wrapping_sub(1) as usize) {
            Some(name) => f.write_str(name),
            None if (34..=64).contains(&self.0) => write!(f, "SIGRTMIN+{}", self.0 - 34),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// Names of signals 1 to 31 on Linux (signal(7), the numbers of x86 and ARM).
const LINUX_SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes() {
        assert_eq!(ExitStatus::Signal(9).to_string(), "killed by SIGKILL");
        assert_eq!(ExitStatus::Signal(15).exit_code(), -15);
        assert_eq!(ExitStatus::Code(255).to_string(), "exit code 255");
        assert_eq!(SignalName(31).to_string(), "SIGSYS");
        assert_eq!(SignalName(34).to_string(), "SIGRTMIN+0");
        assert_eq!(SignalName(99).to_string(), "signal 99");
        assert_eq!(SignalName(0).to_string(), "signal 0");
    }
}
