//! Cuts a JSON array of jobs into its elements as they come, wherever the lines and the reads end.
//! Finds where an element ends, and whether the commas are right; what is in it is for [`super::json`] to judge.

/// The next thing in the array, measured from the first unread byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// This many bytes of blanks and punctuation: take them.
    Between(usize),
    /// This many bytes are an element: take them.
    Element(usize),
    /// The bytes seen so far belong to an element that is not complete.
    Inside,
    /// More bytes are needed to find the next element; the array is open or not.
    Starved {
        /// Whether its closing bracket is still owed.
        open: bool,
    },
    /// What comes next cannot stand there. The caller reports it and gives up.
    Fault(&'static str),
}

const NO_JOB: &str = "expected a job here, an object or an array of parameters; the rest of the list is not read";
const NO_ARRAY: &str = "expected nothing after the array of jobs; the rest of the list is not read";
const NO_COMMA: &str = "expected a comma or the closing bracket after a job; the rest of the list is not read";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No array is open.
    Outside,
    /// After `[`: an element or `]`.
    First,
    /// After a comma: an element.
    Next,
    /// In an element.
    Element,
    /// After an element: a comma or `]`.
    After,
    /// Broken: nothing that follows can be trusted to be a job.
    Broken,
}

/// Where in the array we are. Bytes are looked at once, however they come.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// Bytes of the open element that were looked at.
    scanned: usize,
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Before the array.
    pub(super) fn new() -> Self {
        Scanner { state: State::Outside, scanned: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Looks at the unread bytes. `ended` says that no more will come.
    pub(super) fn next(&mut self, unread: &[u8], ended: bool) -> Piece {
        match self.state {
            State::Element => self.element(unread, ended),
            State::Broken if unread.is_empty() => Piece::Starved { open: false },
            State::Broken => Piece::Between(unread.len()),
            State::Outside | State::First | State::Next | State::After => self.between(unread),
        }
    }

    /// The caller took the bytes of the open element away, because there are too many of them to keep.
    pub(super) fn forget_scanned(&mut self) {
        self.scanned = 0;
    }

    /// Nothing that follows is looked at any more, and nothing is owed.
    pub(super) fn give_up(&mut self) {
        self.state = State::Broken;
    }

    fn between(&mut self, unread: &[u8]) -> Piece {
        let blanks = unread.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        if blanks > 0 {
            return Piece::Between(blanks);
        }
        let Some(&byte) = unread.first() else {
            return Piece::Starved { open: self.state != State::Outside };
        };
        let state = match (self.state, byte) {
            (State::Outside, b'[') => State::First,
            (State::First | State::After, b']') => State::Outside,
            (State::After, b',') => State::Next,
            (State::First | State::Next, b',' | b']' | b'}') => return Piece::Fault(NO_JOB),
            (State::First | State::Next, _) => {
                (self.scanned, self.depth, self.in_string, self.escaped) = (0, 0, false, false);
                State::Element
            }
            (State::Outside, _) => return Piece::Fault(NO_ARRAY),
            (State::After | State::Element | State::Broken, _) => return Piece::Fault(NO_COMMA),
        };
        self.state = state;
        Piece::Between(usize::from(state != State::Element))
    }

    fn element(&mut self, unread: &[u8], ended: bool) -> Piece {
        let end = self.element_end(unread);
        let is_word = self.depth == 0 && !self.in_string;
        match end {
            Some(end) => {
                self.state = State::After;
                Piece::Element(end)
            }
            None if ended && is_word => {
                self.state = State::After;
                Piece::Element(unread.len())
            }
            None => Piece::Inside,
        }
    }

    fn element_end(&mut self, unread: &[u8]) -> Option<usize> {
        let mut at = self.scanned;
        while at < unread.len() {
            if self.in_string {
                at = self.skip_string(unread, at);
                if self.in_string || self.depth > 0 {
                    continue;
                }
                return Some(at);
            }
            match unread[at] {
                b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Some(at),
                b'"' => self.in_string = true,
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' if self.depth == 1 => return Some(at + 1),
                b']' | b'}' => self.depth -= 1,
                _ => {}
            }
            at += 1;
        }
        self.scanned = at;
        None
    }

    /// From inside a string to after its closing quote, or to the end of what there is.
    fn skip_string(&mut self, unread: &[u8], mut at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            at += 1;
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', &unread[at.min(unread.len())..]) {
            at += found + 1;
            if unread[at - 1] == b'"' {
                self.in_string = false;
                return at;
            }
            if at == unread.len() {
                self.escaped = true;
                return at;
            }
            at += 1;
        }
        unread.len()
    }
}
