//! What a record's JSON says, as far as text needs to know it. Owns the reading of command results, of output
//! streams in their three spellings, and of errors; everything it does not understand is left aside.

use crate::record::Record;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How a command ended, or what is known of the worker that died under a job.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ended<'a> {
    #[serde(borrow, default)]
    pub(super) stdout: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) stderr: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) stdout_bytes: Option<u64>,
    #[serde(default)]
    pub(super) stderr_bytes: Option<u64>,
    #[serde(borrow, default)]
    pub(super) stdout_spill: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) stderr_spill: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) traceback: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) leaked: Vec<Leaked>,
}

/// A process that a command left behind.
#[derive(Debug, Deserialize)]
pub(super) struct Leaked {
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) name: String,
}

/// Why a job did not end ok.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl<'a> Fault<'a> {
    /// The record's error; an empty one where it has none.
    pub(super) fn of(record: &'a Record) -> Self {
        record.error.as_deref().and_then(|error| parse(error)).unwrap_or_default()
    }

    /// Its message as text.
    pub(super) fn message(&self) -> Cow<'a, [u8]> {
        self.message.map_or(Cow::Borrowed(b"no message"), |message| text_of(message.get()))
    }
}

/// What the data of an error may say where it was not our own worker that wrote it: text to show, and no more.
#[derive(Debug, Default, Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    stderr: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceback: Option<&'a RawValue>,
}

impl<'a> Ended<'a> {
    /// From a command's result, or from the data of an error. The paths of files and whatever else is acted upon are
    /// believed only of the worker for commands (`is_command`): any other program may write what it likes there.
    pub(super) fn of(record: &'a Record, fault: &Fault<'a>, is_command: bool) -> Self {
        let data = fault.data.map(RawValue::get);
        if is_command {
            return record.result.as_deref().or(data).and_then(parse).unwrap_or_default();
        }
        let Told { stderr, traceback } = data.and_then(parse).unwrap_or_default();
        Ended { stderr: stderr.filter(|text| text.get().starts_with('"')), traceback, ..Ended::default() }
    }
}

/// One output stream as it stands in a result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stream<'a> {
    /// The bytes themselves.
    Bytes(Cow<'a, [u8]>),
    /// A file under `--output-dir` holds them.
    Kept {
        /// Its path.
        file: String,
        /// How many there are.
        bytes: u64,
    },
}

impl<'a> Stream<'a> {
    /// Reads `"text"`, `{"base64":"…"}` or `{"file":"…","bytes":N}`.
    pub(super) fn parse(raw: &'a RawValue) -> Self {
        #[derive(Deserialize)]
        struct Other {
            #[serde(default)]
            base64: Option<String>,
            #[serde(default)]
            file: Option<String>,
            #[serde(default)]
            bytes: u64,
        }
        if raw.get().starts_with('"') {
            return Stream::Bytes(text_of(raw.get()));
        }
        match parse::<Other>(raw.get()) {
            Some(Other { base64: Some(text), .. }) => Stream::Bytes(STANDARD.decode(text).unwrap_or_default().into()),
            Some(Other { file: Some(file), bytes, .. }) => Stream::Kept { file, bytes },
            _ => Stream::Bytes(Cow::Borrowed(b"")),
        }
    }
}

/// A string without its quotes and escapes; any other value as its JSON.
pub(super) fn text_of(json: &str) -> Cow<'_, [u8]> {
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(json.as_bytes());
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner.as_bytes());
    }
    match serde_json::from_str::<String>(json) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        // A lone surrogate (`"\ud800"`) is JSON but no text: it is shown as it was sent.
        Err(_) => Cow::Borrowed(inner.as_bytes()),
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn streams_in_their_three_spellings() {
        let bytes = |text: &[u8]| Stream::Bytes(text.to_vec().into());
        assert_eq!(Stream::parse(&raw(r#""a\n\u00e9""#)), bytes("a\né".as_bytes()));
        assert_eq!(Stream::parse(&raw(r#"{"base64":"/wA="}"#)), bytes(b"\xff\0"));
        let kept = Stream::Kept { file: "out/1".into(), bytes: 7 };
        assert_eq!(Stream::parse(&raw(r#"{"file":"out/1","bytes":7}"#)), kept);
        assert_eq!(Stream::parse(&raw("[1]")), bytes(b""));
    }

    #[test]
    fn text_is_without_quotes() {
        assert_eq!(&*text_of(r#""plain""#), b"plain");
        assert_eq!(&*text_of(r#""\"""#), b"\"");
        assert_eq!(&*text_of(r#""\ud800""#), b"\\ud800");
        assert_eq!(&*text_of("{\"a\":1}"), b"{\"a\":1}");
    }
}
