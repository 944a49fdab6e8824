"""What has to hold after every run: the nine invariants, as far as one run can show them.

I1 it ends · I2 one record a job, whole lines, nothing else · I3 the jobs beside the fault are as without it · I4 the fault
is named · I5 nobody is left · I6 the exit code · I7 memory · I8 no spinning · I9 nobody else is signalled. A case adds what
only it can know; this file runs nothing."""

import collections
import json

# Peak of the supervisor itself: so much, and twice the largest line that it was to accept.
MEMORY_MIB = 64
# What one `write` to a pipe keeps together: the last line of a killed supervisor may be cut only above this.
PIPE_BUF = 4096
STATUSES = {"ok", "failed", "timeout", "crashed", "oom", "cancelled", "skipped", "invalid"}


def records_of(out):
    """The records on a standard output, and what is wrong with it as lines."""
    records, faults = [], []
    lines = out.split(b"\n")
    torn = lines.pop()
    if torn:
        faults.append(("torn", len(torn), torn[:60]))
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            assert isinstance(record, dict) and record["status"] in STATUSES
            records.append(record)
        except (ValueError, AssertionError, KeyError, TypeError):
            faults.append(("no record", number, line[:80]))
    return records, faults


def tally(records):
    return dict(collections.Counter(record["status"] for record in records))


def detail(record):
    """What the worker said of a command: of its end and its output, whether it went well or not."""
    return record.get("result") or (record.get("error") or {}).get("data") or {}


def judge(run, ids=None, code=None, want=None, bound=None, line_mib=0, killed=False, text=False):
    """The faults of one run, as sentences. `ids` are the jobs that must have a record, `want` the statuses and how often,
    `code` the exit code or several, `bound` the seconds it may take, `killed` that it was ended by SIGKILL, `text` that its
    standard output holds no records."""
    faults = []
    if run.hung:
        faults.append("I1: still runs after %.1f s: %s" % (run.seconds, run.stuck))
    elif bound is not None and run.seconds > bound:
        faults.append("I1: took %.1f s, more than %g s" % (run.seconds, bound))
    if run.script_failed:
        faults.append("the script of the case: " + run.script_failed)
    run.records, broken = ([], []) if text else records_of(run.out)
    if killed:
        broken = [fault for fault in broken if fault[0] != "torn" or fault[1] < PIPE_BUF]
    faults += ["I2: %s" % (fault,) for fault in broken]
    seen = collections.Counter(json.dumps(record["id"]) for record in run.records)
    if ids is not None:
        wanted = collections.Counter(json.dumps(one) for one in ids)
        lost, alien = list((wanted - seen).elements()), list((seen - wanted).elements())
        if killed:
            lost = []
        if lost or alien:
            faults.append("I2: %d without a record %s, %d too many %s" % (len(lost), lost[:5], len(alien), alien[:5]))
    if want is not None and tally(run.records) != want:
        odd = [record for record in run.records if record["status"] not in want][:2]
        faults.append("I3: %s instead of %s %s" % (tally(run.records), want, json.dumps(odd)[:600]))
    for record in run.records:
        error = record.get("error") or {}
        if record["status"] != "ok" and not error.get("message"):
            faults.append("I4: %s" % json.dumps(record)[:200])
            break
    if run.left:
        faults.append("I5: left after %.1f s: %s" % (run.gone_after, run.left[:5]))
    if code is not None and not run.hung and run.code not in (code if isinstance(code, (list, tuple)) else [code]):
        faults.append("I6: exit code %s instead of %s" % (run.code, code))
    if run.code == 0 and any(record["status"] != "ok" for record in run.records):
        faults.append("I6: exit code 0 although %s" % tally(run.records))
    if run.code == 70 or b"panicked" in run.err:
        faults.append("a defect: " + run.err[-600:].decode("utf-8", "replace"))
    if run.peak_kib > (MEMORY_MIB + 2 * line_mib) * 1024:
        faults.append("I7: peak of %d MiB" % (run.peak_kib // 1024))
    if run.hit:
        faults.append("I9: somebody else was signalled: %s" % run.hit)
    return faults
