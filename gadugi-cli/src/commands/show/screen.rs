//! How a task stands, as text for a terminal of 80 columns and 24 lines.

use std::time::Duration;

use gadugi_core::Outcome;
use unicode_width::UnicodeWidthChar;

use super::{FileChange, Shown, Work, Worktree};
use crate::context::Context;
use crate::terminal::{Tone, duration_text, harmless};
use crate::view::tone_of;

/// Lines of each part.
const MAX_COMMITS: usize = 3;
const MAX_FILES: usize = 4;
const MAX_WORDS: usize = 3;
const MAX_OUTPUT: usize = 4;

/// Width of the labels.
const LABELS: usize = 10;

/// The screen, line by line.
struct Screen<'a> {
    context: &'a Context,
    /// Columns of the terminal; `None` where nothing is cut.
    columns: Option<usize>,
    text: String,
}

pub(super) fn text(context: &Context, shown: &Shown, outcome: Option<&Outcome>) -> String {
    let columns = context.terminal.columns().map(usize::from);
    let mut screen = Screen { context, columns, text: String::new() };
    screen.line(Tone::Plain, &format!("{}: {}", shown.task, shown.title));
    let word = shown.outcome.as_ref().unwrap_or(&shown.state);
    screen.part("state", &[facts(shown, word)], outcome.map_or(Tone::Plain, tone_of));
    screen.part("why", shown.why.as_slice(), Tone::Plain);
    if let Some(work) = &shown.work {
        screen.work(work);
    }
    let message = shown.last_message.as_deref().unwrap_or_default();
    let words: Vec<String> = message.lines().map(|line| harmless(line).trim().to_owned()).collect();
    let words: Vec<String> = words.into_iter().filter(|line| !line.is_empty()).collect();
    screen.part("agent", &last(&words, MAX_WORDS), Tone::Plain);
    screen.part("output", &last(&shown.output, MAX_OUTPUT), Tone::Plain);
    // Paths and commands are there to be copied, and are not cut.
    screen.columns = None;
    if let Some(worktree) = &shown.worktree {
        screen.part("worktree", &[place(worktree)], Tone::Plain);
    }
    screen.part("log", shown.logs.last().map(std::slice::from_ref).unwrap_or_default(), Tone::Plain);
    screen.part("next", &shown.next, Tone::Notice);
    screen.text
}

/// The first line of facts: `succeeded, 12s, attempt 1, subprocess, $0.12`.
fn facts(shown: &Shown, word: &str) -> String {
    let time = shown.command_seconds.filter(|seconds| *seconds > 0.0);
    let parts = [
        Some(word.to_owned()),
        time.map(|seconds| duration_text(Duration::from_secs_f64(seconds))),
        shown.attempt.map(|attempt| format!("attempt {attempt}")),
        shown.executor.clone(),
        shown.usage.clone(),
        Some(format!("run {}", shown.run)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn place(worktree: &Worktree) -> String {
    let Worktree { path, state, kept_because } = worktree;
    match (*state, &kept_because[..]) {
        ("removed", _) => "removed; everything is on the branch".to_owned(),
        (_, []) => path.clone(),
        (_, reasons) => format!("{path} (kept: {})", reasons.join(", ")),
    }
}

/// The last of some lines.
fn last(lines: &[String], max: usize) -> Vec<String> {
    lines[lines.len().saturating_sub(max)..].to_vec()
}

/// The first of some lines, with the number of the others in the place of the last one.
fn first(lines: Vec<String>, max: usize) -> Vec<String> {
    let others = lines.len().saturating_sub(max);
    let mut shown: Vec<String> = lines.into_iter().take(if others > 0 { max - 1 } else { max }).collect();
    if others > 0 {
        shown.push(format!("… and {} more", others + 1));
    }
    shown
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn numbers(file: &FileChange) -> String {
    match (file.added, file.removed) {
        (Some(added), Some(removed)) => format!("+{added} -{removed}"),
        _ => "binary".to_owned(),
    }
}

impl Screen<'_> {
    fn line(&mut self, tone: Tone, line: &str) {
        let line = match self.columns {
            Some(columns) => cut(line, columns),
            None => line.to_owned(),
        };
        self.text.push_str(self.context.terminal.toned(tone, &line).trim_end());
        self.text.push('\n');
    }

    /// Lines after a label. Without a line there is no label.
    fn part(&mut self, label: &str, lines: &[String], tone: Tone) {
        for (n, line) in lines.iter().enumerate() {
            let label =
                self.context.terminal.toned(Tone::Faint, &format!("{:LABELS$}", if n == 0 { label } else { "" }));
            // A line of a task stays one.
            let line = line.replace(['\n', '\r', '\t'], " ");
            let line = match self.columns {
                Some(columns) => cut(&line, columns.saturating_sub(LABELS)),
                None => line,
            };
            let line =
                self.context.terminal.toned(if n == 0 || tone == Tone::Notice { tone } else { Tone::Plain }, &line);
            self.text.push_str(&format!("{label}{line}\n"));
        }
    }

    fn work(&mut self, work: &Work) {
        let Work { branch, base, commits, files, notes, .. } = work;
        let number = count(commits.len() as u64, "commit");
        let mut lines = vec![format!("{branch}, {number} since {}", base.get(..8).unwrap_or(base))];
        let listed = commits.iter().map(|commit| format!("{} {}", commit.id, commit.subject)).collect();
        lines.extend(first(listed, MAX_COMMITS));
        self.part("branch", &lines, Tone::Plain);
        let sum = |number: fn(&FileChange) -> Option<u64>| files.iter().filter_map(number).sum::<u64>();
        let (added, removed) = (sum(|file| file.added), sum(|file| file.removed));
        let mut lines = vec![format!("{} changed, +{added} -{removed}", count(files.len() as u64, "file"))];
        let width = files.iter().map(|file| numbers(file).len()).max().unwrap_or(0);
        let listed = files.iter().map(|file| format!("{:width$}  {}", numbers(file), file.path)).collect();
        lines.extend(first(listed, MAX_FILES));
        self.part("files", &lines, Tone::Plain);
        self.part("note", notes, Tone::Notice);
    }
}

/// A text of at most so many columns.
fn cut(text: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    if text.chars().map(width).sum::<usize>() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| match left.checked_sub(width(*c)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_columns_of_its_terminal() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("作業作業", 6), "作業…");
        assert_eq!(cut("作業", 4), "作業");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let lines = |number: usize| (1..=number).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(first(lines(3), 3), ["1", "2", "3"]);
        assert_eq!(first(lines(5), 3), ["1", "2", "… and 3 more"]);
        assert_eq!(last(&lines(5), 2), ["4", "5"]);
    }
}
