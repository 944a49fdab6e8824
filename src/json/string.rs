//! Text and bytes as JSON strings. The one place where characters are escaped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes that stand in a JSON string as they are: all but quotes, backslashes and control characters.
pub(super) const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < b' ' {
        plain[byte as usize] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends text as a JSON string. Runs that need no escape are copied whole.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| !PLAIN[usize::from(byte)]) {
        out.extend_from_slice(&rest[..at]);
        push_escaped(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends bytes as a JSON string, or as `{"base64":"…"}` when they are no UTF-8.
pub fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match super::utf8(bytes) {
        Ok(text) => push_string(out, text),
        Err(_) => {
            out.extend_from_slice(b"{\"base64\":\"");
            let start = out.len();
            let length = base64::encoded_len(bytes.len(), true).expect("what fits memory has a length");
            out.resize(start + length, 0);
            STANDARD.encode_slice(bytes, &mut out[start..]).expect("the space was measured");
            out.extend_from_slice(b"\"}");
        }
    }
}

/// Without the beginning of a character whose rest was cut off.
pub(crate) fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

/// Appends bytes as hexadecimal digits.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

pub(super) fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        control => {
            out.extend_from_slice(b"\\u00");
            push_hex(out, &[control]);
        }
    }
}
