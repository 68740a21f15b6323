//! The forecast for people, in 80 columns.

use std::fmt::Write as _;

use gadugi_core::run::LineState;
use gadugi_core::worktrees::Verdict;
use gadugi_registry::sanitize::escaped;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::context::Context;
use crate::forecast::RunForecast;
use crate::site::LoadedRun;
use crate::terminal::{Tone, columns};

/// Width of the table, and of lists of names.
const WIDTH: usize = 80;
/// Width limit of a task in the table.
const MAX_TASK: usize = 28;
/// Width limit of the target in the title of its column.
const MAX_TARGET: usize = 16;
/// Files that are listed of a conflict.
const MAX_FILES: usize = 10;

/// Renders a forecast.
pub(super) fn text(context: &Context, run: &LoadedRun, forecast: &RunForecast) -> String {
    let RunForecast { target, lines, left_out, .. } = forecast;
    let mut text = format!("run {} into {} ({})\n", run.record.header.run, target.name, target.commit.short());
    if lines.is_empty() {
        text += "there is nothing to merge\n";
    } else {
        text.push('\n');
        text += &table(context, run, forecast);
    }
    text += &conflicts(forecast);
    text += &unknown(forecast);
    if !left_out.is_empty() {
        text += "\nnot compared:\n";
        for (task, reason) in left_out {
            // Writing to a string cannot fail.
            writeln!(text, "  {task}: {reason}").ok();
        }
    }
    if !lines.is_empty() {
        text += &summary(forecast);
    }
    text
}

