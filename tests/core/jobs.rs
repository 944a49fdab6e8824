//! Which job is next: order, needs, priorities, retries, limits.

use crate::script::{Script, Slot, id, seconds};
use std::time::Duration;
use supervisor::config::{Failures, Halt, Limits};
use supervisor::exit::ExitCode;
use supervisor::job::JobOptions;
use supervisor::json::Json;
use supervisor::pool::Event;
use supervisor::record::Status;

fn needing(names: &[&str]) -> impl FnOnce(&mut JobOptions) {
    let needs = names.iter().map(|name| id(name)).collect();
    move |options| options.needs = needs
}

#[test]
fn a_failure_is_tried_again_after_a_delay() {
    let mut t = Script::running(|config| (config.retries, config.retry_delay) = (1, seconds(2)), &["a1"]);
    t.worker(1).gets(&["a1"]).fails("a1");
    t.nothing_more();
    // Half of the delay is by chance.
    t.passes(seconds(2));
    t.worker(1).gets(&["a1"]).fails("a1");
    assert_eq!(t.record("a1", Status::Failed).attempts, 2);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn a_job_may_have_retries_of_its_own() {
    let mut t = Script::new(|config| config.retries = 3);
    t.reads_job("a1", |options| options.retries = Some(0));
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["a1"]).fails("a1");
    assert_eq!(t.record("a1", Status::Failed).attempts, 1);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn records_keep_the_order_of_the_list() {
    let mut t = Script::running(|config| (config.keep_order, config.workers) = (true, 2), &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]);
    t.worker(2).gets(&["a2"]).answers("a2").gets(&["a3"]).answers("a3");
    t.nothing_more();
    t.worker(1).answers("a1");
    t.records(&["a1", "a2", "a3"], Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn what_waits_is_bounded_in_bytes_whatever_they_stand_in() {
    let long = "x".repeat(300_000);
    let changes: [fn(&mut JobOptions, &str); 2] = [
        |options, long| options.tags = Some(Json::parse(&format!("[\"{long}\"]")).unwrap()),
        |options, long| options.locks = vec![long.into()],
    ];
    for change in changes {
        let mut t = Script::new(|_| {});
        t.reads_job("a1", |_| {});
        t.reads_job("a2", |options| change(options, &long));
        let one_is_enough = !t.pool.wants_job();
        t.reads_job("a3", |options| change(options, &long));
        assert!(!t.pool.wants_job(), "600 kB wait");
        t.all_start();
        t.passes(seconds(1));
        t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]);
        assert_eq!(t.pool.wants_job(), !one_is_enough, "300 kB wait");
        t.passes(seconds(1));
        t.worker(1).answers("a2").gets(&["a3"]);
        assert!(t.pool.wants_job(), "none waits");
    }
}

