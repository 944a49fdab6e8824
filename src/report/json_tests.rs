//! Tests of the record's line.

use super::*;
use crate::edge::Piece;

use crate::report::fixtures::{never_begun, not_ok, ok, raw};

fn line(record: &Record) -> String {
    let mut out = Vec::new();
    write_record(record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_line_of_the_design() {
    assert_eq!(
        line(&ok(r#"{"exit_code":0,"stdout":"hi\n","stderr":""}"#)),
        r#"{"id":1,"status":"ok","result":{"exit_code":0,"stdout":"hi\n","stderr":""},"worker":2,"pid":4711,"attempts":1,"start":"2026-11-22T08:00:00.120Z","seconds":0.004}"#
            .to_owned()
            + "\n"
    );
}

#[test]
fn every_member_in_its_place() {
    let record =
        Record { id: UserId::Json("\"c7\"".into()), ..not_ok(Status::Failed, r#"{"code":-32000,"message":"bad"}"#) }
            .with(|rare| {
                rare.stdout = Some(Printed { bytes: b"a\"\\\n\r\t\x01\x1f\x7f\xc3\xa9".to_vec(), total: 20 });
                rare.stderr = Some(Printed { bytes: b"\xff\x00".to_vec(), total: 2 });
                rare.tags = raw("[\"x\",\n \"y\"]");
            });
    let expected = concat!(
        r#"{"id":"c7","status":"failed","error":{"code":-32000,"message":"bad"},"#,
        r#""stdout":"a\"\\\n\r\t\u0001\u001f"#,
        "\x7f\u{e9}",
        r#"","stderr":{"base64":"/wA="},"truncated":true,"stdout_bytes":20,"#,
        r#""worker":2,"pid":4711,"attempts":1,"start":"2026-11-22T08:00:00.120Z","seconds":0.004,"#,
        r#""tags":["x",  "y"]}"#,
        "\n"
    );
    assert_eq!(line(&record), expected);
}

#[test]
fn what_never_began_has_neither_worker_nor_start() {
    let record = never_begun(Status::Invalid, r#"{"message":"line 7"}"#).with(|rare| rare.line = Some(7));
    assert_eq!(
        line(&record),
        "{\"id\":1,\"status\":\"invalid\",\"error\":{\"message\":\"line 7\"},\"attempts\":0,\"seconds\":0.000,\"line\":7}\n"
    );
}

#[test]
fn seconds_have_three_to_six_decimals() {
    let text = |nanos| {
        let mut out = Vec::new();
        push_seconds(Duration::from_nanos(nanos), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(0), "0.000");
    assert_eq!(text(1_999), "0.000001");
    assert_eq!(text(4_000_000), "0.004");
    assert_eq!(text(4_120_000), "0.00412");
    assert_eq!(text(61_999_999_999), "61.999999");
}

#[test]
fn a_remembered_second_makes_no_difference() {
    let mut writer = RecordWriter::default();
    let second = 1_795_334_400_000;
    for ms in [0, 5, 999, 1000, second, second + 7, second + 120, second + 999, second + 1000, second, 5] {
        let record = Record { start: Some(Wall(ms)), ..ok("0") };
        let mut out = Vec::new();
        writer.write(&record, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), line(&record), "{ms}");
    }
}

#[test]
fn a_large_result_keeps_its_memory_and_its_place() {
    let record = ok("[1,\n\"longer than what needs no memory\"]").with(|rare| rare.tags = raw("[1]"));
    let (mut around, mut sink, mut out) = (record.clone(), Sink::default(), Vec::new());
    let result = around.result.take().unwrap();
    let memory = result.as_ptr();
    RecordWriter::default().write_around(&around, result, &mut sink);
    sink.drain(Vec::new(), |piece| match piece {
        Piece::Bytes(bytes) => out.extend(bytes),
        Piece::Part(part) => {
            assert_eq!(part.as_ptr(), memory);
            out.extend(part.as_bytes());
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(String::from_utf8(out).unwrap(), line(&record));
}

#[test]
fn every_byte_survives_the_string() {
    for byte in 0..128u8 {
        let mut out = Vec::new();
        push_bytes(&mut out, &[b'a', byte, b'z']);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap().as_bytes(), [b'a', byte, b'z']);
    }
}
