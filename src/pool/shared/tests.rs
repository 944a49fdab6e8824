//! Tests of shared state: requests in, answers out.

use super::*;

/// What came of requests, as short text: `A1=...` answers party A's request 1.
struct Table {
    shared: Shared,
}

fn party(name: char) -> Party {
    Party::Worker(WorkerId(name as u32), Generation(1), Some(7))
}

impl Table {
    fn new() -> Self {
        Table { shared: Shared::default() }
    }

    fn ask(&mut self, who: char, id: &str, method: &str, params: serde_json::Value) -> Vec<String> {
        let params = params.to_string();
        assert!(self.shared.ask(&Asked { party: party(who), id, method, params: &params }));
        self.effects()
    }

    fn effects(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.shared.next_effect())
            .map(|effect| match effect {
                Effect::Answer { party: Party::Worker(worker, ..), id, body: Ok(result) } => {
                    format!("{}{id}={result}", char::from_u32(worker.0).unwrap())
                }
                Effect::Answer { party: Party::Worker(worker, ..), id, body: Err((code, _)) } => {
                    format!("{}{id}!{code}", char::from_u32(worker.0).unwrap())
                }
                Effect::Answer { .. } => unreachable!(),
                Effect::Wait(ticket, span) => format!("wait {ticket} {}", span.as_secs()),
                Effect::WaitEnded(ticket) => format!("ended {ticket}"),
                Effect::Granted(number) => format!("granted {number}"),
            })
            .collect()
    }

    fn dies(&mut self, who: char) -> Vec<String> {
        self.shared.worker_ended(WorkerId(who as u32), Generation(1));
        self.effects()
    }
}

const GOT: &str = r#"{"acquired":true,"previous_holder_died":false}"#;
const GOT_FROM_THE_DEAD: &str = r#"{"acquired":true,"previous_holder_died":true}"#;
const NOT_GOT: &str = r#"{"acquired":false,"previous_holder_died":false}"#;

#[test]
fn a_lock_goes_round_in_the_order_of_asking() {
    let mut t = Table::new();
    let l = || json!({"name": "l"});
    assert_eq!(t.ask('A', "1", "lock.acquire", l()), [format!("A1={GOT}")]);
    assert!(t.ask('B', "1", "lock.acquire", l()).is_empty());
    assert!(t.ask('C', "1", "lock.acquire", l()).is_empty());
    assert_eq!(t.ask('B', "2", "lock.release", l()), ["B2!-32012"], "who does not hold it cannot release it");
    assert_eq!(t.ask('A', "2", "lock.release", l()), ["A2={}".to_owned(), format!("B1={GOT}")]);
    assert_eq!(t.dies('B'), [format!("C1={GOT_FROM_THE_DEAD}")]);
    assert_eq!(t.ask('C', "2", "lock.release", l()), ["C2={}"]);
    assert!(t.shared.engaged.is_empty() && t.shared.waits.is_empty());
}

#[test]
fn waiting_ends_with_its_timeout_or_its_asker() {
    let mut t = Table::new();
    t.ask('A', "1", "lock.acquire", json!({"name": "l"}));
    assert_eq!(t.ask('B', "1", "lock.acquire", json!({"name": "l", "timeout": 5})), ["wait 0 5"]);
    assert_eq!(t.ask('C', "1", "lock.acquire", json!({"name": "l", "timeout": 0})), [format!("C1={NOT_GOT}")]);
    t.shared.timed_out(0);
    assert_eq!(t.effects(), [format!("B1={NOT_GOT}")]);
    assert_eq!(t.ask('B', "2", "lock.acquire", json!({"name": "l", "timeout": 5})), ["wait 1 5"]);
    assert_eq!(t.dies('B'), ["ended 1"]);
    assert_eq!(t.ask('A', "2", "lock.release", json!({"name": "l"})), ["A2={}"]);
    assert!(t.shared.engaged.is_empty() && t.shared.waits.is_empty());
}

