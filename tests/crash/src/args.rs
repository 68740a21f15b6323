//! The arguments of the program.

use clap::{Parser, ValueEnum};

/// Kills Gadugi, its shims and its tasks at every moment, and checks what is left.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// Number of rounds
    pub(crate) length: Length,
    /// Runs only the cases whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// The same seed makes the same choices; when a kill strikes stays a matter of luck
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of rounds that run at once
    #[arg(short, long, default_value_t = 2)]
    pub(crate) jobs: usize,
    /// Leaves the folders of rounds that have found something
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Length {
    /// About a minute: every crash point once, and some of everything else
    Short,
    /// About a quarter of an hour
    Long,
}

impl Length {
    /// The one or the other.
    pub(crate) fn of(self, short: usize, long: usize) -> usize {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}
