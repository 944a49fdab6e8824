//! The guard: transparent while all is well, thorough at the end.

use crate::harness::{Watched, alone, guarded, guarded_with, until_state};
use supervisor::process::{children_of, sweep};
use supervisor::status::ExitStatus;

/// A child in the background, one in a session of its own, and a daemon that was forked twice and has nothing of our
/// environment. Each says its process id, at last the target itself.
pub(crate) const BROOD: &str = "sleep 1000 & echo $!
    setsid sh -c 'echo $$; exec sleep 1000' &
    (setsid env -i sh -c 'echo $$; exec /bin/sleep 1000' &)
    echo $$; ";

#[test]
fn bytes_pass_untouched_and_the_end_is_passed_on() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", "read line; printf '%s\\0\\377' \"$line\"; exit 3"]);
    nix::unistd::write(&run.spawned.stdin, b"hello\n").unwrap();
    assert_eq!(run.rest(), b"hello\0\xff");
    assert_eq!(run.end(), ExitStatus::Code(3));
}

#[test]
fn every_exit_code_is_passed_on() {
    let _alone = alone();
    for code in [0, 1, 2, 99, 125, 126, 127, 128, 130, 137, 255] {
        assert_eq!(guarded(&["sh", "-c", &format!("exit {code}")]).end(), ExitStatus::Code(code));
    }
}

#[test]
fn every_deadly_signal_is_passed_on() {
    let _alone = alone();
    for signal in [1, 2, 3, 6, 9, 11, 13, 14, 15, 34, 64] {
        let run = guarded(&["sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(run.end(), ExitStatus::Signal(signal));
    }
}

#[test]
fn the_target_starts_with_a_clean_slate() {
    let _alone = alone();
    let mut run =
        guarded(&["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; ps -o pgid= $$; echo $$"]);
    let text = String::from_utf8(run.rest()).unwrap();
    run.end();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[1], "0000000000000000", "blocked signals: {text}");
    assert_eq!(&words[4..8], ["0", "1", "2", "3"], "descriptors (3 is the listing itself): {text}");
    assert_eq!(words[8], words[9], "leads a group: {text}");
}

#[test]
fn streams_end_when_the_target_closes_them() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", "echo $$; exec 1>&- 2>&-; exec sleep 1000"]);
    let target = run.process();
    assert_eq!(run.rest(), b"");
    assert_eq!(run.errors(), "");
    assert!(target.is_alive());
    run.lifeline = None;
    run.end();
}

#[test]
fn what_the_target_leaves_behind_is_killed_before_the_guard_ends() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", &format!("{BROOD} read go; exit 4")]);
    let brood: Vec<Watched> = (0..4).map(|_| run.process()).collect();
    nix::unistd::write(&run.spawned.stdin, b"go\n").unwrap();
    assert_eq!(run.end(), ExitStatus::Code(4));
    assert!(brood.iter().all(|process| !process.is_alive()));
}

#[test]
fn the_end_of_the_lifeline_ends_everything() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", &format!("trap '' TERM INT HUP; {BROOD} wait")]);
    let brood: Vec<Watched> = (0..4).map(|_| run.process()).collect();
    run.lifeline = None;
    assert_eq!(run.end(), ExitStatus::Signal(9));
    assert!(brood.iter().all(|process| !process.is_alive()));
}

#[test]
fn a_lifeline_that_has_ended_before_the_start_starts_nothing() {
    let _alone = alone();
    for _ in 0..20 {
        let mut run = guarded(&["sh", "-c", "echo started; exec sleep 1000"]);
        run.lifeline = None;
        assert_eq!(run.end(), ExitStatus::Signal(9));
    }
}

#[test]
fn a_killed_guard_takes_its_target_along_and_leaves_the_rest_to_us() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", &format!("{BROOD} wait")]);
    let brood: Vec<Watched> = (0..4).map(|_| run.process()).collect();
    run.signal(libc::SIGKILL);
    assert_eq!(run.end(), ExitStatus::Signal(9));
    let found = sweep(&|_| false);
    assert!(found.iter().filter(|(_, name)| name.contains("sleep")).count() >= 3, "{found:?}");
    assert!(brood.iter().all(|process| !process.is_alive()));
    assert!(children_of(std::process::id()).is_empty());
}

