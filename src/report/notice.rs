//! Notices in words, one line each on standard error. Owns their wording and who is told what (`-q`, `-v`).

use super::escape;
use super::style::{PREFIX, Style, Tone};
use crate::config::Volume;
use crate::ids::WorkerId;
use crate::pool::Notice;

/// Lines of a dead worker's standard error that are repeated.
const LAST_WORDS_LINES: usize = 10;
/// Bytes of a line that broke the protocol that are shown.
const EXCERPT_BYTES: usize = 200;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Audience {
    /// How much the user wants to hear.
    pub(super) volume: Volume,
    /// Jobs are commands: what a worker says is a complaint of the built-in one, and not the user's program.
    pub(super) is_command: bool,
}

impl Audience {
    /// With `-q` only what ends the run, what else makes the exit code, and what a job may have lost is told; without `-v` no
    /// routine.
    pub(super) fn admits(self, notice: &Notice) -> bool {
        match notice {
            Notice::WorkerStarted { .. } => self.volume == Volume::Verbose,
            Notice::Log { level, .. } if level == "debug" => self.volume == Volume::Verbose,
            Notice::GivingUp { .. } | Notice::Fault { .. } => true,
            Notice::WorkerStderr { .. } if self.is_command => true,
            Notice::WorkerDied { .. }
            | Notice::ProtocolBroken { .. }
            | Notice::StrayOutput { .. }
            | Notice::WorkerStderr { .. }
            | Notice::Log { .. }
            | Notice::Warning { .. }
            | Notice::Stopping { .. } => !self.volume.is_quiet(),
        }
    }
}

/// Appends the notice.
pub(super) fn push(notice: &Notice, style: Style, out: &mut Vec<u8>) {
    match notice {
        Notice::WorkerStarted { worker, pid } => line(out, &format!("worker {} (pid {pid}) started", worker.0)),
        Notice::WorkerDied { worker, pid, status, stderr } => {
            let how = if status.exit_code() >= 0 { "ended with" } else { "was" };
            line(out, &format!("worker {} (pid {pid}) {how} {status}", worker.0));
            push_last_words(*worker, stderr, out);
        }
        Notice::ProtocolBroken { worker, message, excerpt } => {
            let message = escape::to_line(message.as_bytes());
            line(out, &format!("worker {} broke the protocol and is replaced: {message}", worker.0));
            if !excerpt.is_empty() {
                let shown = &excerpt[..excerpt.len().min(EXCERPT_BYTES)];
                push_worker_line(*worker, shown, out);
            }
        }
        Notice::StrayOutput { worker, line: stray, first } => {
            if *first {
                warn(style, out, &format!("worker {} wrote a line that is no message; shown as its output", worker.0));
            }
            push_worker_lines(*worker, stray, out);
        }
        Notice::WorkerStderr { worker, bytes } => push_worker_lines(*worker, bytes, out),
        Notice::Log { worker, level, message } => {
            let level = escape::to_line(level.as_bytes());
            push_worker_lines(*worker, format!("{level}: {message}").as_bytes(), out);
        }
        Notice::GivingUp { message } => {
            out.extend_from_slice(PREFIX.as_bytes());
            style.push(Tone::Bad, "giving up", out);
            out.extend_from_slice(b": ");
            escape::multi_line(message.trim_ascii_end().as_bytes(), out);
            out.push(b'\n');
        }
        Notice::Warning { message } => warn(style, out, message),
        Notice::Stopping { message } | Notice::Fault { message } => line(out, message),
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(PREFIX.as_bytes());
    escape::one_line(text.as_bytes(), out);
    out.push(b'\n');
}

fn warn(style: Style, out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(PREFIX.as_bytes());
    style.push(Tone::Warning, "warning", out);
    out.extend_from_slice(b": ");
    escape::one_line(text.as_bytes(), out);
    out.push(b'\n');
}

fn push_last_words(worker: WorkerId, stderr: &[u8], out: &mut Vec<u8>) {
    let text = stderr.trim_ascii_end();
    if text.is_empty() {
        return;
    }
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    for last in &lines[lines.len().saturating_sub(LAST_WORDS_LINES)..] {
        push_worker_line(worker, last, out);
    }
}

fn push_worker_lines(worker: WorkerId, bytes: &[u8], out: &mut Vec<u8>) {
    for one in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n') {
        push_worker_line(worker, one, out);
    }
}

