//! Checks of what was seen on the way, and of how the program ends.

use super::bench::{Bench, Findings, Mark, how_it_ended};
use super::session::Wait;
use crate::process::SpawnError;
use crate::status::ExitStatus;

type Checked = Result<Findings, SpawnError>;

/// Every request was answered once, and nothing else was.
pub(super) fn answer_once(bench: &mut Bench<'_>) -> Checked {
    let late = bench.listen()?;
    let unasked = bench.unasked.first().cloned().or_else(|| late.first().map(|answer| answer.id.clone()));
    Ok(match unasked {
        Some(id) => Findings::new(Mark::Fail, format!("an answer to id {id}, which was not open")),
        None => Findings::new(Mark::Pass, "no answer came twice or unasked"),
    })
}

/// Its output holds nothing but messages.
pub(super) fn stray_output(bench: &mut Bench<'_>) -> Checked {
    let (count, first) = bench.stray();
    Ok(match count {
        0 => Findings::new(Mark::Pass, "nothing but messages on standard output"),
        _ => Findings::new(Mark::Warn, format!("{count} lines that are no messages, such as {first:?}")),
    })
}

/// It ends when its input does.
pub(super) fn eof(bench: &mut Bench<'_>) -> Checked {
    let limit = bench.timeout;
    bench.fresh()?;
    let (exchange, _) = bench.before_a_request(b"")?;
    if let Some(fault) = exchange.fault() {
        return Ok(fault);
    }
    let session = bench.session()?;
    session.close();
    let status = session.wait_end(limit);
    let told = how_it_ended(status, &session.last_words);
    bench.drop_session();
    Ok(match status {
        Some(ExitStatus::Code(0)) => Findings::new(Mark::Pass, "it exited with 0"),
        Some(_) => Findings::new(Mark::Warn, format!("{told}, instead of exiting with 0")),
        None => Findings::new(Mark::Fail, format!("it still runs {limit:?} after the end of its input")),
    })
}

/// What was asked just before the end of input is still answered.
pub(super) fn eof_answers(bench: &mut Bench<'_>) -> Checked {
    let limit = bench.timeout;
    let (id, line) = bench.request(super::bench::UNKNOWN, "[]");
    let session = bench.fresh()?;
    session.send(&line);
    // Sent whole before the end.
    session.wait(limit, |_| true);
    session.close();
    let wait = session.wait(limit, |session| session.answers.iter().any(|answer| answer.id == id));
    bench.drop_session();
    Ok(match wait {
        Wait::Done => Findings::new(Mark::Pass, "answered"),
        _ => Findings::new(Mark::Warn, "dropped; supervisor itself waits for all answers before it ends the input"),
    })
}

/// It ends when it is asked to.
pub(super) fn sigterm(bench: &mut Bench<'_>) -> Checked {
    let limit = bench.timeout;
    bench.fresh()?;
    let (exchange, _) = bench.before_a_request(b"")?;
    if let Some(fault) = exchange.fault() {
        return Ok(fault);
    }
    let session = bench.session()?;
    session.terminate();
    let status = session.wait_end(limit);
    let told = how_it_ended(status, &[]);
    bench.drop_session();
    Ok(match status {
        Some(_) => Findings::new(Mark::Pass, told),
        None => Findings::new(Mark::Warn, format!("it still runs {limit:?} after SIGTERM; supervisor kills it then")),
    })
}
