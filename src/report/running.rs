//! What is running now, told on SIGUSR1. Owns the wording.

use super::escape;
use super::style::{PREFIX, span};
use crate::job::id_text;
use crate::pool::{Running, Stats};

/// Appends the figures and one line for each running job.
pub(super) fn push(stats: &Stats, running: &[Running], out: &mut Vec<u8>) {
    let waiting = stats.accepted.saturating_sub(stats.done()).saturating_sub(running.len() as u64);
    let more = if stats.input_closed { "" } else { " (the list goes on)" };
    let not_ok = if stats.not_ok() > 0 { format!(" ({} not ok)", stats.not_ok()) } else { String::new() };
    let line = format!("{PREFIX}{} running, {waiting} waiting{more}, {} done{not_ok}\n", running.len(), stats.done());
    out.extend_from_slice(line.as_bytes());
    for job in running {
        push_job(job, out);
    }
}

fn push_job(job: &Running, out: &mut Vec<u8>) {
    let id = escape::to_line(id_text(&job.id).as_bytes());
    let attempt = if job.attempt > 1 { format!(", attempt {}", job.attempt) } else { String::new() };
    let place = format!("  worker {} (pid {}): job {id} for {}{attempt}", job.worker.0, job.pid, span(job.since));
    out.extend_from_slice(place.as_bytes());
    if !job.label.is_empty() {
        out.extend_from_slice(b": ");
        escape::one_line(&job.label, out);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::WorkerId;
    use std::time::Duration;

    #[test]
    fn what_is_running() {
        let job = |id: &str, label: &[u8], attempt| Running {
            worker: WorkerId(1),
            pid: 4711,
            id: id.into(),
            label: label.to_vec(),
            since: Duration::from_millis(2_340),
            attempt,
        };
        let stats = Stats { accepted: 10, ended: [3, 1, 0, 0, 0, 0, 0, 0], running: 2, ..Stats::default() };
        let mut out = Vec::new();
        push(&stats, &[job("5", b"convert \x1b.png", 1), job("\"a1\"", b"", 2)], &mut out);
        let expected = "supervisor: 2 running, 4 waiting (the list goes on), 4 done (1 not ok)\n  \
                        worker 1 (pid 4711): job 5 for 2.3 s: convert \\x1b.png\n  \
                        worker 1 (pid 4711): job a1 for 2.3 s, attempt 2\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        push(&Stats { input_closed: true, ..Stats::default() }, &[], &mut out);
        assert_eq!(out, b"supervisor: 0 running, 0 waiting, 0 done\n");
    }
}
