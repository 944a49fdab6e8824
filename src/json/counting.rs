//! Numbers that follow one another, as text: the ids of requests and of most records. Remembers the last one, of which
//! mostly nothing but the last digit has to change.

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Appends numbers, each of them mostly a little more than the one before.
///
/// ```
/// let (mut counting, mut out) = (supervisor::json::Counting::default(), Vec::new());
/// [7, 8, 10].map(|number| counting.push(&mut out, number));
/// assert_eq!(out, b"7810");
/// ```
#[derive(Debug)]
pub struct Counting {
    last: u64,
    digits: [u8; DIGITS_MAX],
    length: usize,
}

impl Default for Counting {
    fn default() -> Self {
        let mut digits = [0; DIGITS_MAX];
        digits[0] = b'0';
        Counting { last: 0, digits, length: 1 }
    }
}

impl Counting {
    /// Appends a number in decimal.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, number: u64) {
        let more = number.wrapping_sub(self.last);
        let at = self.length - 1;
        if more < 10 && u64::from(self.digits[at]) + more <= u64::from(b'9') {
            self.digits[at] += more as u8;
        } else {
            self.write_anew(number);
        }
        self.last = number;
        // All of them are copied, since what has a fixed length is copied in place.
        out.extend_from_slice(&self.digits);
        out.truncate(out.len() - (DIGITS_MAX - self.length));
    }

    #[inline(never)]
    fn write_anew(&mut self, number: u64) {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(number).as_bytes();
        self.digits[..text.len()].copy_from_slice(text);
        self.length = text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_ever(
            first in prop::sample::select(vec![0, 7, 95, 4_294_967_290, u64::MAX - 50]),
            steps in prop::collection::vec(0u64..13, 0..60),
            back in 0u64..100,
        ) {
            let (mut counting, mut number) = (Counting::default(), first);
            for step in steps {
                number = if step == 12 { number.saturating_sub(back) } else { number.saturating_add(step) };
                let mut out = b"x".to_vec();
                counting.push(&mut out, number);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
            }
        }
    }
}
