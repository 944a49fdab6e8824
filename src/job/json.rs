//! One JSON job: its text in, a call and options out, or what is wrong and where.
//!
//! Members are collected as text first and understood after, so that parameters are never built as values and every fault
//! knows its place.

use super::members::{Member, Members, mask};
use super::model::{Argument, Call, Command, FunctionCall, JobOptions, UserId};
use super::plain::{PlainCall, plain_call};
use super::units;
use crate::json::{Json, one_line, plain_value, utf8};
use crate::part::{LARGE_BYTES, Part};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a JSON job says.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Its id, if it has one.
    pub(super) id: Option<UserId>,
    /// What it asks for.
    pub(super) call: Call,
    /// What it asks for itself alone.
    pub(super) options: Option<Box<JobOptions>>,
}

/// Why a text is no job.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where, in bytes from the start of the text.
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) message: String,
    /// The id, where it could be read.
    pub(super) id: Option<UserId>,
}

/// Reads one job.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    parse_noting(bytes, |_, _| {})
}

/// The same; a plain call is shown to `note`, with its text.
#[inline(always)]
pub(super) fn parse_noting(bytes: &[u8], note: impl FnOnce(&str, &PlainCall<'_>)) -> Result<Parsed, Fault> {
    let text = utf8(bytes).map_err(|error| no_utf8(error.valid_up_to()))?;
    match plain_call(text) {
        Some(call) => {
            note(text, &call);
            Ok(plain(call.id, FunctionCall::of_text(call.method, call.params.unwrap_or("[]"))))
        }
        None => any_text(text, |method, params| FunctionCall::of_text(method, &params)),
    }
}

/// Reads one large job, which begins at this place of a text; a function's parameters stay in the memory of the text. That
/// comes back with a fault.
pub(super) fn parse_large(text: Vec<u8>, start: usize) -> Result<Parsed, (Fault, Vec<u8>)> {
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.utf8_error().valid_up_to().saturating_sub(start);
            return Err((no_utf8(offset), error.into_bytes()));
        }
    };
    let mut part = None;
    let mut make = |method: Option<&str>, params: Cow<'_, str>| {
        if let Cow::Borrowed(params) = params {
            if params.len() >= LARGE_BYTES {
                part = Some((method.map(Box::from), Part::borrowed(&text, params)));
                return FunctionCall::of_text(None, "[]");
            }
        }
        FunctionCall::of_text(method, &params)
    };
    let whole = &text[start..];
    let parsed = match plain_call(whole) {
        Some(PlainCall { id, method, params }) => Ok(plain(id, make(method, params.unwrap_or("[]").into()))),
        None => any_text(whole, make),
    };
    match (parsed, part) {
        (Ok(parsed), Some((method, at))) => {
            Ok(Parsed { call: Call::Function(FunctionCall::of_part(method, Part::of(text, at))), ..parsed })
        }
        (Ok(parsed), None) => Ok(parsed),
        (Err(fault), _) => Err((fault, text.into_bytes())),
    }
}

/// A call that asks for nothing else.
#[inline(always)]
fn plain(id: Option<&str>, call: FunctionCall) -> Parsed {
    Parsed { id: id.map(UserId::of_json), call: Call::Function(call), options: None }
}

#[cold]
fn no_utf8(offset: usize) -> Fault {
    Fault { offset, message: "JSON must be UTF-8; these bytes are not".into(), id: None }
}

/// How a call is made of its name and its parameters, on one line.
pub(super) trait Make<'a>: FnOnce(Option<&str>, Cow<'a, str>) -> FunctionCall {}
impl<'a, F: FnOnce(Option<&str>, Cow<'a, str>) -> FunctionCall> Make<'a> for F {}

