//! Results as JSON text, where that is simple.

use super::api::*;
use super::calls::SHELF_BYTES;

/// The longest 64-bit number, with its sign.
const DIGITS_MAX: usize = 20;

/// What a number is spelled in.
#[derive(Default)]
pub struct Digits([u8; DIGITS_MAX]);

impl Digits {
    pub fn of(&mut self, number: i64) -> &[u8] {
        let (mut at, mut rest) = (DIGITS_MAX, number.unsigned_abs());
        for place in self.0.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
            if rest == 0 {
                break;
            }
        }
        if let (true, Some(place)) = (number < 0, at.checked_sub(1).and_then(|sign| self.0.get_mut(sign))) {
            *place = b'-';
            at -= 1;
        }
        self.0.get(at..).unwrap_or_default()
    }
}

/// How a result is told.
pub enum Text<'a> {
    Plain(&'a [u8]),
    /// Between quotes.
    Quoted(&'a [u8]),
    Float(Owned),
    /// By Python's own encoder.
    Hard,
    /// It may be anything: what is waited for, what has its own form.
    Unknown,
}

impl<'a> Text<'a> {
    pub fn of(result: &'a Owned, digits: &'a mut Digits) -> Self {
        let object = result.lent();
        let is = |kind| is_exactly(object, kind);
        if is(&raw mut PyLong_Type) {
            number(object).map_or(Self::Hard, |number| Self::Plain(digits.of(number)))
        } else if object == none() {
            Self::Plain(b"null")
        } else if object == &raw mut _Py_TrueStruct {
            Self::Plain(b"true")
        } else if object == &raw mut _Py_FalseStruct {
            Self::Plain(b"false")
        } else if is(&raw mut PyUnicode_Type) {
            if is_long(object) {
                return Self::Unknown;
            }
            let means_itself = |text: &&[u8]| !text.iter().any(|&byte| byte < b' ' || byte == b'"' || byte == b'\\');
            utf8(result).filter(means_itself).map_or(Self::Hard, Self::Quoted)
        } else if is(&raw mut PyFloat_Type) {
            float(object).map_or(Self::Hard, Self::Float)
        } else if is(&raw mut PyList_Type) || is(&raw mut PyDict_Type) {
            Self::Hard
        } else {
            Self::Unknown
        }
    }
}

/// Whether a string is too long for the shelf anyway.
pub fn is_long(string: Borrowed) -> bool {
    // SAFETY: a string that is alive.
    unsafe { PyUnicode_GetLength(string) > SHELF_BYTES as isize }
}

/// As `float.__repr__`, which is what Python's encoder takes; JSON has no word for what is no number, and none for infinity.
fn float(object: Borrowed) -> Option<Owned> {
    // SAFETY: a float that is alive.
    unsafe {
        if !PyFloat_AsDouble(object).is_finite() {
            return None;
        }
        let text = Owned::taken(PyObject_Repr(object));
        if text.is_none() {
            PyErr_Clear();
        }
        text
    }
}
