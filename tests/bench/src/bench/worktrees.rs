//! Making and removing many worktrees, beside `git worktree` for the same.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::ValueEnum;

use crate::bench::Effort;
use crate::content::{self, Shape};
use crate::disk::{Disk, Disks, Original, Room};
use crate::error::BenchError;
use crate::job::{CreateFigures, CreateJob, Job};
use crate::library::name;
use crate::process::{hermetic, measure as measure_job, timed, xargs};
use crate::sample::Sample;
use crate::table::Table;

/// The measured case. The first four make worktrees beside git, and report the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// 16 worktrees of 20,000 small files
    Wide,
    /// 16 worktrees of 600 files
    Small,
    /// 8 worktrees of 2,200 files of all sizes
    Large,
    /// One worktree of 600 files
    Single,
    /// 4 worktrees of two files of 200 MiB: memory alone
    Blobs,
    /// Removing 8 worktrees of 20,000 files
    Remove,
}

/// The sizes of a case.
#[derive(Clone, Copy)]
struct Setting {
    worktrees: usize,
    shape: Shape,
    room: Room,
    /// Number of measurements in each round: short times differ more.
    repeats: usize,
}

impl Case {
    fn setting(self, small: bool) -> Setting {
        let shape = |files, mb: u64, spread| Shape { files, bytes: mb * 1_000_000, spread, checked_out: true };
        let (worktrees, shape, mib) = match self {
            _ if small => (2, Shape { bytes: 200_000, ..shape(30, 0, 1.0) }, 32),
            Self::Wide => (16, shape(20_000, 64, 0.8), 6 * 1024),
            Self::Small => (16, shape(600, 6, 1.2), 1024),
            Self::Large => (8, shape(2_200, 77, 2.0), 2 * 1024),
            Self::Single => (1, shape(600, 6, 1.2), 512),
            Self::Blobs => (4, Shape { checked_out: false, ..shape(2, 420, 0.0) }, 4 * 1024),
            Self::Remove => (8, shape(20_000, 64, 0.8), 6 * 1024),
        };
        let repeats = match self {
            Self::Single if !small => 5,
            Self::Small if !small => 3,
            _ => 1,
        };
        Setting { worktrees, shape, room: Room { mib }, repeats }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The way in which git makes worktrees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ByGit {
    OneAfterTheOther,
    TwoAtOnce,
}

pub(crate) fn measure(effort: &Effort, cases: &[Case], disks: &Disks, out: &mut dyn Write) -> Result<(), BenchError> {
    let cases = if cases.is_empty() { Case::value_variants() } else { cases };
    writeln!(out, "## worktrees, {} rounds, {}\n", effort.rounds, disks.describe())?;
    let mut tables = Tables::new();
    for &case in cases {
        let setting = case.setting(effort.small);
        match case {
            Case::Wide | Case::Small | Case::Large | Case::Single => create(case, setting, effort, disks, &mut tables)?,
            Case::Blobs => blobs(setting, effort, disks, &mut tables)?,
            Case::Remove => remove(setting, effort, disks, &mut tables)?,
        }
    }
    tables.write(out)
}

/// The printed tables; one without rows is left out.
struct Tables {
    create: Table,
    status: Table,
    remove: Table,
    memory: Table,
}

impl Tables {
    fn new() -> Self {
        Self {
            create: Table::new(["made", "worktrees x files", "gadugi s", "its call s", "beside", "git s", "ratio"]),
            status: Table::new(["first `git status` in", "gadugi's ms", "git's ms", "ratio"]),
            remove: Table::new(["removed", "gadugi s", "git s", "ratio", "space free s", "ratio of that"]),
            memory: Table::new(["memory of making", "before MiB", "peak MiB", "more MiB"]),
        }
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), BenchError> {
        for table in [&self.create, &self.status, &self.remove, &self.memory] {
            if !table.is_empty() {
                table.write(out)?;
            }
        }
        Ok(())
    }

    fn memory(&mut self, case: Case, setting: Setting, made: &[&CreateFigures]) {
        const MIB: f64 = (1 << 20) as f64;
        let mib = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / MIB);
        let of = |figure: &dyn Fn(&CreateFigures) -> f64| made.iter().map(|made| figure(made)).collect::<Sample>();
        let more = of(&|made| mib(made.memory_peak) - mib(made.memory_before));
        self.memory.row([
            format!("{}, {}", case.name(), setting.describe()),
            format!("{:.1}", of(&|made| mib(made.memory_before))),
            format!("{:.1}", of(&|made| mib(made.memory_peak))),
            format!("{more:.1}"),
        ]);
    }
}

impl Setting {
    fn describe(&self) -> String {
        format!("{} x {}", self.worktrees, self.shape.files)
    }