pub(super) fn any_text<'a>(text: &'a str, make: impl Make<'a>) -> Result<Parsed, Fault> {
    let start = text.len() - text.trim_ascii_start().len();
    match text.as_bytes().get(start) {
        Some(b'{') => any_object(text, make),
        Some(b'[') => {
            let general =
                || serde_json::from_str(text).map(RawValue::get).map_err(|error| from_serde(text, &error, None));
            let params = plain_value(text).map_or_else(general, Ok)?;
            Ok(Parsed { id: None, call: Call::Function(make(None, one_line(params))), options: None })
        }
        _ => Err(Fault {
            offset: start,
            message: "a JSON job is an object such as {\"command\":\"make\"} or an array of parameters".into(),
            id: None,
        }),
    }
}

fn any_object<'a>(text: &'a str, make: impl Make<'a>) -> Result<Parsed, Fault> {
    let mut members = Members::default();
    let collected = members.collect(text);
    let id = members.get(Member::Id).map(user_id).transpose();
    if let Err(error) = collected {
        return Err(from_serde(text, &error, id.ok().flatten()));
    }
    let id = id.map_err(|wrong| wrong.into_fault(text, None))?;
    match call(&members, make).and_then(|call| Ok((call, options(&members)?))) {
        Ok((call, options)) => Ok(Parsed { id, call, options }),
        Err(wrong) => Err(wrong.into_fault(text, id)),
    }
}

/// A value that cannot be what its member must be.
struct Wrong<'a> {
    at: Option<&'a str>,
    message: String,
}

impl<'a> Wrong<'a> {
    #[cold]
    fn new(at: &'a str, message: impl Into<String>) -> Self {
        Wrong { at: Some(at), message: message.into() }
    }

    #[cold]
    fn member(at: &'a str, member: Member, must_be: &str) -> Self {
        let fault = if has_lone_surrogate(at) { LONE.into() } else { format!("must be {must_be}") };
        Wrong::new(at, format!("\"{}\" {fault}", member.name()))
    }

    #[cold]
    fn nul(at: &'a str, member: Member) -> Self {
        Wrong::new(at, format!("\"{}\" must not hold a NUL character", member.name()))
    }

    fn into_fault(self, text: &str, id: Option<UserId>) -> Fault {
        // The value is a part of the text, so its address says where it stands.
        let offset = self.at.map_or(0, |at| (at.as_ptr() as usize).saturating_sub(text.as_ptr() as usize));
        Fault { offset: offset.min(text.len()), message: self.message, id }
    }
}

const LONE: &str = r"holds a lone surrogate (\ud800 to \udfff), which is no character: give both halves of the pair";

/// Whether a value, well spelt as it is, has a string in it that no text can be made of.
#[cold]
fn has_lone_surrogate(raw: &str) -> bool {
    // Of all that can be wrong with escapes, this alone is left by whoever found where the value ends.
    serde_json::from_str::<serde_json::Value>(raw).is_err_and(|error| error.to_string().contains("hex escape"))
}

#[cold]
fn from_serde(text: &str, error: &serde_json::Error, id: Option<UserId>) -> Fault {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2).map_or(0, |end| end + 1),
    };
    let mut message = error.to_string();
    if let Some(place) = message.rfind(" at line ") {
        message.truncate(place);
    }
    if error.is_eof() {
        message.push_str("; a JSON job must be complete on its line (jq -c writes it so)");
    }
    Fault { offset: (line_start + error.column().saturating_sub(1)).min(text.len()), message, id }
}

fn user_id(raw: &str) -> Result<UserId, Wrong<'_>> {
    // Without a backslash a string is text.
    let is_text = !raw.starts_with('"') || string(raw).is_some();
    match is_user_id(raw) && is_text {
        true => Ok(UserId::of_json(raw)),
        false => Err(Wrong::member(raw, Member::Id, "a string or a number")),
    }
}

pub(super) fn is_user_id(raw: &str) -> bool {
    matches!(raw.as_bytes()[0], b'"' | b'-' | b'0'..=b'9')
}

const OF_COMMANDS: u32 = mask(&[Member::Cwd, Member::Env, Member::Stdin]);

