//! Where the output goes: terminals, pipes, CI. Owns the looking; everything else is handed the findings.

use nix::sys::stat::fstat;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Columns assumed where a terminal does not say.
const WIDTH_DEFAULT: u16 = 80;

/// What standard output and standard error are connected to.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Both are the same terminal, so that the order of what is written to the two can be seen.
    pub is_one_terminal: bool,
    /// The job list is typed at a terminal.
    pub is_list_typed: bool,
    /// The terminal cannot move its cursor (`TERM=dumb`, or no `TERM`).
    pub is_dumb: bool,
    /// A CI system runs us: terminals there are logs.
    pub is_ci: bool,
    /// Asks for the columns of standard error, which may change.
    pub width: fn() -> u16,
}

impl Surroundings {
    /// Looks; `reads_stdin` says that the job list is standard input.
    #[expect(clippy::disallowed_methods, reason = "one door: TERM and CI belong to the terminal, they are no options")]
    pub fn detect(reads_stdin: bool) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let device = |fd: BorrowedFd<'_>| fstat(fd).ok().map(|facts| facts.st_rdev);
        let are_terminals = stdout.is_terminal() && stderr.is_terminal();
        Surroundings {
            stdout_is_terminal: stdout.is_terminal(),
            stderr_is_terminal: stderr.is_terminal(),
            is_one_terminal: are_terminals && device(stdout.as_fd()) == device(stderr.as_fd()),
            is_list_typed: reads_stdin && io::stdin().is_terminal(),
            is_dumb: std::env::var_os("TERM").is_none_or(|term| term == "dumb"),
            is_ci: std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false"),
            width: columns_of_stderr,
        }
    }

    /// Pipes on both sides.
    pub fn pipes() -> Self {
        Surroundings {
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            is_one_terminal: false,
            is_list_typed: false,
            is_dumb: false,
            is_ci: false,
            width: || WIDTH_DEFAULT,
        }
    }
}

mod ioctl {
    nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);
}

fn columns_of_stderr() -> u16 {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to where the pointer shows, which lives as long as the call.
    match unsafe { ioctl::window_size(io::stderr().as_raw_fd(), &mut size) } {
        Ok(_) if size.ws_col > 0 => size.ws_col,
        _ => WIDTH_DEFAULT,
    }
}
