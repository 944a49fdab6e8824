//! The reader under every way of cutting its input: whole, byte by byte, and anywhere.

use super::*;
use crate::config::InputFormat;
use proptest::prelude::*;

const FORMATS: [InputFormat; 4] = [InputFormat::Auto, InputFormat::Lines, InputFormat::Null, InputFormat::Json];
const LIMIT: usize = 1 << 20;

fn drain(reader: &mut Reader, out: &mut Vec<String>) {
    out.extend(reader.map(|entry| format!("{entry:?}")));
}

/// Reads chunks, asking for entries after each one.
fn read(format: InputFormat, limit: usize, chunks: &[&[u8]], end: End) -> Vec<String> {
    let (mut reader, mut out) = (Reader::new(format, limit), Vec::new());
    for chunk in chunks {
        reader.push(chunk);
        drain(&mut reader, &mut out);
    }
    reader.finish(end);
    drain(&mut reader, &mut out);
    out
}

/// Reads a list in one piece, in single bytes, and pushed whole before the first question; all must agree.
fn read_all_ways(format: InputFormat, limit: usize, list: &[u8], end: End) -> Vec<Entry> {
    let whole = read(format, limit, &[list], end);
    let bytes: Vec<&[u8]> = list.chunks(1).collect();
    assert_eq!(read(format, limit, &bytes, end), whole, "byte by byte: {:?}", String::from_utf8_lossy(list));
    let mut reader = Reader::new(format, limit);
    reader.push(list);
    reader.finish(end);
    let entries: Vec<Entry> = reader.by_ref().collect();
    let late: Vec<String> = entries.iter().map(|entry| format!("{entry:?}")).collect();
    assert_eq!(late, whole, "asked late: {:?}", String::from_utf8_lossy(list));
    assert!(reader.next().is_none() && reader.buffered() == 0, "nothing is left over");
    entries
}

/// One word for each entry: a job's label, or where and why it is none.
fn words(format: InputFormat, list: impl AsRef<[u8]>) -> Vec<String> {
    words_of(read_all_ways(format, LIMIT, list.as_ref(), End::Complete))
}

fn words_of(entries: Vec<Entry>) -> Vec<String> {
    let word = |entry| match entry {
        Entry::Job(job) => String::from_utf8_lossy(&job.label()).into_owned(),
        Entry::Invalid(bad) => format!("!{}:{} {}", bad.line, bad.column, bad.message),
    };
    entries.into_iter().map(word).collect()
}

fn only_job(list: &str) -> Job {
    let mut entries = read_all_ways(InputFormat::Auto, LIMIT, list.as_bytes(), End::Complete);
    match (entries.pop(), entries.is_empty()) {
        (Some(Entry::Job(job)), true) => job,
        other => panic!("{list}: {other:?}"),
    }
}

fn only_fault(list: &str) -> Invalid {
    let mut entries = read_all_ways(InputFormat::Json, LIMIT, list.as_bytes(), End::Complete);
    match (entries.pop(), entries.is_empty()) {
        (Some(Entry::Invalid(invalid)), true) => invalid,
        other => panic!("{list}: {other:?}"),
    }
}