#[test]
fn termination_reaches_the_tree_and_not_the_guard() {
    let _alone = alone();
    let mut run =
        guarded(&["sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done"]);
    assert_eq!(run.line(), "ready");
    run.signal(libc::SIGTERM);
    assert_eq!(run.rest(), b"bye\n");
    assert_eq!(run.end(), ExitStatus::Code(5));
}

#[test]
fn termination_reaches_a_stopped_target() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", "echo $$; kill -STOP $$; sleep 1000"]);
    let target = run.process();
    until_state(target.pid, 'T');
    run.signal(libc::SIGTERM);
    assert_eq!(run.end(), ExitStatus::Signal(15));
}

#[test]
fn the_tree_is_stopped_and_continued_with_the_guard() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", &format!("{BROOD} wait")]);
    let brood: Vec<Watched> = (0..4).map(|_| run.process()).collect();
    for _ in 0..3 {
        run.signal(libc::SIGTSTP);
        brood.iter().for_each(|process| until_state(process.pid, 'T'));
        run.signal(libc::SIGCONT);
        brood.iter().for_each(|process| until_state(process.pid, 'S'));
    }
    for harmless in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGPIPE] {
        run.signal(harmless);
    }
    run.lifeline = None;
    run.end();
}

#[test]
fn the_guard_is_out_of_reach_of_our_group_and_session() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", "ps -o sid= $$; echo $$; exec sleep 1000"]);
    assert_eq!(run.line().trim(), run.spawned.pid.to_string());
    run.line();
    run.lifeline = None;
    run.end();
}

#[test]
fn orphans_are_reaped_while_the_target_runs() {
    let _alone = alone();
    let mut run = guarded(&["sh", "-c", "(setsid sh -c 'echo $$; exit 9' &); echo $$; exec sleep 1000"]);
    let (one, other) = (run.process(), run.process());
    let guard = run.spawned.pid;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while children_of(guard).len() != 1 {
        assert!(std::time::Instant::now() < deadline, "{:?}", children_of(guard));
        std::thread::yield_now();
    }
    assert!(one.is_alive() != other.is_alive());
    run.lifeline = None;
    run.end();
}

#[test]
fn a_target_that_cannot_be_started_is_told_as_in_a_shell() {
    let _alone = alone();
    let run = guarded(&["nosuch-program", "x"]);
    assert_eq!(run.errors(), "supervisor: cannot start nosuch-program: command not found (ENOENT)\n");
    assert_eq!(run.end(), ExitStatus::Code(127));
    let run = guarded(&["/etc/passwd"]);
    assert_eq!(run.errors(), "supervisor: cannot start /etc/passwd: permission denied (EACCES)\n");
    assert_eq!(run.end(), ExitStatus::Code(126));
}

#[test]
fn a_program_that_takes_care_of_its_own_is_signalled_alone() {
    let _alone = alone();
    let script = "sh -c 'trap \"echo child\" TERM; echo ready; while :; do sleep 1000 & wait; done' &
        trap 'echo bye; exit 5' TERM; while :; do wait; done";
    let mut run = guarded_with(&["--relay"], &["sh", "-c", script]);
    assert_eq!(run.line(), "ready");
    run.signal(libc::SIGTERM);
    assert_eq!(run.rest(), b"bye\n");
    assert_eq!(run.end(), ExitStatus::Code(5));
}

#[test]
fn a_guard_that_is_told_nonsense_says_what_it_takes() {
    let _alone = alone();
    for options in [&["--nonsense", "3"][..], &["--group"], &["--lifeline"]] {
        let run = guarded_with(options, &["true"]);
        assert!(run.errors().starts_with("supervisor: guard: "), "{options:?}");
        assert!(matches!(run.end(), ExitStatus::Code(2 | 125)), "{options:?}");
    }
    let run = guarded_with(&["--hold", "99"], &["true"]);
    assert_eq!(run.errors(), "supervisor: guard: \"--hold\" \"99\" is not an open descriptor\n");
    assert_eq!(run.end(), ExitStatus::Code(125));
}
