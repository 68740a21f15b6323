//! The speed-up of three tasks side by side, as in the report.

use std::io::Write;

use crate::bench::{Effort, run_with_report};
use crate::error::BenchError;
use crate::job::RunFigures;
use crate::process::{gadugi, timed, xargs};
use crate::sample::Sample;
use crate::scratch::repository;
use crate::table::Table;

const TASKS: usize = 3;
const FILES: usize = 20;

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let pause = if effort.small { "0.1" } else { "2" };
    writeln!(out, "## speedup: {TASKS} tasks of `sleep {pause}` with -j {TASKS}, {} rounds\n", effort.rounds)?;
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.push(round(pause)?);
    }
    let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
    let mut table = Table::new(["figure", "median (lowest to highest)"]);
    table.row(["`performance.speedup` of the report".into(), format!("{:.3}", of(|round| round.report.speedup))]);
    table.row([
        "the same tasks' time / wall time of the whole process".into(),
        format!("{:.3}", of(|round| round.report.task_seconds_sum / round.gadugi)),
    ]);
    table.row([
        format!("{TASKS} × {pause} s / wall time of `xargs -P{TASKS}`"),
        format!("{:.3}", of(|round| round.asleep / round.xargs)),
    ]);
    table.row(["wall time of gadugi / that of xargs".into(), format!("{:.3}", of(|round| round.gadugi / round.xargs))]);
    Ok(table.write(out)?)
}

/// Wall times in seconds.
struct Round {
    xargs: f64,
    gadugi: f64,
    /// The time that all tasks together sleep.
    asleep: f64,
    report: RunFigures,
}

fn round(pause: &str) -> Result<Round, BenchError> {
    let repo = repository(FILES);
    let root = repo.root();
    let mut sleeps = xargs(TASKS, &vec![pause.to_owned(); TASKS], &root)?;
    sleeps.args(["sleep", "{}"]);
    let xargs = timed(sleeps)?.wall;
    let mut run = gadugi(repo.path())?;
    run.args(["run", "-j", &TASKS.to_string()]);
    for number in 1..=TASKS {
        let path = root.join(format!("sleep-{number}.md"));
        let task = format!("---\nrun: sleep {pause}\n---\n# Sleep\n");
        std::fs::write(&path, task).map_err(|source| BenchError::File { path: path.clone(), source })?;
        run.arg(path);
    }
    let (gadugi, report) = run_with_report(run, gadugi(repo.path())?)?;
    check(&report)?;
    let asleep = pause.parse::<f64>().unwrap_or(f64::NAN) * TASKS as f64;
    Ok(Round { xargs, gadugi, asleep, report })
}

/// The figure is what its name says, as far as the microseconds of the others tell.
fn check(report: &RunFigures) -> Result<(), BenchError> {
    let &RunFigures { speedup, task_seconds_sum, wall_seconds, .. } = report;
    if (task_seconds_sum / wall_seconds - speedup).abs() < 0.001 {
        Ok(())
    } else {
        Err(BenchError::Speedup { speedup, task_seconds_sum, wall_seconds })
    }
}
