//! Reads front matter, also where it is not quite YAML.

use std::path::Path;

use crate::input::draft::is_task_key;
use crate::input::foreign::is_slip;
use crate::input::issue::{InputIssue, whole};
use crate::input::markdown::{Block, key};
use crate::parse::KeyIssue;
use crate::parse::document::{Entry, Node, Value};
use crate::parse::parse_yaml;

/// Reads the keys of front matter. Other tools take a value as it is written that is no YAML, such as one with `: ` in it; so
/// such a value of a key that is a text for people, or is not ours, is a text here too, unless `strict`.
pub(crate) fn read_front_matter(block: &Block<'_>, file: &Path, strict: bool) -> Result<Vec<Entry>, InputIssue> {
    match parse_yaml(block.text, file, block.lines_before) {
        Ok(node) => entries_of(node, file, block.lines_before),
        Err(issue) if strict => Err(InputIssue::Key(issue)),
        Err(issue) => by_blocks(block, file).unwrap_or(Err(issue)).map_err(InputIssue::Key),
    }
}

fn entries_of(node: Node, file: &Path, line: usize) -> Result<Vec<Entry>, InputIssue> {
    match node {
        Node { value: Value::Table(entries), .. } => Ok(entries),
        Node { value: Value::Nothing, .. } => Ok(Vec::new()),
        other => {
            let at = gadugi_core::plan::SourceLocation { line, ..whole(file) };
            Err(InputIssue::NotKeys { at, found: other.in_words() })
        }
    }
}

/// Reads each key by itself; `None` where lines belong to no key, or a key of ours stands there twice.
fn by_blocks(block: &Block<'_>, file: &Path) -> Option<Result<Vec<Entry>, KeyIssue>> {
    let mut entries: Vec<Entry> = Vec::new();
    for (line, name, text) in blocks(block.text)? {
        let is_ours = is_task_key(name);
        if entries.iter().any(|entry| entry.key == name) {
            if is_ours {
                return None;
            }
            continue;
        }
        match parse_yaml(text, file, block.lines_before + line) {
            Ok(Node { value: Value::Table(parsed), .. }) => entries.extend(parsed),
            Err(issue) if (is_ours && name != "title") || is_slip(name) => return Some(Err(issue)),
            _ => {
                let line = block.lines_before + line + 1;
                let node = Node { line, value: Value::Text(as_written(text)), bare: None };
                entries.push(Entry { key: name.to_owned(), line, node });
            }
        }
    }
    Some(Ok(entries))
}

/// The lines of each key: the number of the first, from 0, the key, and the lines.
fn blocks(text: &str) -> Option<Vec<(usize, &str, &str)>> {
    let mut starts = Vec::new();
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match key(line).filter(|name| line[name.len()..].starts_with(':')) {
            Some(name) => starts.push((number, name, offset)),
            None if starts.is_empty() && !line.trim().is_empty() && !line.starts_with('#') => return None,
            None => {}
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, _, start)| *start).chain([text.len()]);
    Some(starts.iter().zip(ends).map(|((number, name, start), end)| (*number, *name, &text[*start..end])).collect())
}

/// The value of a key, without the quotes around it and the indentation of its lines.
fn as_written(text: &str) -> String {
    let value = text.split_once(':').map_or("", |(_, value)| value);
    let lines: Vec<&str> = value.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let lines = match lines.split_first() {
        Some((&("|" | ">" | "|-" | ">-" | "|+" | ">+"), rest)) => rest,
        _ => &lines[..],
    };
    let value = lines.join("\n");
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.unwrap_or(&value).to_owned()
}
