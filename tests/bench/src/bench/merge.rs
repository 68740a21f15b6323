//! Merging the branches of a run, beside `git merge` and the check for one branch after the other.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use gadugi_test_support::repo::TestRepo;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::library::name;
use crate::process::{Measured, gadugi, hermetic, peak, timed};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

/// A run whose branches are merged.
struct Case {
    name: &'static str,
    branches: usize,
    files: usize,
    /// The check; none for whatever merges.
    check: Option<String>,
    /// Whether the check fails because of one branch.
    one_is_red: bool,
}

fn cases(small: bool) -> Vec<Case> {
    let (branches, pause) = if small { (4, "0.05") } else { (16, "2") };
    let check = format!("sleep {pause}; test ! -e {}", red(branches));
    vec![
        Case { name: "all green", branches, files: 20, check: Some(check.clone()), one_is_red: false },
        Case { name: "one red", branches, files: 20, check: Some(check), one_is_red: true },
        Case {
            name: "without a check",
            branches: if small { 4 } else { 64 },
            files: if small { 40 } else { 20_000 },
            check: None,
            one_is_red: false,
        },
    ]
}

/// The file that the check does not like, of one in the middle of the order.
fn red(branches: usize) -> String {
    format!("{}.red", name(branches / 2))
}

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    writeln!(out, "## merge: the branches of a run, {} rounds\n", effort.rounds)?;
    let mut table =
        Table::new(["case", "branches", "files", "`gadugi merge` s", "by hand s", "times as fast", "peak memory MiB"]);
    for case in cases(effort.small) {
        let rounds = (0..effort.rounds).map(|_| round(&case)).collect::<Result<Vec<_>, _>>()?;
        let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Sample>();
        table.row([
            case.name.to_owned(),
            case.branches.to_string(),
            case.files.to_string(),
            format!("{:.2}", of(|round| round.gadugi.wall)),
            format!("{:.2}", of(|round| round.by_hand)),
            format!("{:.1}", of(|round| round.by_hand / round.gadugi.wall)),
            format!("{:.0}", of(|round| round.gadugi.peak_mib)),
        ]);
    }
    Ok(table.write(out)?)
}

struct Round {
    gadugi: Measured,
    /// Wall time in seconds.
    by_hand: f64,
}

fn round(case: &Case) -> Result<Round, BenchError> {
    let ours = ran(case)?;
    let gits = scratch::temporary()?;
    let mut copy = hermetic("cp");
    copy.arg("-a").arg(ours.path()).arg(gits.path().join("repo"));
    timed(copy)?;
    let by_hand = timed(by_hand(case, &gits.path().join("repo")))?.wall;
    let mut merge = gadugi(ours.path())?;
    merge.args(["merge", "-j16"]);
    match &case.check {
        Some(check) => merge.args(["--check", check]),
        None => merge.arg("--no-check"),
    };
    let gadugi = peak(merge)?;
    let expected = case.branches - usize::from(case.one_is_red);
    for repository in [&gits.path().join("repo"), ours.path()] {
        let merged = merges(repository)?;
        if merged != expected {
            return Err(BenchError::Unsuccessful { succeeded: merged, tasks: expected });
        }
    }
    Ok(Round { gadugi, by_hand })
}

/// A repository with a run whose tasks have changed a file each.
fn ran(case: &Case) -> Result<TestRepo, BenchError> {
    let repo = scratch::repository(case.files);
    let mut batch = String::new();
    for number in 0..case.branches {
        let id = name(number);
        let red = if case.one_is_red && number == case.branches / 2 { red(case.branches) } else { format!("{id}.txt") };
        writeln!(batch, "[[task]]\nid = \"{id}\"\nrun = \"echo {id} > {red}\"\n").expect("a String takes any text");
    }
    let path = repo.root().join("tasks.toml");
    std::fs::write(&path, batch).map_err(|source| BenchError::File { path: path.clone(), source })?;
    let mut run = gadugi(repo.path())?;
    run.args(["run", "-j4"]).arg(path);
    timed(run)?;
    Ok(repo)
}

/// What somebody does by hand who merges one branch after the other, and takes back what fails the check.
fn by_hand(case: &Case, repository: &Path) -> Command {
    let branches: Vec<String> = (0..case.branches).map(|number| format!("gadugi/{}", name(number))).collect();
    let check =
        case.check.as_ref().map(|check| format!("sh -c '{check}' || git reset -q --hard HEAD~1")).unwrap_or_default();
    let script = format!(
        "for branch in {}; do\ngit merge -q --no-ff --no-edit $branch || exit 2\n{check}\ndone",
        branches.join(" ")
    );
    let mut sh = hermetic("sh");
    sh.args(["-c", &script]).current_dir(repository).env("GIT_MERGE_AUTOEDIT", "no");
    for who in ["AUTHOR", "COMMITTER"] {
        sh.env(format!("GIT_{who}_NAME"), "t").env(format!("GIT_{who}_EMAIL"), "t@localhost");
    }
    sh
}

/// The number of merges on the branch.
fn merges(repository: &Path) -> Result<usize, BenchError> {
    let mut git = hermetic("git");
    git.arg("-C").arg(repository).args(["rev-list", "--count", "--merges", "main"]);
    let counted = timed(git)?;
    Ok(String::from_utf8_lossy(&counted.stdout).trim().parse().unwrap_or(0))
}
