//! A part of a large text, in the memory the text was read into. Copies of it share that memory: to copy it, each of its
//! pages would have to be asked for, which costs more than all that is done with it. For the same reason the memory of the
//! last ones is kept for the next: who has one large argument or result mostly has many.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Memory of large texts that are gone.
#[derive(Debug)]
struct Spares {
    memory: Vec<Vec<u8>>,
    /// Large texts come one after the other. Of one among small ones nothing is kept.
    are_wanted: bool,
}

static SPARES: Mutex<Spares> = Mutex::new(Spares { memory: Vec::new(), are_wanted: false });

fn spares() -> MutexGuard<'static, Spares> {
    // What a panic leaves is whole: each change is a single step.
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says, where texts are cut from a stream, whether the last one was large; only where that has changed.
pub fn expect_large(is_large: bool) {
    spares().expect_large(is_large);
}

/// For a text that turns out to be large: memory that is there already, if any is, with what is known of the text in it.
pub fn roomier(begun: Vec<u8>) -> Vec<u8> {
    spares().roomier(begun)
}

impl Spares {
    fn expect_large(&mut self, is_large: bool) {
        self.are_wanted = is_large;
        if !is_large {
            self.memory = Vec::new();
        }
    }

    fn roomier(&mut self, begun: Vec<u8>) -> Vec<u8> {
        match self.memory.pop() {
            Some(mut spare) if spare.capacity() > begun.capacity() => {
                spare.extend_from_slice(&begun);
                spare
            }
            _ => begun,
        }
    }

    fn keep(&mut self, mut memory: Vec<u8>) {
        let is_fit = (LARGE_BYTES..=SPARE_BYTES_MAX).contains(&memory.capacity());
        if is_fit && self.are_wanted && self.memory.len() < SPARES_MAX {
            memory.clear();
            self.memory.push(memory);
        }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.0).into_bytes();
        if memory.capacity() >= LARGE_BYTES {
            spares().keep(memory);
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
    fn the_memory_of_two_texts_is_kept_for_the_next_as_long_as_large_ones_come() {
        let mut spares = Spares { memory: Vec::new(), are_wanted: false };
        spares.keep(Vec::with_capacity(LARGE_BYTES));
        assert!(spares.memory.is_empty(), "nobody expects another one");
        spares.expect_large(true);
        for bytes in [LARGE_BYTES - 1, SPARE_BYTES_MAX + 1, LARGE_BYTES, 2 * LARGE_BYTES, 3 * LARGE_BYTES] {
            spares.keep(Vec::with_capacity(bytes));
        }
        let rooms: Vec<usize> = (0..3).map(|_| spares.roomier(b"begun".to_vec()).capacity()).collect();
        assert_eq!(rooms, [2 * LARGE_BYTES, LARGE_BYTES, 5]);
        spares.keep(Vec::with_capacity(LARGE_BYTES));
        assert_eq!(spares.roomier(b"begun".to_vec()), b"begun");
        spares.keep(Vec::with_capacity(LARGE_BYTES));
        spares.expect_large(false);
        assert!(spares.memory.is_empty());
    }
}
