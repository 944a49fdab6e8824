//! `supervisor lock NAME -- COMMAND`: a command that runs while it has a lock of the run it is part of. The lock is kept
//! by the supervisor of the run; this only asks for it, runs the command and gives it back.
//!
//! The command inherits the connection: when this process is killed, the lock stays with the command until that ends too.

use crate::edge::{fault_text, pass_on_closed};
use crate::process::{SpawnError, foreground};
use crate::status::ExitStatus;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// The address of the run's supervisor.
const SOCKET: &str = "SPV_SOCKET";

/// The number of the `supervisor lock` above, if there is one.
const WITHIN: &str = "SPV_LOCK_WITHIN";

/// Whether the last holder of the lock ended without giving it back.
const ORPHANED: &str = "SPV_PREVIOUS_HOLDER_DIED";

/// Exit code when the lock did not come in time, as `timeout` has it.
const TIMED_OUT: i32 = 124;

/// Exit code when the lock could not be had at all.
const REFUSED: i32 = 125;

/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Name of the lock.
    pub name: String,
    /// How long to wait for it; for ever when missing.
    pub timeout: Option<Duration>,
    /// Program and arguments; never empty.
    pub command: Vec<OsString>,
}

/// Why a command was not run: exit code and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The code to exit with.
    pub code: i32,
    /// What to say on standard error; nothing when the code says it all.
    pub message: String,
}

/// Runs the command while it has the lock, and says how it ended.
///
/// # Errors
///
/// When it did not run: there is no run, no lock, or no such program.
pub fn run(order: &Order) -> Result<ExitStatus, Fault> {
    let mut connection = connect()?;
    let refused = |message: String| Fault { code: REFUSED, message };
    let lost = |error: io::Error| refused(format!("the supervisor of the run cannot be asked: {}", fault_text(&error)));
    let me = std::process::id();
    let mut params = json!({"name": order.name, "party": me});
    if let Some(timeout) = order.timeout {
        params["timeout"] = timeout.as_secs_f64().into();
    }
    for (member, variable) in [("within", WITHIN), ("worker", "SPV_WORKER_ID")] {
        if let Some(number) = variable_of(variable).and_then(|text| text.parse::<u64>().ok()) {
            params[member] = number.into();
        }
    }
    send(&mut connection, 1, "lock.acquire", &params).map_err(lost)?;
    let answer = receive(&connection).map_err(lost)?;
    if let Some(message) = answer["error"]["message"].as_str() {
        return Err(refused(message.to_owned()));
    }
    if answer["result"]["acquired"] != true {
        let waited = order.timeout.unwrap_or_default().as_secs_f64();
        return Err(Fault { code: TIMED_OUT, message: format!("{:?} was not free within {waited} s", order.name) });
    }
    let orphaned = answer["result"]["previous_holder_died"] == true;
    let env = [(WITHIN.into(), me.to_string().into()), (ORPHANED.into(), u8::from(orphaned).to_string().into())];
    pass_on_closed();
    let ended = foreground::run(&order.command, &env, connection.as_fd());
    // If it cannot be told, the supervisor is gone, and the lock with it.
    let _ = send(&mut connection, 2, "lock.release", &json!({"name": order.name}));
    ended.map_err(|error: SpawnError| Fault { code: error.exit_code(), message: error.message })
}

fn connect() -> Result<UnixStream, Fault> {
    let Some(address) = variable_of(SOCKET) else {
        let message = format!(
            "there is no run to take a lock of ({SOCKET} is not set): this works inside jobs of supervisor spawn"
        );
        return Err(Fault { code: 2, message });
    };
    let name = address.strip_prefix('@').unwrap_or(&address);
    let stream = SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name));
    let gone = |error: io::Error| Fault {
        code: REFUSED,
        message: format!("the supervisor of the run cannot be reached ({SOCKET}={address}): {}", fault_text(&error)),
    };
    let stream = stream.map_err(gone)?;
    // The name may be somebody else's once the run is over.
    match getsockopt(&stream, PeerCredentials) {
        Ok(peer) if peer.uid() == nix::unistd::geteuid().as_raw() => Ok(stream),
        _ => Err(gone(io::Error::other("it belongs to another user"))),
    }
}

fn send(connection: &mut UnixStream, id: u32, method: &str, params: &Value) -> io::Result<()> {
    let mut line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
    line.push('\n');
    connection.write_all(line.as_bytes())
}

fn receive(connection: &UnixStream) -> io::Result<Value> {
    let mut line = String::new();
    BufReader::new(connection.take(ANSWER_BYTES_MAX)).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::Error::other("the run has ended"));
    }
    serde_json::from_str(&line).map_err(io::Error::from)
}

#[expect(clippy::disallowed_methods, reason = "these are how a run tells its jobs where it is; no option sets them")]
fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