#[test]
fn lines() {
    for (list, jobs) in [
        ("", &[][..]),
        ("\n\n", &[]),
        ("a\nb\n", &["a", "b"]),
        ("a\nb", &["a", "b"]),
        ("a\r\nb\r\n", &["a", "b"]),
        ("a\r\r\nb\r", &["a\r", "b"]),
        (" \t\r\n a \n\r\n", &[" a "]),
        ("\u{feff}a\n\u{feff}b", &["a", "\u{feff}b"]),
        ("\u{feff}", &[]),
        ("#a\n[x]\n{y}", &["#a", "[x]", "{y}"]),
    ] {
        assert_eq!(words(InputFormat::Auto, list), jobs, "{list:?}");
        assert_eq!(words(InputFormat::Lines, list), jobs, "{list:?}");
    }
    assert_eq!(words(InputFormat::Lines, "{\"a\":1}\n[1]"), ["{\"a\":1}", "[1]"]);
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let entries = read_all_ways(InputFormat::Auto, LIMIT, b"a\xff\xfe.txt\n\xef\xbb\n", End::Complete);
    let lines: Vec<_> = entries
        .into_iter()
        .map(|entry| match entry {
            Entry::Job(Job { call: Call::Line(line), .. }) => line.into_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines, [&b"a\xff\xfe.txt"[..], b"\xef\xbb"]);
}

#[test]
fn nul_separated_items_are_kept_to_the_byte() {
    assert_eq!(words(InputFormat::Null, "a\nb\0\0 \0c\r\0\u{feff}"), ["a\nb", " ", "c\r", "\u{feff}"]);
}

#[test]
fn a_nul_in_a_line_makes_that_line_invalid_and_no_other() {
    let entries = words(InputFormat::Auto, "a\nb\0c\nd\n");
    assert_eq!(entries.len(), 3);
    assert!(entries[1].starts_with("!2:2 a NUL byte"), "{entries:?}");
    assert_eq!(entries[2], "d");
}

#[test]
fn numbers_and_ids() {
    let entries =
        read_all_ways(InputFormat::Auto, LIMIT, b"{\"method\":\"f\",\"id\":\"x\"}\n{]\n\n[1]\n", End::Complete);
    let seen: Vec<_> = entries
        .into_iter()
        .map(|entry| match entry {
            Entry::Job(job) => (job.number.0, Some(job.id)),
            Entry::Invalid(invalid) => (invalid.number.0, invalid.id),
        })
        .collect();
    assert_eq!(seen, [(1, Some(UserId::Json("\"x\"".into()))), (2, None), (3, Some(UserId::Number(3)))]);
}

#[test]
fn a_line_above_the_limit_is_one_fault_and_the_rest_goes_on() {
    let list = format!("short\n{}\nafter\n{}", "x".repeat(101), "y".repeat(1000));
    let entries = read_all_ways(InputFormat::Auto, 100, list.as_bytes(), End::Complete);
    let faults = entries.iter().filter_map(|entry| match entry {
        Entry::Invalid(invalid) => Some((invalid.line, invalid.column, invalid.excerpt.len())),
        Entry::Job(_) => None,
    });
    assert_eq!(faults.collect::<Vec<_>>(), [(2, 101, EXCERPT_BYTES_MAX), (4, 101, EXCERPT_BYTES_MAX)]);
    assert_eq!(entries.len(), 4);
    assert_eq!(words(InputFormat::Lines, "x".repeat(LIMIT)).len(), 1);
}

#[test]
fn an_endless_line_takes_no_memory_above_the_limit() {
    for start in ["x", "[{\"params\":[\"", "[[", "{"] {
        let mut reader = Reader::new(InputFormat::Auto, LIMIT);
        reader.push(start.as_bytes());
        let mut faults = 0;
        for _ in 0..1000 {
            reader.push(&[b'z'; 65_536]);
            faults += reader.by_ref().count();
            assert!(reader.buffered() <= LIMIT + 65_536);
        }
        assert_eq!(faults, 1, "{start}");
        assert!(reader.memory() <= 4 * LIMIT, "{} bytes held", reader.memory());
    }
}

#[test]
fn a_huge_line_within_the_limit_works_and_its_memory_is_given_back() {
    let mut reader = Reader::new(InputFormat::Lines, 100 << 20);
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        reader.push(&chunk);
        assert!(reader.next().is_none());
    }
    reader.push(b"\nnext");
    let Some(Entry::Job(Job { call: Call::Line(line), .. })) = reader.next() else { panic!("no job") };
    assert_eq!(line.len(), 100 << 20);
    // At once, and not only when the list is looked at again: the job waits, and becomes a request.
    assert!(reader.memory() <= 1 << 20);
    assert!(reader.next().is_none());
    reader.push(b"\n");
    assert_eq!(reader.by_ref().count(), 1);
    assert!(reader.memory() <= 1 << 20);
}

#[test]
fn what_a_failed_read_tore_is_no_job() {
    for (list, format) in [
        (&b"a\nrm -rf /tmp/x"[..], InputFormat::Auto),
        (b"a\0rm -rf /tmp/x", InputFormat::Null),
        (b"{\"method\":\"f\"}\n{\"method\":\"g\"}", InputFormat::Json),
        (b"[{\"method\":\"f\"},{\"method\":", InputFormat::Json),
    ] {
        let entries = words_of(read_all_ways(format, LIMIT, list, End::Torn));
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert!(entries[1].contains("reading the job list failed"), "{entries:?}");
    }
    assert_eq!(words_of(read_all_ways(InputFormat::Lines, LIMIT, b"a\n", End::Torn)), ["a"]);
    assert_eq!(words_of(read_all_ways(InputFormat::Json, LIMIT, b"[[1]\n,", End::Torn)), ["[1]"]);
}

