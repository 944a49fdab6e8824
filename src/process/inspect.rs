//! What /proc says about processes: whose children they are and what they are called.
//!
//! Only reads. Without /proc the answers are empty.

use super::sys;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::sync::OnceLock;

/// Longest name that [`name_of`] gives, in characters.
const NAME_LIMIT: usize = 80;

/// About as long as /proc/vmstat is, and more. A longer one is read all the same.
const VMSTAT_BYTES: usize = 16 << 10;

/// The living children of a process and its zombies, in no order.
///
/// The kernel's list may miss a child while others end; whoever needs all of them asks until the answer stays the same.
pub fn children_of(pid: u32) -> Vec<u32> {
    if kernel_lists_children() { listed_children(pid) } else { family().remove(&pid).unwrap_or_default() }
}

/// All descendants of a process, parents before their children, without itself.
pub fn descendants(pid: u32) -> Vec<u32> {
    walk(pid).into_iter().map(|(child, _)| child).collect()
}

/// What a process is called, for people: its command line, or its short name when it has none. Characters that would
/// confuse a terminal are shown as escapes, and a long name is cut.
pub fn name_of(pid: u32) -> String {
    let mut raw = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) {
        // A name is a courtesy: one that cannot be read is one that is not there.
        file.take(4096).read_to_end(&mut raw).unwrap_or(0);
    }
    while raw.last() == Some(&0) {
        raw.pop();
    }
    if raw.is_empty() {
        raw = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        raw.pop();
    }
    if raw.is_empty() { "(unknown)".into() } else { printable(&raw) }
}

/// Resident memory of a process and all its descendants, in bytes; 0 without /proc.
///
/// The sum of their resident sizes, which counts what they share more than once. Where that is above `exact_above`, what
/// each has its part of is counted by parts (the proportional set size), which costs a look at every page.
pub fn tree_memory(pid: u32, exact_above: u64) -> u64 {
    let mut all = descendants(pid);
    all.push(pid);
    let rough: u64 = all.iter().map(|&pid| resident(pid)).sum();
    if rough <= exact_above {
        return rough;
    }
    all.iter().map(|&pid| proportional(pid).unwrap_or_else(|| resident(pid))).sum()
}

/// Whether a process is stopped by a signal.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).0 == b'T'
}

/// How much memory the machine can give to new work without swapping, in bytes; all there could be without /proc.
pub fn available_memory() -> u64 {
    fs::read("/proc/meminfo").ok().and_then(|text| kilobytes(&text, b"MemAvailable:")).unwrap_or(u64::MAX)
}

/// How many processes the kernel has killed for want of memory since it was started.
pub fn kernel_kills() -> u64 {
    // The kernel writes it anew for every read, and it tells no length: room for all of it at once.
    let mut text = String::with_capacity(VMSTAT_BYTES);
    let read = File::open("/proc/vmstat").and_then(|mut file| file.read_to_string(&mut text));
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).filter(|_| read.is_ok());
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * page_bytes()
}

fn page_bytes() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

fn proportional(pid: u32) -> Option<u64> {
    kilobytes(&fs::read(format!("/proc/{pid}/smaps_rollup")).ok()?, b"Pss:")
}

/// The figure of a line such as `Pss:    1234 kB`, in bytes.
fn kilobytes(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    let figure = std::str::from_utf8(line).ok()?.trim().strip_suffix("kB")?.trim();
    figure.parse::<u64>().ok().map(|figure| figure * 1024)
}

/// All descendants of a process with the parent each was found under, parents first.
pub(super) fn walk(root: u32) -> Vec<(u32, u32)> {
    let mut family = if kernel_lists_children() { None } else { Some(family()) };
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([root]);
    let mut next = 0;
    let mut parent = root;
    loop {
        let children = match &mut family {
            Some(family) => family.remove(&parent).unwrap_or_default(),
            None => listed_children(parent),
        };
        // A number seen twice was re-parented or given anew during the walk; once is enough, and the walk ends.
        found.extend(children.into_iter().filter(|child| seen.insert(*child)).map(|child| (child, parent)));
        match found.get(next) {
            Some(&(child, _)) => parent = child,
            None => return found,
        }
        next += 1;
    }
}

