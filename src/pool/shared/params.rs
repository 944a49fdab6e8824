//! Parameters of requests for shared state.

use crate::protocol::INVALID_PARAMS;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

/// Longest name of a shared object, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// All members that any of the requests may have.
#[derive(Debug, Deserialize)]
pub(super) struct Params<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    timeout: Option<f64>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    initial: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    amount: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    expected: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    new: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    item: Option<&'a RawValue>,
    pub(super) parties: Option<u32>,
    pub(super) maxsize: Option<usize>,
}

/// `null` is a value like any other.
fn even_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// So many seconds are for ever. The library of Python says it for a thread that is in no circle, though its job seems to be.
const ENDLESS: f64 = 1e9;

pub(super) type Refusal = (i64, String);

impl<'a> Params<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let params: Params<'a> =
            serde_json::from_str(text).map_err(|error| (INVALID_PARAMS, format!("bad parameters: {error}")))?;
        if params.name.is_empty() || params.name.len() > NAME_BYTES_MAX {
            return Err((INVALID_PARAMS, format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        Ok(params)
    }

    /// How long the asker is willing to wait; for ever when missing.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
    }

    /// Whether the asker would wait for ever, however that was said.
    pub(super) fn is_endless(&self) -> bool {
        self.timeout.is_none_or(|seconds| seconds >= ENDLESS)
    }

    /// Whether the asker is not willing to wait at all.
    pub(super) fn is_impatient(&self) -> bool {
        self.timeout.is_some_and(|seconds| seconds <= 0.0)
    }

    pub(super) fn value(&self) -> Result<&'a str, Refusal> {
        text_of(self.value, "value")
    }

    pub(super) fn initial(&self) -> &'a str {
        self.initial.map_or("0", RawValue::get)
    }

    pub(super) fn amount(&self) -> &'a str {
        self.amount.map_or("1", RawValue::get)
    }

    pub(super) fn expected(&self) -> Result<&'a str, Refusal> {
        text_of(self.expected, "expected")
    }

    pub(super) fn new_value(&self) -> Result<&'a str, Refusal> {
        text_of(self.new, "new")
    }

    pub(super) fn item(&self) -> Result<&'a str, Refusal> {
        text_of(self.item, "item")
    }

    /// The count of a semaphore: how many may hold it together.
    pub(super) fn count(&self) -> Result<u64, Refusal> {
        let count = self.value.map_or(Some(1), |raw| raw.get().parse().ok());
        count.filter(|&count| count > 0).ok_or((INVALID_PARAMS, "\"value\" must be a number from 1".into()))
    }
}

fn text_of<'a>(raw: Option<&'a RawValue>, member: &str) -> Result<&'a str, Refusal> {
    raw.map(RawValue::get).ok_or_else(|| (INVALID_PARAMS, format!("{member:?} is missing")))
}
