//! The cost of a task beyond its command, by part of Gadugi.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use gadugi_test_support::repo::TestRepo;

use crate::bench::{Effort, run_with_report};
use crate::error::BenchError;
use crate::job::{AloneFigures, AloneJob, Job, Records, RunFigures, RunJob, Runtime, TaskFolders};
use crate::library::{COMMAND, name};
use crate::process::{gadugi, hermetic, measure as measure_job, timed, xargs};
use crate::sample::Sample;
use crate::scratch::{on_disk, repository};
use crate::table::Table;

const PARALLEL: [usize; 2] = [4, 8];

/// The sizes of one benchmark.
#[derive(Clone, Copy)]
struct Size {
    tasks: usize,
    files: usize,
    rounds: usize,
}

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let (tasks, files) = if effort.small { (4, 20) } else { (64, 600) };
    let size = Size { tasks, files, rounds: effort.rounds };
    for parallel in PARALLEL {
        together(size, parallel, out)?;
    }
    alone(size, out)
}

/// The ways in which the same tasks are run. From `Library` to `CommandLine` each is the one before it and
/// one thing more.
#[derive(Clone, Copy)]
enum Way {
    Library,
    WithShims,
    Recorded,
    InWorktrees,
    CommandLine,
    ByHand,
    WithoutFolders,
}

const WAYS: [(Way, &str); 7] = [
    (Way::Library, "library, in place, `MemoryRegistry`"),
    (Way::WithShims, "library with shims, in place, `MemoryRegistry`"),
    (Way::Recorded, "library with shims, in place, `FsRegistry`"),
    (Way::InWorktrees, "library with shims, git worktrees, `FsRegistry`"),
    (Way::CommandLine, "`gadugi run`"),
    (Way::ByHand, "shell loop of `git worktree add`, run, `git worktree remove`"),
    (Way::WithoutFolders, "`xargs -P` without folders"),
];

/// One run in one way, with the `xargs` that ran just before it. Wall times in seconds.
struct Pair {
    xargs: f64,
    subject: f64,
    figures: Option<RunFigures>,
}

/// The pairs of one round, by [`WAYS`].
type Round = [Pair; WAYS.len()];

fn together(size: Size, parallel: usize, out: &mut dyn Write) -> Result<(), BenchError> {
    let Size { tasks, files, rounds: count } = size;
    writeln!(
        out,
        "## overhead: {tasks} tasks of `{COMMAND}`, {parallel} in parallel, repository of {files} files, {count} rounds\n"
    )?;
    let mut rounds: Vec<Round> = Vec::new();
    for _ in 0..count {
        let [a, b, c, d, e, f, g] = WAYS.map(|(way, _)| pair(size, parallel, way));
        rounds.push([a?, b?, c?, d?, e?, f?, g?]);
    }
    let per_task = 1000.0 / tasks as f64;
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
    let mut table = Table::new(["way", "wall ms", "ms per task", "beyond xargs, ms per task", "ratio to xargs"]);
    let xargs: Sample = rounds.iter().flatten().map(|pair| pair.xargs * 1000.0).collect();
    let each: Sample = rounds.iter().flatten().map(|pair| pair.xargs * per_task).collect();
    let ready = format!("`xargs -P{parallel}` in ready-made folders");
    table.row([ready, format!("{xargs:.0}"), format!("{each:.2}"), "0".into(), "1".into()]);
    for (at, (_, way)) in WAYS.iter().enumerate() {
        table.row([
            (*way).to_owned(),
            format!("{:.0}", of(&|round| round[at].subject * 1000.0)),
            format!("{:.2}", of(&|round| round[at].subject * per_task)),
            format!("{:.2}", of(&|round| (round[at].subject - round[at].xargs) * per_task)),
            format!("{:.2}", of(&|round| round[at].subject / round[at].xargs)),
        ]);
    }
    table.write(out)?;

    let command_line = Way::CommandLine as usize;
    let step = |to: Way| {
        let to = to as usize;
        of(&move |round| (round[to].subject - round[to - 1].subject) * per_task)
    };
    let beyond = |to: Way| of(&|round| (round[to as usize].subject - round[to as usize].xargs) * per_task);
    let mut split = Table::new(["part of gadugi's overhead", "ms per task", "how it is known"]);
    let mut part = |name: &str, sample: Sample, how: &str| split.row([name.into(), format!("{sample:.2}"), how.into()]);
    part("scheduler and spawn", beyond(Way::Library), "difference: library in place in memory - xargs");
    part("shims", step(Way::WithShims), "difference: with shims - without");
    part("registry", step(Way::Recorded), "difference: `FsRegistry` - `MemoryRegistry`");
    part("worktree", step(Way::InWorktrees), "difference: git worktrees - in place");
    part("command line", step(Way::CommandLine), "difference: `gadugi run` - library with the same parts");
    part("all", beyond(Way::CommandLine), "difference: `gadugi run` - xargs");
    let reported = |figure: &dyn Fn(&RunFigures, f64) -> f64| {
        of(&|round| {
            let pair = &round[command_line];
            pair.figures.as_ref().map_or(f64::NAN, |figures| figure(figures, pair.subject)) * per_task
        })
    };
    part(
        "before and after the run",
        reported(&|run, wall| wall - run.wall_seconds),
        "process - report's `wall_seconds`",
    );
    part("waiting for a worktree", reported(&|run, _| run.worktree_seconds_sum), "report, `worktree_seconds_sum`");
    part("starting the command", reported(&|run, _| run.spawn_seconds_sum), "report, `spawn_seconds_sum`");
    part("the command", reported(&|run, _| run.task_seconds_sum), "report, `task_seconds_sum`");
    writeln!(out, "Wall time per task; the last three rows add up what tasks went through at the same time.\n")?;
    Ok(split.write(out)?)
}

