//! The members a JSON job may have: their names, and collecting them from an object without looking into their values.

use crate::json::{Plain, QUICK_DEPTH_MAX};
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
    values: [Option<&'a str>; NAMES.len()],
    seen: u32,
}

impl<'a> Members<'a> {
    /// A member's value; `null` is as if the member was not there.
    pub(super) fn get(&self, member: Member) -> Option<&'a str> {
        self.values[member as usize]
    }

    /// Whether any of the bits of `mask`, made by [`mask`], stands for a member that was there.
    pub(super) fn has_any(&self, mask: u32) -> bool {
        self.seen & mask != 0
    }

    /// Reads an object. What was read before a fault stays here: the id of a bad job is known by it.
    pub(super) fn collect(&mut self, text: &'a str) -> Result<(), serde_json::Error> {
        if self.collect_plain(text).is_some() {
            return Ok(());
        }
        *self = Members::default();
        let mut source = serde_json::Deserializer::from_str(text);
        Collect(self).deserialize(&mut source).and_then(|()| source.end())
    }

    /// The same for a plain object, as most are: told without the general way, which costs four times as much. `None`
    /// says nothing.
    fn collect_plain(&mut self, text: &'a str) -> Option<()> {
        let mut plain = Plain::new(text);
        plain.object(|plain| {
            let member = Member::from_name(plain.string()?)?;
            plain.colon()?;
            self.insert(member, plain.value(QUICK_DEPTH_MAX)?).ok()
        })?;
        plain.is_over().then_some(())
    }

    fn insert(&mut self, member: Member, value: &'a str) -> Result<(), String> {
        let bit = mask(&[member]);
        if self.seen & bit != 0 {
            return Err(format!("member \"{}\" is there twice; give it once", member.name()));
        }
        self.seen |= bit;
        if value != "null" {
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

/// Reads any object into [`Members`].
struct Collect<'m, 'a>(&'m mut Members<'a>);

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
            self.0.insert(member, value.get()).map_err(A::Error::custom)?;
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_quick_way_and_the_general_one_agree(
            names in prop::collection::vec(prop::sample::select(NAMES), 0..4),
            values in prop::collection::vec("[-0-9.,\\[\\]{}\" tfnrueals\\\\e]{1,8}", 4),
            gap in " {0,2}",
        ) {
            let pairs: Vec<_> = names.iter().zip(&values).map(|(name, value)| format!("{gap}\"{name}\"{gap}:{value}")).collect();
            let text = format!("{{{}}}{gap}", pairs.join(","));
            let mut quick = Members::default();
            if quick.collect_plain(&text).is_some() {
                let (mut general, mut source) = (Members::default(), serde_json::Deserializer::from_str(&text));
                Collect(&mut general).deserialize(&mut source).and_then(|()| source.end()).unwrap();
                prop_assert_eq!((quick.seen, quick.values), (general.seen, general.values));
            }
        }
    }
}
