//! The quick way to what most jobs are: a plain call with nothing but `id`, `method` and `params`, told in one pass and
//! without a table of members. What it does not know it leaves to the general way.

use super::json::is_user_id;
use crate::json::{Plain, QUICK_DEPTH_MAX};

/// The values of a plain call's members.
pub(super) struct PlainCall<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) params: Option<&'a str>,
}

/// A plain call with nothing but `id`, `method` and `params`, as most jobs are: told in a third of the time. `None` says
/// nothing.
#[inline(always)]
pub(super) fn plain_call(text: &str) -> Option<PlainCall<'_>> {
    let mut plain = Plain::new(text);
    let mut call = PlainCall { id: None, method: None, params: None };
    plain.open()?;
    loop {
        let before = if plain.word(b"\"method\":").is_some() {
            plain.blanks();
            call.method.replace(plain.string()?)
        } else {
            let slot = if plain.word(b"\"params\":").is_some() {
                &mut call.params
            } else {
                plain.word(b"\"id\":")?;
                &mut call.id
            };
            plain.blanks();
            slot.replace(plain.value(QUICK_DEPTH_MAX)?)
        };
        if before.is_some() {
            return None;
        }
        if !plain.goes_on()? {
            break;
        }
    }
    let is_call = match (call.method, call.params) {
        (None, None) | (Some(""), _) => false,
        (_, params) => params.is_none_or(|params| matches!(params.as_bytes()[0], b'[' | b'{')),
    };
    // An escape may be half a surrogate pair.
    let has_id = call.id.is_none_or(|id| is_user_id(id) && memchr::memchr(b'\\', id.as_bytes()).is_none());
    (is_call && has_id && plain.is_over()).then_some(call)
}

#[cfg(test)]
mod tests {
    use crate::job::json::{Fault, Parsed, any_text, parse};
    use crate::job::model::FunctionCall;
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn told(parsed: Result<Parsed, Fault>) -> String {
        format!("{parsed:?}")
    }

    proptest! {
        #[test]
        fn a_plain_call_says_the_same_as_any_text(
            names in prop::collection::vec(prop::sample::select(vec!["id", "method", "params", "command"]), 0..4),
            values in prop::collection::vec("\"[a\\\\]{0,2}\"|\\[[1,]{0,3}\\]|\\{\\}|null|-?[01e.]{1,3}", 4),
            gap in " {0,2}",
            end in "[ ,}]?",
        ) {
            let pairs: Vec<_> = names.iter().zip(&values).map(|(name, value)| format!("{gap}\"{name}\"{gap}:{value}")).collect();
            let text = format!("{{{}{gap}}}{end}", pairs.join(","));
            let make = |method: Option<&str>, params: Cow<'_, str>| FunctionCall::of_text(method, &params);
            prop_assert_eq!(told(parse(text.as_bytes())), told(any_text(&text, make)));
        }
    }
}
