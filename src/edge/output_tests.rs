//! Tests of the way out, against real pipes and files.

use super::*;
use crate::edge::wake::tests::wait_for;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe, pipe2};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

const SECOND: Duration = Duration::from_secs(1);

fn wake() -> Wake {
    Wake::new().unwrap()
}

/// An unlinked file with this content, its offset at the end.
fn file_with(content: &[u8]) -> File {
    let name = c"supervisor-test";
    let fd = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = File::from(fd);
    file.write_all(content).unwrap();
    file
}

fn content_of(mut file: File) -> Vec<u8> {
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut content).unwrap();
    content
}

fn mixed_pieces() -> (Vec<Piece>, Vec<u8>) {
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let pieces = vec![
        Piece::Bytes(b"first\n".to_vec()),
        Piece::File { file: file_with(&large), length: large.len() as u64 },
        Piece::Bytes(Vec::new()),
        Piece::Lines { file: file_with(b"a\n\nb"), length: 4, prefix: b"x\t"[..].into() },
        Piece::File { file: file_with(b"beginning, not all"), length: 9 },
        Piece::Bytes(large.clone()),
    ];
    let expected = [b"first\n", &large[..], b"x\ta\nx\t\nx\tb", b"beginning", &large[..]].concat();
    (pieces, expected)
}

#[test]
fn a_pipe_gets_every_piece_in_order() {
    let (read, write) = pipe().unwrap();
    let mut output = Output::start(write, wake());
    let (pieces, expected) = mixed_pieces();
    pieces.into_iter().for_each(|piece| output.push(piece));
    output.close();
    drop(output);
    let mut got = Vec::new();
    File::from(read).read_to_end(&mut got).unwrap();
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
}

#[test]
fn a_file_gets_every_piece_in_order() {
    let file = file_with(b"");
    let mut output = Output::start(file.try_clone().unwrap().into(), wake());
    let (pieces, expected) = mixed_pieces();
    pieces.into_iter().for_each(|piece| output.push(piece));
    output.finish(Some(20 * SECOND)).unwrap();
    assert!(content_of(file) == expected);
    assert_eq!(output.backlog(), 0);
}

#[test]
fn a_file_opened_for_appending_gets_every_piece_in_order() {
    let file = file_with(b"before\n");
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND)).unwrap();
    let mut output = Output::start(file.try_clone().unwrap().into(), wake());
    let (pieces, expected) = mixed_pieces();
    pieces.into_iter().for_each(|piece| output.push(piece));
    output.finish(Some(20 * SECOND)).unwrap();
    assert!(content_of(file) == [b"before\n", &expected[..]].concat());
}

#[test]
fn a_full_disk_is_an_error_that_drops_the_rest() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let bell = wake();
    let mut output = Output::start(full.into(), bell.clone());
    output.push(Piece::Bytes(b"lost".to_vec()));
    while output.error().is_none() {
        wait_for(&bell);
    }
    output.push(Piece::Bytes(b"lost too".to_vec()));
    assert_eq!(output.backlog(), 0);
    assert!(output.is_settled());
    assert_eq!(output.finish(None).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let end = write.try_clone().unwrap();
    let mut output = Output::start(write, wake());
    drop(read);
    // A process that another test is just starting has a copy until it executes its program.
    let mut polled = [PollFd::new(end.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut polled, PollTimeout::from(10_000u16)), Ok(1), "the reader is not gone");
    output.push(Piece::File { file: file_with(b"lost"), length: 4 });
    assert_eq!(output.finish(Some(20 * SECOND)).unwrap_err().raw_os_error(), Some(libc::EPIPE));
}

#[test]
fn a_closed_output_is_an_error_from_the_start() {
    let mut output = Output::lost(&io::Error::from_raw_os_error(libc::EBADF), wake());
    output.push(Piece::Bytes(b"lost".to_vec()));
    assert_eq!(output.finish(None).unwrap_err().raw_os_error(), Some(libc::EBADF));
}

#[test]
fn a_reader_that_stopped_holds_nobody_beyond_the_deadline() {
    let (_read, write) = pipe().unwrap();
    let mut output = Output::start(write, wake());
    output.push(Piece::Bytes(vec![b'x'; 1_000_000]));
    assert!(output.backlog() > 0);
    assert_eq!(output.finish(Some(Duration::from_millis(1))).unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn the_bell_rings_when_the_backlog_has_fallen_and_at_the_end() {
    let (read, write) = pipe().unwrap();
    let bell = wake();
    let mut output = Output::start(write, bell.clone());
    output.push(Piece::Bytes(vec![b'x'; 4 * LOW_WATER_BYTES]));
    let mut read = File::from(read);
    // A write that has begun counts when it has returned: half of the low water is as much as one write.
    let mut buffer = vec![0; 7 * LOW_WATER_BYTES / 2 + 1];
    read.read_exact(&mut buffer).unwrap();
    wait_for(&bell);
    assert!(output.backlog() < LOW_WATER_BYTES);
    output.close();
    buffer.truncate(LOW_WATER_BYTES / 2 - 1);
    read.read_exact(&mut buffer).unwrap();
    while !output.is_settled() {
        wait_for(&bell);
    }
}

#[test]
fn a_non_blocking_pipe_is_waited_for_and_stays_non_blocking() {
    let (read, write) = pipe().unwrap();
    fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let flags = write.try_clone().unwrap();
    let mut output = Output::start(write, wake());
    let (pieces, expected) = mixed_pieces();
    pieces.into_iter().for_each(|piece| output.push(piece));
    let mut got = vec![0; expected.len()];
    File::from(read).read_exact(&mut got).unwrap();
    assert!(got == expected);
    assert!(OFlag::from_bits_retain(fcntl(&flags, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_pipe_that_is_not_empty_gets_whole_lines() {
    let (read, write) = pipe().unwrap();
    let mut output = Output::start(write, wake());
    let line = [vec![b'y'; 999], b"\n".to_vec()].concat();
    output.push(Piece::Bytes(line.repeat(200)));
    // Nothing is read while the thread fills the pipe: what then lies in it ends with a line.
    let lies_still = |fd: &OwnedFd| {
        let mut last = usize::MAX;
        loop {
            let now = readable_bytes(fd);
            if now == last && now > 60_000 {
                return now;
            }
            last = now;
            std::thread::yield_now();
        }
    };
    assert_eq!(lies_still(&read) % line.len(), 0);
    let mut got = vec![0; 200_000];
    File::from(read).read_exact(&mut got).unwrap();
    assert!(got == line.repeat(200));
}

fn readable_bytes(fd: &OwnedFd) -> usize {
    nix::ioctl_read_bad!(bytes_readable, libc::FIONREAD, libc::c_int);
    let mut bytes = 0;
    // SAFETY: FIONREAD writes one int to where the pointer shows.
    unsafe { bytes_readable(std::os::fd::AsRawFd::as_raw_fd(fd), &mut bytes) }.unwrap();
    bytes as usize
}

#[test]
fn buffers_come_back() {
    let file = file_with(b"");
    let mut output = Output::start(file.into(), wake());
    let mut buffer = Vec::with_capacity(12_345);
    buffer.push(b'x');
    output.push(Piece::Bytes(buffer));
    while output.backlog() > 0 {
        std::thread::yield_now();
    }
    output.finish(Some(20 * SECOND)).unwrap();
    // The buffer is given back just after its bytes have left.
    while output.buffer().capacity() != 12_345 {
        std::thread::yield_now();
    }
}
