//! `--dry-run`: shows what would run, one line a job, and runs nothing.

use crate::config::{Config, Source, Target};
use crate::exit::ExitCode;
use crate::job::{Argument, Call, End, Entry, Job, Reader, from_arguments};
use crate::pool;
use crate::report::stderr::say;
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write};

/// Bytes of the list read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Prints each job of the list as it would run.
///
/// # Errors
///
/// When the job file cannot be opened.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = match &config.input.source {
        Source::Arguments(words) => {
            let mut jobs = from_arguments(words).into_iter().map(Entry::Job);
            jobs.try_fold(None, |code, entry| Ok(code.max(Some(show(&entry, config, &mut out)?))))
        }
        Source::Stdin => show_list(io::stdin().lock(), config, &mut out),
        Source::File(path) => {
            let file = File::open(path).with_context(|| format!("cannot read the job list {}", path.display()))?;
            show_list(file, config, &mut out)
        }
    };
    match shown.and_then(|code| out.flush().map(|()| code)) {
        Ok(Some(code)) => Ok(code),
        Ok(None) => {
            if config.pool.fail_on_no_jobs {
                say("supervisor: the job list is empty\n");
                return Ok(ExitCode::NoJobs);
            }
            if !config.output.quiet {
                say("supervisor: warning: the job list is empty\n");
            }
            Ok(ExitCode::Success)
        }
        Err(error) => {
            say(&format!("supervisor: results could not be written: {}\n", crate::edge::fault_text(&error)));
            Ok(ExitCode::OutputLost)
        }
    }
}

/// Shows a list; nothing when there was no job in it.
fn show_list(mut list: impl Read, config: &Config, out: &mut impl Write) -> io::Result<Option<ExitCode>> {
    let mut reader = Reader::new(config.input.format, config.input.max_line);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut code = None;
    let mut ended = false;
    loop {
        for entry in reader.by_ref() {
            code = code.max(Some(show(&entry, config, out)?));
        }
        if ended {
            return Ok(code);
        }
        match list.read(&mut chunk) {
            Ok(0) => {
                reader.finish(End::Complete);
                ended = true;
            }
            Ok(count) => reader.push(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                say(&format!("supervisor: the job list could not be read: {}\n", crate::edge::fault_text(&error)));
                reader.finish(End::Torn);
                ended = true;
                code = Some(ExitCode::BadInput);
            }
        }
    }
}

/// Shows a job, or why it would not run; what that means for the exit code.
fn show(entry: &Entry, config: &Config, out: &mut impl Write) -> io::Result<ExitCode> {
    let fault = match entry {
        Entry::Job(job) => match pool::suits(job, &config.pool.target) {
            Ok(()) => {
                out.write_all(&as_typed(job, &config.pool.target))?;
                out.write_all(b"\n")?;
                return Ok(ExitCode::Success);
            }
            Err(why) => format!("job {}: {why}", job.id),
        },
        Entry::Invalid(invalid) => format!("line {}, column {}: {}", invalid.line, invalid.column, invalid.message),
    };
    out.flush()?;
    say(&format!("supervisor: {fault}\n"));
    Ok(ExitCode::BadInput)
}

/// The job as one would type it: a command with its words quoted for a shell, a call as `method(params)`.
fn as_typed(job: &Job, target: &Target) -> Vec<u8> {
    match (&job.call, target) {
        (Call::Line(line), Target::Shell | Target::Tool) => line.to_vec(),
        (Call::Line(line), Target::Template(template)) => quoted(&template.fill(line, job.number.0, 1)),
        (Call::Line(line), Target::Function { default }) => {
            let mut text = default.as_deref().unwrap_or("?").as_bytes().to_vec();
            text.push(b'(');
            crate::protocol::encode::bytes(&mut text, line);
            text.push(b')');
            text
        }
        (Call::Function(call), Target::Function { default }) => {
            format!("{}{}", call.method().or(default.as_deref()).unwrap_or("?"), call.params()).into_bytes()
        }
        (Call::Function(call), _) => format!("{}{}", call.method().unwrap_or("?"), call.params()).into_bytes(),
        (Call::Command(command), _) => match &command.argument {
            Argument::Argv(words) => quoted(words),
            Argument::Shell(line) => line.to_vec(),
        },
    }
}

/// Words in the form in which a shell would read them as they are.
fn quoted(words: &[Box<[u8]>]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    let word = |word: &[u8]| match word {
        _ if !word.is_empty() && word.iter().all(is_plain) => word.to_vec(),
        _ => {
            [b"'", word.split(|&byte| byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]).as_slice(), b"'"].concat()
        }
    };
    words.iter().map(|bytes| word(bytes)).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        let words: [Box<[u8]>; 4] = [(*b"touch").into(), (*b"a b").into(), (*b"").into(), (*b"it's").into()];
        assert_eq!(quoted(&words), br"touch 'a b' '' 'it'\''s'");
    }
}