#[test]
fn records_held_back_are_bounded_though_their_jobs_are_never_begun() {
    let mut t = Script::new(|config| {
        (config.keep_order, config.halt, config.workers) = (true, Halt::Soon(Failures::Count(1)), 2);
    });
    t.reads(&["a1", "bad"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.worker(2).gets(&["bad"]).fails("bad").hangs_up().exits(0);
    let mut read = 0;
    while t.pool.wants_job() {
        t.reads_job("a2", |options| {
            options.tags = Some(Json::parse(&format!("[\"{}\"]", "x".repeat(1 << 20))).unwrap())
        });
        read += 1;
        assert!(read < 40, "each has its record, which is held back");
    }
    assert!(read > 30);
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.record("bad", Status::Failed);
    (0..read).for_each(|_| drop(t.record("a2", Status::Skipped)));
    assert!(t.pool.wants_job());
}

#[test]
fn needs_wait_and_failure_passes_on() {
    let mut t = Script::new(|_| {});
    t.reads_job("last", needing(&["middle"]));
    t.reads_job("middle", needing(&["first"]));
    t.reads_job("first", |_| {});
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["first"]).fails("first");
    t.record("first", Status::Failed);
    let record = t.record("middle", Status::Skipped);
    assert!(record.error.unwrap().get().contains("needs \\\"first\\\", which did not end ok"));
    t.record("last", Status::Skipped);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn needs_that_are_met_run_in_turn_whether_they_come_before_or_after() {
    let mut t = Script::new(|_| {});
    t.reads_job("second", needing(&["first"]));
    t.reads_job("first", |_| {});
    t.all_start();
    t.worker(1).gets(&["first"]).answers("first").gets(&["second"]).answers("second");
    t.records(&["first", "second"], Status::Ok);
    // One that ended long ago is still known.
    t.reads_job("third", needing(&["first", "second"]));
    t.list_ends();
    t.worker(1).gets(&["third"]).answers("third");
    t.record("third", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn needs_that_can_never_be_met() {
    let mut t = Script::new(|_| {});
    t.reads_job("a1", needing(&["a2"]));
    t.reads_job("a2", needing(&["a1"]));
    t.reads_job("a3", needing(&["nobody"]));
    t.reads_job("before", needing(&["itself"]));
    t.reads_job("itself", needing(&["itself"]));
    t.reads_job("after", needing(&["itself"]));
    t.reads_job("beside", needing(&["a1"]));
    t.reads_job("heir", needing(&["a3"]));
    t.list_ends();
    for (id, why) in [
        ("a1", "needs \\\"a2\\\", which waits for this job in turn"),
        ("a2", "needs \\\"a1\\\", which waits for this job in turn"),
        ("a3", "needs \\\"nobody\\\", which is not in the list"),
        ("before", "needs \\\"itself\\\", which can never be begun"),
        ("itself", "needs itself"),
        ("after", "needs \\\"itself\\\", which can never be begun"),
        ("beside", "needs \\\"a1\\\", which can never be begun"),
        ("heir", "needs \\\"a3\\\", which can never be begun"),
    ] {
        let record = t.record(id, Status::Skipped);
        assert_eq!(record.error.unwrap().get(), format!("{{\"message\":\"{why}\"}}"), "{id}");
    }
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn an_unmet_need_may_stop_the_run_with_all_that_wait() {
    let mut t = Script::new(|config| config.halt = Halt::Now(Failures::Count(1)));
    t.reads_job("a1", needing(&["nobody"]));
    t.reads_job("a2", needing(&["nobody"]));
    t.reads_job("a3", needing(&["nobody"]));
    t.list_ends();
    t.records(&["a1", "a2", "a3"], Status::Skipped);
    t.finishes(ExitCode::JobsFailed);
}

#[test]
fn an_id_given_twice_is_met_when_all_of_it_ended_ok() {
    let mut t = Script::new(|_| {});
    for _ in 0..2 {
        t.reads_job("twin", |_| {});
    }
    t.reads_job("heir", needing(&["twin"]));
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["twin"]).answers("twin").gets(&["twin"]);
    t.record("twin", Status::Ok);
    t.worker(1).answers("twin").gets(&["heir"]).answers("heir");
    t.records(&["twin", "heir"], Status::Ok);
    t.ends(ExitCode::Success);
}

/// The head of the list needs its end, and so much is held back by then that nothing else is begun any more.
#[test]
fn order_is_kept_in_bounded_memory_although_the_first_job_needs_the_last() {
    let mut t = Script::new(|config| {
        (config.keep_order, config.concurrency) = (true, 10);
        config.limits = Limits { queue_jobs: 10, far_jobs: 20, held_bytes: 5000 };
    });
    t.reads_job("head", needing(&["link"]));
    let begun: Vec<String> = (0..10).map(|number| format!("job {number}")).collect();
    let begun: Vec<&str> = begun.iter().map(String::as_str).collect();
    t.reads(&begun);
    t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":10}}"#).gets(&begun);
    t.worker(1).answers_all(&begun, 600);
    for number in 0..10 {
        assert!(t.pool.wants_job(), "job {number}");
        t.reads(&[&format!("late {number}")]);
    }
    t.reads_job("link", needing(&["tail"]));
    t.nothing_more();
    t.reads(&["tail", "after"]);
    t.worker(1).gets(&["tail"]).answers("tail").gets(&["link"]).answers("link").gets(&["head"]).answers("head");
    t.record("head", Status::Ok);
    t.records(&begun, Status::Ok);
    t.worker(1)
        .gets(&["late 0", "late 1", "late 2", "late 3", "late 4", "late 5", "late 6", "late 7", "late 8", "late 9"]);
}

/// What the head needs stands farther back than may be read: what was read has to be begun.
#[test]
fn order_is_kept_although_what_the_first_job_needs_is_far_away() {
    let mut t = Script::new(|config| {
        (config.keep_order, config.concurrency, config.max_output) = (true, 1000, 0);
        config.limits = Limits { queue_jobs: 500, far_jobs: 1000, held_bytes: 1 << 20 };
    });
    t.reads_job("head", needing(&["tail"]));
    let names: Vec<String> = (0..1000).map(|number| format!("job {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for round in 0..67 {
        assert!(t.pool.wants_job(), "round {round}");
        t.reads(&names);
        if round == 0 {
            t.worker(1).starts().says(r#"{"method":"ready","params":{"concurrency":1000}}"#);
        }
        t.worker(1).gets(&names).answers_all(&names, 600);
    }
    t.reads(&["tail"]);
    t.list_ends();
    t.worker(1).gets(&["tail"]).answers("tail").gets(&["head"]).answers("head");
    t.record("head", Status::Ok);
    for _ in 0..67 {
        t.records(&names, Status::Ok);
    }
    t.record("tail", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn a_first_job_whose_needs_can_never_be_met_does_not_wait_for_the_others() {
    let mut t = Script::new(|config| (config.keep_order, config.limits.held_bytes) = (true, 1000));
    t.reads_job("head", needing(&["heir"]));
    t.reads_job("heir", needing(&["nobody"]));
    t.reads(&["a1", "a2", "a3"]);
    t.all_start();
    t.worker(1).gets(&["a1"]).answers_all(&["a1"], 900);
    t.nothing_more();
    t.list_ends();
    t.records(&["head", "heir"], Status::Skipped);
    t.record("a1", Status::Ok);
    t.worker(1).gets(&["a2", "a3"]);
}

#[test]
fn a_first_job_that_waits_for_its_lock_waits_for_those_before_it_in_line() {
    let mut t = Script::new(|config| {
        (config.keep_order, config.workers, config.limits.held_bytes) = (true, 2, 1000);
    });
    let gpu = |options: &mut JobOptions| options.locks = vec!["gpu".into()];
    t.reads_job("head", |options| {
        gpu(options);
        options.priority = -1;
    });
    t.reads_job("a1", gpu);
    t.reads_job("a2", gpu);
    t.reads_job("large", |_| {});
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.worker(2).gets(&["large"]);
    t.reads(&["b1", "b2"]);
    // In one turn too much is held back and the lock is handed on, while the head has not asked for it yet.
    let large = format!("{{\"id\":{},\"result\":\"{}\"}}\n", t.worker(2).wire_id("large"), "x".repeat(900));
    let short = format!("{{\"id\":{},\"result\":1}}\n", t.worker(1).wire_id("a1"));
    let output = |slot: Slot<'_>, line: &'static str| {
        let (worker, generation, bytes) = (slot.worker, slot.generation, line.as_bytes());
        Event::Output { worker, generation, bytes }
    };
    let events = vec![output(t.worker(2), large.leak()), output(t.worker(1), short.leak())];
    t.turn(events);
    t.worker(1).gets(&["a2"]).answers("a2").gets(&["head"]).answers("head");
    t.records(&["head", "a1", "a2", "large"], Status::Ok);
}

#[test]
fn higher_priority_goes_first() {
    let mut t = Script::new(|_| {});
    for (name, priority) in [("low", -1), ("usual", 0), ("high", 5), ("high too", 5)] {
        t.reads_job(name, |options| options.priority = priority);
    }
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["high"]).answers("high").gets(&["high too", "usual", "low"]);
    t.record("high", Status::Ok);
}

/// How many jobs are taken from a list that does not end, in pieces of 256.
fn taken_ahead(t: &mut Script, of_job: impl Fn(usize, &mut JobOptions)) -> usize {
    let mut count = 0;
    while t.pool.wants_job() {
        let piece =
            (count..count + 256).map(|number| t.job(&format!("job {number}"), |options| of_job(number, options)));
        let piece = piece.collect();
        t.turn(piece);
        count += 256;
    }
    count
}

#[test]
fn the_list_is_read_ahead_farther_where_that_matters() {
    let plain = taken_ahead(&mut Script::new(|_| {}), |_, _| {});
    assert_eq!(plain, 1024);
    let urgent = taken_ahead(&mut Script::new(|_| {}), |number, options| options.priority = i64::from(number == 1000));
    assert_eq!(urgent, 16_384);
    let mut t = Script::new(|config| config.workers = 2);
    for name in ["first", "second"] {
        t.reads_job(name, |options| options.locks = vec!["gpu".into()]);
    }
    t.all_start();
    t.worker(1).gets(&["first"]);
    let locked = taken_ahead(&mut t, |_, options| options.locks = vec!["gpu".into()]);
    assert_eq!(locked, 16_384, "the second worker looks for one that could run");
}

#[test]
fn a_worker_is_replaced_after_its_share() {
    let mut t = Script::running(|config| config.max_jobs_per_worker = Some(2), &["a1", "a2", "a3"]);
    t.worker(1).gets(&["a1"]).answers("a1").gets(&["a2"]).answers("a2").hangs_up().exits(0);
    t.records(&["a1", "a2"], Status::Ok);
    t.all_start();
    t.worker(1).gets(&["a3"]).answers("a3");
    t.record("a3", Status::Ok);
    t.ends(ExitCode::Success);
}

#[test]
fn locks_are_held_by_one_at_a_time() {
    let mut t = Script::new(|config| config.workers = 2);
    for name in ["a1", "a2"] {
        t.reads_job(name, |options| options.locks = vec!["gpu".into()]);
    }
    t.list_ends();
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.nothing_more();
    t.worker(1).dies_by(9);
    t.record("a1", Status::Crashed);
    t.worker(2).gets(&["a2"]).answers("a2");
    t.record("a2", Status::Ok);
    t.ends(ExitCode::JobsFailed);
}

#[test]
fn no_job_is_begun_or_read_while_records_wait_to_be_written() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.reads(&["a2"]);
    t.happens(Event::OutputBacklog { bytes: 5 << 20 });
    assert!(!t.pool.wants_job());
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.nothing_more();
    t.happens(Event::OutputBacklog { bytes: 0 });
    assert!(t.pool.wants_job());
    t.worker(1).gets(&["a2"]);
}

#[test]
fn a_worker_that_does_not_take_its_bytes_gets_no_more() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    let mut slot = t.worker(1);
    let (worker, generation) = (slot.worker, slot.generation);
    slot.gets(&["a1"]);
    t.happens(Event::StdinBacklog { worker, generation, bytes: 1 << 20 });
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.reads(&["a2"]);
    t.nothing_more();
    t.happens(Event::StdinBacklog { worker, generation, bytes: 0 });
    t.worker(1).gets(&["a2"]);
}

#[test]
fn what_is_no_job_has_a_record_and_decides_the_exit_code() {
    let mut t = Script::new(|_| {});
    t.reads_garbage();
    let record = t.record("bad", Status::Invalid);
    assert_eq!((record.rare().line, record.attempts), (Some(7), 0));
    t.list_ends();
    t.finishes(ExitCode::BadInput);
}

#[test]
fn a_list_that_breaks_off_runs_what_was_read() {
    let mut t = Script::new(|_| {});
    t.reads(&["a1"]);
    t.all_start();
    t.worker(1).gets(&["a1"]);
    t.happens(Event::InputClosed { error: Some("input/output error".into()) });
    t.was_told("could not be read to its end: input/output error");
    t.worker(1).answers("a1");
    t.record("a1", Status::Ok);
    t.ends(ExitCode::BadInput);
}

#[test]
fn as_many_are_sent_ahead_as_their_time_allows_however_many_were_sent_so() {
    let names: Vec<String> = (1..=40).map(|number| format!("a{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut t = Script::running(|_| {}, &names);
    t.worker(1).gets(&["a1"]);
    for at in 0..names.len() {
        t.passes(Duration::from_micros(900));
        t.worker(1).answers(names[at]);
        t.record(names[at], Status::Ok);
        // Four milliseconds of work are ahead: four jobs, and the one that runs.
        let sent = if at == 0 { 1..6 } else { at + 5..at + 6 };
        let sent = sent.start.min(names.len())..sent.end.min(names.len());
        t.worker(1).gets(&names[sent]);
    }
    t.ends(ExitCode::Success);
}
