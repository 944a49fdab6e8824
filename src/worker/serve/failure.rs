//! [`Failure`]: what a function of a worker fails with, and what its record then says.

use crate::protocol::{FAILED, encode};
use serde::Serialize;
use serde_json::{Value, json};

/// Why a call failed: the `error` of its answer, and of the job's record.
///
/// Every error converts to one, so `?` works in functions that return `Result<_, Failure>`. For that reason it is no
/// [`std::error::Error`] itself.
///
/// ```
/// use supervisor::worker::serve::Failure;
///
/// fn parse(text: &str) -> Result<i64, Failure> {
///     Ok(text.trim().parse()?)
/// }
/// assert_eq!(parse("x").unwrap_err().message, "invalid digit found in string");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The number of the kind of error; -32000 for a function that failed.
    pub code: i64,
    /// One sentence for people.
    pub message: String,
    /// Anything more; left out when missing.
    pub data: Option<Value>,
}

impl Failure {
    /// A failure of the usual kind.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { code: FAILED, message: message.into(), data: None }
    }

    /// The same with another code.
    #[must_use]
    pub fn code(mut self, code: i64) -> Self {
        self.code = code;
        self
    }

    /// The same with data; what has no form in JSON is left out.
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Appends the `error` member's object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!(r#"{{"code":{},"message":"#, self.code).as_bytes());
        encode::string(out, &self.message);
        if let Some(data) = &self.data {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(data.to_string().as_bytes());
        }
        out.push(b'}');
    }
}

impl<E: std::error::Error> From<E> for Failure {
    /// The error's text, with its type and its causes as data.
    fn from(error: E) -> Self {
        let causes: Vec<String> =
            std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect();
        let mut data = json!({"type": std::any::type_name::<E>()});
        if !causes.is_empty() {
            data["causes"] = json!(causes);
        }
        Failure::new(error.to_string()).data(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_convert_and_are_written() {
        let failure = Failure::from("x".parse::<i64>().unwrap_err());
        let mut out = Vec::new();
        failure.write(&mut out);
        let written: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(written["code"], -32000);
        assert_eq!(written["data"]["type"], "core::num::error::ParseIntError");
        let mut out = Vec::new();
        Failure::new("a \"b\"\n").code(7).write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"code":7,"message":"a \"b\"\n"}"#);
    }
}
