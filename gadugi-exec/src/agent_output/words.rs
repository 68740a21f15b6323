//! Short texts for people, out of what agents print.

use serde_json::Value;

/// More of a tool's use is not shown.
const LONGEST: usize = 200;

/// The first line that says something, cut to a length that fits on one.
pub(super) fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A tool and what it is used for, by the argument that says most.
pub(super) fn tool(name: &str, input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "query", "url", "prompt", "description"];
    match telling.iter().find_map(|key| input[key].as_str()) {
        Some(what) => one_line(&format!("{name}: {}", one_line(what))),
        None => one_line(name),
    }
}

/// The status of HTTP in a message such as `unexpected status 401 Unauthorized: …`.
pub(super) fn status(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("status ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| (100..600).contains(status))
}