#[test]
fn json_lines_and_arrays() {
    for (list, jobs) in [
        ("{\"method\":\"f\"}\r\n\n  {\"method\":\"g\",\"params\":[1]}", &["f()", "g(1)"][..]),
        ("[\"Tugas 1\",2]\n[\"Tugas 2\",3]\n", &["[\"Tugas 1\",2]", "[\"Tugas 2\",3]"]),
        ("[[1,2],[3]]\n[[4]]", &["[[1,2],[3]]", "[[4]]"]),
        ("[[1,2],\n[3]]", &["[1,2]", "[3]"]),
        ("[]", &[]),
        ("[]\n[{\"method\":\"f\"}]", &["f()"]),
        (
            "\u{feff} [ {\"method\":\"f\"} , [1,\n\"]\\\"\"],{\n\"command\" : \"x\"}\n]\n",
            &["f()", "[1, \"]\\\"\"]", "x"],
        ),
        ("[{\"method\":\"f\"}]\n[{\"method\":\"g\"}]", &["f()", "g()"]),
    ] {
        assert_eq!(words(InputFormat::Auto, list), jobs, "{list:?}");
        assert_eq!(words(InputFormat::Json, list), jobs, "{list:?}");
    }
}

#[test]
fn elements_are_handed_out_before_the_array_ends() {
    let mut reader = Reader::new(InputFormat::Auto, LIMIT);
    reader.push(b"[{\"method\":\"f\"},{\"method\":\"g\"}");
    assert_eq!(reader.by_ref().count(), 2);
    reader.push(b",");
    assert_eq!(reader.by_ref().count(), 0);
}

#[test]
fn faults_of_arrays_have_their_place_in_the_stream() {
    for (list, entries) in [
        (
            "[\n {\"method\":\"f\"},\n {\"methd\":\"g\"}]",
            &["f()", "!3:9 unknown member \"methd\", did you mean \"method\"?"][..],
        ),
        ("[{\"method\":\"f\"}\n{\"method\":\"g\"}]", &["f()", "!2:1 expected a comma"]),
        ("[{\"method\":\"f\"},]", &["f()", "!1:17 expected a job"]),
        ("[{\"method\":\"f\"}] x", &["f()", "!1:18 expected nothing"]),
        ("[{\"method\":\"f\"}", &["f()", "!1:16 the array of jobs is not closed"]),
        ("[{\"method\":\"f\"},\n {\"me", &["f()", "!2:2 the job list ends inside this job"]),
        ("[{\"method\":\"f\"}, 7, \"x\"]", &["f()", "!1:18 a JSON job is", "!1:21 a JSON job is"]),
        ("[{\"method\":\"f\"},\n{\n\"retries\": -1, \"method\":\"g\"}]", &["f()", "!3:12 \"retries\" must be"]),
    ] {
        let seen = words(InputFormat::Json, list);
        assert_eq!(seen.len(), entries.len(), "{list:?} {seen:?}");
        for (seen, expected) in seen.iter().zip(entries) {
            assert!(seen.starts_with(expected), "{list:?}: {seen} should be {expected}");
        }
    }
}

