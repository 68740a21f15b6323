//! The benchmarks. Each measures pairs that take turns within one run, so that what else the machine does
//! meets both sides, and prints ratios and differences of these pairs.

pub(crate) mod chain;
pub(crate) mod clean;
pub(crate) mod containers;
pub(crate) mod forecast;
pub(crate) mod journal;
pub(crate) mod merge;
pub(crate) mod overhead;
pub(crate) mod speedup;
pub(crate) mod thousand;
pub(crate) mod worktrees;

use std::process::Command;

use serde::Deserialize;

use crate::error::BenchError;
use crate::job::RunFigures;
use crate::process::{self, GADUGI};

/// The extent of the measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Only to see that it runs.
    pub(crate) small: bool,
}

/// Runs the command line, and gives the wall time of its process with the figures of its report.
fn run_with_report(run: Command, mut report: Command) -> Result<(f64, RunFigures), BenchError> {
    #[derive(Deserialize)]
    struct Report {
        performance: RunFigures,
    }
    let wall = process::timed(run)?.wall;
    report.args(["report", "--format", "json"]);
    let report: Report = process::parse(GADUGI, &process::timed(report)?.stdout)?;
    Ok((wall, report.performance))
}
