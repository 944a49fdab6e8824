//! Answers: values in, lines of JSON out. Pure.
//!
//! Written by hand into the outgoing buffer, because an answer is mostly somebody's output, which is escaped once and
//! copied once this way.

use super::request::{Id, Refusal};
use crate::json::whole_characters;
use crate::protocol::encode::{bytes, string};
use crate::status::ExitStatus;
use std::io::Write;

/// What became of a command that was started.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) id: &'a str,
    pub(super) status: ExitStatus,
    /// User and system time, in microseconds.
    pub(super) cpu_us: u64,
    /// Peak resident memory in bytes.
    pub(super) max_rss: u64,
    pub(super) stdout: Captured<'a>,
    pub(super) stderr: Captured<'a>,
    pub(super) leaked: &'a [Leaked],
    /// It was stopped because somebody asked for that.
    pub(super) cancelled: bool,
    /// The kernel may have killed it because there was no memory.
    pub(super) kernel_was_short: bool,
}

/// One output stream.
#[derive(Debug, Default)]
pub(super) struct Captured<'a> {
    /// The first bytes, at most `--max-output` of them.
    pub(super) kept: &'a [u8],
    /// How many there were in all.
    pub(super) total: u64,
    /// Where the whole output is, if it is more than `kept`.
    pub(super) whole: Whole<'a>,
}

/// Where the whole of a large output is.
#[derive(Debug, Default)]
pub(super) enum Whole<'a> {
    /// Nowhere but in `kept`.
    #[default]
    Kept,
    /// Nowhere: it was to be kept whole, and could not be.
    Lost,
    /// In a file that stays.
    File(&'a [u8]),
    /// In a file that is there until it is released, at this path.
    Spilled(String),
}

/// A process that a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaked {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// A command that could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotStarted {
    /// `ENOENT` …
    pub(super) errno: String,
    /// 127 when there is no such command, 126 otherwise, as in a shell.
    pub(super) exit_code: i32,
    pub(super) message: String,
}

const COMMAND_FAILED: i32 = -32000;
const CANCELLED: i32 = -32800;
/// Added to what a command died of.
const KERNEL_WAS_SHORT: &str = ", when the kernel was out of memory (its OOM killer)";

/// The first line: who we are and what we can take.
pub(super) fn ready(out: &mut Vec<u8>, pid: u32, concurrency: usize) {
    let _ = writeln!(
        out,
        "{{\"jsonrpc\":\"2.0\",\"method\":\"ready\",\"params\":{{\"protocol\":1,\"name\":\"command\",\"pid\":{pid},\
         \"concurrency\":{concurrency},\"prefetch\":true,\"recall\":true,\"batch\":false,\"marks\":true}}}}"
    );
}

/// The answer for a command that was started.
pub(super) fn ended(out: &mut Vec<u8>, ended: &Ended) {
    begin(out, ended.id);
    if !ended.cancelled && ended.status.is_success() {
        out.extend_from_slice(b"\"result\":{");
        members(out, ended);
        out.extend_from_slice(b"}}\n");
        return;
    }
    if ended.cancelled {
        let _ = write!(out, "\"error\":{{\"code\":{CANCELLED},\"message\":\"cancelled\",\"data\":{{");
    } else {
        let short = if ended.kernel_was_short { KERNEL_WAS_SHORT } else { "" };
        let _ =
            write!(out, "\"error\":{{\"code\":{COMMAND_FAILED},\"message\":\"{}{short}\",\"data\":{{", ended.status);
    }
    members(out, ended);
    out.extend_from_slice(b"}}}\n");
}

/// The answer for a command that could not be started.
pub(super) fn not_started(out: &mut Vec<u8>, id: &str, fault: &NotStarted) {
    begin(out, id);
    let _ = write!(out, "\"error\":{{\"code\":{COMMAND_FAILED},\"message\":");
    string(out, &fault.message);
    let _ = writeln!(
        out,
        ",\"data\":{{\"exit_code\":{},\"errno\":\"{}\",\"stdout\":\"\",\"stderr\":\"\"}}}}}}",
        fault.exit_code, fault.errno
    );
}

/// The answer for a command that was cancelled while it waited for its turn.
pub(super) fn cancelled_before(out: &mut Vec<u8>, id: &str) {
    begin(out, id);
    let _ =
        writeln!(out, "\"error\":{{\"code\":{CANCELLED},\"message\":\"cancelled\",\"data\":{{\"begun\":false}}}}}}");
}

/// The answer to a request that makes no sense.
pub(super) fn refused(out: &mut Vec<u8>, refusal: &Refusal) {
    begin(out, refusal.id.as_ref().map_or("null", |id: &Id| id));
    let _ = write!(out, "\"error\":{{\"code\":{},\"message\":", refusal.code);
    string(out, &refusal.message);
    out.extend_from_slice(b"}}\n");
}

/// Something for people, that is no answer.
pub(super) fn log(out: &mut Vec<u8>, level: &str, message: &str) {
    let _ = write!(out, "{{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{{\"level\":\"{level}\",\"message\":");
    string(out, message);
    out.extend_from_slice(b"}}\n");
}

fn begin(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.push(b',');
}