#[test]
fn a_circle_of_waits_is_refused() {
    let mut t = Table::new();
    for (who, lock) in [('A', "a"), ('B', "b"), ('C', "c")] {
        t.ask(who, "1", "lock.acquire", json!({"name": lock}));
    }
    assert_eq!(t.ask('A', "2", "lock.acquire", json!({"name": "a"})), ["A2!-32010"], "it holds it itself");
    assert!(t.ask('A', "3", "lock.acquire", json!({"name": "b"})).is_empty());
    assert!(t.ask('B', "2", "lock.acquire", json!({"name": "c"})).is_empty());
    assert_eq!(
        t.ask('C', "2", "lock.acquire", json!({"name": "a", "timeout": 1})),
        ["wait 2 1"],
        "this wait has an end"
    );
    t.shared.timed_out(2);
    t.effects();
    assert_eq!(t.ask('C', "3", "lock.acquire", json!({"name": "a"})), ["C3!-32010"]);
    assert_eq!(t.dies('C'), [format!("B2={GOT_FROM_THE_DEAD}")]);
}

#[test]
fn jobs_take_all_their_locks_or_none() {
    let mut t = Table::new();
    let names: [Box<str>; 2] = ["a".into(), "b".into()];
    t.ask('A', "1", "lock.acquire", json!({"name": "b"}));
    assert!(!t.shared.claim(1, &names));
    assert_eq!(t.ask('B', "1", "lock.acquire", json!({"name": "a"})), [format!("B1={GOT}")], "a job holds nothing yet");
    assert_eq!(t.ask('A', "2", "lock.release", json!({"name": "b"})), ["A2={}"]);
    assert_eq!(t.dies('B'), ["granted 1"]);
    t.shared.hand_over(1, &names, party('C'));
    assert!(!t.shared.claim(2, &names[..1]));
    t.shared.job_ended(WorkerId('C' as u32), Generation(1), 7, true);
    assert_eq!(t.effects(), ["granted 2"]);
    t.shared.forget_job(2, &names[..1]);
    assert!(t.shared.engaged.is_empty());
}

#[test]
fn semaphores_count() {
    let mut t = Table::new();
    let s = || json!({"name": "s", "value": 2});
    t.ask('A', "1", "semaphore.acquire", s());
    t.ask('B', "1", "semaphore.acquire", s());
    assert!(t.ask('C', "1", "semaphore.acquire", s()).is_empty());
    assert_eq!(t.dies('A'), [format!("C1={GOT}")]);
    assert_eq!(t.ask('A', "2", "semaphore.release", s()), ["A2!-32012"]);
    t.ask('B', "2", "semaphore.release", s());
    assert_eq!(t.ask('D', "1", "semaphore.acquire", s()), [format!("D1={GOT}")]);
}

