//! Options that exclude or need each other, and where a value came from: what was typed goes before what the environment
//! says, so that a variable set for all runs never forbids a flag of one run.

use super::UsageError;
use super::args::variable;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// Stands for the words after `:::`, which are no option.
const WORDS: &str = ":::";

/// Options by the names of their fields, `=` one of their values; of each row one may be given. Behind it what explains that.
const EXCLUSIVE: [(&[&str], &str); 10] = [
    (&["command", "python", "node", "worker", "mcp"], ""),
    (&["halt", "fail_fast"], ""),
    (&["format=text", "json"], ""),
    (&["input=auto", "input=lines", "input=json", "null"], ""),
    (&["quiet", "verbose"], ""),
    (&["tag", "json"], TAG_AND_RECORDS),
    (&["tag", "format=json"], TAG_AND_RECORDS),
    (&[WORDS, "job_file"], ""),
    (&[WORDS, "input"], EACH_WORD),
    (&[WORDS, "null"], EACH_WORD),
];

const TAG_AND_RECORDS: &str = ", whose records name their job anyway";
const EACH_WORD: &str = ": each word is one job";

/// Options that make sense beside one of certain others only, and what is said without any.
const DEPENDENT: [(&str, &[&str], &str); 5] = [
    ("python_bin", &["python"], "needs --python, the functions to run"),
    (
        "init",
        &["python", "node", "worker", "mcp"],
        "is for --python, --node, --worker and --mcp; commands take no messages",
    ),
    ("resume", &["output"], NO_RECORDS),
    ("retry_failed", &["output"], NO_RECORDS),
    ("retry_unknown", &["output"], NO_RECORDS),
];

const NO_RECORDS: &str = "needs --output FILE, the records to go on with";

/// What was given, and from where.
pub(super) struct Given<'a> {
    pub(super) matches: &'a ArgMatches,
    /// Whether `:::` was there.
    pub(super) words: bool,
}

/// Says which options contradict each other, or gives those whose variables are to be left aside: the command line is then
/// to be read anew without these. None when all that was given goes together.
pub(super) fn settle(given: &Given<'_>) -> Result<Vec<&'static str>, UsageError> {
    let (mut aside, mut undecided) = (Vec::new(), None);
    for (row, why) in EXCLUSIVE {
        let from = |source| row.iter().copied().filter(|id| given.is_from(id, source)).collect::<Vec<_>>();
        match (&from(ValueSource::CommandLine)[..], &from(ValueSource::EnvVariable)[..]) {
            ([one, other, ..], _) => {
                return Err(UsageError::new(format!("{} cannot be used with {}{why}", shown(one), shown(other))));
            }
            ([], [one, other, ..]) => {
                let (one, other) = (variable(name_of(one)), variable(name_of(other)));
                undecided = Some(UsageError::new(format!("the variables {one} and {other} exclude each other")));
            }
            ([_], inherited) => aside.extend(inherited.iter().map(|id| name_of(id))),
            ([], _) => {}
        }
    }
    for (id, others, why) in DEPENDENT {
        if others.iter().any(|other| given.is_there(other)) {
            continue;
        }
        if given.is_from(id, ValueSource::CommandLine) {
            return Err(UsageError::new(format!("{} {why}", shown(id))));
        }
        aside.extend(given.is_there(id).then_some(id));
    }
    // One of the variables may be among those that what was typed puts aside.
    undecided.filter(|_| aside.is_empty()).map_or(Ok(aside), Err)
}

impl Given<'_> {
    fn is_there(&self, id: &str) -> bool {
        self.is_from(id, ValueSource::CommandLine) || self.is_from(id, ValueSource::EnvVariable)
    }

    fn is_from(&self, id: &str, source: ValueSource) -> bool {
        if id == WORDS {
            return self.words && source == ValueSource::CommandLine;
        }
        let (name, value) = id.split_once('=').map_or((id, None), |(name, value)| (name, Some(value)));
        // First, since it is the answer for most, and each question is a search.
        if self.matches.value_source(name) != Some(source) {
            return false;
        }
        let has_value = |value| self.matches.get_raw(name).is_some_and(|mut given| given.any(|one| one == value));
        // A switch that the environment turns off (SPV_JSON=0) is not given.
        let is_off = matches!(self.matches.try_get_one::<bool>(name), Ok(Some(false)));
        !is_off && value.is_none_or(has_value)
    }
}

fn name_of(id: &'static str) -> &'static str {
    id.split_once('=').map_or(id, |(name, _)| name)
}

fn shown(id: &str) -> String {
    match id {
        "command" => "a command after --".into(),
        WORDS => "jobs after :::".into(),
        id => format!("--{}", id.replace('_', "-").replace('=', " ")),
    }
}