fn pair(size: Size, parallel: usize, way: Way) -> Result<Pair, BenchError> {
    let repo = repository(size.files);
    let xargs = timed(in_ready_folders(&repo, size.tasks, parallel)?)?.wall;
    let (subject, figures) = match way {
        Way::CommandLine => {
            let (wall, figures) = command_line(&repo, size.tasks, parallel)?;
            (wall, Some(figures))
        }
        Way::WithoutFolders => (timed(without_folders(&repo, size.tasks, parallel)?)?.wall, None),
        Way::ByHand => (timed(by_hand(&repo, size.tasks)?)?.wall, None),
        Way::Library | Way::WithShims | Way::Recorded | Way::InWorktrees => {
            let state = repo.path().join(".git/gadugi");
            let folders = match way {
                Way::InWorktrees => TaskFolders::Worktrees(repo.path().to_owned()),
                _ => TaskFolders::InPlace(repo.path().to_owned()),
            };
            let in_memory = matches!(way, Way::Library | Way::WithShims);
            let records = if in_memory { Records::Memory(state) } else { Records::Disk(state) };
            let (tasks, runtime, shim) = (size.tasks, Runtime::TwoThreads, !matches!(way, Way::Library));
            let (wall, figures) =
                measure_job(&Job::Run(RunJob { tasks, jobs: parallel, shim, runtime, folders, records }))?;
            (wall, Some(figures))
        }
    };
    Ok(Pair { xargs, subject, figures })
}

/// The command once in each of as many folders, which are made before the clock runs.
fn in_ready_folders(repo: &TestRepo, tasks: usize, parallel: usize) -> Result<Command, BenchError> {
    let root = repo.root();
    let mut folders = Vec::new();
    for number in 0..tasks {
        let folder = root.join("ready").join(name(number));
        fs::create_dir_all(&folder).map_err(|source| BenchError::File { path: folder.clone(), source })?;
        folders.push(format!("ready/{}", name(number)));
    }
    let mut command = xargs(parallel, &folders, &root)?;
    command.args(["env", "-C", "{}", COMMAND]);
    Ok(command)
}

/// The same without changing to a folder, which `xargs` can only do by a further program.
fn without_folders(repo: &TestRepo, tasks: usize, parallel: usize) -> Result<Command, BenchError> {
    let lines: Vec<String> = (0..tasks).map(name).collect();
    let mut command = xargs(parallel, &lines, &repo.root())?;
    command.arg(COMMAND);
    Ok(command)
}

