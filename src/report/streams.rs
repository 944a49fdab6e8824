//! Standard output and standard error side by side, with the progress line. Owns the order of what can be seen
//! on a terminal: where both streams are the same one, all goes through standard output, since two writers
//! would mix; and the progress line is wiped before anything else is written and drawn again after it.

use super::sink::Sink;
use crate::edge::Piece;

/// Goes to the beginning of the line and empties it.
const WIPE: &[u8] = b"\r\x1b[2K";

/// Both streams, until the turn ends.
#[derive(Debug, Default)]
pub(super) struct Streams {
    stdout: Sink,
    stderr: Sink,
    is_one_terminal: bool,
    /// The progress line, empty when there is none.
    bar: Vec<u8>,
    is_bar_drawn: bool,
}

impl Streams {
    pub(super) fn new(is_one_terminal: bool) -> Self {
        Streams { is_one_terminal, ..Streams::default() }
    }

    /// For results and jobs' own output.
    pub(super) fn stdout(&mut self) -> &mut Sink {
        if self.is_one_terminal {
            self.wipe();
        }
        &mut self.stdout
    }

    /// For the jobs' own standard error.
    pub(super) fn stderr(&mut self) -> &mut Sink {
        self.wipe();
        self.screen()
    }

    /// For a message of ours, which begins on a line of its own.
    pub(super) fn message(&mut self) -> &mut Vec<u8> {
        let sink = self.stderr();
        sink.start_line();
        sink.bytes()
    }

    /// Replaces the progress line; an empty one removes it.
    pub(super) fn set_bar(&mut self, bar: &[u8]) {
        self.wipe();
        self.bar.clear();
        self.bar.extend_from_slice(bar);
    }

    /// Draws the progress line again if something was written where it stood; the last step of a turn.
    pub(super) fn draw(&mut self) {
        if self.bar.is_empty() || self.is_bar_drawn {
            return;
        }
        let bar = std::mem::take(&mut self.bar);
        let sink = self.screen();
        // A job's last line may be open; drawn behind it, the bar would wipe it.
        sink.start_line();
        sink.bytes().extend_from_slice(&bar);
        self.bar = bar;
        self.is_bar_drawn = true;
    }

    /// Whether all that is seen goes through standard output.
    pub(super) fn is_one_terminal(&self) -> bool {
        self.is_one_terminal
    }

    /// Whether there is something for standard output.
    pub(super) fn has_stdout(&self) -> bool {
        !self.stdout.is_empty()
    }

    /// Whether there is something for standard error.
    pub(super) fn has_stderr(&self) -> bool {
        !self.stderr.is_empty()
    }

    /// Hands over what goes to standard output; `buffer` is where the next turn begins.
    pub(super) fn drain_stdout(&mut self, buffer: Vec<u8>, take: impl FnMut(Piece)) {
        self.stdout.drain(buffer, take);
    }

    /// Hands over what goes to standard error.
    pub(super) fn drain_stderr(&mut self, buffer: Vec<u8>, take: impl FnMut(Piece)) {
        self.stderr.drain(buffer, take);
    }

    fn screen(&mut self) -> &mut Sink {
        if self.is_one_terminal { &mut self.stdout } else { &mut self.stderr }
    }

    fn wipe(&mut self) {
        if self.is_bar_drawn {
            self.is_bar_drawn = false;
            self.screen().bytes().extend_from_slice(WIPE);
            self.screen().set_line_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(streams: &mut Streams) -> (String, String) {
        streams.draw();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let append = |all: &mut Vec<u8>, piece| match piece {
            Piece::Bytes(bytes) => all.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        };
        streams.drain_stdout(Vec::new(), |piece| append(&mut stdout, piece));
        streams.drain_stderr(Vec::new(), |piece| append(&mut stderr, piece));
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn on_one_terminal_all_is_in_one_stream_and_nothing_is_written_into_the_bar() {
        let mut streams = Streams::new(true);
        streams.set_bar(b"1/2");
        assert_eq!(drained(&mut streams), ("1/2".into(), String::new()));
        assert_eq!(drained(&mut streams), (String::new(), String::new()));
        streams.stdout().bytes().extend_from_slice(b"no line end");
        streams.message().extend_from_slice(b"told\n");
        assert_eq!(drained(&mut streams).0, "\r\x1b[2Kno line end\ntold\n1/2");
        streams.stdout().bytes().extend_from_slice(b"open");
        assert_eq!(drained(&mut streams).0, "\r\x1b[2Kopen\n1/2");
        streams.set_bar(b"2/2");
        assert_eq!(drained(&mut streams).0, "\r\x1b[2K2/2");
        streams.set_bar(b"");
        assert_eq!(drained(&mut streams).0, "\r\x1b[2K");
    }

    #[test]
    fn with_results_in_a_pipe_the_bar_is_on_standard_error_alone() {
        let mut streams = Streams::new(false);
        streams.set_bar(b"1/2");
        streams.stdout().bytes().extend_from_slice(b"result\n");
        assert_eq!(drained(&mut streams), ("result\n".into(), "1/2".into()));
        streams.stdout().bytes().extend_from_slice(b"result\n");
        assert_eq!(drained(&mut streams), ("result\n".into(), String::new()));
        streams.message().extend_from_slice(b"told\n");
        assert_eq!(drained(&mut streams), (String::new(), "\r\x1b[2Ktold\n1/2".into()));
    }
}
