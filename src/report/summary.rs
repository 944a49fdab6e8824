//! The closing summary on standard error: how many jobs ended how, what working side by side gained, and each
//! worker's process as `join` tells of it. Owns the wording.

use super::failure::tone;
use super::hub::Ending;
use super::style::{PREFIX, Style, Tone, count, span};
use crate::exit::ExitCode;
use crate::pool::{Joined, Stats};
use crate::record::Status;
use std::collections::BTreeMap;
use std::time::Duration;

/// Up to so many processes have a line each.
const LISTED_PROCESSES: usize = 8;
/// Of more processes, so many that did not exit with 0 are still named.
const NAMED_FAILURES: usize = 5;

/// Appends the summary.
pub(super) fn push(ending: &Ending<'_>, style: Style, out: &mut Vec<u8>) {
    push_jobs(ending.stats, ending.wall, style, out);
    if ending.joined.len() <= LISTED_PROCESSES {
        ending.joined.iter().for_each(|one| push_process(one, style, out));
    } else {
        push_processes(ending.joined, style, out);
    }
    if !matches!(ending.exit, ExitCode::Success | ExitCode::JobsFailed) {
        let line = format!("{PREFIX}exit code {}: {}\n", ending.exit.number(), ending.exit.reason());
        out.extend_from_slice(line.as_bytes());
    }
}

/// `supervisor: 3 jobs: 2 ok, 1 failed; 5.9 s of work in 3.0 s: 1.97 x`
fn push_jobs(stats: &Stats, wall: Duration, style: Style, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{PREFIX}{}", count(stats.done() + stats.before, "job")).as_bytes());
    let mut separator = ": ";
    for status in Status::ALL {
        let number = stats.ended[status as usize];
        if number > 0 {
            out.extend_from_slice(separator.as_bytes());
            style.push(tone(status), &format!("{number} {status}"), out);
            separator = ", ";
        }
    }
    if stats.before > 0 {
        let not_ok = match stats.before_not_ok {
            0 => String::new(),
            some => format!(" ({some} not ok; --retry-failed runs them again)"),
        };
        out.extend_from_slice(format!("{separator}{} ended in an earlier run{not_ok}", stats.before).as_bytes());
        separator = ", ";
    }
    let lost = stats.accepted.saturating_sub(stats.done() + stats.before);
    if lost > 0 {
        out.extend_from_slice(format!("{separator}{lost} without a record").as_bytes());
    }
    if stats.done() > 0 {
        out.extend_from_slice(format!("; {}", gain(stats.job_time, wall)).as_bytes());
    }
    out.push(b'\n');
}

/// The jobs' own time against the time the run took.
fn gain(work: Duration, wall: Duration) -> String {
    let times = work.as_secs_f64() / wall.as_secs_f64();
    let text = format!("{} of work in {}", span(work), span(wall));
    if times.is_finite() { format!("{text}: {times:.2} x") } else { text }
}

/// `supervisor: worker 2 (pid 4711): 5 jobs, exitcode -9 (killed by SIGKILL)`; `(pid 4711, the last of 3)` where others had
/// some of the jobs.
fn push_process(one: &Joined, style: Style, out: &mut Vec<u8>) {
    let others = if one.processes > 1 { format!(", the last of {}", one.processes) } else { String::new() };
    let process = format!("{PREFIX}worker {} (pid {}{others}): {}, ", one.worker.0, one.pid, count(one.jobs, "job"));
    out.extend_from_slice(process.as_bytes());
    let code = format!("exitcode {}", one.exit.exit_code());
    let tone = if one.exit.is_success() { Tone::Faint } else { Tone::Bad };
    style.push(tone, &code, out);
    if one.exit.exit_code() < 0 {
        out.extend_from_slice(format!(" ({})", one.exit).as_bytes());
    }
    out.push(b'\n');
}

