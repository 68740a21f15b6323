//! Files that are neither tasks nor prompts, so that none of them is handed to an agent.

use std::path::Path;

/// The kinds of files with these endings.
const BY_ENDING: &[(&[&str], &str)] = &[
    (&["json", "jsonl", "ndjson", "json5", "jsonc"], "JSON"),
    (&["yaml", "yml"], "YAML"),
    (&["csv", "tsv"], "a table"),
    (&["xml", "html", "htm", "svg"], "XML or HTML"),
    (&["ini", "cfg", "lock", "log", "patch", "diff"], "a file of another kind"),
    (&["sh", "bash", "zsh", "fish", "ps1", "bat"], "a script"),
    (
        &["py", "js", "ts", "rb", "pl", "php", "lua", "rs", "go", "c", "h", "cc", "cpp", "java", "kt", "cs"],
        "source code",
    ),
];

/// The kind of a file by its ending, where that is of no text for people.
pub(crate) fn kind_by_ending(file: &Path) -> Option<&'static str> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    BY_ENDING.iter().find(|(endings, _)| endings.contains(&ending.as_str())).map(|(_, kind)| *kind)
}

/// The kind of a text without front matter by its content, where that is no text for people.
pub(crate) fn kind_by_content(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    if text.starts_with("#!") {
        return Some("a script");
    }
    if begins("<?xml") || begins("<!doctype") || begins("<html") {
        return Some("XML or HTML");
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.next().is_some_and(|line| line.starts_with("[[task]]")) {
        return Some("a batch whose name does not end in .toml");
    }
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    (text.starts_with(['{', '[']) && is_json()).then_some("JSON")
}
