//! Writing what is sent to a worker: whole lines, appended to a buffer.

use crate::json::Counting;
pub use crate::json::{push_bytes as bytes, push_one_line as one_line, push_string as string};

/// Appends a request whose parameters are JSON text without a line end.
pub fn request(out: &mut Vec<u8>, id: u64, method: &str, params: &str) {
    open_request(out, id, method);
    out.extend_from_slice(params.as_bytes());
    out.extend_from_slice(b"}\n");
}

/// Appends a request up to and including `"params":`; the caller adds the value and `}\n`.
pub fn open_request(out: &mut Vec<u8>, id: u64, method: &str) {
    out.extend_from_slice(REQUEST);
    number(out, id);
    request_method(out, method);
}

/// How a request begins, up to its id.
const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

fn request_method(out: &mut Vec<u8>, method: &str) {
    out.extend_from_slice(br#","method":"#);
    string(out, method);
    out.extend_from_slice(br#","params":"#);
}

/// Opens requests, and remembers how the method of the last one was written: most of a run name the same.
#[derive(Debug, Default)]
pub struct Opening {
    method: String,
    text: Vec<u8>,
}

/// A longer name is not remembered.
const METHOD_BYTES_MAX: usize = 256;

impl Opening {
    /// The same as [`open_request`]; `ids` writes those of this worker.
    #[inline(always)]
    pub fn write(&mut self, out: &mut Vec<u8>, ids: &mut Counting, id: u64, method: &str) {
        out.extend_from_slice(REQUEST);
        ids.push(out, id);
        if method == self.method && !method.is_empty() {
            out.extend_from_slice(&self.text);
        } else {
            self.write_other(out, method);
        }
    }

    fn write_other(&mut self, out: &mut Vec<u8>, method: &str) {
        let from = out.len();
        request_method(out, method);
        if method.len() <= METHOD_BYTES_MAX {
            self.method.clear();
            self.method.push_str(method);
            self.text.clear();
            self.text.extend_from_slice(&out[from..]);
        }
    }
}

/// Appends a notification about one request of ours: `$/cancelRequest`, `$/recall`, `$/release`.
pub fn notification_about(out: &mut Vec<u8>, method: &str, id: u64) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
    string(out, method);
    out.extend_from_slice(br#","params":{"id":"#);
    number(out, id);
    out.extend_from_slice(b"}}\n");
}

/// Appends the answer to a worker's request; `id` and `result` are JSON text.
pub fn result(out: &mut Vec<u8>, id: &str, result: &str) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    one_line(out, id);
    out.extend_from_slice(br#","result":"#);
    one_line(out, result);
    out.extend_from_slice(b"}\n");
}

/// Appends the refusal of a worker's request; `id` is JSON text.
pub fn error(out: &mut Vec<u8>, id: &str, code: i64, message: &str) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    one_line(out, id);
    out.extend_from_slice(format!(r#","error":{{"code":{code},"message":"#).as_bytes());
    string(out, message);
    out.extend_from_slice(b"}}\n");
}

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_message_is_one_line_of_json() {
        let lines = [
            written(|out| request(out, 7, "tugas", r#"["Tugas 1",2]"#)),
            written(|out| notification_about(out, "$/cancelRequest", 18_446_744_073_709_551_615)),
            written(|out| result(out, "\"a\\n\"", "{\n\"x\": 1\r\n}")),
            written(|out| error(out, "1", -32601, "no \"such\"\nmethod")),
        ];
        for line in lines {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.ends_with('\n'));
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_as_base64() {
        assert_eq!(written(|out| bytes(out, b"a\"b")), r#""a\"b""#);
        assert_eq!(written(|out| bytes(out, b"\xff\xfe")), r#"{"base64":"//4="}"#);
    }

    #[test]
    fn numbers() {
        for value in [0, 9, 10, 123, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }
}
