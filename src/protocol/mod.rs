//! The worker protocol: newline-delimited JSON-RPC 2.0. Bytes in, messages out, and back; no I/O.
//!
//! [`LineDecoder`] cuts what a worker wrote into lines, [`Line::parse`] tells what a line is, [`encode`] writes what is
//! sent to a worker, [`mcp`] what MCP servers want instead. What a message *means* for a job is decided by [`crate::pool`].

mod broken;
mod decode;
pub mod encode;
pub mod mcp;
mod message;

pub use decode::{LineDecoder, TooLong};
pub use message::{Line, Message, Outcome, ReadyParams, ShelfPlace, owned_result};

/// JSON-RPC: the text is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: JSON, but no request.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the parameters do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// The function raised or the command failed (the first of JSON-RPC's range for implementations).
pub const FAILED: i64 = -32000;
/// The request was cancelled (the number is that of the Language Server Protocol).
pub const REQUEST_CANCELLED: i64 = -32800;
