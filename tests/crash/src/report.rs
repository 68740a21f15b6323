//! The findings of the cases.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// The sum over the rounds of one case.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) rounds: usize,
    /// Processes that were killed on purpose.
    pub(crate) kills: usize,
    /// Other things that were counted, by their names.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// A sentence for each promise that was broken.
    pub(crate) broken: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&mut self, what: &'static str, number: usize) {
        *self.counts.entry(what).or_default() += number;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        other.counts.into_iter().for_each(|(what, number)| self.count(what, number));
        self.broken.extend(other.broken);
    }

    pub(crate) fn write(&self, case: &str, out: &mut dyn Write) -> io::Result<()> {
        let counts: String = self.counts.iter().map(|(what, number)| format!(", {number} {what}")).collect();
        let Self { rounds, kills, broken, .. } = self;
        writeln!(out, "{case}: {rounds} rounds, {kills} kills{counts}; {} promises broken", broken.len())?;
        broken.iter().try_for_each(|sentence| writeln!(out, "  {sentence}"))
    }
}
