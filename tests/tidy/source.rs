//! Reading sources and documents, as far as the rules of the house need it: names, braces and links; no grammar.

use std::fs;
use std::path::Path;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(file: &str) -> String {
    let bytes = fs::read(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All files below a folder, by their path from the root, sorted; none where there is no such folder.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return found };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !["node_modules", "__pycache__"].contains(&name.as_str()) => {
                found.extend(files(&path));
            }
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

pub(crate) fn sources(folder: &str) -> Vec<String> {
    files(folder).into_iter().filter(|file| has_extension(file, "rs")).collect()
}

pub(crate) fn documents() -> Vec<String> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = top.chain(files("docs")).filter(|file| has_extension(file, "md")).collect();
    found.sort();
    found
}

pub(crate) fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|end| end == extension)
}

/// `pool` for `src/pool/queue.rs`, `time` for `src/time.rs`.
pub(crate) fn module_of(file: &str) -> String {
    let inside = file.trim_start_matches("src/");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Files that are only compiled for tests, by their names.
pub(crate) fn is_test_file(file: &str) -> bool {
    ["tests.rs", "fixtures.rs"].iter().any(|end| file.ends_with(end))
}

/// The code before its tests, which stand last.
pub(crate) fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// Everything imported from the library, as `module` or `module::Item`.
pub(crate) fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        for path in expand(&code[at + "crate::".len()..]) {
            let mut parts = path.split("::").filter(|part| !part.is_empty());
            let (Some(module), item) = (parts.next(), parts.next()) else { continue };
            found.push(item.map_or(module.to_owned(), |item| format!("{module}::{item}")));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The paths at the head of some code, with `{}` multiplied out: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(code: &str) -> Vec<String> {
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(code.len());
    let (head, rest) = code.split_at(end);
    if !rest.starts_with('{') || !(head.is_empty() || head.ends_with("::")) {
        return vec![head.to_owned()];
    }
    let (mut depth, mut from, mut found) = (0, 1, Vec::new());
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 1 => depth -= 1,
            ',' | '}' if depth == 1 => {
                found.extend(expand(rest[from..at].trim()).into_iter().map(|tail| format!("{head}{tail}")));
                from = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a text holds a word that is not part of a longer one.
pub(crate) fn contains_word(text: &str, word: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(belongs);
        let after = text[at + word.len()..].chars().next().is_some_and(belongs);
        !before && (!after || word.ends_with(':'))
    })
}

/// Functions with a body: name and number of lines.
pub(crate) fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = code[at..].find(['{', ';']).filter(|_| starts && !name.is_empty()) else { continue };
        if code[at + open..].starts_with('{') {
            let body = &code[at..at + open + block(&code[at + open..])];
            found.push((name, body.lines().count()));
        }
    }
    found
}

/// The length of the block in braces at the head of some code.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The code with comments and the contents of literals made blank, so that braces and names in them do not count.
pub(crate) fn blank(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let skipped = literal(rest).unwrap_or(0);
        if skipped == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
        // What belongs to a name cannot open a raw string.
        if skipped == 0 && (first.is_alphanumeric() || first == '_') {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if !["r", "b", "br", "c", "cr"].contains(&format!("{first}{}", &rest[..end]).as_str()) {
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    out
}

/// The length of the comment or literal at the head of some code.
fn literal(code: &str) -> Option<usize> {
    if code.starts_with("//") {
        return Some(code.find('\n').unwrap_or(code.len()));
    }
    if code.starts_with("/*") {
        return Some(code.find("*/").map_or(code.len(), |end| end + 2));
    }
    let raw = code.strip_prefix("br").or(code.strip_prefix("cr")).or(code.strip_prefix('r'));
    if let Some(after) = raw {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let from = code.len() - after.len() + hashes + 1;
            return Some(code[from..].find(&close).map_or(code.len(), |end| from + end + close.len()));
        }
    }
    match code.chars().next()? {
        '"' => Some(quoted(code, '"')),
        // A lifetime has no closing quote where a character has it.
        '\'' if code[1..].starts_with('\\') => Some(quoted(code, '\'')),
        '\'' => {
            let letter = code[1..].chars().next()?;
            code[1 + letter.len_utf8()..].starts_with('\'').then_some(2 + letter.len_utf8())
        }
        _ => None,
    }
}

/// The length of the literal at the head of some code, which ends at a quote that no backslash precedes.
fn quoted(code: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in code.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    code.len()
}

/// Targets of `[text](target)` outside of code.
pub(crate) fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && !line.starts_with("    ") {
            let prose = line.split('`').step_by(2);
            let targets = prose.flat_map(|part| part.split("](").skip(1));
            found.extend(targets.filter_map(|target| target.split([')', ' ']).next()));
        }
    }
    found
}

/// A heading's name in links.
pub(crate) fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_reader_of_sources_is_not_fooled() {
    let code = "fn a() { let x = \"} fn b() {\"; // }\n let y = '}'; let z: &'a str = r#\"}\"#; }\nfn c(&self);\n";
    assert_eq!(functions(&blank(code)), [("a".to_owned(), 2)]);
    assert_eq!(
        imports("use crate::pool::{Stats, action::Notice}; crate::time::Time"),
        ["pool::Stats", "pool::action", "time::Time"]
    );
    assert_eq!(expand("{a::B, c}"), ["a::B", "c"]);
    assert_eq!(slug("## What a `crash` costs, exactly"), "what-a-crash-costs-exactly");
    assert_eq!(links("[a](b.md#c) `[x](y)` and [d](e)"), ["b.md#c", "e"]);
}
