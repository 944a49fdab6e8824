//! The job log: one line for each job that was begun in the columns of GNU parallel's `--joblog`, for the scripts that
//! read those. Owns the columns; what is no command stands there by its label.

use super::answer::{Ended, Fault, Stream};
use super::escape;
use crate::json::Json;
use crate::record::{Record, Status};
use serde::Deserialize;

/// The first line of a log.
pub const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// Lines that wait for the end of the turn.
#[derive(Debug)]
pub struct JobLog {
    /// Jobs are commands: what they return has an exit code, and what functions return has none.
    is_command: bool,
    bytes: Vec<u8>,
}

#[derive(Debug, Default, Deserialize)]
struct Code {
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    data: Option<Box<Code>>,
}

impl JobLog {
    pub(super) fn new(is_command: bool) -> Self {
        JobLog { is_command, bytes: Vec::new() }
    }

    /// Appends the line of a job that was begun; one that never was has none, as in GNU parallel.
    pub(super) fn push(&mut self, record: &Record) {
        let Some(start) = record.start else { return };
        let code = self.exit_code(record);
        // A negative code is a signal. Any other end that is not ok must not look like success, nor must a timeout.
        let (exit, signal) = match code {
            code if record.status == Status::Timeout => (-1, code.min(0).abs()),
            code if code < 0 => (0, -code),
            0 if record.status != Status::Ok => (-1, 0),
            code => (code, 0),
        };
        let line = format!(
            "{}\t:\t{}.{:03}\t{:10.3}\t0\t{}\t{exit}\t{signal}\t",
            record.number.0,
            start.0 / 1000,
            start.0 % 1000,
            record.duration.as_secs_f64(),
            self.received(record),
        );
        self.bytes.extend_from_slice(line.as_bytes());
        let rare = record.rare();
        escape::one_line(rare.command.as_ref().unwrap_or(&rare.label), &mut self.bytes);
        self.bytes.push(b'\n');
    }

    /// Hands all lines to `take`.
    pub fn take<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let taken = take(&self.bytes);
        self.bytes.clear();
        taken
    }

    fn exit_code(&self, record: &Record) -> i32 {
        // How a worker died is known of all of them; other codes are only what our own worker says of a command.
        let error = record.error.as_deref().map(Json::get);
        let said = match record.status {
            Status::Crashed | Status::Oom => error,
            _ if self.is_command => record.result.as_deref().or(error),
            _ => None,
        };
        let code = said.and_then(|said| serde_json::from_str::<Code>(said).ok()).unwrap_or_default();
        code.data.map_or(code.exit_code, |data| data.exit_code)
    }

    /// Bytes of its standard output.
    fn received(&self, record: &Record) -> u64 {
        let fault = Fault::of(record);
        let ended = Ended::of(record, &fault, self.is_command);
        let kept = ended.stdout.map_or(0, |raw| match Stream::parse(raw) {
            Stream::Bytes(bytes) => bytes.len() as u64,
            Stream::Kept { bytes, .. } => bytes,
        });
        let printed = record.rare().stdout.as_ref().map_or(0, |printed| printed.total);
        ended.stdout_bytes.unwrap_or(kept).max(printed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{never_begun, not_ok, ok};
    use crate::time::Wall;

    #[test]
    fn columns_as_gnu_parallel_writes_them() {
        let mut log = JobLog::new(true);
        let mut record = ok(r#"{"exit_code":0,"stdout":"hi\n"}"#);
        record.start = Some(Wall(1_700_000_000_120));
        record.rare_mut().label = b"echo a\tb".to_vec();
        log.push(&record);
        let mut failed = not_ok(Status::Failed, r#"{"message":"x","data":{"exit_code":-9,"signal":"SIGKILL"}}"#);
        failed.start = record.start;
        log.push(&failed);
        let mut late = Record { status: Status::Timeout, ..failed.clone() };
        late.rare_mut().command = Some(b"sleep 9".to_vec());
        log.push(&late);
        log.push(&never_begun(Status::Skipped, r#"{"message":"x"}"#));
        let text = log.take(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0].len(), HEADER.trim_end().split('\t').count());
        assert_eq!((lines[0][2], lines[0][5], lines[0][6], lines[0][7]), ("1700000000.120", "3", "0", "0"));
        assert_eq!((lines[0][8], lines[1][6], lines[1][7]), ("echo a\\tb", "0", "9"));
        assert_eq!((lines[2][6], lines[2][7], lines[2][8]), ("-1", "9", "sleep 9"));
    }
    #[test]
    fn what_functions_return_is_no_exit_code() {
        let data = r#"{"code":1,"message":"x","data":{"exit_code":-9,"stdout":{"file":"f","bytes":7}}}"#;
        let columns = |mut record: Record| {
            record.start = Some(Wall(1));
            let mut log = JobLog::new(false);
            log.push(&record);
            let line = log.take(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            let columns: Vec<String> = line.split('\t').skip(5).take(3).map(str::to_owned).collect();
            columns.join(" ")
        };
        assert_eq!(columns(ok(r#"{"exit_code":3,"stdout":"abc"}"#)), "0 0 0");
        assert_eq!(columns(not_ok(Status::Failed, data)), "0 -1 0");
        assert_eq!(columns(not_ok(Status::Crashed, data)), "0 0 9");
    }
}