#[test]
fn faults_of_json_jobs() {
    for (job, column, message) in [
        ("echo", 1, "a JSON job is an object"),
        ("7", 1, "a JSON job is an object"),
        ("{\"id\":1}", 1, "a job needs a \"command\""),
        ("{\"method\":\"f\",\"method\":\"g\"}", 27, "member \"method\" is there twice"),
        ("{\"method\":\"f\",\"command\":\"g\"}", 11, "not both"),
        ("{\"method\":7}", 11, "\"method\" must be"),
        ("{\"method\":\"\"}", 11, "\"method\" must be"),
        ("{\"method\":\"f\",\"params\":7}", 24, "\"params\" must be an array or an object"),
        ("{\"method\":\"f\",\"cwd\":\"/\"}", 21, "\"cwd\" belongs to a \"command\""),
        ("{\"id\":[1],\"method\":\"f\"}", 7, "\"id\" must be a string or a number"),
        ("{\"command\":[]}", 12, "\"command\" must be"),
        ("{\"command\":[\"a\",1]}", 17, "\"command\" must be"),
        ("{\"command\":{\"a\":1}}", 12, "\"command\" must be"),
        ("{\"command\":[\"a\\u0000\"]}", 13, "NUL"),
        ("{\"command\":\"\\ud800\"}", 12, "\"command\" holds a lone surrogate"),
        ("{\"command\":\"a\",\"env\":{\"A\":1}}", 22, "the value of \"A\""),
        ("{\"command\":\"a\",\"env\":{\"A=B\":\"1\"}}", 22, "cannot be the name"),
        ("{\"command\":\"a\",\"env\":[]}", 22, "\"env\" must be an object"),
        ("{\"command\":\"a\",\"stdin\":7}", 24, "\"stdin\" must be a string"),
        ("{\"command\":\"a\",\"timeout\":\"soon\"}", 26, "\"timeout\" must be seconds, or a duration such as"),
        ("{\"command\":\"a\",\"timeout\":-1}", 26, "\"timeout\" must be"),
        ("{\"command\":\"a\",\"retries\":1.5}", 26, "\"retries\" must be a whole number"),
        ("{\"command\":\"a\",\"needs\":[true]}", 25, "\"needs\" must be an array of ids"),
        ("{\"command\":\"a\",\"needs\":\"x\"}", 24, "\"needs\" must be an array of ids"),
        ("{\"command\":\"a\",\"locks\":[1]}", 25, "\"locks\" must be an array of strings"),
        ("{\"command\":\"a\",\"priority\":\"high\"}", 27, "\"priority\" must be a whole number"),
        ("{\"command\":\"a\",\"tags\":{}}", 23, "\"tags\" must be an array of strings"),
        ("{\"command\":\"a\",\"jsonrpc\":\"1.0\"}", 26, "\"jsonrpc\" must be \"2.0\""),
        ("{\"comand\":\"a\"}", 9, "unknown member \"comand\", did you mean \"command\"?"),
        ("{\"method\":\"f\"", 13, "jq -c"),
        ("{\"method\":\"f\",}", 15, "trailing comma"),
        ("{\"method\":\"f\"} {}", 16, "trailing characters"),
        ("{\"method\":\"f\",\"params\":[1,]}", 27, ""),
    ] {
        let fault = only_fault(job);
        assert!(fault.message.contains(message), "{job}: {}", fault.message);
        assert_eq!((fault.line, fault.column), (1, column), "{job}: {}", fault.message);
        assert_eq!(&fault.excerpt[..], job.as_bytes());
    }
    assert_eq!(only_fault("{\"id\":\"a\",\"comand\":1}").id, Some(UserId::Json("\"a\"".into())));
    assert_eq!(only_fault("{\"id\":\"a\",\"command\":1}").id, Some(UserId::Json("\"a\"".into())));
}

#[test]
fn bytes_that_are_no_text_are_no_json() {
    let entries = words_of(read_all_ways(InputFormat::Json, LIMIT, b"{\"a\xff\"}\n{\"method\":\"f\"}", End::Complete));
    assert_eq!(entries, ["!1:4 JSON must be UTF-8; these bytes are not", "f()"]);
}

#[test]
fn everything_a_job_may_say() {
    let job = only_job(
        r#"{"jsonrpc":"2.0","id":7,"command":["a","b\n"],"cwd":"d","env":{"Z":"","A":"1"},"stdin":"s","timeout":"500ms","retries":2,"needs":["x",3],"locks":["db"],"priority":-4,"tags":["t"]}"#,
    );
    assert_eq!(job.id, UserId::Json("7".into()));
    let Call::Command(command) = job.call else { panic!("{:?}", job.call) };
    assert_eq!(command.argument, Argument::Argv(vec![b"a"[..].into(), b"b\n"[..].into()]));
    assert_eq!((command.cwd.as_deref(), command.stdin.as_deref()), (Some("d"), Some("s")));
    assert_eq!(command.env, [("Z".into(), String::new()), ("A".into(), "1".into())]);
    let options = job.options.unwrap();
    assert_eq!(options.timeout, Some(std::time::Duration::from_millis(500)));
    assert_eq!((options.retries, options.priority), (Some(2), -4));
    assert_eq!(options.needs, [UserId::Json("\"x\"".into()), UserId::Json("3".into())]);
    assert_eq!((&*options.locks[0], options.tags.unwrap().get()), ("db", "[\"t\"]"));
}

