//! Checks of messages: what is answered, and how.

use super::bench::{Bench, Exchange, Findings, Mark, UNKNOWN};
use crate::process::SpawnError;
use crate::protocol::{INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR};

/// A mebibyte: more than any pipe holds, so that a program that does not read it all is found out.
const BIG: usize = 1 << 20;

type Checked = Result<Findings, SpawnError>;

fn found(mark: Mark, detail: impl Into<String>) -> Checked {
    Ok(Findings::new(mark, detail))
}

/// It runs and answers a request.
pub(super) fn start(bench: &mut Bench<'_>) -> Checked {
    let (exchange, _) = bench.before_a_request(b"")?;
    if let Some(refusal) = &bench.session()?.refusal {
        return found(Mark::Fail, refusal.clone());
    }
    exchange.fault().map_or_else(|| found(Mark::Pass, "it answers"), Ok)
}

/// What it announced.
pub(super) fn ready(bench: &mut Bench<'_>) -> Checked {
    let session = bench.session()?;
    if let Some(misfit) = &session.misfit {
        return found(Mark::Fail, misfit.clone());
    }
    match &session.ready {
        None => found(Mark::Skip, "it announces nothing: one request at a time, no notifications"),
        Some(ready) => found(
            Mark::Pass,
            format!(
                "protocol {}, name {:?}, concurrency {}, prefetch {}, batch {}",
                ready.protocol, ready.name, ready.concurrency, ready.prefetch, ready.batch
            ),
        ),
    }
}

/// The calls given by the user end well.
pub(super) fn answers(bench: &mut Bench<'_>) -> Checked {
    if bench.calls.is_empty() {
        return found(Mark::Skip, "no --method was given");
    }
    let mut shown = String::new();
    for (method, params) in bench.calls {
        let (id, line) = bench.request(method, params);
        let exchange = bench.exchange(&line, &[&id])?;
        if let Some(fault) = exchange.fault() {
            return found(fault.mark, format!("{method}: {}", fault.detail));
        }
        let answer = exchange.to(&id).expect("it was answered");
        shown = format!("{method}: {}", answer.body.chars().take(100).collect::<String>());
        if answer.code.is_some() {
            return found(Mark::Fail, shown);
        }
    }
    found(Mark::Pass, shown)
}

/// An id beyond 32 bits comes back as it was.
pub(super) fn integer_id(bench: &mut Bench<'_>) -> Checked {
    match kept_id(bench, "4503599627370497")? {
        Ok(()) => found(Mark::Pass, "kept"),
        Err(fault) => Ok(fault),
    }
}

/// A text as id comes back as it was. supervisor itself uses integers only.
pub(super) fn string_id(bench: &mut Bench<'_>) -> Checked {
    match kept_id(bench, "\"check-1\"")? {
        Ok(()) => found(Mark::Pass, "kept"),
        Err(fault) => found(Mark::Warn, format!("{}; supervisor itself uses integers only", fault.detail)),
    }
}

fn kept_id(bench: &mut Bench<'_>, id: &str) -> Result<Result<(), Findings>, SpawnError> {
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{UNKNOWN}\",\"params\":[]}}\n");
    let (exchange, next) = bench.before_a_request(line.as_bytes())?;
    // A program that gave another id has confused nobody but this check.
    let other =
        exchange.answers.iter().find(|answer| answer.id != id && answer.id != next).map(|answer| answer.id.clone());
    bench.unasked.retain(|unasked| unasked != id && Some(unasked) != other.as_ref());
    if exchange.to(id).is_some() || bench.answered_late(id)? {
        return Ok(Ok(()));
    }
    let fault = exchange.fault().unwrap_or_else(|| match other {
        Some(other) => Findings::new(Mark::Fail, format!("id {id} came back as {other}")),
        None => Findings::new(Mark::Fail, format!("a request with id {id} was not answered")),
    });
    Ok(Err(fault))
}

/// A method that is not there is answered by error -32601.
pub(super) fn unknown_method(bench: &mut Bench<'_>) -> Checked {
    let (exchange, id) = bench.before_a_request(b"")?;
    if let Some(fault) = exchange.fault() {
        return Ok(fault);
    }
    match exchange.to(&id).and_then(|answer| answer.code) {
        Some(METHOD_NOT_FOUND) => found(Mark::Pass, "error -32601"),
        Some(code) => found(Mark::Warn, format!("error {code} instead of -32601")),
        None => found(Mark::Fail, "a result instead of error -32601"),
    }
}