fn call<'a>(members: &Members<'a>, make: impl Make<'a>) -> Result<Call, Wrong<'a>> {
    if let Some(version) = members.get(Member::JsonRpc).filter(|&version| version != "\"2.0\"") {
        return Err(Wrong::member(version, Member::JsonRpc, "\"2.0\""));
    }
    let (method, params) = (members.get(Member::Method), members.get(Member::Params));
    match (method.or(params), members.get(Member::Command)) {
        (None, None) => {
            Err(Wrong { at: None, message: "a job needs a \"command\", a \"method\" or \"params\"".into() })
        }
        (Some(other), Some(_)) => Err(Wrong::new(other, "a job is a \"command\" or a function call, not both")),
        (None, Some(raw)) => Ok(Call::Command(Box::new(command(raw, members)?))),
        (Some(_), None) => {
            if members.has_any(OF_COMMANDS) {
                for member in [Member::Cwd, Member::Env, Member::Stdin] {
                    if let Some(at) = members.get(member) {
                        return Err(Wrong::new(at, format!("\"{}\" belongs to a \"command\" only", member.name())));
                    }
                }
            }
            let method = method.map(method_name).transpose()?;
            Ok(Call::Function(make(method.as_deref(), parameters(params)?)))
        }
    }
}

fn method_name(raw: &str) -> Result<Cow<'_, str>, Wrong<'_>> {
    match string(raw) {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Wrong::member(raw, Member::Method, "a function's name, a string")),
    }
}

fn parameters(raw: Option<&str>) -> Result<Cow<'_, str>, Wrong<'_>> {
    match raw.map(|raw| (raw, raw.as_bytes()[0])) {
        None => Ok("[]".into()),
        Some((raw, b'[' | b'{')) => Ok(one_line(raw)),
        Some((raw, _)) => Err(Wrong::member(raw, Member::Params, "an array or an object")),
    }
}

fn command<'a>(raw: &'a str, members: &Members<'a>) -> Result<Command, Wrong<'a>> {
    // It becomes a variable of the command.
    if let Some(id) = members.get(Member::Id).filter(|id| string(id).is_some_and(|id| id.contains('\0'))) {
        return Err(Wrong::nul(id, Member::Id));
    }
    Ok(Command {
        argument: argument(raw)?,
        cwd: members.get(Member::Cwd).map(directory).transpose()?,
        env: members.get(Member::Env).map(environment).transpose()?.unwrap_or_default(),
        stdin: match members.get(Member::Stdin) {
            None => None,
            Some(raw) => Some(string(raw).ok_or_else(|| Wrong::member(raw, Member::Stdin, "a string"))?.into_owned()),
        },
    })
}

fn directory(raw: &str) -> Result<String, Wrong<'_>> {
    match plain_text(raw, Member::Cwd)? {
        name if name.is_empty() => Err(Wrong::member(raw, Member::Cwd, "the name of a directory, or be left away")),
        name => Ok(name),
    }
}

fn argument(raw: &str) -> Result<Argument, Wrong<'_>> {
    const MUST_BE: &str = "a string for the shell or an array of strings, the program first";
    if raw.starts_with('"') {
        return Ok(Argument::Shell(plain_text(raw, Member::Command)?.into_bytes().into()));
    }
    let words = elements(raw, Member::Command, MUST_BE)?;
    if words.is_empty() {
        return Err(Wrong::member(raw, Member::Command, MUST_BE));
    }
    let word = |raw| match string(raw) {
        Some(_) => Ok(plain_text(raw, Member::Command)?.into_bytes().into()),
        None => Err(Wrong::member(raw, Member::Command, MUST_BE)),
    };
    Ok(Argument::Argv(words.into_iter().map(word).collect::<Result<_, _>>()?))
}