#[test]
fn values_add_exactly_and_swap_only_what_is_expected() {
    let mut t = Table::new();
    let add = |n: i64| json!({"name": "v", "amount": n});
    assert_eq!(t.ask('A', "1", "value.add", add(9_007_199_254_740_993)), [r#"A1={"value":9007199254740993}"#]);
    assert_eq!(t.ask('A', "2", "value.add", add(i64::MAX)), ["A2!-32602"]);
    let cas = |expected: i64| json!({"name": "w", "initial": 5, "expected": expected, "new": null});
    assert_eq!(t.ask('A', "3", "value.cas", cas(4)), [r#"A3={"swapped":false,"value":5}"#]);
    assert_eq!(t.ask('A', "4", "value.cas", cas(5)), [r#"A4={"swapped":true,"value":null}"#]);
    assert_eq!(t.ask('A', "5", "value.get", json!({"name": "w"})), [r#"A5={"value":null}"#]);
}

#[test]
fn events_wake_all_and_barriers_open_for_all_or_break() {
    let mut t = Table::new();
    let n = || json!({"name": "n"});
    t.ask('A', "1", "event.wait", n());
    t.ask('B', "1", "event.wait", json!({"name": "n", "timeout": 9}));
    let woken = t.ask('C', "1", "event.set", n());
    assert_eq!(woken, ["C1={}", r#"A1={"set":true}"#, "ended 1", r#"B1={"set":true}"#]);
    let b = || json!({"name": "b", "parties": 3});
    t.ask('A', "2", "barrier.wait", b());
    t.ask('B', "2", "barrier.wait", b());
    let open = t.ask('C', "2", "barrier.wait", b());
    assert_eq!(open, [r#"A2={"index":0}"#, r#"B2={"index":1}"#, r#"C2={"index":2}"#]);
    t.ask('A', "3", "barrier.wait", b());
    t.ask('B', "3", "barrier.wait", b());
    assert_eq!(t.dies('A'), [r#"B3={"broken":true}"#]);
}

#[test]
fn queues_hold_back_both_sides() {
    let mut t = Table::new();
    let put = |item: i64| json!({"name": "q", "maxsize": 1, "item": item});
    let get = || json!({"name": "q"});
    t.ask('A', "1", "queue.put", put(1));
    assert!(t.ask('A', "2", "queue.put", put(2)).is_empty());
    assert_eq!(t.ask('B', "1", "queue.get", get()), [r#"A2={"ok":true}"#, r#"B1={"item":1,"ok":true}"#]);
    assert_eq!(t.ask('B', "2", "queue.get", get()), [r#"B2={"item":2,"ok":true}"#]);
    assert!(t.ask('B', "3", "queue.get", get()).is_empty());
    assert_eq!(t.ask('A', "3", "queue.put", put(3)), [r#"B3={"item":3,"ok":true}"#, r#"A3={"ok":true}"#]);
    assert_eq!(t.shared.bytes, 0);
}

#[test]
fn limits_are_told() {
    let mut t = Table::new();
    let big = "x".repeat(BYTES_MAX);
    assert_eq!(t.ask('A', "1", "value.set", json!({"name": "v", "initial": 0, "value": big})), ["A1!-32011"]);
    assert_eq!(t.ask('A', "2", "lock.acquire", json!({"name": ""})), ["A2!-32602"]);
    assert_eq!(t.ask('A', "3", "lock.acquire", json!([])), ["A3!-32602"]);
}

#[test]
fn of_many_waits_of_one_party_none_outlives_it() {
    let mut t = Table::new();
    let q = |item: i32| json!({"name": "q", "item": item});
    for id in ["1", "2"] {
        assert!(t.ask('A', id, "queue.get", json!({"name": "q"})).is_empty());
    }
    assert_eq!(t.ask('B', "1", "queue.put", q(1)), [r#"A1={"item":1,"ok":true}"#, r#"B1={"ok":true}"#]);
    assert!(t.dies('A').is_empty());
    assert_eq!(t.ask('B', "2", "queue.put", q(2)), [r#"B2={"ok":true}"#], "nobody is there to take it");
    assert_eq!(t.ask('B', "3", "queue.get", json!({"name": "q"})), [r#"B3={"item":2,"ok":true}"#]);

    let s = || json!({"name": "s", "value": 1});
    t.ask('B', "4", "semaphore.acquire", s());
    for id in ["3", "4"] {
        assert!(t.ask('C', id, "semaphore.acquire", s()).is_empty());
    }
    assert_eq!(t.ask('B', "5", "semaphore.release", s()), ["B5={}".to_owned(), format!("C3={GOT}")]);
    assert_eq!(t.ask('C', "5", "semaphore.release", s()), ["C5={}".to_owned(), format!("C4={GOT}")]);
    assert!(t.ask('B', "6", "semaphore.acquire", s()).is_empty());
    assert_eq!(t.dies('C'), [format!("B6={GOT}")]);
    assert!(t.dies('B').is_empty());
    assert!(t.shared.engaged.is_empty() && t.shared.waits.is_empty());
}
