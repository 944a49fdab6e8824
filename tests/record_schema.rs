//! Every record that can be written keeps the schema, and the schema refuses what a record must never be.

#[path = "support/schema.rs"]
mod schema;

use schema::{assert_valid_record, check_record};
use serde_json::{Value, json};
use std::time::Duration;
use supervisor::ids::WorkerId;
use supervisor::job::UserId;
use supervisor::json::Json;
use supervisor::record::{Printed, Record, Status};
use supervisor::report::json::write_record;
use supervisor::time::Wall;

fn raw(json: &str) -> Option<Json> {
    Some(Json::parse(json).unwrap())
}

fn line(record: &Record) -> String {
    let mut out = Vec::new();
    write_record(record, &mut out);
    String::from_utf8(out).unwrap()
}

/// A record of this status with everything that belongs to it and nothing else.
fn record(status: Status) -> Record {
    let is_ok = status == Status::Ok;
    let has_begun = !matches!(status, Status::Skipped | Status::Invalid);
    let mut record = Record {
        id: UserId::Number(1),
        status,
        result: if is_ok { raw(r#"{"exit_code":0,"stdout":"hi\n","stderr":""}"#) } else { None },
        error: if is_ok { None } else { raw(r#"{"message":"why"}"#).map(Box::new) },
        worker: has_begun.then_some(WorkerId(1)),
        pid: has_begun.then_some(4711),
        attempts: u32::from(has_begun),
        start: has_begun.then_some(Wall(1_795_334_400_120)),
        duration: if has_begun { Duration::from_micros(4_120) } else { Duration::ZERO },
        number: supervisor::ids::JobId(1),
        rare: None,
    };
    record.rare_mut().label = b"echo hi".to_vec();
    record.rare_mut().line = (status == Status::Invalid).then_some(3);
    record
}

#[test]
fn every_status_keeps_the_schema() {
    for status in Status::ALL {
        let value = assert_valid_record(&line(&record(status)));
        assert_eq!(value["status"], status.as_str());
    }
    let waiting = Record { worker: None, pid: None, start: None, attempts: 0, ..record(Status::Cancelled) };
    assert_valid_record(&line(&waiting));
}

#[test]
fn ids_come_back_as_they_were_given() {
    let given = ["\"a1\"", "\"\\u00e9 \\\"\"", "7", "-7", "1.50", "12345678901234567890", "\"\""];
    for id in given {
        let text = line(&Record { id: UserId::Json(id.into()), ..record(Status::Ok) });
        assert_valid_record(&text);
        assert!(text.starts_with(&format!("{{\"id\":{id},")), "{text}");
    }
}

#[test]
fn printed_output_keeps_the_schema_whatever_it_holds() {
    let outputs: [&[u8]; 5] = [b"", b"text \"quoted\"\n\x1b[0m\0", b"\xff\xfe", b"\xff", "é\u{2028}".as_bytes()];
    for bytes in outputs {
        for total in [bytes.len() as u64, bytes.len() as u64 + 5] {
            let printed = Some(Printed { bytes: bytes.to_vec(), total });
            for status in [Status::Ok, Status::Failed, Status::Timeout, Status::Crashed] {
                let mut record = record(status);
                (record.rare_mut().stdout, record.rare_mut().stderr) = (printed.clone(), printed.clone());
                let value = assert_valid_record(&line(&record));
                assert_eq!(value.get("truncated").is_some(), total > bytes.len() as u64);
                record.rare_mut().stderr = None;
                assert_valid_record(&line(&record));
                (record.rare_mut().stdout, record.rare_mut().stderr) = (None, printed.clone());
                assert_valid_record(&line(&record));
            }
        }
    }
}

#[test]
fn results_and_tags_are_any_json_on_one_line() {
    for result in ["null", "0", "[1,\n2]", "{\"a\":\r\n{}}", "\"\\n\"", "1e400", "[]"] {
        let mut record = Record { result: raw(result), ..record(Status::Ok) };
        record.rare_mut().tags = raw("[1,\n\"x\"]");
        let text = line(&record);
        let is_number_beyond_all = result == "1e400";
        if !is_number_beyond_all {
            assert_valid_record(&text);
        }
        assert_eq!(text.matches('\n').count(), 1);
    }
}

#[test]
fn the_schema_refuses_what_a_record_must_never_be() {
    let ok: Value = serde_json::from_str(&line(&record(Status::Ok))).unwrap();
    let failed: Value = serde_json::from_str(&line(&record(Status::Failed))).unwrap();
    let skipped: Value = serde_json::from_str(&line(&record(Status::Skipped))).unwrap();
    let invalid: Value = serde_json::from_str(&line(&record(Status::Invalid))).unwrap();
    let faults = [
        (&ok, json!({"error": {"message": "x"}})),
        (&ok, json!({"surplus": 1})),
        (&ok, json!({"id": null})),
        (&ok, json!({"status": "done"})),
        (&ok, json!({"line": 3})),
        (&ok, json!({"truncated": true})),
        (&ok, json!({"stdout_bytes": 9})),
        (&ok, json!({"stdout": {"base64": "?"}})),
        (&ok, json!({"start": "2026-11-22"})),
        (&ok, json!({"attempts": 0})),
        (&ok, json!({"seconds": -1})),
        (&failed, json!({"result": 1})),
        (&failed, json!({"error": {"code": 1}})),
        (&failed, json!({"error": null})),
        (&skipped, json!({"attempts": 1})),
        (&skipped, json!({"worker": 1})),
        (&invalid, json!({"line": 0})),
    ];
    for (record, fault) in faults {
        let mut broken = record.clone();
        broken.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        assert!(check_record(&broken.to_string()).is_err(), "accepted {broken}");
    }
    for (record, member) in [(&ok, "result"), (&failed, "error"), (&invalid, "error"), (&ok, "id"), (&ok, "worker")] {
        let mut broken = record.clone();
        broken.as_object_mut().unwrap().remove(member).unwrap();
        assert!(check_record(&broken.to_string()).is_err(), "accepted {broken}");
    }
}
