//! How many cores this process may use: what its affinity allows, cut down by the CPU quota of its control groups.
//! A container with two cores' worth of time on a machine of 64 counts as 2.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Usable cores, at least 1.
pub(super) fn usable() -> u32 {
    let affinity = affinity().or_else(|| std::thread::available_parallelism().ok().map(|cores| cores.get() as u32));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let quotas = quota_files(&groups).into_iter().filter_map(|file| file.read());
    cut_down(affinity.unwrap_or(1), quotas)
}

/// The cores of the affinity mask. Fails on machines with more than 1,024 cores, which the caller then asks otherwise.
fn affinity() -> Option<u32> {
    let set = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let cores = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).count();
    u32::try_from(cores).ok().filter(|cores| *cores > 0)
}

/// A quota allows part of a core as well: it is rounded up.
fn cut_down(cores: u32, quotas: impl Iterator<Item = f64>) -> u32 {
    let quota = quotas.fold(f64::from(cores), f64::min);
    (quota.ceil() as u32).clamp(1, cores.max(1))
}

/// Where the quota of one group is written.
#[derive(Debug, PartialEq, Eq)]
enum QuotaFile {
    /// `cpu.max`: `200000 100000` or `max 100000`.
    V2(PathBuf),
    /// The directory with `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    V1(PathBuf),
}

impl QuotaFile {
    fn read(&self) -> Option<f64> {
        match self {
            QuotaFile::V2(file) => parse_v2(&fs::read_to_string(file).ok()?),
            QuotaFile::V1(directory) => {
                let number = |name| fs::read_to_string(directory.join(name)).ok();
                parse_v1(&number("cpu.cfs_quota_us")?, &number("cpu.cfs_period_us")?)
            }
        }
    }
}

/// The files of our own group and of all above it: each of them limits.
fn quota_files(groups: &str) -> Vec<QuotaFile> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let is_v1 = controllers.split(',').any(|controller| controller == "cpu");
        if !is_v1 && !controllers.is_empty() {
            continue;
        }
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let root = Path::new(CGROUP_ROOT);
            if is_v1 {
                files.push(QuotaFile::V1(root.join(controllers).join(group)));
                files.push(QuotaFile::V1(root.join("cpu").join(group)));
            } else {
                files.push(QuotaFile::V2(root.join(group).join("cpu.max")));
            }
        }
    }
    files
}

fn parse_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    parse_v1(quota, period)
}

/// Cores' worth of time; none when there is no limit (`max`, `-1`).
fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_rounded_up_and_the_least_counts() {
        assert_eq!(cut_down(8, [].into_iter()), 8);
        assert_eq!(cut_down(8, [2.0, 4.0].into_iter()), 2);
        assert_eq!(cut_down(8, [2.01].into_iter()), 3);
        assert_eq!(cut_down(8, [0.1].into_iter()), 1);
        assert_eq!(cut_down(2, [64.0].into_iter()), 2);
    }

    #[test]
    fn quota_texts() {
        assert_eq!(parse_v2("150000 100000\n"), Some(1.5));
        assert_eq!(parse_v2("max 100000\n"), None);
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("50000\n", "100000\n"), Some(0.5));
        assert_eq!(parse_v1("50000", "0"), None);
        assert_eq!(parse_v2("garbage"), None);
    }

    #[test]
    fn our_group_and_all_above_it_are_asked() {
        let v2 = |path: &str| QuotaFile::V2(Path::new(CGROUP_ROOT).join(path));
        assert_eq!(quota_files("0::/a/b\n"), [v2("a/b/cpu.max"), v2("a/cpu.max"), v2("cpu.max")]);
        assert_eq!(quota_files("0::/\n"), [v2("cpu.max")]);
        let v1 = quota_files("5:memory:/x\n4:cpu,cpuacct:/\n1:name=systemd:/y\n");
        assert_eq!(v1[0], QuotaFile::V1(Path::new(CGROUP_ROOT).join("cpu,cpuacct").join("")));
        assert_eq!(v1.len(), 2);
    }

    #[test]
    fn at_least_one_core_is_usable_here() {
        assert!(usable() >= 1);
    }
}