/// `supervisor: 12 worker processes, 4 to 10 jobs each: 11 exitcode 0, 1 exitcode -9`, then the first that did not exit with 0.
fn push_processes(joined: &[Joined], style: Style, out: &mut Vec<u8>) {
    let mut codes: BTreeMap<i32, u64> = BTreeMap::new();
    for one in joined {
        *codes.entry(one.exit.exit_code()).or_default() += 1;
    }
    let most = joined.iter().map(|one| one.jobs).max().unwrap_or_default();
    let least = joined.iter().map(|one| one.jobs).min().unwrap_or_default();
    let codes: Vec<String> = codes.iter().rev().map(|(code, number)| format!("{number} exitcode {code}")).collect();
    let processes: u64 = joined.iter().map(|one| one.processes).sum();
    let workers = match joined.len() as u64 {
        workers if workers == processes => format!("{workers} worker processes"),
        workers => format!("{workers} workers ({processes} processes)"),
    };
    let line = format!("{PREFIX}{workers}, {least} to {most} jobs each: {}\n", codes.join(", "));
    out.extend_from_slice(line.as_bytes());
    let failed: Vec<&Joined> = joined.iter().filter(|one| !one.exit.is_success()).collect();
    failed.iter().take(NAMED_FAILURES).for_each(|one| push_process(one, style, out));
    if failed.len() > NAMED_FAILURES {
        out.extend_from_slice(format!("{PREFIX}… and {} more\n", failed.len() - NAMED_FAILURES).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::WorkerId;
    use crate::status::ExitStatus;

    fn joined(worker: u32, jobs: u64, exit: ExitStatus) -> Joined {
        Joined { worker: WorkerId(worker), pid: 4710 + worker, processes: 1, jobs, exit }
    }

    fn text(stats: &Stats, joined: &[Joined], exit: ExitCode) -> String {
        let mut out = Vec::new();
        let ending = Ending { stats, joined, wall: Duration::from_millis(3_003), exit };
        push(&ending, Style::new(false), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn stats(ended: [u64; 8]) -> Stats {
        let accepted = ended.iter().sum();
        Stats { accepted, ended, job_time: Duration::from_millis(5_916), input_closed: true, ..Stats::default() }
    }

    #[test]
    fn jobs_gain_and_processes() {
        let mut processes = [joined(1, 3, ExitStatus::Code(0)), joined(2, 1, ExitStatus::Signal(9))];
        processes[0].processes = 2;
        assert_eq!(
            text(&stats([2, 1, 0, 1, 0, 0, 0, 0]), &processes, ExitCode::JobsFailed),
            "supervisor: 4 jobs: 2 ok, 1 failed, 1 crashed; 5.9 s of work in 3.0 s: 1.97 x\n\
             supervisor: worker 1 (pid 4711, the last of 2): 3 jobs, exitcode 0\n\
             supervisor: worker 2 (pid 4712): 1 job, exitcode -9 (killed by SIGKILL)\n"
        );
    }

    #[test]
    fn an_unusual_exit_code_is_told_and_so_is_a_missing_record() {
        assert_eq!(
            text(&stats([0; 8]), &[], ExitCode::NoJobs),
            "supervisor: 0 jobs\nsupervisor: exit code 4: the list held no job\n"
        );
        let stats = Stats { accepted: 3, ..stats([1, 0, 0, 0, 0, 0, 0, 0]) };
        assert!(text(&stats, &[], ExitCode::Signal(2)).contains("1 job: 1 ok, 2 without a record; "));
        assert!(text(&stats, &[], ExitCode::Signal(2)).ends_with("exit code 130: stopped by SIGINT\n"));
    }

    #[test]
    fn many_processes_are_summed_up() {
        let mut processes: Vec<Joined> = (1..=12).map(|worker| joined(worker, 10, ExitStatus::Code(0))).collect();
        for process in &mut processes[2..9] {
            *process = Joined { jobs: 4, exit: ExitStatus::Signal(9), ..process.clone() };
        }
        let text = text(&stats([100, 0, 0, 7, 0, 0, 0, 0]), &processes, ExitCode::JobsFailed);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines[0], "supervisor: 12 worker processes, 4 to 10 jobs each: 5 exitcode 0, 7 exitcode -9");
        assert_eq!(lines[1], "supervisor: worker 3 (pid 4713): 4 jobs, exitcode -9 (killed by SIGKILL)");
        assert_eq!(lines[6], "supervisor: … and 2 more");
        processes[0].processes = 4;
        let text = self::text(&stats([100, 0, 0, 7, 0, 0, 0, 0]), &processes, ExitCode::JobsFailed);
        assert!(text.contains("supervisor: 12 workers (15 processes), 4 to 10 jobs each: "), "{text}");
    }
}
