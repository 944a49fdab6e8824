//! The sweep, the reaper, and what /proc tells.

use crate::harness::{Watched, alone, start, until_state};
use std::time::Duration;
use supervisor::process::contain::sweep_for;
use supervisor::process::{Reaper, descendants, freeze_tree, kill_tree, name_of, sweep, terminate_tree, thaw_tree};
use supervisor::status::ExitStatus;

#[test]
fn a_death_is_seen_as_a_zombie_first() {
    let _alone = alone();
    let mut reaper = Reaper::new();
    assert_eq!(reaper.next(), None);
    assert!(reaper.is_childless());
    let run = start("/bin/sh", &["-c", "read line; exit 6"]);
    assert_eq!(reaper.next(), None);
    assert!(!reaper.is_childless());
    assert_eq!(reaper.reap(run.spawned.pid), None, "it is alive, and reaping does not wait");
    nix::unistd::write(&run.spawned.stdin, b"\n").unwrap();
    Watched::new(run.spawned.pid).gone();
    let death = reaper.next().unwrap();
    assert_eq!((death.pid, death.status), (run.spawned.pid, ExitStatus::Code(6)));
    assert_eq!(reaper.next(), Some(death), "the same until it is reaped");
    until_state(death.pid, 'Z');
    let usage = reaper.reap(death.pid).unwrap();
    assert!(usage.max_rss > 100_000 && usage.cpu < Duration::from_secs(5), "{usage:?}");
    assert_eq!(reaper.next(), None);
    assert!(reaper.is_childless());
}

#[test]
fn a_sweep_spares_what_is_kept_and_names_the_rest() {
    let _alone = alone();
    let kept = start("/bin/sleep", &["1000"]);
    let mut stray = start("/bin/sh", &["-c", "setsid sh -c 'echo $$; exec sleep 777' & echo $$; exec sleep 888"]);
    let (one, other) = (stray.process(), stray.process());
    let until_renamed = |pid, name: &str| {
        while name_of(pid) != name {
            std::thread::yield_now()
        }
    };
    let leader = stray.spawned.pid;
    let daemon = if one.pid == leader { other.pid } else { one.pid };
    until_renamed(leader, "sleep 888");
    until_renamed(daemon, "sleep 777");
    let mut found = sweep(&|pid| pid == kept.spawned.pid);
    found.sort_by_key(|(_, name)| name.clone());
    assert_eq!(found, [(daemon, "sleep 777".to_owned()), (leader, "sleep 888".to_owned())]);
    assert!(Watched::new(kept.spawned.pid).is_alive());
    assert_eq!(sweep(&|_| false), [(kept.spawned.pid, "/bin/sleep 1000".to_owned())]);
    assert_eq!(sweep(&|_| false), []);
}

#[test]
fn those_who_keep_starting_others_lose() {
    let _alone = alone();
    // Each has an end of its own, in case it is not us who wins.
    let mut loops = start("/bin/sh", &["-c", "for i in $(seq 3000); do setsid sleep 100 & echo; done; wait"]);
    (0..20).for_each(|_| drop(loops.line()));
    // A chain: each process starts the next one, in a session of its own, and is gone.
    let hop = r#"echo; [ "$1" = 30000 ] || setsid sh -c "$0" "$0" $(($1 + 1)) &"#;
    let mut chain = start("/bin/sh", &["-c", hop, hop, "1"]);
    (0..20).for_each(|_| drop(chain.line()));
    // A bomb: twice as many with each generation.
    let bomb = "b() { [ $1 = 9 ] && exec sleep 100; b $(($1 + 1)) & b $(($1 + 1)) & wait; }; echo; b 1";
    let mut bomb = start("/bin/sh", &["-c", bomb]);
    bomb.line();
    let swept = sweep_for(Duration::from_secs(20), &|_| false);
    assert!(swept.complete, "{swept:?}");
    assert!(swept.found.len() > 20);
}

#[test]
fn trees_are_stopped_continued_and_ended_as_a_whole() {
    let _alone = alone();
    let script = "sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & echo $$; wait";
    let mut run = start("/bin/sh", &["-c", script]);
    let (one, other) = (run.process(), run.process());
    let root = run.spawned.pid;
    assert!(descendants(root).contains(if one.pid == root { &other.pid } else { &one.pid }));
    let below: Vec<Watched> = descendants(root).into_iter().map(Watched::new).collect();
    assert_eq!(below.len(), 2);
    freeze_tree(root);
    [&one, &other].iter().for_each(|process| until_state(process.pid, 'T'));
    thaw_tree(root);
    [&one, &other].iter().for_each(|process| until_state(process.pid, 'S'));
    freeze_tree(root);
    terminate_tree(root);
    below.iter().for_each(Watched::gone);
    assert_eq!(run.end(), ExitStatus::Signal(15));
    let run = start("/bin/sleep", &["1000"]);
    kill_tree(run.spawned.pid);
    assert_eq!(run.end(), ExitStatus::Signal(9));
}
