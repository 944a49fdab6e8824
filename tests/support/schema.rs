//! The record's JSON Schema as an assertion, for every test that sees records.

use serde_json::Value;
use std::sync::OnceLock;

/// Panics unless `line` is one record as `docs/record.schema.json` describes it; hands the record back.
pub(crate) fn assert_valid_record(line: &str) -> Value {
    match check_record(line) {
        Ok(record) => record,
        Err(fault) => panic!("{fault}\nin the record {line}"),
    }
}

/// What is wrong with the record, if anything is.
pub(crate) fn check_record(line: &str) -> Result<Value, String> {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let text = include_str!("../../docs/record.schema.json");
        let schema = serde_json::from_str(text).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("the schema is a schema")
    });
    if line.trim_end_matches('\n').contains(['\n', '\r']) {
        return Err("a record is one line".into());
    }
    let record: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    schema.validate(&record).map_err(|error| format!("at {:?}: {error}", error.instance_path().as_str()))?;
    Ok(record)
}
