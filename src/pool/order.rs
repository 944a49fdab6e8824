//! `--keep-order`: records leave in the order of the list, as a prefix without gaps.

use super::job_table::JobKey;
use crate::ids::JobId;
use crate::job::UserId;
use crate::json::Json;
use crate::record::{Printed, Record};
use std::collections::VecDeque;

/// Most jobs between the oldest record that is still owed and the newest job read. Beyond it reading pauses, so that
/// one slow job at the head does not make the rest pile up.
pub(super) const WINDOW_JOBS_MAX: usize = 65_536;

/// The window of jobs whose records are still owed or held back.
#[derive(Debug)]
pub(super) struct Order {
    /// The number of the first slot.
    next: JobId,
    slots: VecDeque<Slot>,
    held_bytes: usize,
}

#[derive(Debug)]
enum Slot {
    Pending(Option<JobKey>),
    Held(Box<Record>),
    /// Its record left in an earlier run.
    Passed,
}

impl Default for Order {
    fn default() -> Self {
        Order { next: JobId(1), slots: VecDeque::new(), held_bytes: 0 }
    }
}

impl Order {
    /// A job (or something that is none, without a key) was accepted.
    pub(super) fn accept(&mut self, number: JobId, key: Option<JobKey>) {
        assert_eq!(number.0, self.next.0 + self.slots.len() as u64, "jobs are numbered without gaps");
        self.slots.push_back(Slot::Pending(key));
    }

    /// A record was made: it is held until all before it have left.
    pub(super) fn hold(&mut self, number: JobId, record: Record) {
        self.held_bytes += weight(&record);
        self.slots[(number.0 - self.next.0) as usize] = Slot::Held(Box::new(record));
    }

    /// The next job of the list has its record already.
    pub(super) fn pass(&mut self, number: JobId) {
        self.accept(number, None);
        *self.slots.back_mut().expect("just added") = Slot::Passed;
    }

    /// The next record that may leave.
    pub(super) fn release(&mut self) -> Option<Record> {
        while let Some(Slot::Passed) = self.slots.front() {
            self.slots.pop_front();
            self.next.0 += 1;
        }
        if !matches!(self.slots.front()?, Slot::Held(_)) {
            return None;
        }
        let Some(Slot::Held(record)) = self.slots.pop_front() else { unreachable!("it was just looked at") };
        self.next.0 += 1;
        self.held_bytes -= weight(&record);
        Some(*record)
    }

    /// The job that holds up all others.
    pub(super) fn head(&self) -> Option<JobKey> {
        match self.slots.front()? {
            Slot::Pending(key) => *key,
            Slot::Held(_) | Slot::Passed => None,
        }
    }

    /// Whether reading should pause. What is read may become a record at once, when it is no job or the run is being stopped.
    pub(super) fn is_full(&self, held_bytes_max: usize) -> bool {
        self.slots.len() >= WINDOW_JOBS_MAX || self.held_bytes > held_bytes_max
    }

    /// How many bytes of records are held back.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// What a record takes in memory, roughly: all of it that has the length a job or its worker gave it.
fn weight(record: &Record) -> usize {
    let json = |value: Option<&Json>| value.map_or(0, |value| value.get().len());
    let printed = |value: &Option<Printed>| value.as_ref().map_or(0, |value| value.bytes.len());
    let id = match &record.id {
        UserId::Number(_) => 0,
        UserId::Json(text) => text.len(),
    };
    let rare = record.rare.as_deref().map_or(0, |rare| {
        let command = rare.command.as_ref().map_or(0, Vec::len);
        printed(&rare.stdout) + printed(&rare.stderr) + rare.label.len() + command + json(rare.tags.as_ref())
    });
    256 + id + json(record.result.as_ref()) + json(record.error.as_deref()) + rare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Status;
    use std::time::Duration;

    const LONG: usize = 100_000;

    fn record(number: u64, change: impl FnOnce(&mut Record)) -> Record {
        let mut record = Record {
            id: UserId::Number(number),
            status: Status::Ok,
            result: None,
            error: None,
            worker: None,
            pid: None,
            attempts: 1,
            start: None,
            duration: Duration::ZERO,
            number: JobId(number),
            rare: None,
        };
        change(&mut record);
        record
    }

    #[test]
    fn whatever_may_be_long_in_a_record_counts_as_held_back() {
        let long = || "y".repeat(LONG);
        let value = || Some(Json::parse(&format!("[\"{}\"]", long())).unwrap());
        let printed = || Some(Printed { bytes: long().into(), total: 0 });
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Record));
        let changes: [Change<'_>; 8] = [
            ("id", &|record| record.id = UserId::Json(long().into())),
            ("result", &|record| record.result = value()),
            ("error", &|record| record.error = value().map(Box::new)),
            ("stdout", &|record| record.rare_mut().stdout = printed()),
            ("stderr", &|record| record.rare_mut().stderr = printed()),
            ("label", &|record| record.rare_mut().label = long().into()),
            ("command", &|record| record.rare_mut().command = Some(long().into())),
            ("tags", &|record| record.rare_mut().tags = value()),
        ];
        for (what, change) in changes {
            let mut order = Order::default();
            (1..=3).for_each(|number| order.accept(JobId(number), None));
            order.hold(JobId(3), record(3, |_| {}));
            assert!(!order.is_full(LONG), "a small one is held");
            order.hold(JobId(2), record(2, change));
            assert!(order.is_full(LONG), "{what}");
            order.hold(JobId(1), record(1, |_| {}));
            while order.release().is_some() {}
            assert_eq!((order.held_bytes, order.slots.len()), (0, 0), "{what}");
        }
    }
}
