//! A thousand tasks of `true` without worktrees: time beside `xargs`, and memory.

use std::io::Write;
use std::path::PathBuf;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::job::{Job, Place, Records, RunFigures, RunJob, Runtime};
use crate::library::COMMAND;
use crate::process::{measure as measure_job, timed, xargs};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

const PARALLEL: [usize; 2] = [8, 2];

#[derive(Clone, Copy)]
enum Registry {
    Memory,
    DiskInMemory,
    Disk,
}

/// How the library is used.
#[derive(Clone, Copy)]
struct Way {
    registry: Registry,
    runtime: Runtime,
}

const WAYS: [(Way, &str); 5] = [
    (Way { registry: Registry::Memory, runtime: Runtime::CurrentThread }, "`MemoryRegistry`, current thread"),
    (Way { registry: Registry::Memory, runtime: Runtime::TwoThreads }, "`MemoryRegistry`, two threads"),
    (
        Way { registry: Registry::DiskInMemory, runtime: Runtime::CurrentThread },
        "`FsRegistry` in memory, current thread",
    ),
    (Way { registry: Registry::DiskInMemory, runtime: Runtime::TwoThreads }, "`FsRegistry` in memory, two threads"),
    (Way { registry: Registry::Disk, runtime: Runtime::TwoThreads }, "`FsRegistry` on the disk, two threads"),
];

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let tasks = if effort.small { 20 } else { 1000 };
    writeln!(out, "## thousand: {tasks} tasks of `{COMMAND}` without worktrees, {} rounds\n", effort.rounds)?;
    let mut table = Table::new([
        "in parallel",
        "library with",
        "wall s",
        "`xargs -P` s",
        "ratio",
        "peak memory MiB",
        "tasks at once",
    ]);
    let disk = scratch::on_disk()?;
    for parallel in PARALLEL {
        let mut rounds: [Vec<Round>; WAYS.len()] = Default::default();
        for number in 0..effort.rounds {
            for (rounds, (way, _)) in rounds.iter_mut().zip(WAYS) {
                let on_disk = disk.path().join(format!("{parallel}-{number}"));
                rounds.push(round(tasks, parallel, way, on_disk)?);
            }
        }
        for (rounds, (_, name)) in rounds.iter().zip(WAYS) {
            let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
            table.row([
                parallel.to_string(),
                name.to_owned(),
                format!("{:.2}", of(|round| round.library)),
                format!("{:.2}", of(|round| round.xargs)),
                format!("{:.2}", of(|round| round.library / round.xargs)),
                format!("{:.1}", of(Round::memory)),
                format!("{:.2}", of(|round| round.figures.speedup)),
            ]);
        }
    }
    Ok(table.write(out)?)
}

/// Wall times in seconds.
struct Round {
    xargs: f64,
    library: f64,
    figures: RunFigures,
}

impl Round {
    /// In MiB.
    fn memory(&self) -> f64 {
        self.figures.peak_memory.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20))
    }
}

/// `on_disk` is the name of a folder that can be made there.
fn round(tasks: usize, parallel: usize, way: Way, on_disk: PathBuf) -> Result<Round, BenchError> {
    let temporary = scratch::temporary()?;
    let lines: Vec<String> = (1..=tasks).map(|number| number.to_string()).collect();
    let mut command = xargs(parallel, &lines, temporary.path())?;
    command.arg(COMMAND);
    let xargs = timed(command)?.wall;
    let Way { registry, runtime } = way;
    let records = match registry {
        Registry::Memory => Records::Memory(temporary.path().join("files")),
        Registry::DiskInMemory => Records::Disk(temporary.path().join("gadugi")),
        Registry::Disk => Records::Disk(on_disk),
    };
    let place = Place::InPlace(temporary.path().to_owned());
    let (library, figures) = measure_job(&Job::Run(RunJob { tasks, jobs: parallel, runtime, place, records }))?;
    Ok(Round { xargs, library, figures })
}
