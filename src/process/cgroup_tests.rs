//! Where groups are found, what is made and switched on, and what a killed one is said to have taken.

use super::*;

#[test]
fn our_group_is_found_below_the_root_of_its_mount() {
    let unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    let group = |groups, mounts| group_in(groups, mounts).map(|path| path.to_str().unwrap().to_owned());
    assert_eq!(group("0::/user.slice/a b\n", unified).as_deref(), Some("/sys/fs/cgroup/user.slice/a b"));
    let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw shared:8 master:1 - cgroup2 cgroup2 rw\n";
    assert_eq!(group("3:cpu:/x\n0::/\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/"));
    let part = "50 40 0:38 /docker/c1 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
    assert_eq!(group("0::/docker/c1/sub\n", part).as_deref(), Some("/sys/fs/cgroup/sub"));
    for (groups, mounts) in
        [("0::/docker/c2\n", part), ("0::/docker/c10\n", part), ("3:cpu:/x\n", hybrid), ("0::/\n", ""), ("", "x\n")]
    {
        assert_eq!(group(groups, mounts), None, "{groups:?} in {mounts:?}");
    }
}

#[test]
fn the_memory_controller_is_taken_only_where_that_is_ours_to_do() {
    let found = |available, on, is_root, is_alone| controller(available, on, is_root, || is_alone);
    assert_eq!(found("cpu memory pids\n", "memory\n", false, false), Controller::On);
    assert_eq!(found("cpu memory pids\n", "cpu\n", true, false), Controller::Switch);
    assert_eq!(found("memory\n", "\n", false, true), Controller::Move);
    assert_eq!(found("memory\n", "\n", false, false), Controller::Missing, "others are in our group");
    assert_eq!(found("cpu memory.x\n", "", true, true), Controller::Missing);
    assert_eq!(found("", "", false, true), Controller::Missing);
}

/// A directory that stands for a group: the files that the kernel makes are made by hand, as far as they are there.
struct Fake(PathBuf);

impl Fake {
    fn new(name: &str, files: &[(&str, &str)]) -> Fake {
        let path = std::env::temp_dir().join(format!(
            "supervisor-{name}-{}-{:x}",
            std::process::id(),
            u64::from_ne_bytes(sys::random())
        ));
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|(file, text)| fs::write(path.join(file), text).unwrap());
        Fake(path)
    }

    fn entries(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn without_the_controller_there_are_groups_to_kill_and_none_for_memory_alone() {
    let home = Fake::new("bare", &[("cgroup.controllers", "cpu\n"), ("cgroup.type", "domain\n")]);
    assert!(Run::begin(home.0.clone(), Use::None).is_none());
    assert!(Run::begin(home.0.clone(), Use::Memory(1 << 20)).is_none());
    assert_eq!(home.entries().len(), 2, "nothing was made: {:?}", home.entries());
    let run = Run::begin(home.0.clone(), Use::Kill(Some(1 << 20))).unwrap();
    let group = run.group(0).unwrap();
    assert_eq!((group.memory_max, group.excess(), run.switched, &run.moved), (None, None, false, &None));
    assert!(group.directory().starts_with(&home.0) && group.directory().is_dir());
    run.end();
    assert_eq!(home.entries().len(), 2, "all was removed: {:?}", home.entries());
}

#[test]
fn what_cannot_be_switched_on_is_undone() {
    let files = [("cgroup.controllers", "memory\n"), ("cgroup.type", "domain\n")];
    let home = Fake::new("refused", &files);
    let me = std::process::id().to_string();
    fs::write(home.0.join("cgroup.procs"), format!("{me}\n")).unwrap();
    // We are alone, but the directory made for us takes no members, since it is no group.
    assert!(Run::begin(home.0.clone(), Use::Memory(1 << 20)).is_none());
    assert_eq!(home.entries().len(), 3, "all was removed: {:?}", home.entries());
}

#[test]
fn killed_for_the_limit_is_told_from_killed_for_want_of_memory() {
    let fake = Fake::new("events", &[]);
    let group = Group { directory: fake.0.clone(), memory_max: Some(100) };
    let excess = |oom: u64, kills: u64, peak: &str| {
        let events = format!("low 0\nhigh 0\nmax 7\noom {oom}\noom_kill {kills}\noom_group_kill 1\n");
        fs::write(fake.0.join("memory.events"), events).unwrap();
        fs::write(fake.0.join("memory.peak"), peak).unwrap();
        group.excess()
    };
    assert_eq!(excess(1, 3, "100\n"), Some(101), "it was refused one more");
    assert_eq!(excess(1, 3, "250\n"), Some(250));
    assert_eq!(excess(1, 3, ""), Some(101));
    assert_eq!(excess(0, 3, "100\n"), None, "the machine was short, not the group");
    assert_eq!(excess(2, 0, "100\n"), None, "nobody was killed");
    assert_eq!(Group { memory_max: None, ..group }.excess(), None);
}
