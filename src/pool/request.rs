//! From a job to the request that is sent to a worker.

use crate::config::Target;
use crate::ids::WorkerId;
use crate::job::{Argument, Call, Command, Job};
use crate::json::Counting;
use crate::part::Part;
use crate::protocol::encode::{self, Opening};
use crate::protocol::mcp;

/// The method of the built-in command worker.
const EXEC: &str = "exec";

/// Whether the run's target can do this job.
///
/// # Errors
///
/// Why not, and what to do about it.
#[inline(always)]
pub fn suits(job: &Job, target: &Target) -> Result<(), String> {
    match (&job.call, target) {
        (Call::Line(_), Target::Function { default: None }) => Err(NO_FUNCTION.into()),
        (Call::Line(line), Target::Function { .. }) if std::str::from_utf8(line).is_err() => {
            Err("the line is not UTF-8, so it cannot be a function's parameter".into())
        }
        (Call::Function(call), Target::Function { default: None }) if !call.has_method() => {
            Err(NO_FUNCTION.into())
        }
        (Call::Function(_), Target::Template(_)) => Err(
            "a function call, but what runs is the command behind --: give --input lines if the list is no JSON, or \
             --python, --node or --worker in place of the command"
                .into(),
        ),
        (Call::Function(_), Target::Shell) => Err(
            "a function call, but this run executes commands: use \"command\", or --python, --node or --worker; or give \
             --input lines if the list is no JSON"
                .into(),
        ),
        (Call::Command(_), Target::Function { .. } | Target::Tool) => {
            Err("a command, but this run calls functions: use \"method\" and \"params\"".into())
        }
        // Of a list of names one may look like JSON: what it says must not run in place of what the user wrote.
        (Call::Command(_), Target::Template(_)) => Err(
            "a command of its own, but what runs is given behind --: leave one of them away, or give --input lines if \
             the list is no JSON"
                .into(),
        ),
        (Call::Line(_), Target::Tool) => Err(NO_TOOL.into()),
        (Call::Function(call), Target::Tool) if !call.has_method() => Err(NO_TOOL.into()),
        (Call::Function(call), Target::Tool) if arguments(call.params()).is_none() => {
            Err("the arguments of a tool have names: \"params\" must be an object".into())
        }
        _ => Ok(()),
    }
}

const NO_FUNCTION: &str =
    "names no \"method\", and the run has no default function (as in --python FILE:FUNCTION or --node FILE:FUNCTION)";

const NO_TOOL: &str = "names no tool: use {\"method\":\"NAME\",\"params\":{…}} with a tool of the MCP server";

/// The arguments of a tool: an object, or nothing at all.
fn arguments(params: &str) -> Option<&str> {
    match params.as_bytes() {
        [b'{', ..] => Some(params),
        [b'[', inside @ .., b']'] if inside.iter().all(u8::is_ascii_whitespace) => Some("{}"),
        _ => None,
    }
}

/// Which attempt of a job goes to which worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) job: &'a Job,
    pub(super) attempt: u32,
    pub(super) worker: WorkerId,
    /// The worker is an MCP server that knows no sessions.
    pub(super) stateless: bool,
}

/// Appends the request for a job that [`suits`] let pass, without a line end. Where its parameters are large they are
/// given instead, to follow what was appended, and so is [`AFTER_PARAMS`].
#[inline(always)]
pub(super) fn write(
    out: &mut Vec<u8>,
    id: u64,
    sending: Sending<'_>,
    target: &Target,
    (opening, ids): (&mut Opening, &mut Counting),
) -> Option<Part> {
    let Sending { job, attempt, worker, stateless } = sending;
    match (&job.call, target) {
        (Call::Function(call), Target::Function { default }) => {
            let method = call.method().or(default.as_deref()).expect("checked when the job was accepted");
            opening.write(out, ids, id, method);
            if let Some(part) = call.large_params() {
                return Some(part.clone());
            }
            out.extend_from_slice(call.params().as_bytes());
            out.push(AFTER_PARAMS);
        }
        (Call::Line(line), Target::Function { default }) => {
            opening.write(out, ids, id, default.as_deref().expect("checked when the job was accepted"));
            out.push(b'[');
            encode::bytes(out, line);
            out.extend_from_slice(b"]}");
        }
        (Call::Function(call), Target::Tool) => {
            let tool = call.method().expect("checked when the job was accepted");
            let arguments = arguments(call.params()).expect("checked when the job was accepted");
            mcp::call(out, id, tool, arguments, stateless);
        }
        (Call::Line(line), Target::Template(template)) => {
            opening.write(out, ids, id, EXEC);
            out.extend_from_slice(br#"{"command":"#);
            words(out, &template.fill(line, job.number.0, worker.0));
            close_exec(out, job, attempt);
        }
        (Call::Line(line), Target::Shell) => {
            opening.write(out, ids, id, EXEC);
            out.extend_from_slice(br#"{"command":"#);
            encode::bytes(out, line);
            close_exec(out, job, attempt);
        }
        (Call::Command(command), Target::Shell) => {
            opening.write(out, ids, id, EXEC);
            command_members(out, command);
            close_exec(out, job, attempt);
        }
        (Call::Function(_), Target::Shell | Target::Template(_))
        | (Call::Command(_), Target::Function { .. } | Target::Template(_))
        | (Call::Line(_) | Call::Command(_), Target::Tool) => {
            unreachable!("checked when the job was accepted")
        }
    }
    None
}

/// What ends a request, behind its parameters.
pub(super) const AFTER_PARAMS: u8 = b'}';

fn command_members(out: &mut Vec<u8>, command: &Command) {
    out.extend_from_slice(br#"{"command":"#);
    match &command.argument {
        Argument::Argv(argv) => words(out, argv),
        Argument::Shell(line) => encode::bytes(out, line),
    }
    for (name, text) in [("cwd", &command.cwd), ("stdin", &command.stdin)] {
        if let Some(text) = text {
            out.push(b',');
            member(out, name, text);
        }
    }
    if !command.env.is_empty() {
        out.extend_from_slice(br#","env":{"#);
        for (at, (name, value)) in command.env.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            member(out, name, value);
        }
        out.push(b'}');
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    encode::string(out, name);
    out.push(b':');
    encode::string(out, value);
}

fn words(out: &mut Vec<u8>, words: &[Box<[u8]>]) {
    out.push(b'[');
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        encode::bytes(out, word);
    }
    out.push(b']');
}

fn close_exec(out: &mut Vec<u8>, job: &Job, attempt: u32) {
    out.extend_from_slice(br#","job":"#);
    encode::string(out, &job.id.as_text());
    out.extend_from_slice(br#","attempt":"#);
    encode::number(out, u64::from(attempt));
    out.extend_from_slice(b"}}");
}
