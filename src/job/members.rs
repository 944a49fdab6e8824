//! The members a JSON job may have: their names, and collecting them from an object without looking into their values.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Declares [`Member`] and the names once, so that the two cannot drift apart.
macro_rules! members {
    ($($member:ident $name:literal),* $(,)?) => {
        /// A member of a JSON job.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Member { $($member),* }

        const NAMES: &[&str] = &[$($name),*];

        impl Member {
            fn from_name(name: &str) -> Option<Member> {
                match name {
                    $($name => Some(Member::$member),)*
                    _ => None,
                }
            }
        }
    };
}

members! {
    Id "id",
    Method "method",
    Params "params",
    Command "command",
    Cwd "cwd",
    Env "env",
    Stdin "stdin",
    Timeout "timeout",
    Retries "retries",
    Needs "needs",
    Locks "locks",
    Priority "priority",
    Tags "tags",
    JsonRpc "jsonrpc",
}

impl Member {
    /// The member's name in the list.
    pub(super) fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The values of an object's members as the text they are.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    values: [Option<&'a RawValue>; NAMES.len()],
    seen: u32,
}

impl<'a> Members<'a> {
    /// A member's value; `null` is as if the member was not there.
    pub(super) fn get(&self, member: Member) -> Option<&'a RawValue> {
        self.values[member as usize]
    }

    /// Whether any of the bits of `mask`, made by [`mask`], stands for a member that was there.
    pub(super) fn has_any(&self, mask: u32) -> bool {
        self.seen & mask != 0
    }

    fn insert(&mut self, member: Member, value: &'a RawValue) -> Result<(), String> {
        let bit = mask(&[member]);
        if self.seen & bit != 0 {
            return Err(format!("member \"{}\" is there twice; give it once", member.name()));
        }
        self.seen |= bit;
        if value.get() != "null" {
            self.values[member as usize] = Some(value);
        }
        Ok(())
    }
}

/// A bit for each of these members.
pub(super) const fn mask(members: &[Member]) -> u32 {
    let (mut bits, mut index) = (0, 0);
    while index < members.len() {
        bits |= 1 << members[index] as u32;
        index += 1;
    }
    bits
}

/// Reads an object into [`Members`]. What was read before a fault stays there: the id of a bad job is known by it.
pub(super) struct Collect<'m, 'a>(pub(super) &'m mut Members<'a>);

impl<'de> DeserializeSeed<'de> for Collect<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(member) = map.next_key_seed(Key)? {
            let value: &'de RawValue = map.next_value()?;
            self.0.insert(member, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Member, E> {
        Member::from_name(name).ok_or_else(|| E::custom(unknown(name)))
    }
}

/// Longest part of an unknown name that a message repeats.
const NAME_CHARS_MAX: usize = 40;

#[cold]
fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    let near = NAMES.iter().map(|known| (distance(&shown, known), *known)).min();
    match near {
        Some((distance, known)) if distance <= known.len().div_ceil(3) => {
            format!("unknown member {shown:?}, did you mean \"{known}\"?")
        }
        _ => format!("unknown member {shown:?}; a job may have {}", NAMES[..NAMES.len() - 1].join(", ")),
    }
}

/// Levenshtein's distance, case ignored.
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, byte) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for column in 0..right.len() {
            let substituted = diagonal + usize::from(!byte.eq_ignore_ascii_case(&right[column]));
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        assert_eq!(unknown("comand"), "unknown member \"comand\", did you mean \"command\"?");
        assert_eq!(unknown("Args"), "unknown member \"Args\", did you mean \"tags\"?");
        assert_eq!(unknown("retry"), "unknown member \"retry\", did you mean \"retries\"?");
        let far = unknown(&"x".repeat(1000));
        assert!(far.contains("a job may have id, method, params, command"), "{far}");
        assert!(far.len() < 300);
    }

    #[test]
    fn names_and_members_agree() {
        for name in NAMES {
            assert_eq!(Member::from_name(name).map(Member::name), Some(*name));
        }
    }
}