/// The parent of a process, 0 when there is no such process.
pub(super) fn parent_of(pid: u32) -> u32 {
    stat(pid).1
}

/// Whether a process has ended and only waits to be reaped.
pub fn is_zombie(pid: u32) -> bool {
    matches!(stat(pid).0, b'Z' | b'X')
}

/// State and parent of a process, zeroes when there is no such process.
fn stat(pid: u32) -> (u8, u32) {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name stands in parentheses and may itself hold any of " )": what follows the last one is well formed.
    let after_name = stat.iter().rposition(|&byte| byte == b')').map_or(&[][..], |at| &stat[at + 1..]);
    let mut fields = after_name.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let state = fields.next().and_then(|field| field.first().copied()).unwrap_or(0);
    (state, fields.next().and_then(number).unwrap_or(0))
}

/// Whether /proc is there at all.
pub(super) fn proc_is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| fs::metadata("/proc/self/stat").is_ok())
}

/// Whether the kernel keeps /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN).
fn kernel_lists_children() -> bool {
    static LISTS: OnceLock<bool> = OnceLock::new();
    *LISTS.get_or_init(|| fs::metadata(format!("/proc/self/task/{}/children", std::process::id())).is_ok())
}

fn listed_children(pid: u32) -> Vec<u32> {
    // A child belongs to the thread that started it. Nearly all processes have one thread, named like the process.
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut children = Vec::new();
    for task in tasks.flatten() {
        let list = fs::read(task.path().join("children")).unwrap_or_default();
        children.extend(list.split(|&byte| byte == b' ').filter_map(number));
    }
    children
}

/// Children by parent, from a look at every process.
fn family() -> BTreeMap<u32, Vec<u32>> {
    let mut family: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = number(entry.file_name().as_encoded_bytes()) {
            family.entry(parent_of(pid)).or_default().push(pid);
        }
    }
    family
}

fn number(digits: &[u8]) -> Option<u32> {
    let pid = std::str::from_utf8(digits).ok()?.parse().ok()?;
    sys::pid_t(pid).is_ok().then_some(pid)
}

fn printable(raw: &[u8]) -> String {
    let spaced: Vec<u8> = raw.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
    let mut name = String::new();
    for (count, character) in String::from_utf8_lossy(&spaced).chars().enumerate() {
        if count == NAME_LIMIT - 1 {
            name.push('…');
            break;
        }
        if character.is_control() { name.extend(character.escape_default()) } else { name.push(character) }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_to_show() {
        assert_eq!(printable(b"sleep\x001000"), "sleep 1000");
        assert_eq!(printable(b"a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
        let long = printable(&[b'x'; 500]);
        assert_eq!(long.chars().count(), NAME_LIMIT);
        assert!(long.ends_with('…'));
        assert_eq!(name_of(0), "(unknown)");
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(kilobytes(b"Rss:  9 kB\nPss:    12 kB\n", b"Pss:"), Some(12 * 1024));
        assert_eq!(kilobytes(b"Pss: many kB\n", b"Pss:"), None);
        let me = std::process::id();
        let held = vec![1u8; 8 << 20];
        assert!(tree_memory(me, u64::MAX) >= held.len() as u64);
        assert!(tree_memory(me, 0) >= held.len() as u64, "its own memory is shared with nobody");
        assert!(available_memory() > 0 && !is_stopped(me));
    }

    #[test]
    fn we_are_a_child_of_our_parent_by_list_and_by_scan() {
        let (me, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert_eq!(parent_of(me), parent);
        assert!(family().get(&parent).is_some_and(|children| children.contains(&me)));
        assert!(!kernel_lists_children() || listed_children(parent).contains(&me));
    }
}