/// Two requests at once are both answered; in turn, when that was announced.
pub(super) fn order(bench: &mut Bench<'_>) -> Checked {
    let (first, one) = bench.request(UNKNOWN, "[1]");
    let (second, two) = bench.request(UNKNOWN, "[2]");
    let exchange = bench.exchange(&[one, two].concat(), &[&first, &second])?;
    if let Some(fault) = exchange.fault() {
        return Ok(fault);
    }
    let at = |id: &str| exchange.answers.iter().position(|answer| answer.id == id);
    let in_turn = bench.session()?.ready.as_ref().is_some_and(|ready| ready.prefetch && ready.concurrency == 1);
    match (at(&first) < at(&second), in_turn) {
        (true, _) => found(Mark::Pass, "two requests, answered in their order"),
        (false, false) => found(Mark::Pass, "two requests, answered out of order, which is allowed"),
        (false, true) => found(Mark::Fail, "answered out of order, though it announced that it takes them in turn"),
    }
}

/// Text beyond ASCII does no harm.
pub(super) fn unicode(bench: &mut Bench<'_>) -> Checked {
    let (id, line) = bench.request(UNKNOWN, "[\"h\u{e9} \u{4f60}\u{597d} \u{1f600} \\ud83d\\ude00 \\u0000 \u{2028}\"]");
    let exchange = bench.exchange(&line, &[&id])?;
    exchange.fault().map_or_else(|| found(Mark::Pass, "answered"), Ok)
}

/// A message larger than a pipe arrives whole.
pub(super) fn big_message(bench: &mut Bench<'_>) -> Checked {
    let (id, line) = bench.request(UNKNOWN, &format!("[\"{}\"]", "x".repeat(BIG)));
    let exchange = bench.exchange(&line, &[&id])?;
    exchange.fault().map_or_else(|| found(Mark::Pass, "1 MiB of parameters, answered"), Ok)
}

/// An array of requests is answered, when that was announced.
pub(super) fn batch(bench: &mut Bench<'_>) -> Checked {
    if !bench.session()?.ready.as_ref().is_some_and(|ready| ready.batch) {
        return found(Mark::Skip, "it did not announce that it takes arrays");
    }
    let (first, one) = bench.request(UNKNOWN, "[1]");
    let (second, two) = bench.request(UNKNOWN, "[2]");
    let array = [b"[", one.trim_ascii_end(), b",", two.trim_ascii_end(), b"]\n"].concat();
    let exchange = bench.exchange(&array, &[&first, &second])?;
    exchange.fault().map_or_else(|| found(Mark::Pass, "an array of two, both answered"), Ok)
}

/// What nobody asked an answer for gets none.
pub(super) fn unknown_notification(bench: &mut Bench<'_>) -> Checked {
    ignored(bench, format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{UNKNOWN}\",\"params\":{{}}}}\n").as_bytes())
}

/// A cancellation of what is not open does no harm.
pub(super) fn cancel_unknown(bench: &mut Bench<'_>) -> Checked {
    ignored(bench, b"{\"jsonrpc\":\"2.0\",\"method\":\"$/cancelRequest\",\"params\":{\"id\":999999999}}\n")
}

fn ignored(bench: &mut Bench<'_>, line: &[u8]) -> Checked {
    let (exchange, id) = bench.before_a_request(line)?;
    if let Some(fault) = exchange.fault() {
        return Ok(fault);
    }
    match exchange.answers.iter().find(|answer| answer.id != id) {
        Some(answer) => found(Mark::Warn, format!("answered, though it has no id: {}", answer.body)),
        None => found(Mark::Pass, "ignored"),
    }
}

/// A line that is no JSON is told of.
pub(super) fn parse_error(bench: &mut Bench<'_>) -> Checked {
    let (exchange, _) = bench.before_a_request(b"{\"jsonrpc\":\"2.0\",\"id\":\n")?;
    Ok(told_of(&exchange, PARSE_ERROR))
}

/// JSON that is no request is told of.
pub(super) fn invalid_request(bench: &mut Bench<'_>) -> Checked {
    let (exchange, _) = bench.before_a_request(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"params\":[]}\n")?;
    Ok(told_of(&exchange, INVALID_REQUEST))
}

fn told_of(exchange: &Exchange, code: i64) -> Findings {
    if let Some(fault) = exchange.fault() {
        return fault;
    }
    match exchange.answers.iter().find(|answer| answer.id == "null").and_then(|answer| answer.code) {
        Some(given) if given == code => Findings::new(Mark::Pass, format!("error {code}, id null")),
        Some(given) => Findings::new(Mark::Warn, format!("error {given} instead of {code}")),
        None => Findings::new(Mark::Warn, format!("ignored; JSON-RPC has error {code} with id null for it")),
    }
}

/// Bytes of no kind do not bring it down.
pub(super) fn garbage_in(bench: &mut Bench<'_>) -> Checked {
    let (exchange, _) = bench.before_a_request(b"\xff\xfe\x00garbage\n\n42\n[]\n\"\\ud800\"\n")?;
    exchange.fault().map_or_else(|| found(Mark::Pass, "it lives on and answers"), Ok)
}
