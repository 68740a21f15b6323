//! The forecast of which branches merge with each other, beside `git merge-tree` for every two of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::job::{ForecastFigures, ForecastJob, Job};
use crate::library::name;
use crate::process::{hermetic, measure as measure_job, timed};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

/// Lines of each file.
const LINES: usize = 40;
/// Files that each branch changes.
const CHANGED: usize = 30;

/// The size of the repository.
#[derive(Clone, Copy)]
struct Size {
    files: usize,
    branches: usize,
}

/// The files that the branches change.
#[derive(Clone, Copy)]
enum Kind {
    /// Those of each are chosen at random, so that few pairs have one in common.
    Apart,
    /// One of them is the same for all, which each changes in another line.
    Shared,
}

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let size = if effort.small { Size { files: 200, branches: 5 } } else { Size { files: 20_000, branches: 50 } };
    let pairs = size.branches * (size.branches - 1) / 2;
    let Size { files, branches } = size;
    writeln!(out, "## forecast: {pairs} pairs of {branches} branches, {files} files, {} rounds\n", effort.rounds)?;
    let mut table = Table::new([
        "branches",
        "gadugi s",
        "`git merge-tree` each, s",
        "ratio",
        "`git merge-tree --stdin` s",
        "ratio",
        "conflicts",
        "peak memory MiB",
    ]);
    for (kind, kind_name) in [(Kind::Apart, "apart"), (Kind::Shared, "one file in common")] {
        let folder = repository(size, kind)?;
        let rounds = (0..effort.rounds).map(|_| round(folder.path(), size)).collect::<Result<Vec<_>, _>>()?;
        let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
        table.row([
            kind_name.to_owned(),
            format!("{:.3}", of(|round| round.gadugi)),
            format!("{:.2}", of(|round| round.each)),
            format!("{:.1}", of(|round| round.each / round.gadugi)),
            format!("{:.2}", of(|round| round.batch)),
            format!("{:.1}", of(|round| round.batch / round.gadugi)),
            rounds.first().map(|round| round.conflicts.to_string()).unwrap_or_default(),
            format!("{:.1}", of(|round| round.memory)),
        ]);
    }
    Ok(table.write(out)?)
}

/// Wall times in seconds, and memory in MiB.
struct Round {
    gadugi: f64,
    /// A process of git for each pair.
    each: f64,
    /// One process of git for all pairs.
    batch: f64,
    conflicts: usize,
    memory: f64,
}

fn round(repository: &Path, size: Size) -> Result<Round, BenchError> {
    let job = Job::Forecast(ForecastJob { repository: repository.to_owned(), branches: size.branches });
    let (gadugi, figures): (_, ForecastFigures) = measure_job(&job)?;
    let (each, conflicts) = by_git(repository, size)?;
    // Both have to find the same, or the times mean nothing.
    if conflicts != figures.conflicts {
        return Err(BenchError::OtherConflicts { git: conflicts, gadugi: figures.conflicts });
    }
    let batch = by_one_git(repository, size)?;
    let memory = figures.memory_peak.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20));
    Ok(Round { gadugi, each, batch, conflicts, memory })
}

fn pairs(size: Size) -> impl Iterator<Item = (String, String)> {
    let branch = |number| format!("gadugi/{}", name(number));
    (0..size.branches).flat_map(move |one| (one + 1..size.branches).map(move |other| (branch(one), branch(other))))
}

/// The time of a process of git for each pair, in seconds, and the number of conflicts.
fn by_git(repository: &Path, size: Size) -> Result<(f64, usize), BenchError> {
    let begun = Instant::now();
    let mut conflicts = 0;
    for (one, other) in pairs(size) {
        let mut git = hermetic("git");
        git.current_dir(repository).args(["merge-tree", "--write-tree", "--name-only", &one, &other]);
        let program = || "git merge-tree".to_owned();
        let status = git.stdout(Stdio::null()).status();
        let status = status.map_err(|source| BenchError::Start { program: program(), source })?;
        match status.code() {
            Some(0) => {}
            Some(1) => conflicts += 1,
            _ => return Err(BenchError::Failed { program: program(), status, stderr: String::new() }),
        }
    }
    Ok((begun.elapsed().as_secs_f64(), conflicts))
}

/// The time of one process of git for all pairs, in seconds.
fn by_one_git(repository: &Path, size: Size) -> Result<f64, BenchError> {
    let lines: String = pairs(size).map(|(one, other)| format!("{one} {other}\n")).collect();
    let path = repository.join(".git/pairs");
    let file = std::fs::write(&path, lines).and_then(|()| File::open(&path));
    let mut git = git(repository);
    git.args(["merge-tree", "--write-tree", "--name-only", "--stdin"]);
    git.stdin(file.map_err(|source| BenchError::File { path, source })?);
    Ok(timed(git)?.wall)
}

fn git(repository: &Path) -> Command {
    let mut git = hermetic("git");
    git.current_dir(repository);
    git
}

/// The text of a file, with one line changed by a branch.
fn text(file: usize, changed: Option<(usize, usize)>) -> String {
    let line = |number: usize| match changed {
        Some((branch, line)) if line == number => format!("line {number} of file {file}, changed by {branch}\n"),
        _ => format!("line {number} of file {file}, as it was\n"),
    };
    (0..LINES).map(line).collect()
}

/// A repository of so many files in a thousand folders, with a branch for each task, in one pack.
fn repository(size: Size, kind: Kind) -> Result<TempDir, BenchError> {
    let folder = scratch::temporary()?;
    let mut init = hermetic("git");
    init.args(["init", "-q", "-b", "main"]).arg(folder.path());
    timed(init)?;
    let mut stream = String::new();
    let mut commit = |to: &str, time: usize, from: &str, files: &BTreeMap<usize, String>| {
        stream += &format!("commit {to}\ncommitter t <t@t> {time} +0000\ndata 1\nx\n{from}");
        for (file, text) in files {
            let path = format!("area-{:02}/part-{:04}/file-{file:05}.txt", file / 400, file / 20);
            stream += &format!("M 644 inline {path}\ndata {}\n{text}\n", text.len());
        }
    };
    commit("refs/heads/main", 1_800_000_000, "", &(0..size.files).map(|file| (file, text(file, None))).collect());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for branch in 0..size.branches {
        let mut files = BTreeMap::new();
        while files.len() < CHANGED {
            // Numbers that look random and are the same every time (xorshift64).
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let file = match (kind, files.len()) {
                (Kind::Shared, 0) => 0,
                _ => (random >> 11) as usize % size.files,
            };
            // Each changes a line of its own in the file in common, some next to each other.
            let line = if file == 0 { branch % LINES } else { (random >> 40) as usize % LINES };
            files.entry(file).or_insert_with(|| text(file, Some((branch, line))));
        }
        commit(
            &format!("refs/heads/gadugi/{}", name(branch)),
            1_800_000_001 + branch,
            "from refs/heads/main\n",
            &files,
        );
    }
    let path = folder.path().join(".git/stream");
    let input = std::fs::write(&path, stream).and_then(|()| File::open(&path));
    let input = input.map_err(|source| BenchError::File { path: path.clone(), source })?;
    let mut import = git(folder.path());
    import.args(["fast-import", "--quiet"]).stdin(input);
    timed(import)?;
    std::fs::remove_file(&path).map_err(|source| BenchError::File { path, source })?;
    for args in [&["repack", "-adq"][..], &["reset", "-q", "--hard"]] {
        let mut git = git(folder.path());
        git.args(args);
        timed(git)?;
    }
    Ok(folder)
}
