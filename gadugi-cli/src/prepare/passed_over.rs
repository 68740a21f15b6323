//! Messages about keys of other tools in task files, which are passed over.

use std::collections::BTreeMap;
use std::path::Path;

use crate::input::PassedOver;
use crate::terminal::Terminal;

/// Files that get a line each; more are summed up.
const MAX_LINES: usize = 3;

/// Keys that a line names.
const MAX_NAMED: usize = 8;

/// Prints what was passed over, on a line for each file or, for many files, on one line.
pub(super) fn report(terminal: &Terminal, passed: &[PassedOver]) {
    let mut files: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for PassedOver { at, what } in passed {
        files.entry(&at.file).or_default().push(what);
    }
    for (file, what) in &files {
        let line = format!("note: {}: passed over what is not gadugi's: {}", file.display(), listed(what));
        if files.len() > MAX_LINES { terminal.detail(&line) } else { terminal.say(&line) }
    }
    if files.len() > MAX_LINES {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        passed.iter().for_each(|passed| *times.entry(&passed.what).or_default() += 1);
        let mut times: Vec<(&str, usize)> = times.into_iter().collect();
        times.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        let texts: Vec<String> = times.iter().map(|(what, times)| format!("{what} ({times})")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let text = format!("passed over in {} files what is not gadugi's: {}", files.len(), listed(&texts));
        terminal.say(&format!("note: {text}; -v names them by file"));
    }
}

fn listed(what: &[&str]) -> String {
    let more = what.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", what[..what.len().min(MAX_NAMED)].join(", "))
}
