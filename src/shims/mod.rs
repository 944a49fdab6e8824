//! How functions of other languages become workers. The shims themselves come with their own change.

use std::ffi::{OsStr, OsString};

/// How a worker for functions is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments; never empty.
    pub argv: Vec<OsString>,
    /// Variables to set for it.
    pub env: Vec<(OsString, OsString)>,
    /// The function called by jobs that name none.
    pub default_method: Option<String>,
}

/// The worker for `--python FILE_OR_MODULE[:FUNCTION]`.
///
/// # Errors
///
/// When no file is named.
pub fn python(spec: &OsStr, interpreter: &OsStr, _concurrency: u32) -> Result<Launch, String> {
    Ok(Launch { argv: vec![interpreter.into(), spec.into()], env: Vec::new(), default_method: None })
}

/// The worker for `--node FILE[:FUNCTION]`.
///
/// # Errors
///
/// When no file is named.
pub fn node(spec: &OsStr, interpreter: &OsStr, _concurrency: u32) -> Result<Launch, String> {
    Ok(Launch { argv: vec![interpreter.into(), spec.into()], env: Vec::new(), default_method: None })
}