fn push_worker_line(worker: WorkerId, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("[worker {}] ", worker.0).as_bytes());
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    escape::one_line(text.strip_suffix(b"\r").unwrap_or(text), out);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ExitStatus;

    const WORKER: WorkerId = WorkerId(2);

    fn text(notice: Notice) -> String {
        let mut out = Vec::new();
        push(&notice, Style::new(false), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_notice_in_words() {
        assert_eq!(text(Notice::WorkerStarted { worker: WORKER, pid: 7 }), "supervisor: worker 2 (pid 7) started\n");
        let died = |status, stderr: &[u8]| {
            text(Notice::WorkerDied { worker: WORKER, pid: 7, status, stderr: stderr.to_vec() })
        };
        assert_eq!(died(ExitStatus::Signal(9), b""), "supervisor: worker 2 (pid 7) was killed by SIGKILL\n");
        assert_eq!(
            died(ExitStatus::Code(3), b"bad\x1b[31m\nend\n"),
            "supervisor: worker 2 (pid 7) ended with exit code 3\n[worker 2] bad\\x1b[31m\n[worker 2] end\n"
        );
        assert_eq!(
            text(Notice::ProtocolBroken {
                worker: WORKER,
                message: "two answers".into(),
                excerpt: b"{\"id\":1".to_vec()
            }),
            "supervisor: worker 2 broke the protocol and is replaced: two answers\n[worker 2] {\"id\":1\n"
        );
        let stray = |first| text(Notice::StrayOutput { worker: WORKER, line: b"hello\r".to_vec(), first });
        assert_eq!(stray(false), "[worker 2] hello\n");
        let two = Notice::StrayOutput { worker: WORKER, line: b"a\nb\n".to_vec(), first: false };
        assert_eq!(text(two), "[worker 2] a\n[worker 2] b\n");
        assert_eq!(
            stray(true),
            "supervisor: warning: worker 2 wrote a line that is no message; shown as its output\n[worker 2] hello\n"
        );
        assert_eq!(
            text(Notice::WorkerStderr { worker: WORKER, bytes: b"a\nb\n".to_vec() }),
            "[worker 2] a\n[worker 2] b\n"
        );
        let log = Notice::Log { worker: WORKER, level: "info".into(), message: "up".into() };
        assert_eq!(text(log), "[worker 2] info: up\n");
        assert_eq!(text(Notice::GivingUp { message: "no\nway".into() }), "supervisor: giving up: no\nway\n");
        assert_eq!(text(Notice::Warning { message: "odd".into() }), "supervisor: warning: odd\n");
        assert_eq!(text(Notice::Fault { message: "no\nlist".into() }), "supervisor: no\\nlist\n");
        assert_eq!(text(Notice::Stopping { message: "SIGINT".into() }), "supervisor: SIGINT\n");
    }

    #[test]
    fn last_words_are_the_last() {
        let stderr: Vec<u8> = (0..50).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let notice = Notice::WorkerDied { worker: WORKER, pid: 7, status: ExitStatus::Code(1), stderr };
        let text = text(notice);
        assert_eq!(text.lines().count(), 1 + LAST_WORDS_LINES);
        assert!(text.ends_with("[worker 2] 49\n"));
    }

    #[test]
    fn quiet_hears_the_end_and_verbose_hears_the_routine() {
        let started = Notice::WorkerStarted { worker: WORKER, pid: 7 };
        let warning = Notice::Warning { message: String::new() };
        let end = Notice::GivingUp { message: String::new() };
        let fault = Notice::Fault { message: String::new() };
        let hears = |volume| {
            let audience = Audience { volume, is_command: false };
            [&started, &warning, &end, &fault].map(|notice| audience.admits(notice))
        };
        assert_eq!(hears(Volume::Usual), [false, true, true, true]);
        assert_eq!(hears(Volume::Verbose), [true, true, true, true]);
        assert_eq!(hears(Volume::Quiet), [false, false, true, true]);
        let complaint = Notice::WorkerStderr { worker: WORKER, bytes: Vec::new() };
        for is_command in [false, true] {
            assert_eq!(Audience { volume: Volume::Quiet, is_command }.admits(&complaint), is_command);
        }
    }
}
