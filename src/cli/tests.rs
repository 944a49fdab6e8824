//! Command lines and what they mean; and the table of options itself.

use super::*;
use crate::config::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The words of a command line. A quoted part is one word.
fn argv(line: &str) -> Vec<OsString> {
    let words = words::split(line).unwrap();
    std::iter::once("supervisor".to_owned()).chain(words).map(OsString::from).collect()
}

fn spawn(line: &str) -> Config {
    match parse(argv(&format!("spawn {line}"))) {
        Ok(Invocation::Spawn(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    let error = parse(argv(line)).unwrap_err();
    assert_eq!(error.exit_code().number(), 2);
    assert!(error.to_string().ends_with('\n'));
    error.to_string()
}

fn printed(line: &str) -> String {
    match parse(argv(line)) {
        Ok(Invocation::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_defaults() {
    let config = spawn("");
    assert_eq!(config.pool.workers, cores::usable());
    assert_eq!(config.pool.concurrency, 1);
    assert!(matches!(config.pool.target, Target::Shell));
    assert!(config.pool.announces_ready && !config.pool.keep_order && !config.pool.fail_on_no_jobs);
    assert_eq!((config.pool.timeout, config.pool.grace), (None, Duration::from_secs(5)));
    assert_eq!((config.pool.retries, config.pool.retry_delay), (0, Duration::ZERO));
    assert_eq!(config.pool.halt, Halt::Never);
    assert_eq!((config.pool.max_restarts, config.pool.restart_window), (5, Duration::from_secs(30)));
    assert_eq!(config.pool.start_timeout, Duration::from_secs(60));
    assert_eq!((config.pool.max_output, config.pool.max_message), (1 << 20, 256 << 20));
    assert_eq!(config.input.max_line, crate::job::LINE_BYTES_MAX_DEFAULT);
    assert_eq!((config.input.source, config.input.format), (Source::Stdin, InputFormat::Auto));
    assert_eq!((config.output.format, config.output.progress), (Format::Text, When::Auto));
    let expected = ["--concurrency", "1", "--max-output", "1048576", "--grace-ms", "5000", "--lifeline", "--spill"];
    assert_eq!(config.launch.program, Program::Builtin(expected.map(OsString::from).into()));
}

#[test]
fn how_many_workers() {
    for line in ["-w 3", "-w3", "-j3", "-P 3", "--workers=3", "--workers 3"] {
        assert_eq!(spawn(line).pool.workers, 3, "{line}");
    }
    assert_eq!(spawn("-w 100%").pool.workers, cores::usable());
    assert!(refused("spawn -w 0").contains("such as 4"));
}

#[test]
fn how_jobs_run() {
    let config = spawn(
        "-c 4 -k --timeout 1m --grace 500ms --retries 2 --retry-delay 1s --halt soon,fail=10% --max-jobs-per-worker 9 \
         --max-restarts 1 --restart-window 1s --start-timeout 2s --max-message 1MiB --max-output 0 --output-dir d --json",
    );
    assert_eq!(config.pool.concurrency, 4);
    assert!(config.pool.keep_order);
    assert_eq!(config.pool.timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.pool.grace, Duration::from_millis(500));
    assert_eq!((config.pool.retries, config.pool.retry_delay), (2, Duration::from_secs(1)));
    assert_eq!(config.pool.halt, Halt::Soon(Failures::Percent(10)));
    assert_eq!(config.pool.max_jobs_per_worker, Some(9));
    assert_eq!((config.pool.max_restarts, config.pool.restart_window), (1, Duration::from_secs(1)));
    assert_eq!(config.pool.start_timeout, Duration::from_secs(2));
    assert_eq!((config.pool.max_message, config.pool.max_output), (1 << 20, 0));
    assert_eq!((config.output.max_output, config.output.output_dir), (0, Some(PathBuf::from("d"))));
    let expected = ["--concurrency", "4", "--max-output", "0", "--grace-ms", "500", "--lifeline", "--output-dir", "d"];
    assert_eq!(config.launch.program, Program::Builtin(expected.map(OsString::from).into()));
    assert_eq!(spawn("--timeout 0").pool.timeout, None);
    assert_eq!(spawn("--fail-fast").pool.halt, Halt::Soon(Failures::Count(1)));
    assert_eq!(spawn("--halt never").pool.halt, Halt::Never);
}

#[test]
fn commands() {
    let config = spawn("-w 2 -- convert {} '{.} x.jpg' -w 9");
    assert_eq!(config.pool.workers, 2);
    let Target::Template(template) = config.pool.target else { panic!("{:?}", config.pool.target) };
    let filled = template.fill(b"a b.png", 1, 1);
    let filled: Vec<_> = filled.iter().map(|word| String::from_utf8_lossy(word)).collect();
    assert_eq!(filled, ["convert", "a b.png", "a b x.jpg", "-w", "9"]);
    assert!(refused("spawn -- sh -c 'echo {}'").contains("sh -c 'echo \"$1\"' sh {}"));
    for line in ["spawn echo {}", "spawn -n 1 -- echo", "spawn -t 3", "spawn -I % -- echo %", "spawn --bar"] {
        let text = refused(line);
        assert!(text.contains("tip: a command stands after --") && !text.contains("as a value"), "{line}: {text}");
    }
    let text = refused("spawn --retries -1");
    assert!(text.contains("invalid value '-1' for '--retries <N>'"), "{text}");
}

#[test]
fn functions_and_programs() {
    let config =
        spawn("--worker 'node \"my server.mjs\" -v' --init '{\"method\":\"a\"}' --init '{\"method\":\"b\",\"id\":1}'");
    let Program::Guarded { argv, env, .. } = &config.launch.program else { panic!("{:?}", config.launch) };
    assert_eq!(argv, &["node", "my server.mjs", "-v"]);
    assert!(env.is_empty() && !config.pool.announces_ready);
    assert_eq!(config.pool.init.len(), 2);
    let config = spawn("--python tasks.py --python-bin .venv/bin/python -c 3");
    assert!(config.pool.announces_ready && matches!(config.pool.target, Target::Function { .. }));
    let Program::Guarded { argv, .. } = &config.launch.program else { panic!("{:?}", config.launch) };
    assert!(argv.contains(&".venv/bin/python".into()) && argv.contains(&"tasks.py".into()), "{argv:?}");
    assert!(matches!(spawn("--node tasks.mjs").launch.program, Program::Guarded { .. }));
    assert!(refused("spawn --worker ''").contains("--worker needs a program"));
    assert!(refused("spawn --worker \"'a\"").contains("not closed"));
    assert!(refused("spawn --worker x --init 7").contains("\"method\""));
}

#[test]
fn where_jobs_come_from() {
    assert_eq!(spawn("-a jobs.txt").input.source, Source::File("jobs.txt".into()));
    assert_eq!(spawn("--job-file -").input.source, Source::Stdin);
    assert_eq!(spawn("-0").input.format, InputFormat::Null);
    assert_eq!(spawn("--input null -0").input.format, InputFormat::Null);
    assert_eq!(spawn("--input json").input.format, InputFormat::Json);
    assert_eq!(spawn("--max-line 1k").input.max_line, 1024);
    assert!(spawn("--no-jobs fail").pool.fail_on_no_jobs);
    let arguments = |line| match spawn(line).input.source {
        Source::Arguments(words) => words,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(arguments("-- echo {} ::: a '' --json -- b"), ["a", "", "--json", "--", "b"]);
    assert_eq!(arguments("-w2 ::: 'make all'"), ["make all"]);
    assert!(arguments(":::").is_empty());
    assert!(matches!(spawn("-- echo ::: a").pool.target, Target::Template(_)));
    assert!(refused("spawn -a f ::: a").contains("--job-file"));
    assert!(refused("spawn ::: a ::: b").contains("only one :::"));
    assert!(refused("spawn -a ''").contains("--job-file"));
}

#[test]
fn what_comes_out() {
    for line in ["--json", "--format json", "--json --format json"] {
        assert_eq!(spawn(line).output.format, Format::Json, "{line}");
    }
    let config = spawn("--tag -vv --progress never --color always --dry-run");
    assert!(config.output.tag && config.pool.labels && config.output.dry_run);
    assert_eq!(
        (config.output.volume, config.output.progress, config.output.color),
        (Volume::Verbose, When::Never, When::Always)
    );
    assert_eq!(spawn("-q").output.volume, Volume::Quiet);
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (line, parts) in [
        ("--worker x -- echo", ["a command after --", "--worker"]),
        ("--python a --node b", ["--python", "--node"]),
        ("--python a -- b", ["a command after --", "--python"]),
        ("--halt now,fail=2 --fail-fast", ["--halt", "--fail-fast"]),
        ("--json --format text", ["--format", "--json"]),
        ("-0 --input lines", ["--input", "--null"]),
        ("--tag --json", ["--tag", "--json"]),
        ("--tag --format json", ["--tag", "--format json, whose records"]),
        ("-a list ::: x", ["jobs after :::", "--job-file"]),
        ("-0 ::: x", ["jobs after :::", "--null"]),
        ("--input json -- echo ::: {}", ["jobs after :::", "--input"]),
        ("--resume", ["--resume", "needs --output"]),
        ("--retry-failed", ["--retry-failed", "needs --output"]),
        ("--retry-unknown", ["--retry-unknown", "needs --output"]),
        ("--output -", ["--output", "takes a file"]),
        ("--joblog -", ["--joblog", "takes a file"]),
        ("-q -v", ["--quiet", "--verbose"]),
        ("--python-bin x", ["--python-bin", "needs --python"]),
        ("--init '{\"method\":\"a\"}' -- x", ["--init", "commands"]),
        ("--wokers 3", ["--wokers", "--workers"]),
        ("--timeout soon", ["--timeout", "30s"]),
        ("--max-output big", ["--max-output", "512MiB"]),
        ("--halt x", ["--halt", "now,fail=1"]),
        ("--max-jobs-per-worker 0", ["--max-jobs-per-worker", "0"]),
        ("--format xml", ["--format", "possible values: text, json"]),
        ("-w 1 -w 2", ["--workers", "multiple times"]),
    ] {
        let text = refused(&format!("spawn {line}"));
        for part in parts {
            assert!(text.contains(part), "{line}: {text}");
        }
        assert!(text.starts_with("error: "), "{line}: {text}");
    }
}

#[test]
fn help_and_the_rest() {
    assert!(refused("").contains("Usage: supervisor"));
    assert!(refused("swpan").contains("spawn"));
    assert!(printed("--help").contains("supervisor spawn -- convert {} {.}.jpg"));
    assert!(printed("--version").starts_with("supervisor "));
    assert!(printed("completions bash").contains("--keep-order"));
    assert!(printed("completions zsh").contains("--keep-order"));
    assert!(printed("man").contains(".TH"));
    assert!(printed("man spawn").contains("keep\\-order"));
    assert!(refused("man nothing").contains("\"nothing\""));
    assert!(printed("man spawn").contains(".SH \"EXIT CODES\""));
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&format!("completions {shell}"));
        assert!(script.contains("keep-order") && !script.contains("guard"), "{shell}: {script}");
    }
    assert!(refused("check --params [1] -- true").contains("'supervisor check --help'"));
    let (short, long) = (printed("spawn -h"), printed("spawn --help"));
    for heading in ["What runs:", "Jobs:", "Running:", "Failing:", "Output:", "Examples:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}\n{short}");
    }
    assert!(long.contains("Exit codes:") && long.len() > 2 * short.len());
}

#[test]
fn workers_and_guards_get_their_arguments_as_they_are() {
    match parse(argv("guard --lifeline 3 -- a --help ::: b")) {
        Ok(Invocation::Guard(args)) => assert_eq!(args, ["--lifeline", "3", "--", "a", "--help", ":::", "b"]),
        other => panic!("{other:?}"),
    }
    match parse(argv("worker --help")) {
        Ok(Invocation::Worker(args)) => assert_eq!(args, ["--help"]),
        other => panic!("{other:?}"),
    }
}

/// Each option is complete: help, a name for its value, a variable, a heading; and no letter twice.
#[test]
fn the_table_of_options() {
    let definition = args::command(&[], true);
    definition.clone().debug_assert();
    let spawn = definition.find_subcommand("spawn").unwrap();
    let mut letters = BTreeSet::new();
    for arg in spawn.get_arguments() {
        let id = arg.get_id().as_str();
        assert!(arg.get_help().is_some_and(|help| !help.to_string().ends_with('.')), "{id}: help without a full stop");
        assert!(arg.get_help_heading().is_some(), "{id}: a heading");
        for letter in arg.get_short().into_iter().chain(arg.get_all_short_aliases().unwrap_or_default()) {
            assert!(letters.insert(letter), "{id}: -{letter} is taken");
        }
        let Some(long) = arg.get_long().filter(|long| *long != "help") else { continue };
        let variable = arg.get_env().and_then(|name| name.to_str());
        assert_eq!(variable, Some(&*format!("SPV_{}", long.to_uppercase().replace('-', "_"))), "{id}");
        if arg.get_action().takes_values() && arg.get_possible_values().is_empty() {
            assert!(arg.get_value_names().is_some_and(|names| names[0] != id.to_uppercase()), "{id}: name its value");
        }
    }
    assert!(["t", "r", "n", "p", "d"].iter().all(|letter| !letters.contains(&letter.chars().next().unwrap())));
}

/// Variables are read by this process, so each case runs in one of its own: this test binary, asked for this test alone.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment of a process can only be tested in a process")]
fn the_environment_sets_options_and_the_command_line_wins() {
    const LINE: &str = "SPV_TEST_LINE";
    if let Ok(line) = std::env::var(LINE) {
        let text = match parse(argv(&line)) {
            Ok(invocation) => format!("{invocation:?}"),
            Err(error) => error.to_string(),
        };
        panic!("{}", text.replace('\n', " "));
    }
    for (variables, line, expected) in [
        (&[("SPV_WORKERS", "7")][..], "spawn", "workers: 7"),
        (&[("SPV_WORKERS", "7")], "spawn -w 2", "workers: 2"),
        (&[("SPV_WORKERS", "many")], "spawn", "(the value of the variable SPV_WORKERS)"),
        (&[("SPV_FAIL_FAST", "1")], "spawn", "halt: Soon(Count(1))"),
        (&[("SPV_FAIL_FAST", "no")], "spawn --halt soon,fail=2", "halt: Soon(Count(2))"),
        (&[("SPV_FAIL_FAST", "1")], "spawn --halt soon,fail=2", "halt: Soon(Count(2))"),
        (&[("SPV_FAIL_FAST", "perhaps")], "spawn", "(the value of the variable SPV_FAIL_FAST)"),
        (&[("SPV_FAIL_FAST", "1"), ("SPV_HALT", "never")], "spawn", "SPV_HALT and SPV_FAIL_FAST exclude each other"),
        (&[("SPV_PYTHON", "t.py")], "spawn -- echo", "target: Template"),
        (&[("SPV_TAG", "1")], "spawn --json", "tag: false"),
        (&[("SPV_JSON", "1")], "spawn --tag", "tag: true"),
        (&[("SPV_FORMAT", "json")], "spawn --tag", "format: Text"),
        (&[("SPV_TAG", "1"), ("SPV_JSON", "1")], "spawn", "variables SPV_TAG and SPV_JSON exclude each other"),
        (&[("SPV_TAG", "1"), ("SPV_FORMAT", "json")], "spawn", "variables SPV_TAG and SPV_FORMAT exclude each other"),
        (&[("SPV_TAG", "1"), ("SPV_FORMAT", "json")], "spawn --json", "tag: false"),
        (&[("SPV_JSON", "1")], "spawn --format text", "format: Text"),
        (&[("SPV_JOB_FILE", "la")], "spawn ::: x", "source: Arguments"),
        (&[("SPV_INPUT", "json"), ("SPV_JOB_FILE", "la")], "spawn -0", "format: Null"),
        (&[("SPV_INPUT", "json"), ("SPV_NULL", "1")], "spawn ::: x", "format: Auto"),
        (&[("SPV_INPUT", "json"), ("SPV_NULL", "1")], "spawn", "SPV_INPUT and SPV_NULL exclude each other"),
        (&[("SPV_INPUT", "null"), ("SPV_NULL", "1")], "spawn", "format: Null"),
        (&[("SPV_RESUME", "1")], "spawn", "journal: None"),
        (&[("SPV_PYTHON", "t.py"), ("SPV_INIT", "{\"method\":\"a\"}")], "spawn -- echo", "init: []"),
        (&[("SPV_JSON", "true"), ("SPV_KEEP_ORDER", "yes")], "spawn", "format: Json"),
        (&[("SPV_INIT", "{\"method\":\"a\"}")], "spawn", "init: []"),
        (&[("SPV_PYTHON_BIN", "x")], "spawn", "target: Shell"),
        (&[("SPV_VERBOSE", "1")], "spawn -q", "volume: Quiet"),
        (&[("NO_COLOR", "1")], "spawn", "color: Never"),
        (&[("NO_COLOR", "1")], "spawn --color always", "color: Always"),
    ] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "cli::tests::the_environment_sets_options_and_the_command_line_wins";
        child.args([name, "--exact", "--nocapture"]).env(LINE, line).envs(variables.iter().copied());
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains(expected), "{variables:?} {line}: {text}");
    }
}
