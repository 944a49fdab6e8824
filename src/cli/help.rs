//! The prose of the help pages that belongs to no single option.

/// Below the list of subcommands.
pub(super) const AFTER_MAIN: &str = "\
Examples:
  find img -name '*.png' | supervisor spawn -- convert {} {.}.jpg
  supervisor spawn --help

Exit codes: see supervisor spawn --help";

/// Below the help of `lock`.
pub(super) const AFTER_LOCK: &str = "\
Example, in a job of supervisor spawn:
  supervisor lock db -- sh -c 'echo $(($(cat total) + 1)) > total'

Exit codes: the command's own; 124 when the lock was not free in time, 125 when it cannot be had
(a deadlock, the run has ended), 126 and 127 when the command cannot be started, 2 outside a run.";

/// Below the short help of `spawn`.
pub(super) const AFTER_SPAWN: &str = "\
Examples:
  supervisor spawn --workers 3 < commands.txt            each line is a shell command
  find img -name '*.png' | supervisor spawn -- convert {} {.}.jpg
  ./make-jobs.py | supervisor spawn --python tasks.py --json > results.jsonl

Every option can be set as SPV_<OPTION>, e.g. SPV_WORKERS=4. More with --help.";

/// Below the long help of `spawn`.
pub(super) const AFTER_SPAWN_LONG: &str = "\
Examples:
  Three workers, each line of the list is a shell command:
      supervisor spawn --workers 3 < commands.txt
  One command for each file, whatever its name holds:
      find img -name '*.png' -print0 | supervisor spawn -0 -- convert {} {.}.jpg
  The same for jobs given as arguments, as in GNU parallel:
      supervisor spawn -- gzip -9 {} ::: a.log b.log c.log
  A script writes the list, Python functions do the work, records come out:
      ./make-jobs.py | supervisor spawn --python tasks.py --json > results.jsonl
  In CI: stop at the first failure, no job longer than 5 minutes, the exit code tells:
      supervisor spawn --fail-fast --timeout 5m < tests.txt || echo \"failed with $?\"

Jobs in JSON, one on each line or all in one array:
  {\"id\":\"a1\",\"method\":\"resize\",\"params\":[\"a.png\",2]}       a function call
  [\"a.png\",2]                                            parameters for the FUNCTION given with --python
  {\"command\":[\"convert\",\"a.png\",\"a.jpg\"],\"cwd\":\"img\",\"env\":{\"K\":\"v\"},\"stdin\":\"...\"}
  {\"command\":\"make && make check\",\"timeout\":\"5m\",\"retries\":2}
  and on any of them: timeout, retries, needs (ids), locks (names), priority, tags

Durations are 500ms, 30s, 5m, 1h30m (a plain number is seconds), sizes 64k, 10MB, 512MiB, 2GiB.

Environment:
  Every option can be set as SPV_<OPTION>, e.g. SPV_WORKERS=4 or SPV_FAIL_FAST=1; the command line wins.
  Commands see SPV_JOB_ID, SPV_WORKER_ID and SPV_ATTEMPT, workers SPV_WORKER_ID.

Exit codes:
  0   every job ended ok
  1   at least one job did not
  2   bad usage, nothing ran
  3   part of the job list could not be read as jobs; the rest ran
  4   the list held no job, under --no-jobs fail
  5   workers could not be started, or kept dying before doing any work
  6   results could not be written
  70  a defect in supervisor itself
  Stopped by a signal, it cleans up and ends by that signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.";
