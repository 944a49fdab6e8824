//! Lines of calls to Python's values, several times as fast as Python's own decoder makes them. Knows no escapes and no
//! numbers beyond 64 bits; a line that has any goes the general way, as does what is no call or no JSON, so that errors are told
//! in one place. Never guesses: each value is what `json.loads` would return.

use core::ffi::c_char;
use core::ptr::null_mut;

use super::api::*;

/// What a value may be nested in; more goes the general way.
const DEPTH_MAX: usize = 32;
/// Digits that always fit into 64 bits.
const DIGITS_MAX: usize = 18;
/// The longest method that is remembered.
const METHOD_MAX: usize = 64;

/// The method of the last request: the next one mostly has the same.
pub struct LastMethod {
    made: Option<Owned>,
    spelling: [u8; METHOD_MAX],
    length: usize,
}

impl LastMethod {
    pub const fn new() -> Self {
        Self { made: None, spelling: [0; METHOD_MAX], length: 0 }
    }

    /// The string, which was made before, most likely.
    fn known(&mut self, text: &[u8]) -> Option<Owned> {
        if let Some(made) = self.made.as_ref().filter(|_| self.spelling.get(..self.length) == Some(text)) {
            return Some(made.clone());
        }
        let made = string(text)?;
        if let Some(place) = self.spelling.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.length = text.len();
            self.made = Some(made.clone());
        }
        Some(made)
    }
}

/// The calls of a whole line, as a list of `(id, method, parameters)`. `None` where one of them is no plain call, or not to be
/// read here. An error may be set then.
///
/// # Safety
///
/// A NUL stands behind the line.
pub unsafe fn calls(text: &[u8], method: &mut LastMethod) -> Option<Owned> {
    let mut reader = Reader { text, at: 0, depth: 0, method };
    // SAFETY: a new list.
    let list = Owned::taken(unsafe { PyList_New(0) })?;
    if reader.takes(b'[') {
        reader.items(&list, Reader::call)?;
    } else {
        append(&list, &reader.call()?)?;
    }
    reader.blank();
    (reader.at == text.len()).then_some(list)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    method: &'a mut LastMethod,
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
        self.items(&list, Self::value)?;
        Some(list)
    }

    /// What stands behind the bracket that opens an array, each read so.
    fn items(&mut self, list: &Owned, read: fn(&mut Self) -> Option<Owned>) -> Option<()> {
        if self.takes(b']') {
            return Some(());
        }
        loop {
            append(list, &read(self)?)?;
            if !self.takes(b',') {
                return self.takes(b']').then_some(());
            }
        }
    }

    /// A call with a number for an id, and nothing but what calls have.
    fn call(&mut self) -> Option<Owned> {
        let (mut id, mut method, mut params) = (None, None, None);
        let mut opening = b'{';
        while self.takes(opening) {
            opening = b',';
            self.blank();
            let key = self.spelling()?;
            if !self.takes(b':') {
                return None;
            }
            self.blank();
            let (place, value) = match key {
                b"jsonrpc" if self.spelling()? == b"2.0" => continue,
                b"id" => (&mut id, self.number()?),
                b"method" => {
                    let text = self.spelling()?;
                    (&mut method, self.method.known(text)?)
                }
                b"params" => (&mut params, self.params()?),
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let (Some(id), Some(method), true) = (id, method, self.takes(b'}')) else { return None };
        number(id.lent())?;
        Owned::taken(tuple([id, method, params.or_else(|| Owned::taken(tuple([])))?]))
    }

    /// Parameters: a tuple or a dictionary.
    fn params(&mut self) -> Option<Owned> {
        if self.peek() == b'{' {
            return self.value();
        }
        let begin = self.at;
        self.few().or_else(|| {
            self.at = begin;
            let list = (self.peek() == b'[').then(|| self.value()).flatten()?;
            // SAFETY: a list, of which the tuple is made.
            Owned::taken(unsafe { PyList_AsTuple(list.lent()) })
        })
    }

    /// An array of one item or two, which most are.
    fn few(&mut self) -> Option<Owned> {
        if !self.takes(b'[') {
            return None;
        }
        let first = self.value()?;
        if self.takes(b']') {
            return Owned::taken(tuple([first]));
        }
        let second = if self.takes(b',') { self.value()? } else { return None };
        if self.takes(b']') { Owned::taken(tuple([first, second])) } else { None }
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
            let value = self.value()?;
            let key = string(key)?;
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

fn append(list: &Owned, item: &Owned) -> Option<()> {
    // SAFETY: both are alive.
    (unsafe { PyList_Append(list.lent(), item.lent()) } == 0).then_some(())
}

/// A string of these bytes; `None` where they are no UTF-8.
fn string(text: &[u8]) -> Option<Owned> {
    // SAFETY: bytes that are there while Python copies them.
    Owned::taken(unsafe { PyUnicode_FromStringAndSize(text.as_ptr().cast::<c_char>(), text.len() as isize) })
}
