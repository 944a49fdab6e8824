//! Records as what users read: the line of `--json`, and text with the output of a command.

use crate::workload::{ITEMS, Workload};
use divan::black_box;
use std::time::Duration;
use supervisor::config::{Format, Output, When};
use supervisor::ids::{JobId, WorkerId};
use supervisor::job::UserId;
use supervisor::json::Json;
use supervisor::record::{Record, Status};
use supervisor::report::json::RecordWriter;
use supervisor::report::{Hub, Jobs, Surroundings};
use supervisor::time::Wall;

pub(crate) const AS_JSON: Workload = Workload {
    name: "record: as JSON",
    start: || {
        let (mut record, mut writer, mut out) = (record("43"), RecordWriter::default(), Vec::new());
        Box::new(move || {
            for number in 1..=ITEMS {
                record.number = JobId(number);
                record.id = UserId::Number(number);
                writer.write(black_box(&record), &mut out);
            }
            black_box(&mut out).clear();
        })
    },
};

pub(crate) const AS_TEXT: Workload = Workload {
    name: "record: as text",
    start: || {
        let record = record(r#"{"exit_code":0,"stdout":"hello\nworld\n"}"#);
        Box::new(move || {
            // What it holds is handed over by a flush that writes; here it goes with the hub.
            let jobs = Jobs { is_command: true, keeps_leftovers: false };
            let mut hub = Hub::new(&output(), jobs, Surroundings::pipes());
            (0..ITEMS).for_each(|_| hub.record(black_box(&record)));
            black_box(hub);
        })
    },
};

fn record(result: &str) -> Record {
    Record {
        id: UserId::Number(1),
        status: Status::Ok,
        result: Some(Json::parse(result).expect("it is JSON")),
        error: None,
        worker: Some(WorkerId(2)),
        pid: Some(4711),
        attempts: 1,
        start: Some(Wall(1_795_334_400_120)),
        duration: Duration::from_millis(4),
        number: JobId(1),
        rare: None,
    }
}

fn output() -> Output {
    Output {
        format: Format::Text,
        tag: false,
        progress: When::Never,
        color: When::Never,
        volume: supervisor::config::Volume::Quiet,
        max_output: 1 << 20,
        output_dir: None,
        dry_run: false,
        journal: None,
        joblog: None,
    }
}