fn command_line(repo: &TestRepo, tasks: usize, parallel: usize) -> Result<(f64, RunFigures), BenchError> {
    let path = repo.root().join("tasks.toml");
    let task = |number| format!("[[task]]\nid = \"{}\"\ncommand = [\"{COMMAND}\"]\n", name(number));
    let batch: String = (0..tasks).map(task).collect();
    fs::write(&path, batch).map_err(|source| BenchError::File { path: path.clone(), source })?;
    let mut run = gadugi(repo.path())?;
    run.args(["run", "-j", &parallel.to_string()]).arg(path);
    run_with_report(run, gadugi(repo.path())?)
}

/// One worktree after the other: git loses some when they are made at the same time.
fn by_hand(repo: &TestRepo, tasks: usize) -> Result<Command, BenchError> {
    let folder = repo.root().join("by-hand");
    let script = format!(
        "set -e\nfor task in \"$@\"; do\n\
         git worktree add -q -b \"by-hand/$task\" \"$FOLDER/$task\"\n\
         env -C \"$FOLDER/$task\" {COMMAND}\n\
         git worktree remove \"$FOLDER/$task\"\ndone"
    );
    let mut command = hermetic("sh");
    command.args(["-c", &script, "sh"]).args((0..tasks).map(name));
    command.current_dir(repo.path()).env("FOLDER", folder);
    Ok(command)
}

/// The cost of one task in each part when nothing else runs.
fn alone(size: Size, out: &mut dyn Write) -> Result<(), BenchError> {
    writeln!(out, "## overhead, each part by itself, one task after the other, {} rounds\n", size.rounds)?;
    let mut in_memory = Vec::new();
    let mut on_the_disk = Vec::new();
    let disk = on_disk()?;
    for round in 0..size.rounds {
        let repo = repository(size.files);
        in_memory.push(alone_with(&repo, size.tasks, repo.root().join("state"))?);
        let repo = repository(size.files);
        on_the_disk.push(alone_with(&repo, size.tasks, disk.path().join(round.to_string()))?);
    }
    let ms = |rounds: &[AloneFigures], figure: fn(&AloneFigures) -> f64| -> Sample {
        rounds.iter().map(|round| figure(round) * 1000.0).collect()
    };
    let ratio = |ours: fn(&AloneFigures) -> f64, shell: fn(&AloneFigures) -> f64| -> Sample {
        in_memory.iter().map(|round| ours(round) / shell(round)).collect()
    };
    let mut table = Table::new(["part", "ms per task", "beside", "ms per task", "ratio"]);
    let mut row = |part: &str, ours: fn(&AloneFigures) -> f64, beside: &str, shell: fn(&AloneFigures) -> f64| {
        table.row([
            part.into(),
            format!("{:.2}", ms(&in_memory, ours)),
            beside.into(),
            format!("{:.2}", ms(&in_memory, shell)),
            format!("{:.2}", ratio(ours, shell)),
        ]);
    };
    row("worktree, create", |alone| alone.create, "`git worktree add`", |alone| alone.git_add);
    row("worktree, snapshot", |alone| alone.snapshot, "`git status`", |alone| alone.git_status);
    row("worktree, release", |alone| alone.release, "`git worktree remove`", |alone| alone.git_remove);
    row("executor without shim, start and wait", |alone| alone.execute, "`std::process`", |alone| alone.plain_execute);
    row("executor with shim", |alone| alone.execute_with_shim, "`std::process`", |alone| alone.plain_execute);
    for (part, rounds) in [("temporary folder", &in_memory), ("disk of the build", &on_the_disk)] {
        let (part, nothing) = (format!("registry, {part}"), || "-".to_owned());
        table.row([part, format!("{:.2}", ms(rounds, |alone| alone.record)), nothing(), nothing(), nothing()]);
    }
    Ok(table.write(out)?)
}

fn alone_with(repo: &TestRepo, tasks: usize, state: PathBuf) -> Result<AloneFigures, BenchError> {
    let job = AloneJob { tasks, repository: repo.path().to_owned(), state };
    Ok(measure_job(&Job::Alone(job))?.1)
}
