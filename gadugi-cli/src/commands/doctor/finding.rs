//! The findings of `gadugi doctor`, and their table.

use crate::failure::Failure;
use crate::terminal::{Terminal, Tone, columns};

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// Gadugi works without it; the remedy makes it better.
    Limited,
    /// `gadugi run` does not work without it.
    Bad,
}

impl Health {
    fn tone(self) -> Tone {
        match self {
            Self::Good => Tone::Good,
            Self::Limited => Tone::Notice,
            Self::Bad => Tone::Bad,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Limited => "note",
            Self::Bad => "BAD",
        }
    }
}

/// The finding of one check.
pub(super) struct Finding {
    subject: String,
    pub(super) health: Health,
    text: String,
    remedy: String,
}

impl Finding {
    /// A finding with its remedy, which is empty if there is nothing to mend.
    pub(super) fn new(subject: &str, health: Health, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), health, text: text.into(), remedy: remedy.into() }
    }

    pub(super) fn good(subject: &str, text: impl Into<String>) -> Self {
        Self::new(subject, Health::Good, text, "")
    }

    /// A failure as a finding, with its hint as remedy.
    pub(super) fn of_failure(subject: &str, health: Health, failure: &Failure) -> Self {
        let (text, remedy) = failure.texts();
        Self::new(subject, health, text, remedy)
    }
}

/// Prints findings, a line each.
pub(super) fn print(terminal: &Terminal, findings: &[Finding]) -> Result<(), Failure> {
    let row = |finding: &Finding| {
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!(" -> {}", finding.remedy) };
        vec![finding.health.word().to_owned(), finding.subject.clone(), format!("{}{remedy}", finding.text)]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    let paint = |at: usize, column: usize, cell: &str| {
        let tone = if column == 0 { findings[at].health.tone() } else { Tone::Plain };
        terminal.toned(tone, cell)
    };
    Ok(terminal.result(&columns(&rows, paint))?)
}