#[test]
fn null_is_as_if_the_member_was_missing() {
    let job = only_job(r#"{"id":null,"method":"f","params":null,"command":null,"timeout":null}"#);
    assert_eq!((job.label(), job.id), (b"f()".to_vec(), UserId::Number(1)));
}

#[test]
fn a_timeout_of_0_is_no_limit() {
    for zero in ["0", "\"0s\"", "0.0"] {
        let job = only_job(&format!("{{\"command\":\"a\",\"timeout\":{zero}}}"));
        assert_eq!(job.options.unwrap().timeout, Some(std::time::Duration::MAX));
    }
}

#[test]
fn parameters_stay_as_given_but_on_one_line() {
    let job = only_job("[{\"method\":\"f\",\"params\":[\n 1.50,\r\n \"\\ud800 \\n\"\n]}\n]");
    let Call::Function(call) = job.call else { panic!("{:?}", job.call) };
    assert_eq!(call.params(), "[  1.50,   \"\\ud800 \\n\" ]");
}

#[test]
fn a_large_line_is_read_as_a_small_one_is() {
    let job = |text: &str| {
        let list = format!("{{\"method\":\"f\"}}\n{text}\n{{\"method\":\"g\"}}\n");
        let chunks: Vec<&[u8]> = list.as_bytes().chunks(64 << 10).collect();
        let entries = read(InputFormat::Json, 16 << 20, &chunks, End::Complete);
        assert!(entries.len() == 3 && entries[2].contains("g[]"), "its neighbours are whole");
        entries[1].clone()
    };
    let shape = |text: &str| text.replace(|c: char| c == 'x' || c.is_ascii_digit(), "");
    for (before, after) in [
        ("{\"id\":\"i\",\"method\":\"f\",\"params\":[\"", "\"],\"timeout\":5} "),
        (" {\"params\":{\"a\":\"", "\\n\"}}\r"),
        ("[1, \"", "\"]"),
        ("{\"method\":\"f\",\"params\":[\"", "\"],\"timeout\":[]}"),
    ] {
        let of = |count: usize| job(&format!("{before}{}{after}", "x".repeat(count)));
        let (small, large) = (of(1000), of(2 << 20));
        assert!(shape(&large) == shape(&small), "{before}: {}", shape(&large));
        let more = if small.contains("Invalid") { 0 } else { (2 << 20) - 1000 };
        assert_eq!(large.matches('x').count() - small.matches('x').count(), more, "{before}");
    }
}

#[test]
fn deep_nesting_neither_overflows_nor_hangs() {
    let deep = format!("{{\"method\":\"f\",\"params\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(words(InputFormat::Auto, deep).len(), 1);
    assert_eq!(words(InputFormat::Auto, "{\"a\":".repeat(100_000)).len(), 1);
}

#[test]
fn arguments_are_jobs_as_they_are() {
    let jobs = from_arguments(&["a".into(), "".into(), "{}".into()]);
    let labels: Vec<_> = jobs.iter().map(|job| (job.number.0, job.label())).collect();
    assert_eq!(labels, [(1, b"a".to_vec()), (2, b"".to_vec()), (3, b"{}".to_vec())]);
}

/// Text made of the pieces that matter to a reader.
fn lists() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 28] = [
        b"\n",
        b"\r\n",
        b"\0",
        b" ",
        b"\t",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"a",
        b"1",
        b"null",
        b"\xff",
        b"\xef\xbb\xbf",
        b"{\"method\":\"f\"}",
        b"{\"command\":[\"x\",\"y\"]}",
        b"{\"id\":1,\"params\":[1]}",
        b"[1,2]",
        b"[[",
        b"]]",
        b"\"\\\"\"",
        b"\xc3\xa9",
        b"echo {}",
        b"\r",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(list in lists(), cuts in proptest::collection::vec(0_usize..200, 0..8), limit in 1_usize..60, torn: bool) {
        let end = if torn { End::Torn } else { End::Complete };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(list.len())).chain([0, list.len()]).collect();
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &list[pair[0]..pair[1]]).collect();
        for format in FORMATS {
            for limit in [limit, LIMIT] {
                read_all_ways(format, limit, &list, end);
                let whole = read(format, limit, &[&list], end);
                prop_assert_eq!(&read(format, limit, &chunks, end), &whole);
            }
        }
    }

    #[test]
    fn no_line_is_lost(lines in proptest::collection::vec("[a-z\u{e9} ]{0,20}", 0..30), crlf: bool) {
        let list = lines.join(if crlf { "\r\n" } else { "\n" });
        let expected: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
        let entries = read_all_ways(InputFormat::Lines, LIMIT, list.as_bytes(), End::Complete);
        prop_assert_eq!(entries.len(), expected.len());
        for ((entry, expected), number) in entries.into_iter().zip(expected).zip(1..) {
            match entry {
                Entry::Job(Job { call: Call::Line(line), number: given, .. }) => {
                    prop_assert_eq!((&*line, given.0), (expected.as_bytes(), number));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn no_element_is_lost(numbers in proptest::collection::vec(0_u32..100, 1..30), blank in "[ \n\t\r]{0,3}") {
        let jobs: Vec<String> = numbers.iter().map(|n| format!("{blank}{{\"method\":\"f\",{blank}\"params\":[{n}]}}{blank}")).collect();
        let list = format!("{blank}[{}]{blank}", jobs.join(","));
        let expected: Vec<String> = numbers.iter().map(|n| format!("f({n})")).collect();
        prop_assert_eq!(words(InputFormat::Auto, list), expected);
    }
}
