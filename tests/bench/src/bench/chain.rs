//! The chain and the landing of many branches alone, beside `git merge` for one after the other in a work tree.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::bench::Effort;
use crate::content::{self, Shape};
use crate::error::BenchError;
use crate::job::{Job, MergeFigures, MergeJob};
use crate::library::name;
use crate::process::{hermetic, measure as measure_job, timed};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

/// The files that each branch changes.
const CHANGED: usize = 30;

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let (branches, files) = if effort.small { (2, 200) } else { (64, 20_000) };
    writeln!(out, "## chain, {} rounds\n", effort.rounds)?;
    let folder = scratch::temporary()?;
    let repository = folder.path().join("repo");
    let shape = Shape { files, bytes: files as u64 * 3200, spread: 0.8, checked_out: true };
    content::repository(&repository, shape)?;
    import(&repository, branches, files)?;
    let mut tips = hermetic("git");
    tips.args(["for-each-ref", "--format=%(objectname)", "refs/heads/gadugi"]).current_dir(&repository);
    let tips = String::from_utf8_lossy(&timed(tips)?.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        let (ours, figures): (f64, MergeFigures) =
            measure_job(&Job::Merge(MergeJob { repository: repository.clone(), tips: tips.clone() }))?;
        let our_tree = take_back(&repository)?;
        let git = by_git(&repository, branches)?;
        if take_back(&repository)? != our_tree {
            return Err(BenchError::OtherTree);
        }
        rounds.push((ours, figures, git));
    }
    let of = |figure: fn(&(f64, MergeFigures, f64)) -> f64| rounds.iter().map(figure).collect::<Sample>();
    let mut table =
        Table::new(["branches x files", "gadugi s", "its chain s", "its landing s", "git s", "times faster"]);
    table.row([
        format!("{branches} x {files}"),
        format!("{:.3}", of(|(ours, ..)| *ours)),
        format!("{:.3}", of(|(_, figures, _)| figures.chain)),
        format!("{:.3}", of(|(_, figures, _)| figures.landing)),
        format!("{:.3}", of(|(_, _, git)| *git)),
        format!("{:.1}", of(|(ours, _, git)| git / ours)),
    ]);
    table.write(out)?;
    Ok(())
}

/// Makes branches of one commit, each of which changes files of its own all over the repository.
fn import(repository: &Path, branches: usize, files: usize) -> Result<(), BenchError> {
    let stride = (files / (branches * CHANGED)).max(1);
    let mut stream = String::new();
    for branch in 0..branches {
        let subject = format!("Task {branch}");
        writeln!(
            stream,
            "commit refs/heads/gadugi/{}\ncommitter Bench <bench@example.com> 1767323046 +0000",
            name(branch)
        )
        .ok();
        writeln!(stream, "data {}\n{subject}\nfrom refs/heads/main^0", subject.len()).ok();
        for number in (0..CHANGED).map(|number| (number * branches + branch) * stride % files) {
            let text = format!("changed by {branch}\n");
            writeln!(stream, "M 100644 inline {}\ndata {}\n{text}", content::path(number), text.len()).ok();
        }
    }
    let program = || "git fast-import".to_owned();
    let mut import = hermetic("git");
    import.args(["fast-import", "--quiet"]).current_dir(repository).stdin(Stdio::piped());
    let mut child = import.spawn().map_err(|source| BenchError::Start { program: program(), source })?;
    // Closed at the end of the statement, which ends the import.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(stream.as_bytes()));
    let status = child.wait().map_err(|source| BenchError::Start { program: program(), source })?;
    if !status.success() {
        return Err(BenchError::Failed { program: program(), status, stderr: String::new() });
    }
    Ok(written?)
}

fn by_git(repository: &Path, branches: usize) -> Result<f64, BenchError> {
    let mut command = hermetic("sh");
    let line = "git merge -q --no-ff -m \"Merge $1\" \"gadugi/$1\"";
    command.args(["-ec", &format!("while [ $# -gt 0 ]; do {line}; shift; done"), "sh"]);
    command.args((0..branches).map(name)).current_dir(repository);
    command.envs([("GIT_AUTHOR_NAME", "Bench"), ("GIT_AUTHOR_EMAIL", "bench@example.com")]);
    command.envs([("GIT_COMMITTER_NAME", "Bench"), ("GIT_COMMITTER_EMAIL", "bench@example.com")]);
    Ok(timed(command)?.wall)
}

/// Brings the repository back to before the merge, and gives the tree that was merged.
fn take_back(repository: &Path) -> Result<Vec<u8>, BenchError> {
    let git = |args: &[&str]| {
        let mut git = hermetic("git");
        git.args(args).current_dir(repository);
        Ok::<_, BenchError>(timed(git)?.stdout)
    };
    let status = git(&["status", "--porcelain"])?;
    if !status.is_empty() {
        return Err(BenchError::Dirty { status: String::from_utf8_lossy(&status).into_owned() });
    }
    let tree = git(&["rev-parse", "HEAD^{tree}"])?;
    // The first commit of `main`, which all branches start from.
    let start = git(&["rev-list", "--max-parents=0", "main"])?;
    git(&["reset", "-q", "--hard", String::from_utf8_lossy(&start).trim()])?;
    Ok(tree)
}
