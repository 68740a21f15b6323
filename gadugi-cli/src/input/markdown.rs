//! The parts of a Markdown file: its front matter, its text, and the title in that.

/// A Markdown file, cut in two.
#[derive(Debug, PartialEq)]
pub(crate) struct Parts<'a> {
    /// The YAML between the lines `---`.
    pub(crate) front_matter: Option<Block<'a>>,
    /// Everything else.
    pub(crate) body: &'a str,
}

/// The text between the lines `---`.
#[derive(Debug, PartialEq)]
pub(crate) struct Block<'a> {
    pub(crate) text: &'a str,
    /// The number of lines of the file before it.
    pub(crate) lines_before: usize,
}

impl Block<'_> {
    /// Whether one of its keys is one of these.
    pub(crate) fn has_key(&self, is_key: &dyn Fn(&str) -> bool) -> bool {
        self.text.lines().filter_map(key).any(is_key)
    }
}

/// Why a file cannot be cut. Each has the line where that shows.
#[derive(Debug, PartialEq)]
pub(crate) enum Unsplit {
    /// The front matter is never closed.
    Unclosed(usize),
    /// Keys follow on a line that is nearly `---`.
    NearFence(usize, String),
    /// Keys begin the file without a line `---`.
    NoFence(usize),
    /// The front matter has text before it.
    NotFirst(usize),
}

/// Keys that only a task of gadugi's has: where they stand without being read, something was meant otherwise.
const TELLING: [&str; 7] = ["run", "command", "agent", "check", "needs", "touches", "setup"];

/// Cuts off the front matter: if the first line is `---`, all up to the next line that is `---` or `...`. Empty lines and
/// comments may come before it, if keys follow on it; `is_key` says what is one.
pub(crate) fn split<'a>(text: &'a str, is_key: &dyn Fn(&str) -> bool) -> Result<Parts<'a>, Unsplit> {
    let content = after_preamble(text);
    let begin = text.len() - content.len();
    let line = 1 + text[..begin].matches('\n').count();
    let (first, rest) = content.split_once('\n').unwrap_or((content, ""));
    if is_fence(first, "---") && (begin == 0 || keys(rest).any(is_key)) {
        return match closing(rest, &["---", "..."]) {
            Some((end, body)) => {
                let front_matter = Some(Block { text: &rest[..end], lines_before: line });
                Ok(Parts { front_matter, body })
            }
            None => Err(Unsplit::Unclosed(line)),
        };
    }
    if nearly_opens(first, rest, is_key) {
        return Err(Unsplit::NearFence(line, first.trim_end().to_owned()));
    }
    if keys(content).count() > 1 && keys(content).any(is_telling) && is_of_keys(content) {
        return Err(Unsplit::NoFence(line));
    }
    match not_first(content) {
        Some(further) => Err(Unsplit::NotFirst(line + further)),
        None => Ok(Parts { front_matter: None, body: text }),
    }
}

/// A text from its first line that has something on it and is no comment.
fn after_preamble(text: &str) -> &str {
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches('\u{feff}');
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim().is_empty() {
            rest = after;
            continue;
        }
        let comment = rest.trim_start().strip_prefix("<!--").and_then(|comment| comment.split_once("-->"));
        match comment {
            Some((_, after)) if after.lines().next().unwrap_or_default().trim().is_empty() => rest = after,
            _ => break,
        }
    }
    rest
}

/// Whether there is nothing to read in a text, or only comments.
pub(crate) fn is_blank(text: &str) -> bool {
    after_preamble(text).is_empty()
}

/// The place of the closing line in what follows on the opening one, and what follows on it.
fn closing<'a>(rest: &'a str, fences: &[&str]) -> Option<(usize, &'a str)> {
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        let end = offset + line.len();
        if fences.iter().any(|fence| is_fence(line, fence)) {
            return Some((offset, &rest[end..]));
        }
        offset = end;
    }
    None
}

fn is_fence(line: &str, fence: &str) -> bool {
    line.trim_end() == fence
}

/// Whether a first line is not `---` and was probably meant to open front matter: that of TOML, other dashes, an indented one,
/// one with the name of a format, or the beginning of a block of code with a task's keys in it.
fn nearly_opens(first: &str, rest: &str, is_key: &dyn Fn(&str) -> bool) -> bool {
    let first = first.trim();
    let name = first.trim_start_matches(['-', '–', '—', '−', '+', ';', '`', '~']).trim().to_ascii_lowercase();
    let is_named = matches!(name.as_str(), "" | "yaml" | "yml" | "toml" | "json" | "markdown" | "md");
    if !is_named
        || first.chars().count() < 2 && !first.starts_with(['–', '—'])
        || first.starts_with(char::is_alphabetic)
    {
        return false;
    }
    if first == "+++" {
        return closing(rest, &["+++"]).is_some();
    }
    let (second, further) = rest.split_once('\n').unwrap_or((rest, ""));
    let inside = if is_fence(second, "---") { further } else { rest };
    match first.starts_with(['`', '~']) {
        true => keys(inside).any(is_telling),
        false => keys(inside).any(is_key),
    }
}

fn is_telling(key: &str) -> bool {
    TELLING.contains(&key)
}

/// The keys on the lines up to the first empty one.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip_while(|line| line.trim().is_empty()).take_while(|line| !line.trim().is_empty()).filter_map(key)
}

