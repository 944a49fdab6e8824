//! The processes below one, by /proc.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// Children of a process, of all its threads.
pub(super) fn children_of(pid: Pid) -> Vec<Pid> {
    let mut children = Vec::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return children };
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).map(Pid::from_raw));
    }
    children
}

/// All processes below one, parents before their children, without itself.
pub(super) fn descendants(pid: Pid) -> Vec<Pid> {
    let mut all = children_of(pid);
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        all.extend(children_of(pid));
        next += 1;
    }
    all
}

/// The command line of a process, shortened, for people.
pub(super) fn name_of(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.strip_suffix(b"\0").unwrap_or(&line);
    let text = String::from_utf8_lossy(words).replace('\0', " ");
    if text.is_empty() {
        return fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    }
    text.chars().take(200).collect()
}

/// Sends a signal to all processes below one.
pub(super) fn signal_descendants(pid: Pid, signal: Signal) {
    for pid in descendants(pid) {
        let _ = kill(pid, signal);
    }
}
