//! The job as a value.

use super::fingerprint::Fingerprint;
use crate::ids::JobId;
use crate::json::{Json, plain_string};
use crate::part::Part;
use compact_str::CompactString;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What the user calls a job: comes back in its record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserId {
    /// No id was given: the job's number in the list.
    Number(u64),
    /// The JSON text of the id: a number as it stood in the list, or a string with its quotes, in the one spelling that
    /// makes ids the same which are.
    Json(Box<str>),
}

impl UserId {
    /// The id with this JSON text.
    pub(super) fn of_json(json: &str) -> Self {
        UserId::Json(plain_string(json).into())
    }

    /// The id as a person would write it: a string without its quotes.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            UserId::Number(number) => Cow::Owned(number.to_string()),
            UserId::Json(json) => id_text(json),
        }
    }
}

/// An id's JSON text as a person would write it: a string without its quotes.
pub fn id_text(json: &str) -> Cow<'_, str> {
    serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

impl fmt::Display for UserId {
    /// The id as JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserId::Number(number) => write!(f, "{number}"),
            UserId::Json(json) => f.write_str(json),
        }
    }
}

/// One unit of work.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number in the list, from 1.
    pub number: JobId,
    /// What the user calls it.
    pub id: UserId,
    /// What is to be done.
    pub call: Call,
    /// What was asked for this job alone; none for most jobs.
    pub options: Option<Box<JobOptions>>,
    /// What ties it to earlier runs; none without a journal.
    pub past: Option<Box<Past>>,
}

/// What ties a job to the earlier and later runs of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// What the job is the same as.
    pub content: Fingerprint,
    /// How often it was begun in earlier runs that ended before its outcome was known.
    pub attempts: u32,
}

/// What a job asks for, before the run's target gives it its full meaning.
#[derive(Debug, Clone)]
pub enum Call {
    /// A plain line, the bytes without their line end; may be no UTF-8, never holds NUL.
    /// A shell command, an argument for a template, or a function's only parameter.
    Line(Box<[u8]>),
    /// A function call.
    Function(FunctionCall),
    /// A command of its own.
    Command(Box<Command>),
}

/// A call of a function: its name, and a JSON array (positional) or object (by name).
///
/// ```
/// use supervisor::job::FunctionCall;
/// use supervisor::json::Json;
///
/// let call = FunctionCall::new(Some("add"), &Json::parse("[1,2]").unwrap());
/// assert_eq!((call.method(), call.params()), (Some("add"), "[1,2]"));
/// ```
#[derive(Clone)]
pub struct FunctionCall(Spelling);

#[derive(Clone)]
enum Spelling {
    /// The parameters, and behind them the name: one piece of memory for what there may be millions of, and none of its own
    /// up to 24 bytes.
    Short {
        text: CompactString,
        params_bytes: usize,
    },
    Large(Box<LargeCall>),
}

#[derive(Clone)]
struct LargeCall {
    method: Option<Box<str>>,
    params: Part,
}

impl FunctionCall {
    /// A call. Without a `method` it is left to the default function of the run.
    ///
    /// # Panics
    ///
    /// When the name is empty.
    pub fn new(method: Option<&str>, params: &Json) -> Self {
        assert_ne!(method, Some(""), "a function has a name");
        Self::of_text(method, params.get())
    }

    /// The same with a text that is known to be one value.
    #[inline(always)]
    pub(super) fn of_text(method: Option<&str>, params: &str) -> Self {
        let text = joined(params, method.unwrap_or_default());
        FunctionCall(Spelling::Short { text, params_bytes: params.len() })
    }

    /// The same with a part of a large text, which stays in its memory.
    pub(super) fn of_part(method: Option<Box<str>>, params: Part) -> Self {
        FunctionCall(Spelling::Large(Box::new(LargeCall { method, params })))
    }

    /// Name of the function; missing when the list leaves it to the run's default.
    pub fn method(&self) -> Option<&str> {
        match &self.0 {
            Spelling::Short { text, params_bytes } => Some(&text[*params_bytes..]).filter(|method| !method.is_empty()),
            Spelling::Large(call) => call.method.as_deref(),
        }
    }

    /// Whether the list names the function.
    pub(crate) fn has_method(&self) -> bool {
        match &self.0 {
            Spelling::Short { text, params_bytes } => text.len() > *params_bytes,
            Spelling::Large(call) => call.method.is_some(),
        }
    }

    /// Bytes of the name and the parameters.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            Spelling::Short { text, .. } => text.len(),
            Spelling::Large(call) => call.params.len() + call.method.as_ref().map_or(0, |method| method.len()),
        }
    }

    /// The parameters, JSON text.
    #[inline(always)]
    pub fn params(&self) -> &str {
        match &self.0 {
            Spelling::Short { text, params_bytes } => &text[..*params_bytes],
            Spelling::Large(call) => &call.params,
        }
    }

    /// Parameters that are large, to be handed on in the memory they are in.
    pub(crate) fn large_params(&self) -> Option<&Part> {
        match &self.0 {
            Spelling::Short { .. } => None,
            Spelling::Large(call) => Some(&call.params),
        }
    }
}

/// One text behind the other. What needs no memory is not asked for how much it needs.
#[inline(always)]
fn joined(front: &str, back: &str) -> CompactString {
    let length = front.len() + back.len();
    let mut text = if length <= size_of::<CompactString>() {
        CompactString::from(front)
    } else {
        let mut text = CompactString::with_capacity(length);
        text.push_str(front);
        text
    };
    text.push_str(back);
    text
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.method().unwrap_or("?"), self.params())
    }
}

/// A command given by a JSON job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments, or one string for `sh -c`.
    pub argument: Argument,
    /// Working directory; the run's own when missing.
    pub cwd: Option<String>,
    /// Variables to set; an empty value sets an empty variable.
    pub env: Vec<(String, String)>,
    /// Text for its standard input; `/dev/null` when missing.
    pub stdin: Option<String>,
}

/// How a command is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// Program and arguments; never empty. No shell.
    Argv(Vec<Box<[u8]>>),
    /// A line for `sh -c`.
    Shell(Box<[u8]>),
}

/// What a JSON job may ask for itself.
#[derive(Debug, Clone, Default)]
pub struct JobOptions {
    /// Instead of `--timeout`; [`Duration::MAX`] is no limit, written `0` in the list.
    pub timeout: Option<Duration>,
    /// Instead of `--retries`.
    pub retries: Option<u32>,
    /// Ids that must have ended ok before this one starts.
    pub needs: Vec<UserId>,
    /// Names of locks to hold while it runs.
    pub locks: Vec<Box<str>>,
    /// Higher goes first among the jobs that are ready; 0 when not given.
    pub priority: i64,
    /// A JSON array, comes back in the record.
    pub tags: Option<Json>,
}

/// A piece of the job list that is no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The number it has among the jobs, from 1: it is counted, since it is owed a record.
    pub number: JobId,
    /// Its id where one could still be read.
    pub id: Option<UserId>,
    /// The line it stands on, from 1.
    pub line: u64,
    /// The column of the fault in bytes, from 1.
    pub column: u64,
    /// What is wrong and what would be right, e.g. `"timeout" must be a duration such as "30s"`.
    pub message: String,
    /// The first bytes of the line, for people.
    pub excerpt: Box<[u8]>,
}
