//! Records for the tests of the reports: one of each kind, so that no report needs a process.

use crate::ids::{JobId, WorkerId};
use crate::job::UserId;
use crate::json::Json;
use crate::record::{Rare, Record, Status};
use crate::time::Wall;
use std::time::Duration;

pub(super) fn raw(json: &str) -> Option<Json> {
    Some(Json::parse(json).unwrap())
}

/// A job that ended ok with this result.
pub(super) fn ok(result: &str) -> Record {
    Record {
        id: UserId::Number(1),
        status: Status::Ok,
        result: raw(result),
        error: None,
        worker: Some(WorkerId(2)),
        pid: Some(4711),
        attempts: 1,
        start: Some(Wall(1_795_334_400_120)),
        duration: Duration::from_millis(4),
        number: JobId(1),
        rare: None,
    }
    .with(|rare| rare.label = b"echo hi".to_vec())
}

impl Record {
    /// The same with what most records do not have.
    pub(super) fn with(mut self, fill_in: impl FnOnce(&mut Rare)) -> Self {
        fill_in(self.rare_mut());
        self
    }
}

/// A job that did not, with this error.
pub(super) fn not_ok(status: Status, error: &str) -> Record {
    Record { status, result: None, error: raw(error).map(Box::new), ..ok("0") }
}

/// A job that never began.
pub(super) fn never_begun(status: Status, error: &str) -> Record {
    Record { worker: None, pid: None, attempts: 0, start: None, duration: Duration::ZERO, ..not_ok(status, error) }
}
