//! The template for the subject of a commit with the uncommitted files of a task.

use std::fmt;
use std::str::FromStr;

use crate::id::{AttemptRef, IdError, RunId};
use crate::worktrees::CommitSubject;

/// Largest number of characters of a subject.
const MAX_SUBJECT: usize = 72;

/// Largest number of bytes of a template.
const MAX_TEMPLATE: usize = 200;

/// A template of subjects: text with the placeholders `{title}`, `{task}`, `{run}` and `{attempt}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubjectTemplate(String);

impl SubjectTemplate {
    /// The template as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject for an attempt at a task with this title. A title is cut where the subject gets too long.
    #[must_use]
    pub fn fill(&self, title: &str, run: &RunId, attempt: &AttemptRef) -> CommitSubject {
        let title = match one_line(title) {
            title if title.is_empty() || title == attempt.task.as_str() => {
                CommitSubject::of_untitled(attempt).to_string()
            }
            title => title,
        };
        let others = self.with("", run, attempt).chars().count();
        let titles = self.0.matches("{title}").count().max(1);
        let title = cut(&title, MAX_SUBJECT.saturating_sub(others) / titles);
        let subject = one_line(&self.with(&title, run, attempt));
        // Git takes such a line for a comment where a message is edited.
        let subject = if subject.starts_with('#') { format!("{}: {subject}", attempt.task) } else { subject };
        match cut(&subject, MAX_SUBJECT) {
            subject if subject.is_empty() => CommitSubject::of_untitled(attempt),
            subject => CommitSubject::new(subject),
        }
    }

    /// The template with values in the places of its placeholders. Placeholders in the values are text.
    fn with(&self, title: &str, run: &RunId, attempt: &AttemptRef) -> String {
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some((start, end)) = next_placeholder(rest) {
            filled.push_str(&rest[..start]);
            match &rest[start..end] {
                "{title}" => filled.push_str(title),
                "{task}" => filled.push_str(attempt.task.as_str()),
                "{run}" => filled.push_str(&run.to_string()),
                "{attempt}" => filled.push_str(&attempt.number.to_string()),
                other => filled.push_str(other),
            }
            rest = &rest[end..];
        }
        filled + rest
    }
}

impl Default for SubjectTemplate {
    /// `{title}`.
    fn default() -> Self {
        Self("{title}".to_owned())
    }
}

impl FromStr for SubjectTemplate {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        let refuse = |rule| Err(IdError::new("commit subject", value, rule));
        if value.trim().is_empty() || value.len() > MAX_TEMPLATE {
            return refuse("it has 1 to 200 bytes");
        }
        if value.chars().any(char::is_control) {
            return refuse("it is one line, without control characters");
        }
        if value.trim_start().starts_with('#') {
            return refuse("git takes a line that begins with # for a comment");
        }
        let mut rest = value;
        while let Some((start, end)) = next_placeholder(rest) {
            if !["{title}", "{task}", "{run}", "{attempt}"].contains(&&rest[start..end]) {
                return refuse("its placeholders are {title}, {task}, {run} and {attempt}");
            }
            rest = &rest[end..];
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for SubjectTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The first word in braces of a text: its start and its end.
fn next_placeholder(text: &str) -> Option<(usize, usize)> {
    text.match_indices('{').find_map(|(start, _)| {
        let inside = &text[start + 1..];
        let word = inside.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        (word > 0 && inside[word..].starts_with('}')).then_some((start, start + word + 2))
    })
}

/// A text on one line, without control characters.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A text of at most so many characters, cut between two words where one ends in its second half.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    let words = kept.rfind(' ').map(|end| &kept[..end]).filter(|words| words.len() * 2 > kept.len());
    match words.unwrap_or(&kept).trim_end_matches([' ', ',', ';', ':', '.', '-']) {
        "" => String::new(),
        kept => format!("{kept}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AttemptNo;

    fn fill(template: &str, title: &str) -> String {
        let run = "20261122-083355-k7q".parse().expect("a run");
        let attempt = AttemptRef { task: "fix-login".parse().expect("a task"), number: AttemptNo::FIRST };
        template.parse::<SubjectTemplate>().expect("a template").fill(title, &run, &attempt).to_string()
    }

    #[test]
    fn a_subject_is_the_title_of_the_task_or_a_text_around_it() {
        assert_eq!(fill("{title}", "Fix the login bug"), "Fix the login bug");
        assert_eq!(fill("fix({task}): {title}", "Fix {run} it"), "fix(fix-login): Fix {run} it");
        assert_eq!(fill("{title} [{run}/{attempt}] {}", "Fix it"), "Fix it [20261122-083355-k7q/1] {}");
        assert_eq!(fill("wip", "Fix it"), "wip");
    }

    #[test]
    fn a_subject_is_never_empty_a_comment_or_more_than_a_line() {
        assert_eq!(fill("{title}", "fix-login"), "Work of fix-login");
        for nothing in ["", "  ", "\u{1b}\n\u{7}"] {
            assert_eq!(fill("{title}", nothing), "Work of fix-login");
        }
        assert_eq!(fill("{title}", "a\nb\u{1b}[31m\tc\u{9b}d"), "a b [31m c d");
        assert_eq!(fill("{title}", "#42 is broken"), "fix-login: #42 is broken");
    }

    #[test]
    fn a_long_title_is_cut_between_words_so_that_the_rest_stays() {
        let long = "Mend the login of users whose names hold letters of more than one alphabet, and of none";
        assert_eq!(fill("{title}", long), "Mend the login of users whose names hold letters of more than one…");
        assert_eq!(
            fill("{title} ({task})", long),
            "Mend the login of users whose names hold letters of more… (fix-login)"
        );
        let subject = fill("{title}", &"é".repeat(100));
        assert_eq!(subject.chars().count(), MAX_SUBJECT);
        assert_eq!(fill(&format!("{} {{title}}", "x".repeat(150)), "Fix it").chars().count(), MAX_SUBJECT);
    }

    #[test]
    fn a_template_with_a_slip_is_refused() {
        for wrong in ["", " ", "a\nb", "a\u{1b}", "# {title}", "{titel}", "{Title}", "{title} {id}"] {
            assert!(wrong.parse::<SubjectTemplate>().is_err(), "{wrong:?}");
        }
        assert!("x".repeat(201).parse::<SubjectTemplate>().is_err());
    }
}
