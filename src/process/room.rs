//! How many more processes may be started here: what the control groups and `ulimit -u` leave. Asks once, at the start;
//! others start processes too, so the answer is a hint to begin with fewer and no promise.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The processes of the user are counted, which takes longer the more there are, only where the limit is at most so
/// much above what is wanted.
const COUNTED_ABOVE_MAX: u64 = 4096;

/// What can still be started, and what says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Processes, each of their threads counting as one.
    pub processes: u64,
    /// The limit, in words.
    pub limit: &'static str,
}

/// The least that any limit leaves, when one might leave less than `wanted`.
pub fn room(wanted: u64) -> Option<Room> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let read = |file: &Path| fs::read_to_string(file).ok();
    let of_groups = left_in_groups(&groups, read).map(|processes| Room { processes, limit: "pids.max" });
    let of_user = left_to_user(wanted).map(|processes| Room { processes, limit: "ulimit -u" });
    let least = of_groups.into_iter().chain(of_user).min_by_key(|room| room.processes);
    least.filter(|room| room.processes < wanted)
}

/// What our control group and those above it leave.
fn left_in_groups(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let number = |file: PathBuf| read(&file)?.trim().parse::<u64>().ok();
    let left = |group: PathBuf| {
        // `max` is no number.
        let max = number(group.join("pids.max"))?;
        Some(max.saturating_sub(number(group.join("pids.current"))?))
    };
    directories(groups).into_iter().filter_map(left).min()
}

/// Where the limits of our group and of all above it are written, of either version.
fn directories(groups: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let is_v1 = controllers.split(',').any(|controller| controller == "pids");
        if is_v1 || controllers.is_empty() {
            let root = Path::new(CGROUP_ROOT).join(controllers);
            all.extend(Path::new(path.trim_start_matches('/')).ancestors().map(|group| root.join(group)));
        }
    }
    all
}

/// What `ulimit -u` leaves to this user. The superuser has no such limit.
fn left_to_user(wanted: u64) -> Option<u64> {
    let user = nix::unistd::getuid();
    let (limit, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    if user.is_root() || limit == RLIM_INFINITY || limit > wanted.saturating_add(COUNTED_ABOVE_MAX) {
        return None;
    }
    Some(limit.saturating_sub(threads_of(user.as_raw())))
}

fn threads_of(user: u32) -> u64 {
    let mut count = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process && entry.metadata().is_ok_and(|metadata| metadata.uid() == user) {
            count += fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_fullest_group_counts_of_either_version() {
        let files = BTreeMap::from([
            ("/sys/fs/cgroup/a/b/pids.max", "24\n"),
            ("/sys/fs/cgroup/a/b/pids.current", "3\n"),
            ("/sys/fs/cgroup/a/pids.max", "100\n"),
            ("/sys/fs/cgroup/a/pids.current", "90\n"),
            ("/sys/fs/cgroup/pids.max", "max\n"),
            ("/sys/fs/cgroup/pids.current", "9000\n"),
            ("/sys/fs/cgroup/pids/x/pids.max", "5\n"),
            ("/sys/fs/cgroup/pids/x/pids.current", "7\n"),
        ]);
        let read = |file: &Path| files.get(file.to_str().unwrap()).map(|text| text.to_string());
        assert_eq!(left_in_groups("0::/a/b\n", read), Some(10));
        assert_eq!(left_in_groups("4:pids:/x\n0::/a/b\n", read), Some(0));
        assert_eq!(left_in_groups("5:memory:/x\n0::/\n", read), None);
        assert_eq!(left_in_groups("", read), None);
    }

    #[test]
    fn this_process_is_counted_and_wants_for_nothing() {
        assert!(threads_of(nix::unistd::getuid().as_raw()) >= 1);
        assert_eq!(room(0), None);
    }
}
