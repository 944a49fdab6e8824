//! What an object or an array holds, each part as the text it is. Takes text that is known to be JSON, however deep, and
//! looks at nothing but where the parts end.

use super::canonical::string_length;

/// The members of an object, names with their quotes; none of any other value.
pub(crate) fn members(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let object = Some(json).filter(|json| json.trim_start().starts_with('{'));
    let mut parts = object.map(parts).into_iter().flatten();
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

/// The value of the member that goes by this name, which needs no escapes.
pub(crate) fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let is_it = |given: &str| super::plain_string(given).trim_matches('"') == name;
    members(json).find(|(given, _)| is_it(given)).map(|(_, value)| value)
}

/// The items of an array; none of any other value.
pub(crate) fn items(json: &str) -> impl Iterator<Item = &str> {
    let array = Some(json).filter(|json| json.trim_start().starts_with('['));
    array.map(parts).into_iter().flatten()
}

/// What stands between the brackets or braces, cut at commas and colons.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let bytes = json.as_bytes();
    let mut at = json.len() - json.trim_start().len() + 1;
    std::iter::from_fn(move || {
        let from = at;
        let mut depth = 1;
        while depth > 0 {
            match *bytes.get(at)? {
                b'"' => at += string_length(&bytes[at..]) - 1,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                b',' | b':' if depth == 1 => break,
                _ => {}
            }
            at += 1;
        }
        let end = if depth == 0 { at - 1 } else { at };
        at = if depth == 0 { bytes.len() } else { at + 1 };
        Some(json[from..end].trim()).filter(|part| !part.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_where_they_end() {
        let object = " { \"a\" : [1,{\"x\":2}] ,\"\\u0062\":\"},:\\\"\", \"a\":{} } ";
        let all: Vec<_> = members(object).collect();
        assert_eq!(all, [("\"a\"", "[1,{\"x\":2}]"), ("\"\\u0062\"", "\"},:\\\"\""), ("\"a\"", "{}")]);
        assert_eq!(member(object, "b"), Some("\"},:\\\"\""));
        assert_eq!(member(object, "c"), None);
        assert_eq!(items("[ [1,2], \"]\" ,{}]").collect::<Vec<_>>(), ["[1,2]", "\"]\"", "{}"]);
        for empty in ["{}", "[ ]", "1", "\"{\"", "null"] {
            assert_eq!((members(empty).count(), items(empty).count()), (0, 0), "{empty}");
        }
        let deep = format!("[{}1{}]", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(items(&deep).map(str::len).collect::<Vec<_>>(), [20_001]);
    }
}