    fn original(&self, disks: &Disks) -> Result<Original, BenchError> {
        Original::make(disks, self.room, |disk| content::repository(&repository(disk), self.shape))
    }
}

fn repository(disk: &Path) -> PathBuf {
    disk.join("repo")
}

/// The folder in which gadugi puts the worktrees of [`repository`].
fn ours(disk: &Path) -> PathBuf {
    disk.join("repo.gadugi")
}

/// The folder for git's worktrees.
fn gits(disk: &Path) -> PathBuf {
    disk.join("by-git")
}

/// The result for one disk.
struct Made {
    /// In seconds, as `status` is.
    wall: f64,
    status: f64,
}

fn create(case: Case, setting: Setting, effort: &Effort, disks: &Disks, tables: &mut Tables) -> Result<(), BenchError> {
    let ways: &[ByGit] = match case {
        Case::Wide => &[ByGit::OneAfterTheOther, ByGit::TwoAtOnce],
        _ => &[ByGit::OneAfterTheOther],
    };
    let original = setting.original(disks)?;
    let mut rounds_of_ours = Vec::new();
    let mut rounds_of_git: Vec<Vec<Made>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.rounds * setting.repeats {
        rounds_of_ours.push(by_library(original.copy()?, setting)?);
        for (rounds, &way) in rounds_of_git.iter_mut().zip(ways) {
            rounds.push(by_git(original.copy()?, setting, way)?);
        }
    }
    let ours = |figure: &dyn Fn(&(Made, CreateFigures)) -> f64| rounds_of_ours.iter().map(figure).collect::<Sample>();
    let ratio = |git: &[Made], figure: fn(&Made) -> f64| -> Sample {
        rounds_of_ours.iter().zip(git).map(|((ours, _), git)| figure(ours) / figure(git)).collect()
    };
    for (git, way) in rounds_of_git.iter().zip(ways) {
        let beside = match way {
            ByGit::OneAfterTheOther => "`git worktree add` one after the other",
            ByGit::TwoAtOnce => "`xargs -P2 git worktree add`",
        };
        tables.create.row([
            case.name(),
            setting.describe(),
            format!("{:.3}", ours(&|(made, _)| made.wall)),
            format!("{:.3}", ours(&|(_, figures)| figures.call)),
            beside.to_owned(),
            format!("{:.3}", git.iter().map(|made| made.wall).collect::<Sample>()),
            format!("{:.3}", ratio(git, |made| made.wall)),
        ]);
    }
    tables.status.row([
        format!("{}, {} files", case.name(), setting.shape.files),
        format!("{:.1}", ours(&|(made, _)| made.status * 1000.0)),
        format!("{:.1}", rounds_of_git[0].iter().map(|made| made.status * 1000.0).collect::<Sample>()),
        format!("{:.3}", ratio(&rounds_of_git[0], |made| made.status)),
    ]);
    let figures: Vec<&CreateFigures> = rounds_of_ours.iter().map(|(_, figures)| figures).collect();
    tables.memory(case, setting, &figures);
    Ok(())
}

/// Only gadugi: how much memory it takes when single files are large.
fn blobs(setting: Setting, effort: &Effort, disks: &Disks, tables: &mut Tables) -> Result<(), BenchError> {
    let original = setting.original(disks)?;
    let mut made = Vec::new();
    for _ in 0..effort.rounds {
        made.push(by_library(original.copy()?, setting)?.1);
    }
    tables.memory(Case::Blobs, setting, &made.iter().collect::<Vec<_>>());
    Ok(())
}

fn by_library(disk: Disk<'_>, setting: Setting) -> Result<(Made, CreateFigures), BenchError> {
    let (wall, figures) = create_by_library(disk.path(), setting)?;
    let status = first_status(&ours(disk.path()).join(name(0)))?;
    disk.remove()?;
    Ok((Made { wall, status }, figures))
}

fn create_by_library(disk: &Path, setting: Setting) -> Result<(f64, CreateFigures), BenchError> {
    measure_job(&Job::Create(CreateJob { repository: repository(disk), worktrees: setting.worktrees }))
}

fn by_git(disk: Disk<'_>, setting: Setting, way: ByGit) -> Result<Made, BenchError> {
    let folder = gits(disk.path());
    let names: Vec<String> = (0..setting.worktrees).map(name).collect();
    let mut command = match way {
        ByGit::OneAfterTheOther => for_each(&names, "git worktree add -q -b \"by-git/$1\" \"$FOLDER/$1\""),
        ByGit::TwoAtOnce => {
            let mut command = xargs(2, &names, disk.path())?;
            let path = folder.join("{}");
            command.args(["git", "worktree", "add", "-q", "-b", "by-git/{}"]).arg(path);
            command
        }
    };
    command.current_dir(repository(disk.path())).env("FOLDER", &folder);
    let wall = timed(command)?.wall;
    let status = first_status(&folder.join(name(0)))?;
    disk.remove()?;
    Ok(Made { wall, status })
}

/// A shell that runs a line for each of these names, which is `$1` there, and stops where that fails.
fn for_each(names: &[String], line: &str) -> Command {
    let mut command = hermetic("sh");
    command.args(["-ec", &format!("while [ $# -gt 0 ]; do {line}; shift; done"), "sh"]).args(names);
    command
}

/// The seconds that git takes to see that nothing was changed. It leaves the index as it is.
fn first_status(worktree: &Path) -> Result<f64, BenchError> {
    let mut status = hermetic("git");
    status.args(["--no-optional-locks", "status", "--porcelain"]).current_dir(worktree);
    let done = timed(status)?;
    if done.stdout.is_empty() {
        Ok(done.wall)
    } else {
        Err(BenchError::Dirty { status: String::from_utf8_lossy(&done.stdout).into_owned() })
    }
}

/// In seconds.
struct Removed {
    git: f64,
    /// Until gadugi says that they are removed.
    returned: f64,
    /// Until there is nothing left of them on the disk.
    free: f64,
}

fn remove(setting: Setting, effort: &Effort, disks: &Disks, tables: &mut Tables) -> Result<(), BenchError> {
    // The same worktrees for both.
    let original = Original::make(disks, setting.room, |disk| {
        content::repository(&repository(disk), setting.shape)?;
        create_by_library(disk, setting).map(drop)
    })?;
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        let (returned, free) = remove_by_library(original.copy()?)?;
        let git = remove_by_git(original.copy()?, setting)?;
        rounds.push(Removed { git, returned, free });
    }
    let of = |figure: fn(&Removed) -> f64| rounds.iter().map(figure).collect::<Sample>();
    tables.remove.row([
        setting.describe(),
        format!("{:.3}", of(|round| round.returned)),
        format!("{:.3}", of(|round| round.git)),
        format!("{:.3}", of(|round| round.returned / round.git)),
        format!("{:.3}", of(|round| round.free)),
        format!("{:.3}", of(|round| round.free / round.git)),
    ]);
    Ok(())
}

fn remove_by_library(disk: Disk<'_>) -> Result<(f64, f64), BenchError> {
    let begun = Instant::now();
    let (returned, _): (f64, usize) = measure_job(&Job::Release(repository(disk.path())))?;
    let (_, ()): (f64, ()) = measure_job(&Job::Sweep(repository(disk.path())))?;
    let free = begun.elapsed().as_secs_f64();
    if !is_empty_or_absent(&ours(disk.path()))? {
        return Err(BenchError::WorktreeKept);
    }
    disk.remove()?;
    Ok((returned, free))
}

fn is_empty_or_absent(folder: &Path) -> Result<bool, BenchError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(BenchError::File { path: folder.to_owned(), source }),
    }
}

fn remove_by_git(disk: Disk<'_>, setting: Setting) -> Result<f64, BenchError> {
    let names: Vec<String> = (0..setting.worktrees).map(name).collect();
    let mut command = for_each(&names, "git worktree remove \"$FOLDER/$1\"");
    command.current_dir(repository(disk.path())).env("FOLDER", ours(disk.path()));
    let wall = timed(command)?.wall;
    disk.remove()?;
    Ok(wall)
}
