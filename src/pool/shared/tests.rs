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
        self.ask_text(who, id, method, &params.to_string())
    }

    fn ask_text(&mut self, who: char, id: &str, method: &str, params: &str) -> Vec<String> {
        assert!(self.shared.ask(&Asked { party: party(who), id, method, params }));
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
fn who_has_a_lock_by_the_list_never_gets_it_again() {
    let mut t = Table::new();
    assert!(t.shared.claim(1, &["l".into()]));
    t.shared.hand_over(1, &["l".into()], party('A'));
    let asks = |t: &mut Table, timeout| t.ask('A', "1", "lock.acquire", json!({"name": "l", "timeout": timeout}));
    // A thread of a job whose other threads stand in line elsewhere says "for ever" by a number.
    assert_eq!(asks(&mut t, None), ["A1!-32010"]);
    assert_eq!(asks(&mut t, Some(1e9)), ["A1!-32010"]);
    assert_eq!(asks(&mut t, Some(2.0)), ["wait 0 2"]);
}

#[test]
fn what_a_job_has_by_the_list_stops_its_threads_as_a_whole() {
    let mut t = Table::new();
    let asks = |t: &mut Table, who, name: &str, timeout: Option<f64>| {
        t.ask(who, "1", "lock.acquire", json!({"name": name, "timeout": timeout}))
    };
    for by_list in [true, false] {
        if by_list {
            assert!(t.shared.claim(1, &["l".into()]));
            t.shared.hand_over(1, &["l".into()], party('A'));
        } else {
            asks(&mut t, 'A', "l", None);
        }
        asks(&mut t, 'B', "m", None);
        // Another thread of A wants what B has. If one has "l" that goes on, B gets it some day; of the list it does not.
        asks(&mut t, 'A', "m", Some(1e9));
        assert_eq!(asks(&mut t, 'B', "l", None), if by_list { vec!["B1!-32010"] } else { Vec::new() });
        t.dies('A');
        t.dies('B');
    }
    // It comes in the other order as well.
    assert!(t.shared.claim(1, &["l".into()]));
    t.shared.hand_over(1, &["l".into()], party('A'));
    asks(&mut t, 'B', "m", None);
    assert!(asks(&mut t, 'B', "l", None).is_empty());
    assert_eq!(asks(&mut t, 'A', "m", Some(1e9)), ["A1!-32010"]);
}

#[test]
fn the_next_holder_learns_of_a_lock_that_was_not_released() {
    let mut t = Table::new();
    let l = || json!({"name": "l"});
    let ends = |t: &mut Table, who: char, well: bool| {
        t.shared.job_ended(WorkerId(who as u32), Generation(1), 7, well);
        t.effects()
    };
    t.ask('A', "1", "lock.acquire", l());
    assert!(t.ask('B', "1", "lock.acquire", l()).is_empty());
    assert_eq!(ends(&mut t, 'A', true), [format!("B1={GOT_FROM_THE_DEAD}")], "it ended well and released nothing");
    assert!(ends(&mut t, 'B', true).is_empty());
    assert_eq!(t.ask('C', "1", "lock.acquire", l()), [format!("C1={GOT_FROM_THE_DEAD}")]);
    t.ask('C', "2", "lock.release", l());
    // What a job named in `locks` is released by its end, unless that was no good one.
    for (well, learns) in [(true, GOT), (false, GOT_FROM_THE_DEAD)] {
        assert!(t.shared.claim(1, &["l".into()]));
        t.shared.hand_over(1, &["l".into()], party('D'));
        assert!(ends(&mut t, 'D', well).is_empty());
        assert_eq!(t.ask('E', "1", "lock.acquire", l()), [format!("E1={learns}")]);
        t.ask('E', "2", "lock.release", l());
    }
}

#[test]
fn a_lock_of_which_nothing_is_to_be_remembered_takes_no_memory() {
    let mut t = Table::new();
    for number in 0..100 {
        let own: Box<str> = format!("lock {number}").into();
        let names = ["common".into(), own];
        assert!(t.shared.claim(number, &names));
        assert!(!t.shared.claim(1_000 + number, &names), "another job waits for both");
        t.shared.hand_over(number, &names, party('A'));
        t.shared.forget_job(1_000 + number, &names);
        t.shared.job_ended(WorkerId('A' as u32), Generation(1), 7, true);
        t.ask('B', "1", "lock.acquire", json!({"name": "asked"}));
        t.ask('B', "2", "lock.release", json!({"name": "asked"}));
        assert!(t.shared.locks.is_empty(), "{:?}", t.shared.locks);
    }
    t.ask('A', "1", "lock.acquire", json!({"name": "l"}));
    t.dies('A');
    assert_eq!(t.shared.locks.len(), 1, "the next holder is to learn that it was not released");
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
    for (value, amount, sum) in [
        ("0", "9007199254740993", r#"A1={"value":9007199254740993}"#),
        ("9007199254740993", "9223372036854775807", r#"A1={"value":9232379236109516800}"#),
        ("18446744073709551615", "-9223372036854775808", r#"A1={"value":9223372036854775807}"#),
        ("18446744073709551615", "1", "A1!-32602"),
        ("1000000000000000000000000000000", "1", "A1!-32602"),
        ("1", "0.5", r#"A1={"value":1.5}"#),
        ("1.5", "1e0", r#"A1={"value":2.5}"#),
        ("1e308", "1e308", "A1!-32602"),
        ("1e999", "1", "A1!-32602"),
        ("\"1\"", "1", "A1!-32602"),
        ("1", "null", "A1!-32602"),
    ] {
        t.ask_text('A', "0", "value.set", &format!(r#"{{"name":"v","value":{value}}}"#));
        let answer = t.ask_text('A', "1", "value.add", &format!(r#"{{"name":"v","amount":{amount}}}"#));
        assert_eq!(answer, [sum], "{value} {amount}");
    }
    let cas = |expected: &str| format!(r#"{{"name":"w","initial":{{"a":5,"b":""}},"expected":{expected},"new":null}}"#);
    let kept = r#"A3={"swapped":false,"value":{"a":5,"b":""}}"#;
    assert_eq!(t.ask_text('A', "3", "value.cas", &cas(r#"{"a":6,"b":""}"#)), [kept]);
    let swapped = r#"A4={"swapped":true,"value":null}"#;
    assert_eq!(t.ask_text('A', "4", "value.cas", &cas(r#"{"b":"","a":5.0}"#)), [swapped]);
    assert_eq!(t.ask('A', "5", "value.get", json!({"name": "w"})), [r#"A5={"value":null}"#]);
}

/// JSON of which a parser into values refuses some and changes the rest.
const AS_IT_CAME: [&str; 6] = [
    r#""\udcff""#,
    "1e999",
    "1000000000000000000000000000001",
    "0.1000000000000000055511151231257827",
    r#"{"b":1,"a":2,"b":3}"#,
    "null",
];

#[test]
fn values_and_items_are_handed_on_as_the_text_they_came_as() {
    let mut t = Table::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for text in AS_IT_CAME.into_iter().chain([deep.as_str()]) {
        let put = format!(r#"{{"name":"q","maxsize":1,"item":{text}}}"#);
        let (got, value) = (format!(r#"{{"item":{text},"ok":true}}"#), format!(r#"{{"value":{text}}}"#));
        t.ask_text('A', "1", "queue.put", &put);
        assert!(t.ask_text('A', "2", "queue.put", &put).is_empty(), "it waits for room");
        let filled = [r#"A2={"ok":true}"#.to_owned(), format!("B1={got}")];
        assert_eq!(t.ask_text('B', "1", "queue.get", r#"{"name":"q"}"#), filled);
        assert_eq!(t.ask_text('B', "2", "queue.get", r#"{"name":"q"}"#), [format!("B2={got}")]);
        assert!(t.ask_text('B', "3", "queue.get", r#"{"name":"q"}"#).is_empty(), "it waits for an item");
        assert_eq!(t.ask_text('A', "3", "queue.put", &put), [format!("B3={got}"), r#"A3={"ok":true}"#.to_owned()]);

        let set = format!(r#"{{"name":"v","value":{text}}}"#);
        assert_eq!(t.ask_text('A', "4", "value.set", &set), [format!("A4={value}")]);
        let get = format!(r#"{{"name":"new {}","initial":{text}}}"#, text.len());
        assert_eq!(t.ask_text('A', "5", "value.get", &get), [format!("A5={value}")]);
        let cas = format!(r#"{{"name":"v","expected":{text},"new":0}}"#);
        assert_eq!(t.ask_text('A', "6", "value.cas", &cas), [r#"A6={"swapped":true,"value":0}"#]);
    }
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
    t.ask('A', "0", "queue.put", json!({"name": "q", "item": 12_345}));
    let params = json!({"name": "v", "initial": 0, "value": big}).to_string();
    t.shared.ask(&Asked { party: party('A'), id: "1", method: "value.set", params: &params });
    let Some(Effect::Answer { body: Err((LIMIT_REACHED, why)), .. }) = t.shared.next_effect() else {
        panic!("refused")
    };
    let told = "67108866 bytes are too many: shared values and queues hold 29 and may hold 67108864 together";
    assert!(why.starts_with(told), "{why}");
    assert_eq!(t.ask('A', "2", "lock.acquire", json!({"name": ""})), ["A2!-32602"]);
    assert_eq!(t.ask('A', "3", "lock.acquire", json!([])), ["A3!-32602"]);
}

#[test]
fn a_worker_may_wait_for_much_but_not_without_end() {
    let mut t = Table::new();
    let e = || json!({"name": "e", "timeout": 9});
    // Jobs of one worker, which count together.
    let asked = |t: &mut Table, job: u64| {
        let party = Party::Worker(WorkerId('A' as u32), Generation(1), Some(job));
        let asked = Asked { party, id: "1", method: "event.wait", params: &e().to_string() };
        assert!(t.shared.ask(&asked));
        t.effects()
    };
    for number in 0..WAITS_MAX {
        assert_eq!(asked(&mut t, number as u64 % 3), [format!("wait {number} 9")]);
    }
    assert_eq!(asked(&mut t, 0), ["A1!-32011"]);
    let full = json!({"name": "q", "maxsize": 1, "item": 1});
    t.ask('A', "2", "queue.put", full.clone());
    assert_eq!(t.ask('A', "3", "queue.put", full), ["A3!-32011"]);
    assert_eq!(t.shared.bytes, 1, "what was refused is not kept");
    assert_eq!(t.ask('B', "1", "event.wait", e()), [format!("wait {WAITS_MAX} 9")], "another worker waits");
    assert_eq!(t.ask('B', &"1".repeat(1025), "event.wait", e()).concat().split_once('!').unwrap().1, "-32602");
    t.shared.timed_out(7);
    assert_eq!(t.effects(), [r#"A1={"set":false}"#]);
    assert_eq!(asked(&mut t, 0), [format!("wait {} 9", WAITS_MAX + 1)], "one has ended");
    t.dies('A');
    assert_eq!(t.ask('B', "2", "event.set", json!({"name": "e"})).len(), 3);
    assert!(t.shared.engaged.is_empty() && t.shared.waits.is_empty() && t.shared.waits_of.is_empty());
    t.ask('B', "3", "event.clear", json!({"name": "e"}));
    for number in 0..=GUEST_WAITS_MAX {
        let party = Party::Guest(1);
        let asked = Asked { party, id: "1", method: "event.wait", params: &e().to_string() };
        assert!(t.shared.ask(&asked));
        let effect = t.shared.next_effect();
        assert_eq!(matches!(effect, Some(Effect::Wait(..))), number < GUEST_WAITS_MAX, "{effect:?}");
    }
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
