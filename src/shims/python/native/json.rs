//! Plain JSON to Python's values, several times as fast as Python's own decoder: of one line, whose names and methods are
//! known from the lines before. Knows no escapes and no numbers beyond 64 bits; what has any goes the general way, as has
//! what is no JSON, so that an error is told in one place. Never guesses: what it returns is what `json.loads` would.

use core::ffi::c_char;
use core::ptr::null_mut;

use super::api::*;

/// What a value may be nested in; more goes the general way.
const DEPTH_MAX: usize = 32;
/// Digits that always fit into 64 bits.
const DIGITS_MAX: usize = 18;
/// The longest method that is remembered.
const METHOD_MAX: usize = 64;

/// Strings that every request has.
pub struct Spellings {
    jsonrpc: Owned,
    id: Owned,
    method: Owned,
    params: Owned,
    version: Owned,
    /// The method of the last request and its spelling: the next one mostly has the same.
    last: Option<Owned>,
    spelling: [u8; METHOD_MAX],
    length: usize,
}

impl Spellings {
    pub fn new() -> Option<Self> {
        Some(Self {
            jsonrpc: name(c"jsonrpc")?,
            id: name(c"id")?,
            method: name(c"method")?,
            params: name(c"params")?,
            version: name(c"2.0")?,
            last: None,
            spelling: [0; METHOD_MAX],
            length: 0,
        })
    }

    fn of(&self, key: &[u8]) -> Option<&Owned> {
        match key {
            b"id" => Some(&self.id),
            b"method" => Some(&self.method),
            b"params" => Some(&self.params),
            b"jsonrpc" => Some(&self.jsonrpc),
            _ => None,
        }
    }

    /// A string that was seen before, most likely.
    fn known(&mut self, text: &[u8]) -> Option<Owned> {
        if text == b"2.0" {
            return Some(self.version.clone());
        }
        if let Some(last) = self.last.as_ref().filter(|_| self.spelling.get(..self.length) == Some(text)) {
            return Some(last.clone());
        }
        let made = string(text)?;
        if let Some(place) = self.spelling.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.length = text.len();
            self.last = Some(made.clone());
        }
        Some(made)
    }
}

/// The value of a whole line; `None` where it is none of the plain ones, or no JSON. An error may be set then.
///
/// # Safety
///
/// A NUL stands behind the line.
pub unsafe fn line(text: &[u8], spellings: &mut Spellings) -> Option<Owned> {
    let mut reader = Reader { text, at: 0, depth: 0, spellings };
    let value = reader.value()?;
    reader.blank();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    spellings: &'a mut Spellings,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// Steps over this byte, if it is the next one behind blanks.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Owned> {
        self.blank();
        match self.peek() {
            b'"' => string(self.spelling()?),
            b'[' => self.nested(Self::array),
            b'{' => self.nested(Self::object),
            b't' => self.word(b"true", &raw mut _Py_TrueStruct),
            b'f' => self.word(b"false", &raw mut _Py_FalseStruct),
            b'n' => self.word(b"null", none()),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Owned>) -> Option<Owned> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Option<Owned> {
        // SAFETY: a new list.
        let list = Owned::taken(unsafe { PyList_New(0) })?;
        if self.takes(b']') {
            return Some(list);
        }
        loop {
            let item = self.value()?;
            // SAFETY: both are alive.
            if unsafe { PyList_Append(list.lent(), item.lent()) } != 0 {
                return None;
            }
            if !self.takes(b',') {
                return self.takes(b']').then_some(list);
            }
        }
    }

    fn object(&mut self) -> Option<Owned> {
        // SAFETY: a new dictionary.
        let dict = Owned::taken(unsafe { PyDict_New() })?;
        if self.takes(b'}') {
            return Some(dict);
        }
        loop {
            self.blank();
            let key = self.spelling()?;
            if !self.takes(b':') {
                return None;
            }
            self.blank();
            let is_seen_before = matches!(key, b"method" | b"jsonrpc") && self.peek() == b'"';
            let value = if is_seen_before {
                let text = self.spelling()?;
                self.spellings.known(text)?
            } else {
                self.value()?
            };
            let key = self.spellings.of(key).cloned().or_else(|| string(key))?;
            // SAFETY: all are alive.
            if unsafe { PyDict_SetItem(dict.lent(), key.lent(), value.lent()) } != 0 {
                return None;
            }
            if !self.takes(b',') {
                return self.takes(b'}').then_some(dict);
            }
        }
    }

    /// What stands between two quotes, where it means itself.
    fn spelling(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..)?.strip_prefix(b"\"")?;
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        self.at += length + 2;
        (rest.get(length) == Some(&b'"')).then(|| rest.get(..length)).flatten()
    }

    fn word(&mut self, word: &[u8], value: Borrowed) -> Option<Owned> {
        let found = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        found.then(|| Owned::shared(value)).flatten()
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - begin
    }

    fn number(&mut self) -> Option<Owned> {
        let begin = self.at;
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        let first = self.peek();
        let digits = self.digits();
        if digits == 0 || (first == b'0' && digits > 1) {
            return None;
        }
        if matches!(self.peek(), b'.' | b'e' | b'E') {
            return self.float(begin);
        }
        if digits > DIGITS_MAX {
            return None;
        }
        let digits = self.text.get(self.at - digits..self.at)?;
        let amount = digits.iter().fold(0, |amount: i64, digit| amount * 10 + i64::from(digit - b'0'));
        // SAFETY: a new number.
        Owned::taken(unsafe { PyLong_FromLongLong(if is_negative { -amount } else { amount }) })
    }

    /// The rest of a number that has a fraction, an exponent or both.
    fn float(&mut self, begin: usize) -> Option<Owned> {
        if self.peek() == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            if self.digits() == 0 {
                return None;
            }
        }
        let text = self.text.get(begin..self.at)?.as_ptr_range();
        let mut end = null_mut();
        // SAFETY: the line ends with a NUL, at which the conversion stops at the latest.
        let number = unsafe { PyOS_string_to_double(text.start.cast(), &mut end, null_mut()) };
        // SAFETY: a new number.
        if end.cast_const() == text.end.cast() { Owned::taken(unsafe { PyFloat_FromDouble(number) }) } else { None }
    }
}

/// A string of these bytes; `None` where they are no UTF-8.
fn string(text: &[u8]) -> Option<Owned> {
    // SAFETY: bytes that are there while Python copies them.
    Owned::taken(unsafe { PyUnicode_FromStringAndSize(text.as_ptr().cast::<c_char>(), text.len() as isize) })
}