/// The table of tasks.
fn table(context: &Context, run: &LoadedRun, forecast: &RunForecast) -> String {
    let RunForecast { target, lines, forecast: verdicts, .. } = forecast;
    let with_target = format!("WITH {}", fitted(&target.name, MAX_TARGET));
    let mut rows = vec![vec!["TASK".to_owned(), "STATE".to_owned(), with_target, "CONFLICTS WITH".to_owned()]];
    for (place, line) in lines.iter().enumerate() {
        let state = match line.state {
            LineState::Succeeded => "succeeded".to_owned(),
            _ => {
                let task = &run.record.tasks[line.position];
                let word = match line.state {
                    LineState::UnderWay if !run.driven => "interrupted",
                    _ => task.state.word(),
                };
                let uncommitted = if verdicts.is_beyond_tip(place) { ", uncommitted" } else { "" };
                format!("{word}{uncommitted}")
            }
        };
        let with_target = match verdicts.verdict(place, lines.len()) {
            Some(Verdict::MergesAsText) => "merges",
            Some(Verdict::Conflict { .. }) => "conflict",
            _ => "unknown",
        };
        rows.push(vec![fitted(&line.side.name, MAX_TASK), state, with_target.to_owned(), String::new()]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or_default();
    let left = WIDTH.saturating_sub(width(0) + width(1) + width(2) + 6);
    for (place, row) in rows.iter_mut().skip(1).enumerate() {
        let others =
            (0..lines.len()).filter(|other| matches!(verdicts.verdict(place, *other), Some(Verdict::Conflict { .. })));
        let others: Vec<&str> = others.map(|other| lines[other].side.name.as_str()).collect();
        row[3] = if others.is_empty() { "-".to_owned() } else { names(&others, left) };
    }
    columns(&rows, |row, column, cell| {
        let tone = match (row, column, cell.trim_end()) {
            (0, ..) => Tone::Faint,
            (_, 2, "conflict") => Tone::Bad,
            (_, 2, "unknown") => Tone::Notice,
            (_, 3, others) if others != "-" => Tone::Bad,
            _ => Tone::Plain,
        };
        context.terminal.toned(tone, cell)
    })
}

/// The names of the two sides of a pair.
fn pair(forecast: &RunForecast, one: usize, other: usize) -> String {
    let name = |place: usize| match forecast.lines.get(place) {
        Some(line) => line.side.name.as_str(),
        None => forecast.target.name.as_str(),
    };
    format!("{} with {}", name(one), name(other))
}

fn conflicts(forecast: &RunForecast) -> String {
    let mut text = String::new();
    for (one, other, files) in forecast.forecast.conflicts() {
        text += if text.is_empty() { "\nconflicts:\n" } else { "" };
        // Writing to a string cannot fail.
        writeln!(text, "  {}", pair(forecast, one, other)).ok();
        for file in files.iter().take(MAX_FILES) {
            writeln!(text, "      {}", escaped(file)).ok();
        }
        if files.len() > MAX_FILES {
            writeln!(text, "      and {} more", files.len() - MAX_FILES).ok();
        }
    }
    text
}

fn unknown(forecast: &RunForecast) -> String {
    let mut text = String::new();
    for (one, other, verdict) in forecast.forecast.pairs() {
        let Verdict::Unknown { reason } = verdict else { continue };
        text += if text.is_empty() { "\nunknown:\n" } else { "" };
        // Writing to a string cannot fail.
        writeln!(text, "  {}: {}", pair(forecast, one, other), escaped(reason)).ok();
    }
    text
}

/// The counts, and the suggested order.
fn summary(forecast: &RunForecast) -> String {
    let RunForecast { target, lines, forecast: verdicts, order, .. } = forecast;
    let count = |is_it: fn(&Verdict) -> bool| verdicts.pairs().filter(|(_, _, verdict)| is_it(verdict)).count();
    let (all, merge) = (verdicts.pairs().count(), count(|verdict| *verdict == Verdict::MergesAsText));
    let conflicts = count(|verdict| matches!(verdict, Verdict::Conflict { .. }));
    let plural = if all == 1 { "" } else { "s" };
    let verb = if merge == 1 { "merges" } else { "merge" };
    let mut text = format!("\n{merge} of {all} pair{plural} {verb} as text");
    if conflicts > 0 {
        text += &format!(", {conflicts} {}", if conflicts == 1 { "conflicts" } else { "conflict" });
    }
    if all > merge + conflicts {
        text += &format!(", {} unknown", all - merge - conflicts);
    }
    text += "\nwhat merges as text may still not work: a check tells\n";
    if order.len() > 1 {
        let order: Vec<&str> = order.iter().map(|place| lines[*place].side.name.as_str()).collect();
        text += &format!("\nsuggested order of merging into {}:\n", target.name);
        text += &wrapped(&order);
    }
    text
}

/// A text, cut to a width on a terminal.
fn fitted(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    for c in text.chars() {
        if fitted.width() + c.width().unwrap_or_default() + 1 > width {
            break;
        }
        fitted.push(c);
    }
    fitted + "…"
}

/// As many names as fit into a width, and the number of the others.
fn names(names: &[&str], width: usize) -> String {
    let mut text = String::new();
    for (number, name) in names.iter().enumerate() {
        let rest = names.len() - number - 1;
        let separator = if number == 0 { "" } else { ", " };
        let more = if rest > 0 { format!(" +{rest}") } else { String::new() };
        if number > 0 && text.width() + separator.width() + name.width() + more.width() > width {
            return format!("{text} +{}", rest + 1);
        }
        text += &format!("{separator}{}", fitted(name, width.saturating_sub(more.width()).max(1)));
    }
    text
}

/// Names in lines of the width, behind two spaces.
fn wrapped(names: &[&str]) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for (number, name) in names.iter().enumerate() {
        let comma = if number + 1 < names.len() { "," } else { "" };
        if !line.is_empty() && line.width() + name.width() + comma.width() + 3 > WIDTH {
            text += &format!("{line}\n");
            line.clear();
        }
        line += &format!("{}{name}{comma}", if line.is_empty() { "  " } else { " " });
    }
    text + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_their_width_on_a_terminal() {
        assert_eq!(fitted("fix-login", 9), "fix-login");
        assert_eq!(fitted("fix-logins", 9), "fix-logi…");
        assert_eq!(fitted("作業作業", 6), "作業…");
    }

    #[test]
    fn names_that_do_not_fit_are_counted() {
        assert_eq!(names(&["a", "b", "c"], 7), "a, b, c");
        assert_eq!(names(&["a", "b", "c"], 6), "a +2");
        assert_eq!(names(&["abcdefgh", "b"], 6), "ab…, b");
    }

    #[test]
    fn a_list_of_names_is_wrapped() {
        let names: Vec<String> = (0..30).map(|number| format!("task-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = wrapped(&names);
        assert!(text.lines().all(|line| line.width() <= WIDTH && line.starts_with("  ")), "{text}");
        assert_eq!(text.split([',', '\n']).filter(|name| !name.trim().is_empty()).count(), 30);
    }
}
