//! The parts of a Markdown file: its front matter, its text, and the title in that.

/// A Markdown file, cut in two.
#[derive(Debug, PartialEq)]
pub(crate) struct Parts<'a> {
    /// The YAML between the lines `---`. It begins on line 2.
    pub(crate) front_matter: Option<&'a str>,
    /// Everything else.
    pub(crate) body: &'a str,
}

/// The front matter begins on the first line and is never closed.
#[derive(Debug, PartialEq)]
pub(crate) struct Unclosed;

/// Cuts off the front matter: if the first line is `---`, all up to the next line that is `---` or `...`.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, Unclosed> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if !is_fence(first, "---") {
        return Ok(Parts { front_matter: None, body: text });
    }
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        let end = offset + line.len();
        if is_fence(line, "---") || is_fence(line, "...") {
            return Ok(Parts { front_matter: Some(&rest[..offset]), body: &rest[end..] });
        }
        offset = end;
    }
    Err(Unclosed)
}

fn is_fence(line: &str, fence: &str) -> bool {
    line.trim_end() == fence
}

/// The first heading outside of code, else the first line with something on it.
pub(crate) fn title(body: &str) -> Option<String> {
    let mut code: Option<&str> = None;
    let heading = body.lines().find_map(|line| {
        let line = line.trim_start();
        let fence = ["```", "~~~"].into_iter().find(|fence| line.starts_with(fence));
        match (code, fence) {
            (Some(open), Some(fence)) if open == fence => code = None,
            (Some(_), _) => {}
            (None, Some(fence)) => code = Some(fence),
            (None, None) => return heading(line),
        }
        None
    });
    heading.or_else(|| body.lines().map(one_line).find(|line| !line.is_empty()))
}

fn heading(line: &str) -> Option<String> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if !(1..=6).contains(&level) || !text.starts_with([' ', '\t']) {
        return None;
    }
    Some(one_line(text.trim_end().trim_end_matches('#'))).filter(|text| !text.is_empty())
}

/// A text as a title: on one line, without control characters, cut to 100 characters.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 100 { line } else { line.chars().take(99).collect::<String>() + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(front_matter: Option<&'a str>, body: &'a str) -> Result<Parts<'a>, Unclosed> {
        Ok(Parts { front_matter, body })
    }

    #[test]
    fn front_matter_lies_between_two_lines_of_dashes() {
        assert_eq!(split("---\na: 1\n---\nText\n"), parts(Some("a: 1\n"), "Text\n"));
        assert_eq!(split("--- \na: 1\n...\nText"), parts(Some("a: 1\n"), "Text"));
        assert_eq!(split("---\n---"), parts(Some(""), ""));
        assert_eq!(split("---\nrun: |\n  ---\n  x\n---\n---\n"), parts(Some("run: |\n  ---\n  x\n"), "---\n"));
    }

    #[test]
    fn other_files_are_all_text() {
        for text in ["", "Text", "\n---\na: 1\n---\n", "----\n", "--- a\n---\n", " ---\n---\n"] {
            assert_eq!(split(text), parts(None, text), "{text:?}");
        }
    }

    #[test]
    fn front_matter_without_an_end_is_told() {
        for text in ["---", "---\n", "---\na: 1\n", "---\nText\n ---\n"] {
            assert_eq!(split(text), Err(Unclosed), "{text:?}");
        }
    }

    #[test]
    fn the_title_is_the_first_heading_else_the_first_line() {
        for (body, expected) in [
            ("intro\n\n## The *heading* ##\n", Some("The *heading*")),
            ("```\n# comment\n```\n~~~\n# x\n~~~\nText\n# Title\n", Some("Title")),
            ("#hashtag\n", Some("#hashtag")),
            ("\n \n  First \tline\x1b[31m\nsecond", Some("First line [31m")),
            ("#\n##  \n", Some("#")),
            (" \n\n", None),
        ] {
            assert_eq!(title(body).as_deref(), expected, "{body:?}");
        }
        assert_eq!(title(&"é".repeat(300)).map(|title| title.chars().count()), Some(100));
    }
}
