//! A part of a large text, in the memory the text was read into. Copies of it share that memory: to copy it, each of its
//! pages would have to be asked for, which costs more than all that is done with it. For the same reason the memory of the
//! last ones is kept for the next: who has one large argument or result mostly has many.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// From here on a text is handed over in the memory it is in.
pub const LARGE_BYTES: usize = 1 << 20;

/// See the [module](self).
///
/// ```
/// use supervisor::part::Part;
///
/// let part = Part::of("id: value".into(), 4..9);
/// assert_eq!(&*part, "value");
/// ```
#[derive(Clone)]
pub struct Part {
    text: Arc<Text>,
    at: Range<usize>,
}

/// The text of all copies.
struct Text(String);

/// Texts whose memory is kept: one that comes in, and one that goes out.
const SPARES_MAX: usize = 2;

/// Memory of a longer one is given back.
const SPARE_BYTES_MAX: usize = 128 << 20;

static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// For a text that turns out to be large: memory that is there already, if any is, with what is known of the text in it.
pub fn roomier(begun: Vec<u8>) -> Vec<u8> {
    let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
    match spare {
        Some(mut spare) if spare.capacity() > begun.capacity() => {
            spare.extend_from_slice(&begun);
            spare
        }
        _ => begun,
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.0).into_bytes();
        if (LARGE_BYTES..=SPARE_BYTES_MAX).contains(&memory.capacity()) {
            memory.clear();
            let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
            if spares.len() < SPARES_MAX {
                spares.push(memory);
            }
        }
    }
}

impl Part {
    /// What stands at these places of a text.
    ///
    /// # Panics
    ///
    /// When that is no part of it.
    pub fn of(text: String, at: Range<usize>) -> Self {
        assert!(text.get(at.clone()).is_some(), "{at:?} is no part of a text of {} bytes", text.len());
        Part { text: Arc::new(Text(text)), at }
    }

    /// The part of a text that was borrowed from it.
    ///
    /// # Panics
    ///
    /// When it was not.
    pub fn borrowed(text: &str, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        let range = start..start.wrapping_add(part.len());
        assert!(text.get(range.clone()).is_some(), "another text was borrowed from");
        range
    }
}

impl Deref for Part {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text.0[self.at.clone()]
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.at.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stays_in_the_memory_of_its_text() {
        let text = String::from("{\"a\":[1,2]}");
        let memory = text.as_ptr();
        let at = Part::borrowed(&text, &text[5..10]);
        let part = Part::of(text, at);
        let copy = part.clone();
        assert_eq!((&*part, &*copy), ("[1,2]", "[1,2]"));
        assert_eq!((part.as_ptr(), copy.as_ptr()), (memory.wrapping_add(5), memory.wrapping_add(5)));
    }

    #[test]
    fn the_memory_of_two_texts_is_kept_for_the_next() {
        let of = |bytes: usize| Part::of("x".repeat(bytes), 0..bytes);
        drop([of(LARGE_BYTES), of(3 * LARGE_BYTES), of(2 * LARGE_BYTES), of(LARGE_BYTES - 1)]);
        assert!(SPARES.lock().unwrap().len() <= SPARES_MAX);
        let rooms: Vec<usize> = (0..3).map(|_| roomier(b"begun".to_vec()).capacity()).collect();
        assert!(rooms[..2].iter().all(|&room| room >= LARGE_BYTES) && rooms[2] < LARGE_BYTES, "{rooms:?}");
        assert_eq!(roomier(b"begun".to_vec()), b"begun");
        drop(of(SPARE_BYTES_MAX + 1));
        assert!(SPARES.lock().unwrap().is_empty());
    }
}
