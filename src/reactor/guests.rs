//! The door for guests: a socket in the abstract namespace, so that no file is left whatever happens, with a name that
//! cannot be guessed, and open to processes of the same user only. Carries bytes; what they mean is the core's business.

use super::children::Got;
use super::poller::{Poller, Ready};
use crate::process;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// Most guests at a time; more have to wait at the door.
const GUESTS_MAX: usize = 1024;

/// The door and who came in.
#[derive(Debug)]
pub(super) struct Guests {
    listener: Option<UnixListener>,
    name: String,
    /// Nobody is let in at the moment: too many are here, or descriptors ran out.
    shut: bool,
    inside: BTreeMap<u64, UnixStream>,
    last: u64,
}

impl Guests {
    /// Opens the door. Where that is impossible there are no guests, and the run is still right.
    pub(super) fn open(poller: &Poller) -> Self {
        let name = unpredictable_name();
        let listener = listen(&name).ok().filter(|listener| poller.watch(listener, Ready::Door).is_ok());
        Guests { listener, name, shut: false, inside: BTreeMap::new(), last: 0 }
    }

    /// What processes of the run are told as `SPV_SOCKET`.
    pub(super) fn address(&self) -> Option<String> {
        self.listener.as_ref().map(|_| format!("@{}", self.name))
    }

    /// Lets in those who wait.
    pub(super) fn welcome(&mut self, poller: &Poller) {
        let Some(listener) = self.listener.as_ref().filter(|_| !self.shut) else { return };
        loop {
            if self.inside.len() >= GUESTS_MAX {
                break;
            }
            match listener.accept() {
                Ok((stream, _)) if is_ours(&stream) && stream.set_nonblocking(true).is_ok() => {
                    self.last += 1;
                    if poller.watch(&stream, Ready::Guest(self.last)).is_ok() {
                        self.inside.insert(self.last, stream);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => break,
            }
        }
        // Somebody who waits there would wake us again and again.
        self.shut = true;
        poller.forget(listener);
    }

    /// Something was closed, so there may be room again.
    pub(super) fn reopen(&mut self, poller: &Poller) {
        if let Some(listener) = self.listener.as_ref().filter(|_| self.shut) {
            self.shut = poller.watch(listener, Ready::Door).is_err();
        }
    }

    /// Reads once from a guest. `End` when there is nothing more to come.
    pub(super) fn read(&mut self, guest: u64, buffer: &mut [u8]) -> Got {
        let Some(stream) = self.inside.get_mut(&guest) else { return Got::Nothing };
        match stream.read(buffer) {
            Ok(0) => Got::End,
            Ok(count) => Got::Bytes(count, count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Got::Nothing,
            Err(_) => Got::End,
        }
    }

    /// Sends an answer. They are few and short: who does not take them is cut off, and seen to have left.
    pub(super) fn send(&mut self, guest: u64, bytes: &[u8]) {
        if let Some(stream) = self.inside.get_mut(&guest) {
            if stream.write_all(bytes).is_err() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    /// A guest is gone, or to go.
    pub(super) fn remove(&mut self, guest: u64, poller: &Poller) {
        self.inside.remove(&guest);
        self.reopen(poller);
    }

    /// The run is over: whoever still waits sees the end of the connection.
    pub(super) fn close(&mut self) {
        self.listener = None;
        self.inside.clear();
    }
}

fn listen(name: &str) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether the process at the other end belongs to the user we run as.
fn is_ours(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw())
}

/// Without randomness the name is still one of a kind: who may come in does not depend on it.
fn unpredictable_name() -> String {
    format!("supervisor-{}-{:032x}", std::process::id(), u128::from_ne_bytes(process::random()))
}
