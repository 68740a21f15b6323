//! Makes text of unknown origin harmless in Markdown, on a terminal, in a shell and in XML.

use crate::sanitize::{escaped, is_unseen};

/// An unseen character in words.
fn seen(c: char) -> String {
    format!("(U+{:04X})", u32::from(c))
}

/// Text on one line of Markdown, a cell of a table included: it is shown as it is, whatever it holds.
pub(super) fn inline(text: &str) -> String {
    let chars: Vec<char> = text.trim().chars().collect();
    let is_word = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let mut escaped = String::new();
    for (at, c) in chars.iter().copied().enumerate() {
        match c {
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if is_unseen(c) => escaped.push_str(&seen(c)),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Within a word it means nothing.
            '_' if is_word(at.checked_sub(1)) && is_word(Some(at + 1)) => escaped.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text as code within a line. In a table a bar is escaped even there.
pub(super) fn code(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => " ".to_owned(),
            c if is_unseen(c) => seen(c),
            c => c.to_string(),
        })
        .collect();
    let fence = "`".repeat(longest_run(&shown) + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') || shown.trim().is_empty() { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// [`code`] in a cell of a table, where a bar would end the cell.
pub(super) fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Lines of code in a fence that is longer than any in them.
pub(super) fn block(language: &str, text: &str) -> String {
    let shown: String =
        text.chars().map(|c| if is_unseen(c) && !matches!(c, '\n' | '\t') { seen(c) } else { c.to_string() }).collect();
    let fence = "`".repeat(longest_run(&shown).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", shown.trim_end_matches('\n'))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A word for a POSIX shell.
#[must_use]
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Output as text that XML 1.0 can hold: escape sequences of terminals are taken out, and so are control
/// characters, those that are not seen, and the two code points that are no characters.
pub(super) fn xml(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    // What is below them is needed to tell the sequences.
    let allowed = |c: &char| !matches!(c, '\u{fffe}' | '\u{ffff}') && (*c < '\u{7f}' || !is_unseen(*c));
    text.chars().filter(allowed).collect()
}

/// A sentence as text that XML 1.0 can hold, on one line.
pub(super) fn xml_line(text: &str) -> String {
    xml(escaped(text).as_bytes())
}