/// The key of a line `key: value` or `key = value`.
pub(crate) fn key(line: &str) -> Option<&str> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.')).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let is_key = rest.strip_prefix(':').is_some_and(|value| value.is_empty() || value.starts_with(char::is_whitespace));
    (!key.is_empty() && (is_key || rest.starts_with(" = "))).then_some(key)
}

/// Whether the lines up to the first empty one are keys and what belongs to them.
fn is_of_keys(text: &str) -> bool {
    let mut lines = text.lines().take_while(|line| !line.trim().is_empty() && !is_fence(line, "---"));
    lines.all(|line| line.starts_with([' ', '\t', '#', '-']) || key(line).is_some())
}

/// The line, from 0, of a closed block with keys of a task that a paragraph comes before, and no block of code.
fn not_first(text: &str) -> Option<usize> {
    let (mut offset, mut paragraphs) = (0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        offset += line.len();
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") || paragraphs > 1 {
            return None;
        }
        if number > 0 && is_fence(line, "---") {
            let (end, _) = closing(&text[offset..], &["---", "..."])?;
            let block = &text[offset..offset + end];
            return (keys(block).any(is_telling) && is_of_keys(block)).then_some(number);
        }
        paragraphs += usize::from(line.trim().is_empty());
    }
    None
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

    fn cut(text: &str) -> Result<Parts<'_>, Unsplit> {
        split(text, &|key| matches!(key, "a" | "run" | "agent" | "title"))
    }

    fn parts<'a>(front_matter: Option<(&'a str, usize)>, body: &'a str) -> Result<Parts<'a>, Unsplit> {
        let front_matter = front_matter.map(|(text, lines_before)| Block { text, lines_before });
        Ok(Parts { front_matter, body })
    }

    #[test]
    fn front_matter_lies_between_two_lines_of_dashes() {
        assert_eq!(cut("---\na: 1\n---\nText\n"), parts(Some(("a: 1\n", 1)), "Text\n"));
        assert_eq!(cut("--- \na: 1\n...\nText"), parts(Some(("a: 1\n", 1)), "Text"));
        assert_eq!(cut("---\n---"), parts(Some(("", 1)), ""));
        assert_eq!(cut("---\nrun: |\n  ---\n  x\n---\n---\n"), parts(Some(("run: |\n  ---\n  x\n", 1)), "---\n"));
    }

    #[test]
    fn empty_lines_and_comments_may_come_before_front_matter() {
        for (before, lines) in [
            ("\n", 2),
            (" \n\t\n", 3),
            ("\u{feff}\u{feff}", 1),
            ("\n\u{feff}", 2),
            ("<!-- x -->\n", 2),
            ("\n<!--\nx\n-->  \n\n<!-- y -->\n", 7),
        ] {
            let text = format!("{before}---\na: 1\n---\nText\n");
            assert_eq!(cut(&text), parts(Some(("a: 1\n", lines)), "Text\n"), "{text:?}");
        }
    }

    #[test]
    fn other_files_are_all_text() {
        for text in [
            "",
            "Text",
            "\n---\nx: 1\n---\n",
            "\n---\nText between rulers\n---\n",
            "<!-- x --> y\n---\na: 1\n---\n",
            "----\n",
            "----\nText: x\n",
            "--- a\n---\n",
            " ---\n---\n",
            "```yaml\na: 1\n```\nText",
            "# Title\n---\ntitle: x\n---\n",
            "run: the tests\n",
            "run: the tests\nand mend what fails\n",
            "title: x\na: 1\n\nText",
            "# Title\n\n```\n---\nrun: x\n---\n```\n",
            "+++\n",
        ] {
            assert_eq!(cut(text), parts(None, text), "{text:?}");
        }
    }

    #[test]
    fn front_matter_without_an_end_is_told() {
        for text in ["---", "---\n", "---\na: 1\n", "---\nText\n ---\n"] {
            assert_eq!(cut(text), Err(Unsplit::Unclosed(1)), "{text:?}");
        }
        assert_eq!(cut("\n\n---\na: 1\n"), Err(Unsplit::Unclosed(3)));
    }

    #[test]
    fn what_is_nearly_front_matter_is_told() {
        for first in [" ---", "----", "--", "—", "---yaml", "--- yaml", "```yaml\n---", "```\n---", "+++", ";;;"] {
            let text = format!("\n{first}\nrun: x\n+++\n");
            let expected = first.lines().next().unwrap_or_default().to_owned();
            assert_eq!(cut(&text), Err(Unsplit::NearFence(2, expected)), "{text:?}");
        }
        assert_eq!(cut("+++\nx = 1\n+++\nText"), Err(Unsplit::NearFence(1, "+++".into())));
        assert_eq!(cut("agent: a\ntitle: b\n---\nText"), Err(Unsplit::NoFence(1)));
        assert_eq!(cut("\ntitle: b\nrun: |\n  x\n"), Err(Unsplit::NoFence(2)));
        assert_eq!(cut("# Title\n\n---\nrun: x\n---\n"), Err(Unsplit::NotFirst(3)));
    }

    #[test]
    fn a_text_of_comments_is_blank() {
        assert!(is_blank(" \n<!-- say what is to be done -->\n\u{feff}\n") && is_blank(""));
        assert!(!is_blank("<!-- x -->\ny") && !is_blank("<!-- x"));
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
