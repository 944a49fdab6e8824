//! One call: typed parameters in, a result or a failure out; a panic is a failure.

use super::context::Context;
use super::failure::Failure;
use crate::protocol::INVALID_PARAMS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A function as it is called: parameters as JSON text, the result appended as JSON text.
pub(super) type Function = Box<dyn FnMut(&Context<'_>, Option<&str>, &mut Vec<u8>) -> Result<(), Failure>>;

/// Makes a typed function one of those.
pub(super) fn typed<P, R, E, F>(name: &str, mut function: F) -> Function
where
    P: DeserializeOwned,
    R: Serialize,
    E: Into<Failure>,
    F: FnMut(&Context<'_>, P) -> Result<R, E> + 'static,
{
    let name = name.to_owned();
    Box::new(move |context, params, out| {
        let params = parse(&name, params)?;
        let result = function(context, params).map_err(Into::into)?;
        serde_json::to_writer(out, &result)
            .map_err(|error| Failure::new(format!("the result of {name} has no form in JSON: {error}")))
    })
}

fn parse<P: DeserializeOwned>(name: &str, params: Option<&str>) -> Result<P, Failure> {
    let text = params.unwrap_or("[]");
    serde_json::from_str(text).or_else(|error| {
        // A function without parameters takes `()`, which is null in JSON.
        let is_empty = matches!(text.split_ascii_whitespace().collect::<String>().as_str(), "[]" | "{}" | "null");
        let otherwise =
            if is_empty { ["null", "[]", "{}"].iter().find_map(|text| serde_json::from_str(text).ok()) } else { None };
        otherwise.ok_or_else(|| Failure::new(format!("the parameters do not fit {name}: {error}")).code(INVALID_PARAMS))
    })
}

thread_local! {
    /// Where the last panic of this thread happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics remember their place, besides what was done about them before (a message on standard error).
pub(super) fn remember_places_of_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PLACE.with_borrow_mut(|place| *place = info.location().map(ToString::to_string));
        before(info);
    }));
}

/// Calls a function.
pub(super) fn call(
    function: &mut Function,
    context: &Context<'_>,
    params: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| function(context, params, out))).unwrap_or_else(|payload| {
        let place = PLACE.take();
        Err(Failure::new(format!("panicked: {}", message(&*payload))).data(json!({"type": "panic", "location": place})))
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, PartialEq, Debug)]
    struct Named {
        a: i64,
        #[serde(default)]
        b: i64,
    }

    #[test]
    fn parameters_by_position_by_name_and_none() {
        assert_eq!(parse::<(i64,)>("f", Some("[1]")).unwrap(), (1,));
        assert_eq!(parse::<Named>("f", Some(r#"{"a":1}"#)).unwrap(), Named { a: 1, b: 0 });
        assert!(parse::<Vec<i64>>("f", None).unwrap().is_empty());
        for empty in [None, Some("[]"), Some("{ }"), Some("null")] {
            parse::<()>("f", empty).unwrap();
        }
        let refused = parse::<(i64,)>("f", Some("[\"x\"]")).unwrap_err();
        assert_eq!(refused.code, INVALID_PARAMS);
        assert!(refused.message.starts_with("the parameters do not fit f: invalid type"), "{}", refused.message);
        assert!(parse::<()>("f", Some("[1]")).is_err());
    }
}
