//! The rows of the journal: records as `--json` writes them, whatever standard output holds. Owns what a row leaves out.

use super::json::RecordWriter;
use crate::json::Json;
use crate::record::Record;
use std::borrow::Cow;

/// Rows that wait for the end of the turn.
#[derive(Debug, Default)]
pub struct Rows {
    writer: RecordWriter,
    bytes: Vec<u8>,
}

impl Rows {
    /// Appends the row of a record.
    pub(super) fn push(&mut self, record: &Record) {
        self.writer.write(&without_spills(record), &mut self.bytes);
    }

    /// Bytes of those that wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Hands all there are to `take`, as whole lines.
    pub fn take<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let taken = take(&self.bytes);
        self.bytes.clear();
        taken
    }
}

/// Files that a worker holds open for text output are gone with it: a row does not name them.
fn without_spills(record: &Record) -> Cow<'_, Record> {
    if record.rare().spill.is_none() {
        return Cow::Borrowed(record);
    }
    let mut record = record.clone();
    for value in record.result.as_mut().into_iter().chain(record.error.as_deref_mut()) {
        let mut json = value.get().to_owned();
        for name in [",\"stdout_spill\":\"", ",\"stderr_spill\":\""] {
            // A quote inside a string is escaped, so this is the member; its value is a path of ours, without escapes.
            let Some(from) = json.find(name) else { continue };
            let Some(length) = json[from + name.len()..].find('"') else { continue };
            json.replace_range(from..from + name.len() + length + 1, "");
        }
        if let Ok(shorter) = Json::parse(&json) {
            *value = shorter;
        }
    }
    Cow::Owned(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, WorkerId};
    use crate::record::Spill;
    use crate::report::fixtures::ok;

    #[test]
    fn a_row_names_no_file_that_is_gone() {
        let json =
            r#"{"exit_code":0,"stdout":"a \",\"stdout_spill\":\"b","stdout_bytes":9,"stdout_spill":"/proc/1/fd/7"}"#;
        let mut record = ok(json);
        record.rare_mut().spill = Some(Spill { worker: WorkerId(1), generation: Generation(1), request: 1 });
        let mut rows = Rows::default();
        rows.push(&record);
        let text = rows.take(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert!(text.contains(r#""stdout":"a \",\"stdout_spill\":\"b","stdout_bytes":9}"#), "{text}");
        assert_eq!(rows.take(<[u8]>::len), 0);
    }
}
