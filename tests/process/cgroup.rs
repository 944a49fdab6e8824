//! Control groups of this system, where they can be made. Where they cannot, a guard must do without, which is what is
//! tested then, and said.

use crate::guard::BROOD;
use crate::harness::{Watched, alone, guarded_with};
use std::path::Path;
use supervisor::process::cgroup::{Group, Groups, Use};
use supervisor::status::ExitStatus;

/// A group of a run, or the place of none.
fn group(groups: &mut Groups) -> (String, Option<Group>) {
    let group = groups.make();
    let directory = group.as_ref().map_or(Path::new("/nonexistent/run/0"), |group| group.directory());
    crate::harness::tell(&format!("control groups {} be made here\n", if group.is_some() { "can" } else { "cannot" }));
    (directory.to_str().unwrap().to_owned(), group)
}

#[test]
fn a_target_is_born_in_its_group_or_starts_without() {
    let _alone = alone();
    let mut groups = Groups::new(Use::Kill(None));
    let (directory, group) = group(&mut groups);
    let script = "read line; grep ^0:: /proc/self/cgroup; ps -o pgid= $$; echo $$; exit 3";
    let mut run = guarded_with(&["--group", &directory], &["sh", "-c", script]);
    nix::unistd::write(&run.spawned.stdin, b"go\n").unwrap();
    let text = String::from_utf8(run.rest()).unwrap();
    assert_eq!(run.end(), ExitStatus::Code(3));
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = Path::new(&directory).parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    assert_eq!(words[0].ends_with(&format!("/{name}/0")), group.is_some(), "{text}");
    assert_eq!(words[1], words[2], "leads a process group: {text}");
    group.into_iter().for_each(|group| groups.discard(group));
    assert!(!Path::new(&directory).exists());
    let (directory, group) = self::group(&mut groups);
    let run = guarded_with(&["--group", &directory], &["nosuch-program"]);
    assert_eq!(run.errors(), "supervisor: cannot start nosuch-program: command not found (ENOENT)\n");
    assert_eq!(run.end(), ExitStatus::Code(127));
    drop((groups, group));
    assert!(!Path::new(&directory).parent().unwrap().exists());
}

/// Some kernels kill at birth what is started in a group that was killed before.
#[test]
fn a_target_starts_in_a_group_that_was_killed_before_or_without() {
    let _alone = alone();
    let mut groups = Groups::new(Use::Kill(None));
    let (directory, group) = group(&mut groups);
    for code in 0..3 {
        group.iter().for_each(Group::kill);
        assert_eq!(
            guarded_with(&["--group", &directory], &["sh", "-c", &format!("exit {code}")]).end(),
            ExitStatus::Code(code)
        );
    }
}

#[test]
fn a_killed_group_takes_along_what_has_left_the_tree() {
    let _alone = alone();
    let mut groups = Groups::new(Use::Kill(None));
    let (directory, group) = group(&mut groups);
    let mut run = guarded_with(&["--group", &directory], &["sh", "-c", &format!("{BROOD} wait")]);
    let brood: Vec<Watched> = (0..4).map(|_| run.process()).collect();
    match &group {
        Some(group) => {
            group.kill();
            brood.iter().for_each(Watched::gone);
        }
        None => run.lifeline = None,
    }
    assert_eq!(run.end(), ExitStatus::Signal(9));
    assert!(brood.iter().all(|process| !process.is_alive()));
}

#[test]
fn a_guard_whose_supervisor_is_gone_ends_the_whole_run() {
    let _alone = alone();
    let mut groups = Groups::new(Use::Kill(None));
    let (mine, _) = group(&mut groups);
    let (others, other_group) = group(&mut groups);
    let mut run = guarded_with(&["--group", &mine], &["sh", "-c", &format!("{BROOD} wait")]);
    let mut other = guarded_with(&["--group", &others], &["sh", "-c", "echo $$; exec sleep 1000"]);
    let (brood, others_target): (Vec<Watched>, _) = ((0..4).map(|_| run.process()).collect(), other.process());
    run.lifeline = None;
    assert_eq!(run.end(), ExitStatus::Signal(9));
    assert!(brood.iter().all(|process| !process.is_alive()));
    if other_group.is_some() {
        others_target.gone();
    } else {
        other.lifeline = None;
    }
    assert_eq!(other.end(), ExitStatus::Signal(9));
    assert!(!Path::new(&mine).parent().unwrap().exists(), "no group is left");
}

#[test]
fn groups_for_nothing_are_not_made() {
    assert!(Groups::new(Use::None).make().is_none());
    // More than any limit can be kept where there is a controller; where there is none, there is no group.
    let mut groups = Groups::new(Use::Memory(1 << 40));
    let group = groups.make();
    crate::harness::tell(&format!(
        "memory {} be limited by control groups here\n",
        if group.is_some() { "can" } else { "cannot" }
    ));
    assert!(group.is_none_or(|group| group.directory().join("memory.max").exists() && group.excess().is_none()));
}