fn members(out: &mut Vec<u8>, ended: &Ended) {
    let _ = write!(out, "\"exit_code\":{}", ended.status.exit_code());
    if let ExitStatus::Signal(number) = ended.status {
        let _ = write!(out, ",\"signal\":\"{}\"", crate::status::SignalName(number));
    }
    stream(out, "stdout", &ended.stdout);
    stream(out, "stderr", &ended.stderr);
    if is_cut(&ended.stdout) || is_cut(&ended.stderr) {
        out.extend_from_slice(b",\"truncated\":true");
    }
    if [&ended.stdout, &ended.stderr].iter().any(|stream| matches!(stream.whole, Whole::Lost)) {
        out.extend_from_slice(b",\"lost\":true");
    }
    let (seconds, micros) = (ended.cpu_us / 1_000_000, ended.cpu_us % 1_000_000);
    let _ = write!(out, ",\"cpu_seconds\":{seconds}.{micros:06},\"max_rss\":{}", ended.max_rss);
    if !ended.leaked.is_empty() {
        out.extend_from_slice(b",\"leaked\":[");
        for (index, leaked) in ended.leaked.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(out, "{comma}{{\"pid\":{},\"name\":", leaked.pid);
            string(out, &leaked.name);
            out.push(b'}');
        }
        out.push(b']');
    }
}

fn stream(out: &mut Vec<u8>, name: &str, captured: &Captured) {
    let _ = write!(out, ",\"{name}\":");
    if let Whole::File(path) = captured.whole {
        out.extend_from_slice(b"{\"file\":");
        bytes(out, path);
        let _ = write!(out, ",\"bytes\":{}}}", captured.total);
        return;
    }
    if !is_cut(captured) {
        bytes(out, captured.kept);
        return;
    }
    bytes(out, whole_characters(captured.kept));
    let _ = write!(out, ",\"{name}_bytes\":{}", captured.total);
    if let Whole::Spilled(path) = &captured.whole {
        let _ = write!(out, ",\"{name}_spill\":");
        string(out, path);
    }
}

fn is_cut(captured: &Captured) -> bool {
    captured.total > captured.kept.len() as u64 && !matches!(captured.whole, Whole::File(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample(stdout: &[u8]) -> Ended<'_> {
        let stdout = Captured { kept: stdout, total: stdout.len() as u64, whole: Whole::Kept };
        Ended {
            id: "7",
            status: ExitStatus::Code(0),
            cpu_us: 1_000_250,
            max_rss: 4096,
            stdout,
            stderr: Captured::default(),
            leaked: &[],
            cancelled: false,
            kernel_was_short: false,
        }
    }

    fn value(ended: &Ended) -> Value {
        let mut out = Vec::new();
        super::ended(&mut out, ended);
        assert_eq!(out.pop(), Some(b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn success() {
        let expected = json!({"jsonrpc":"2.0","id":7,"result":
            {"exit_code":0,"stdout":"hi\n","stderr":"","cpu_seconds":1.00025,"max_rss":4096}});
        assert_eq!(value(&sample(b"hi\n")), expected);
    }

    #[test]
    fn failure_cancellation_and_leaks() {
        let leaked = [Leaked { pid: 5, name: "sleep \"1\"".into() }];
        let mut ended = Ended { status: ExitStatus::Signal(9), leaked: &leaked, ..sample(b"\xff") };
        let answer = value(&ended);
        assert_eq!(answer["error"]["code"], -32000);
        assert_eq!(answer["error"]["message"], "killed by SIGKILL");
        ended.kernel_was_short = true;
        let message = "killed by SIGKILL, when the kernel was out of memory (its OOM killer)";
        assert_eq!(value(&ended)["error"]["message"], message);
        assert_eq!(answer["error"]["data"]["exit_code"], -9);
        assert_eq!(answer["error"]["data"]["signal"], "SIGKILL");
        assert_eq!(answer["error"]["data"]["stdout"], json!({"base64":"/w=="}));
        assert_eq!(answer["error"]["data"]["leaked"], json!([{"pid":5,"name":"sleep \"1\""}]));
        ended.cancelled = true;
        assert_eq!(value(&ended)["error"]["code"], -32800);
        ended.status = ExitStatus::Code(0);
        assert_eq!(value(&ended)["error"]["message"], "cancelled");
    }

    #[test]
    fn every_character_survives() {
        let text: String = (0..0x3000u32).filter_map(char::from_u32).chain(['\u{10ffff}']).collect();
        assert_eq!(value(&sample(text.as_bytes()))["result"]["stdout"], text);
    }

    #[test]
    fn large_output_is_cut_at_a_character_and_says_so() {
        let mut ended = sample("aé".as_bytes());
        ended.stdout.kept = &ended.stdout.kept[..2];
        ended.stdout.total = 1000;
        let result = &value(&ended)["result"];
        assert_eq!((&result["stdout"], &result["truncated"]), (&json!("a"), &json!(true)));
        assert_eq!((&result["stdout_bytes"], &result["stdout_spill"]), (&json!(1000), &Value::Null));
        ended.stdout.whole = Whole::Spilled("/proc/1/fd/9".into());
        assert_eq!(value(&ended)["result"]["stdout_spill"], "/proc/1/fd/9");
        ended.stdout.whole = Whole::File(b"d/x.stdout");
        let result = &value(&ended)["result"];
        assert_eq!(result["stdout"], json!({"file":"d/x.stdout","bytes":1000}));
        assert_eq!(result["truncated"], Value::Null);
    }

    #[test]
    fn the_short_answers() {
        let mut out = Vec::new();
        ready(&mut out, 4711, 2);
        cancelled_before(&mut out, "\"a\"");
        refused(&mut out, &Refusal { id: None, code: -32700, message: "no \"JSON\"\n".into() });
        let fault = NotStarted { errno: "ENOENT".into(), exit_code: 127, message: "cannot start x".into() };
        not_started(&mut out, "1", &fault);
        let lines: Vec<Value> = out
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines[0]["params"]["pid"], 4711);
        assert_eq!(lines[1]["error"]["data"]["begun"], false);
        assert_eq!((&lines[2]["id"], &lines[2]["error"]["message"]), (&Value::Null, &json!("no \"JSON\"\n")));
        assert_eq!(lines[3]["error"]["data"]["exit_code"], 127);
    }
}
