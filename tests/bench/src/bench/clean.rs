//! Deciding on the branches of many tasks and deleting them, beside `git branch` for the same.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use gadugi_test_support::repo::TestRepo;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::job::{CleanFigures, CleanJob, Job};
use crate::library::name;
use crate::process::{hermetic, measure as measure_job, timed};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

/// The kind of branches.
#[derive(Clone, Copy)]
enum Kind {
    /// Each has a commit of its own, beside the branch of the main work tree.
    Unmerged,
    /// Each is at a commit of the branch of the main work tree.
    Merged,
}

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let branches = if effort.small { 40 } else { 10_000 };
    writeln!(out, "## clean: {branches} branches, {} rounds\n", effort.rounds)?;
    let mut table = Table::new(["branches", "what", "gadugi s", "`git branch` s", "ratio", "peak memory MiB"]);
    for (kind, kind_name) in [(Kind::Unmerged, "unmerged"), (Kind::Merged, "merged")] {
        for (dry_run, what) in [(true, "decided on: `--merged`"), (false, "deleted: `-d`")] {
            if matches!((kind, dry_run), (Kind::Unmerged, false)) {
                continue;
            }
            let rounds = (0..effort.rounds).map(|_| round(branches, kind, dry_run)).collect::<Result<Vec<_>, _>>()?;
            let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
            table.row([
                kind_name.to_owned(),
                what.to_owned(),
                format!("{:.2}", of(|round| round.gadugi)),
                format!("{:.2}", of(|round| round.git)),
                format!("{:.2}", of(|round| round.gadugi / round.git)),
                format!("{:.1}", of(|round| round.memory)),
            ]);
        }
    }
    Ok(table.write(out)?)
}

/// Wall times in seconds, and memory in MiB.
struct Round {
    gadugi: f64,
    git: f64,
    memory: f64,
}

fn round(branches: usize, kind: Kind, dry_run: bool) -> Result<Round, BenchError> {
    let (ours, gits) = (repository(branches, kind)?, repository(branches, kind)?);
    let job = Job::Clean(CleanJob { repository: ours.path().to_owned(), branches, dry_run });
    let (gadugi, figures): (_, CleanFigures) = measure_job(&job)?;
    let expected = if matches!(kind, Kind::Merged) { branches } else { 0 };
    if figures.gone != expected {
        return Err(BenchError::Unsuccessful { succeeded: figures.gone, tasks: expected });
    }
    let mut git = git(gits.path());
    if dry_run {
        git.args(["branch", "--merged", "main", "--list", "gadugi/*"]);
    } else {
        git.args(["branch", "-q", "-d"]).args((0..branches).map(|number| format!("gadugi/{}", name(number))));
    }
    let git = timed(git)?.wall;
    let memory = figures.memory_peak.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20));
    Ok(Round { gadugi, git, memory })
}

fn git(repository: &Path) -> Command {
    let mut git = hermetic("git");
    git.arg("-C").arg(repository);
    git
}

/// A repository with as many branches, by one `git fast-import`.
fn repository(branches: usize, kind: Kind) -> Result<TestRepo, BenchError> {
    let repo = scratch::repository(20);
    let mut stream = String::new();
    for number in 0..branches {
        let (to, from) = match kind {
            Kind::Unmerged => (format!("refs/heads/gadugi/{}", name(number)), "from refs/heads/main^0\n"),
            Kind::Merged if number == 0 => ("refs/heads/main".to_owned(), "from refs/heads/main^0\n"),
            Kind::Merged => ("refs/heads/main".to_owned(), ""),
        };
        let time = 1_800_000_000 + number;
        stream += &format!("commit {to}\ncommitter t <t@t> {time} +0000\ndata 1\nx\n{from}");
        let text = name(number);
        stream += &format!("M 644 inline work.txt\ndata {}\n{text}\n", text.len());
        if matches!(kind, Kind::Merged) {
            stream += &format!("reset refs/heads/gadugi/{}\nfrom refs/heads/main\n\n", name(number));
        }
    }
    repo.write(".git/stream", stream);
    let path = repo.path().join(".git/stream");
    let input = File::open(&path).map_err(|source| BenchError::File { path, source })?;
    let mut import = git(repo.path());
    import.args(["fast-import", "--quiet", "--force"]).stdin(input);
    timed(import)?;
    Ok(repo)
}
