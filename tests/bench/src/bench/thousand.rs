//! A thousand tasks of `true` without worktrees: time beside `xargs`, and memory.

use std::io::Write;
use std::path::PathBuf;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::job::{Job, Records, RunFigures, RunJob, Runtime, TaskFolders};
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

/// The use of the library.
#[derive(Clone, Copy)]
struct Way {
    registry: Registry,
    runtime: Runtime,
    shim: bool,
}

impl Way {
    const fn plain(registry: Registry, runtime: Runtime) -> Self {
        Self { registry, runtime, shim: false }
    }

    const fn shimmed(registry: Registry, runtime: Runtime) -> Self {
        Self { registry, runtime, shim: true }
    }
}

/// Each way with shims follows the same without.
const WAYS: [(Way, &str); 8] = [
    (Way::plain(Registry::Memory, Runtime::CurrentThread), "`MemoryRegistry`, current thread"),
    (Way::shimmed(Registry::Memory, Runtime::CurrentThread), "the same with shims"),
    (Way::plain(Registry::Memory, Runtime::TwoThreads), "`MemoryRegistry`, two threads"),
    (Way::shimmed(Registry::Memory, Runtime::TwoThreads), "the same with shims"),
    (Way::plain(Registry::DiskInMemory, Runtime::TwoThreads), "`FsRegistry` in memory, two threads"),
    (Way::shimmed(Registry::DiskInMemory, Runtime::TwoThreads), "the same with shims"),
    (Way::plain(Registry::Disk, Runtime::TwoThreads), "`FsRegistry` on the disk, two threads"),
    (Way::shimmed(Registry::Disk, Runtime::TwoThreads), "the same with shims"),
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
        "shims, ms a task",
        "peak memory MiB",
        "tasks at once",
    ]);
    let disk = scratch::on_disk()?;
    for parallel in PARALLEL {
        let mut rounds: [Vec<Round>; WAYS.len()] = Default::default();
        for number in 0..effort.rounds {
            for (at, (rounds, (way, _))) in rounds.iter_mut().zip(WAYS).enumerate() {
                let on_disk = disk.path().join(format!("{parallel}-{number}-{at}"));
                rounds.push(round(tasks, parallel, way, on_disk)?);
            }
        }
        for (at, (way, name)) in WAYS.into_iter().enumerate() {
            let rounds_without = rounds[at.saturating_sub(1)].iter();
            let rounds = &rounds[at];
            let pairs = rounds.iter().zip(rounds_without);
            let shims: Sample =
                pairs.map(|(with, without)| (with.library - without.library) * 1000.0 / tasks as f64).collect();
            let shims = if way.shim { format!("{shims:.2}") } else { String::from("-") };
            let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
            table.row([
                parallel.to_string(),
                name.to_owned(),
                format!("{:.2}", of(|round| round.library)),
                format!("{:.2}", of(|round| round.xargs)),
                format!("{:.2}", of(|round| round.library / round.xargs)),
                shims,
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
    let Way { registry, runtime, shim } = way;
    let records = match registry {
        Registry::Memory => Records::Memory(temporary.path().join("files")),
        Registry::DiskInMemory => Records::Disk(temporary.path().join("gadugi")),
        Registry::Disk => Records::Disk(on_disk),
    };
    let folders = TaskFolders::InPlace(temporary.path().to_owned());
    let (library, figures) = measure_job(&Job::Run(RunJob { tasks, jobs: parallel, shim, runtime, folders, records }))?;
    Ok(Round { xargs, library, figures })
}
