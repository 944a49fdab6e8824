//! The worker's flags. Read by hand: a worker starts in about a millisecond, and no person types these.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// How a command worker behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Commands running at a time, at least 1.
    pub concurrency: usize,
    /// Most bytes of each output stream kept in memory and in the answer.
    pub max_output: usize,
    /// How long a cancelled command may take to end after SIGTERM.
    pub grace: Duration,
    /// How long what a command left running may take to end by itself.
    pub leak_grace: Duration,
    /// Where outputs over `max_output` are kept as files.
    pub output_dir: Option<PathBuf>,
    /// Keep outputs over `max_output` in unlinked files until they are released.
    pub spill: bool,
    /// What commands leave running is named and lives on, as long as the worker ends in order.
    pub keep_leftovers: bool,
    /// Where the worker writes down what it has begun: a descriptor that it inherits, and the place in it.
    pub marks: Option<(i32, u64)>,
    /// How many processes the kernel had killed for want of memory when the run began; without it, such a kill is not told
    /// from any other.
    pub kernel_kills: Option<u64>,
    /// End of file on standard input means that the supervisor is gone: everything is killed at once.
    pub lifeline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            concurrency: 1,
            max_output: MAX_OUTPUT_BYTES_DEFAULT,
            grace: Duration::from_millis(GRACE_MS_DEFAULT),
            leak_grace: Duration::from_millis(LEAK_GRACE_MS_DEFAULT),
            output_dir: None,
            spill: false,
            lifeline: false,
            keep_leftovers: false,
            marks: None,
            kernel_kills: None,
        }
    }
}

/// As GNU parallel's users expect of text, and small enough to hold for many jobs.
const MAX_OUTPUT_BYTES_DEFAULT: usize = 1 << 20;
/// A cancelled GitHub step has 7.5 seconds in all.
const GRACE_MS_DEFAULT: u64 = 5_000;
/// cargo-nextest waits 100 to 200 ms before it calls a test leaky.
const LEAK_GRACE_MS_DEFAULT: u64 = 100;

impl Options {
    /// Reads the arguments after the subcommand's name; values stand after a space or `=`.
    ///
    /// # Errors
    /// A sentence fragment that names the flag and what it takes.
    pub fn parse(args: &[OsString]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let bytes = arg.as_bytes();
            let (name, attached) = match bytes.iter().position(|&byte| byte == b'=') {
                Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
                None => (bytes, None),
            };
            let mut value = || attached.or_else(|| rest.next().map(OsString::as_os_str));
            match name {
                b"--concurrency" => options.concurrency = count(name, value(), 1)?,
                b"--max-output" => options.max_output = count(name, value(), 0)?,
                b"--grace-ms" => options.grace = Duration::from_millis(count(name, value(), 0)? as u64),
                b"--leak-grace-ms" => options.leak_grace = Duration::from_millis(count(name, value(), 0)? as u64),
                b"--output-dir" => {
                    let dir = value().filter(|dir| !dir.is_empty()).ok_or("--output-dir needs a directory")?;
                    options.output_dir = Some(dir.into());
                }
                b"--marks" => options.marks = Some(marks(value())?),
                b"--kernel-kills" => options.kernel_kills = Some(count(name, value(), 0)? as u64),
                b"--keep-leftovers" if attached.is_none() => options.keep_leftovers = true,
                b"--spill" if attached.is_none() => options.spill = true,
                b"--lifeline" if attached.is_none() => options.lifeline = true,
                _ => {
                    return Err(format!(
                        "unknown argument {arg:?}; this worker is started by supervisor spawn, with the options it needs"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn marks(value: Option<&OsStr>) -> Result<(i32, u64), String> {
    let parts = value.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
    parts
        .and_then(|(fd, place)| Some((fd.parse().ok().filter(|&fd: &i32| fd > 2)?, place.parse().ok()?)))
        .ok_or_else(|| "--marks needs a descriptor and a place, as in 5:64".into())
}

fn count(name: &[u8], value: Option<&OsStr>, least: usize) -> Result<usize, String> {
    let number = value.and_then(OsStr::to_str).and_then(|text| text.parse().ok());
    number
        .filter(|&number| number >= least)
        .ok_or_else(|| format!("{} needs a whole number, at least {least}", String::from_utf8_lossy(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_in_both_forms() {
        let given = "--kernel-kills 7 --concurrency 3 --max-output=10 --grace-ms 7 --leak-grace-ms=8 --output-dir d --spill --lifeline";
        let options = parse(&given.split(' ').collect::<Vec<_>>()).unwrap();
        let expected = Options {
            concurrency: 3,
            max_output: 10,
            grace: Duration::from_millis(7),
            leak_grace: Duration::from_millis(8),
            output_dir: Some("d".into()),
            spill: true,
            lifeline: true,
            keep_leftovers: false,
            marks: None,
            kernel_kills: Some(7),
        };
        assert_eq!(options, expected);
        assert_eq!(parse(&[]), Ok(Options::default()));
    }

    #[test]
    fn faults_name_the_flag() {
        for (args, part) in [
            (&["--concurrency", "0"][..], "--concurrency"),
            (&["--concurrency"], "--concurrency"),
            (&["--grace-ms", "soon"], "--grace-ms"),
            (&["--output-dir"], "--output-dir"),
            (&["--spill=1"], "--spill=1"),
            (&["x"], "\"x\""),
        ] {
            let message = parse(args).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