fn environment(raw: &str) -> Result<Vec<(String, String)>, Wrong<'_>> {
    const MUST_BE: &str = "an object of strings, the variables to set";
    let Ok(Pairs(pairs)) = serde_json::from_str(raw) else {
        return Err(Wrong::member(raw, Member::Env, MUST_BE));
    };
    let variable = |(name, raw): (String, &'_ RawValue)| match string(raw.get()) {
        Some(value) if !value.contains('\0') => Ok((name, value.into_owned())),
        _ if has_lone_surrogate(raw.get()) => Err(format!("the value of {name:?} in \"env\" {LONE}")),
        _ => Err(format!("the value of {name:?} in \"env\" must be a string without NUL, e.g. \"1\"")),
    };
    let variables = pairs.into_iter().map(variable).collect::<Result<Vec<_>, _>>();
    let variables = variables.map_err(|message| Wrong::new(raw, message))?;
    match variables.iter().find(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
        Some((name, _)) => Err(Wrong::new(raw, format!("{name:?} in \"env\" cannot be the name of a variable"))),
        None => Ok(variables),
    }
}

/// A string that a system call can take: without NUL.
fn plain_text(raw: &str, member: Member) -> Result<String, Wrong<'_>> {
    match string(raw) {
        Some(text) if !text.contains('\0') => Ok(text.into_owned()),
        Some(_) => Err(Wrong::nul(raw, member)),
        None => Err(Wrong::member(raw, member, "a string")),
    }
}

const OPTIONS: u32 =
    mask(&[Member::Timeout, Member::Retries, Member::Needs, Member::Locks, Member::Priority, Member::Tags]);

fn options<'a>(members: &Members<'a>) -> Result<Option<Box<JobOptions>>, Wrong<'a>> {
    if !members.has_any(OPTIONS) {
        return Ok(None);
    }
    let get = |member| members.get(member);
    Ok(Some(Box::new(JobOptions {
        timeout: get(Member::Timeout).map(timeout).transpose()?,
        retries: get(Member::Retries)
            .map(|raw| raw.parse().map_err(|_| Wrong::member(raw, Member::Retries, "a whole number from 0")))
            .transpose()?,
        needs: match get(Member::Needs) {
            None => Vec::new(),
            Some(raw) => elements(raw, Member::Needs, "an array of ids")?
                .into_iter()
                .map(|id| user_id(id).map_err(|_| Wrong::member(id, Member::Needs, "an array of ids")))
                .collect::<Result<_, _>>()?,
        },
        locks: get(Member::Locks).map(|raw| strings(raw, Member::Locks)).transpose()?.unwrap_or_default(),
        priority: match get(Member::Priority) {
            None => 0,
            Some(raw) => raw.parse().map_err(|_| Wrong::member(raw, Member::Priority, "a whole number"))?,
        },
        tags: match get(Member::Tags) {
            None => None,
            Some(raw) => Some(strings(raw, Member::Tags).map(|_| Json::known(one_line(raw)))?),
        },
    })))
}

fn timeout(raw: &str) -> Result<Duration, Wrong<'_>> {
    let limit = match string(raw) {
        Some(text) => units::duration(&text),
        None => raw.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    match limit {
        Some(Duration::ZERO) => Ok(Duration::MAX),
        Some(limit) => Ok(limit),
        None => Err(Wrong::member(raw, Member::Timeout, "seconds, or a duration such as \"30s\" or \"500ms\"")),
    }
}

fn elements<'a>(raw: &'a str, member: Member, must_be: &str) -> Result<Vec<&'a str>, Wrong<'a>> {
    let values: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| Wrong::member(raw, member, must_be))?;
    Ok(values.into_iter().map(RawValue::get).collect())
}

fn strings(raw: &str, member: Member) -> Result<Vec<Box<str>>, Wrong<'_>> {
    const MUST_BE: &str = "an array of strings";
    let text = |raw| string(raw).map(Box::from).ok_or_else(|| Wrong::member(raw, member, MUST_BE));
    elements(raw, member, MUST_BE)?.into_iter().map(text).collect()
}

/// The text of a JSON string; nothing when it is no string, or one that is no Unicode (half a surrogate pair).
fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// An object's members in the order they were given.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
