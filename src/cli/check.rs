//! The options of `check`.

use super::{UsageError, values};
use crate::check::Options;
use clap::{Args, ValueEnum};
use serde_json::value::RawValue;
use std::ffi::OsString;
use std::time::Duration;

/// The options of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The program to be checked, and its arguments
    #[arg(value_name = "PROGRAM", last = true, required = true)]
    argv: Vec<OsString>,
    /// How results are shown
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FormatArg::Text)]
    format: FormatArg,
    /// How long an answer, or an end, is waited for
    #[arg(long, value_name = "DURATION", value_parser = values::positive_duration, default_value = "5s")]
    timeout: Duration,
    /// A method to be called, which must succeed; may be given several times
    #[arg(long, value_name = "NAME")]
    method: Vec<String>,
    /// The parameters of the call, for the first --method, the second and so on; [] when missing
    #[arg(long, value_name = "JSON", value_parser = params)]
    params: Vec<Box<RawValue>>,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// A line for people.
    Text,
    /// An object a line.
    Json,
}

impl CheckArgs {
    pub(super) fn resolve(self) -> Result<Options, UsageError> {
        if self.params.len() > self.method.len() {
            return Err(UsageError::of("check", "--params needs the --method it is for"));
        }
        let mut params = self.params.into_iter().map(|params| params.get().replace(['\n', '\r'], " "));
        let calls = self.method.into_iter().map(|method| (method, params.next().unwrap_or_else(|| "[]".into())));
        let calls = calls.collect();
        Ok(Options { argv: self.argv, json: self.format == FormatArg::Json, timeout: self.timeout, calls })
    }
}

fn params(text: &str) -> Result<Box<RawValue>, String> {
    let is_fit = text.trim_start().starts_with(['[', '{']);
    let parsed = serde_json::from_str(text).ok().filter(|_| is_fit);
    parsed.ok_or_else(|| r#"expected a JSON array or object such as ["a.png",2]"#.into())
}
