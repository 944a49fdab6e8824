//! The manual pages. Owns how the prose below the options becomes sections of a page; what it says is in [`super::help`].

use super::UsageError;
use clap::builder::Resettable;
use std::fmt::Write;

/// The page about the program, or about one of its subcommands.
pub(super) fn page(mut definition: clap::Command, subcommand: Option<&str>) -> Result<String, UsageError> {
    definition.build();
    let page = match subcommand {
        None => definition,
        Some(name) => match definition.find_subcommand(name).filter(|found| !found.is_hide_set()) {
            // A page is named as git's are: supervisor-spawn.
            Some(found) => found.clone().name(format!("supervisor-{name}")),
            None => {
                let shown = definition.get_subcommands().filter(|found| !found.is_hide_set());
                let names = shown.map(clap::Command::get_name).collect::<Vec<_>>().join(", ");
                let message = format!("there is no page about {name:?}; there are pages about {names}");
                return Err(UsageError::of("man", &message));
            }
        },
    };
    let prose = page.get_after_long_help().or_else(|| page.get_after_help()).map(ToString::to_string);
    let page = page.after_help(Resettable::Reset).after_long_help(Resettable::Reset);
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page).render(&mut text);
    rendered.map_err(|error| UsageError::of("man", &error.to_string()))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    prose.unwrap_or_default().split("\n\n").for_each(|paragraph| push_paragraph(paragraph, &mut text));
    Ok(text)
}

/// A paragraph is a section where it begins with words of a heading and a colon. What is indented keeps its lines.
fn push_paragraph(paragraph: &str, page: &mut String) {
    let heading = paragraph.split([',', ':']).next().filter(|head| head.len() < paragraph.len()).unwrap_or_default();
    let is_heading = heading.split(' ').count() <= 3 && !heading.contains('\n') && paragraph.contains(':');
    let mut rest = paragraph;
    if is_heading {
        let _ = writeln!(page, ".SH \"{}\"", escaped(&heading.to_uppercase()));
        let at = paragraph.find(':').map_or(0, |at| at + 1);
        // What stands between the heading's words and the colon says more, and is not to be lost.
        rest = if paragraph[heading.len()..].starts_with(':') {
            paragraph[at..].trim_start_matches(' ')
        } else {
            paragraph
        };
    } else {
        page.push_str(".PP\n");
    }
    let mut is_kept = false;
    for line in rest.lines().filter(|line| !line.is_empty()) {
        if line.starts_with(' ') != is_kept {
            is_kept = !is_kept;
            page.push_str(if is_kept { ".nf\n" } else { ".fi\n" });
        }
        let _ = writeln!(page, "{}", escaped(line));
    }
    page.push_str(if is_kept { ".fi\n" } else { "" });
}

/// A line in which nothing is taken for a request or an escape.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(paragraph: &str) -> String {
        let mut page = String::new();
        push_paragraph(paragraph, &mut page);
        page
    }

    #[test]
    fn paragraphs_become_sections_and_examples_keep_their_lines() {
        assert_eq!(
            section("Examples:\n  One:\n      a -b\n  .c \\d"),
            ".SH \"EXAMPLES\"\n.nf\n  One:\n      a \\-b\n  .c \\ed\n.fi\n"
        );
        assert_eq!(section("Exit codes: its own;\n124 late"), ".SH \"EXIT CODES\"\nits own;\n124 late\n");
        assert_eq!(
            section("Jobs in JSON, one a line:\n  {}"),
            ".SH \"JOBS IN JSON\"\nJobs in JSON, one a line:\n.nf\n  {}\n.fi\n"
        );
        assert_eq!(section("Sizes are 1k, 2k\n.x"), ".PP\nSizes are 1k, 2k\n\\&.x\n");
    }

    #[test]
    fn no_page_is_about_what_is_hidden_and_the_others_are_named() {
        let error = page(super::super::args::command(&[], true), Some("worker")).unwrap_err().to_string();
        assert!(error.contains("pages about lock, check, completions, man, spawn\n"), "{error}");
        assert!(error.contains("'supervisor man --help'"), "{error}");
    }
}
