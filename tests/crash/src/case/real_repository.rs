//! Many tasks on this project's own repository: `gadugi` dies at any time, in the run, while it resumes it and while it
//! cleans up, and in the end nothing is lost and nothing is left.

use std::io;
use std::process::Child;
use std::time::Duration;

use super::{Round, bring_to_its_end, kill_child, wait_at_random};
use crate::cleaned;
use crate::harness::Harness;
use crate::oracle::{Harm, Mine, Oracle};
use crate::plan::{LEFT, many};
use crate::processes;
use crate::report::Tally;

/// Most runs take longer.
const RUN: Duration = Duration::from_millis(1300);
/// So do most of those that clean.
const CLEAN: Duration = Duration::from_millis(150);

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    let mut random = round.random();
    let harness = Harness::of_this_project(round.installation, &round.name)?;
    let expected = many(&harness, &mut random)?;
    let mine = Mine::of(&harness)?;
    let mut tally = Tally { rounds: 1, ..Tally::default() };
    let mut is_over = !dies(harness.start_run()?, RUN, &mut random, &mut tally)?;
    for _ in 0..random.usize(0..4) {
        if !is_over {
            is_over = !dies(harness.start(&["resume"])?, RUN, &mut random, &mut tally)?;
        }
    }
    // A call to resume also ends when the first one was killed before there was a run.
    if !is_over || !harness.report().is_ok_and(|report| report["ended"] == true) {
        bring_to_its_end(&harness, &mut tally)?;
    }
    let oracle = Oracle { harness: &harness, mine: &mine, expected: &expected, harm: Harm::None };
    let mut broken = oracle.broken()?;
    broken.extend(left_out(&harness, &mut tally)?);
    for discard in [&["clean", "--all"][..], &["clean", "--all", "--discard"]] {
        if random.bool() {
            let clean = harness.start(discard)?;
            let killed = dies(clean, CLEAN, &mut random, &mut tally)?;
            tally.count("killed while it cleaned", killed.into());
            let sweepers = processes::sweepers(&harness.folder);
            tally.kills += sweepers.len();
            tally.count("killed while they deleted", sweepers.len());
            sweepers.into_iter().for_each(processes::kill);
        }
        let answer = harness.gadugi(&[discard, &["--wait"]].concat())?;
        broken.extend(cleaned::broken(&harness, &answer)?);
        broken.extend(oracle.broken()?);
    }
    let left = cleaned::left(&harness)?;
    if left > 0 {
        broken.push(format!("{left} folders and entries are left of what was discarded"));
    }
    tally.count("commits", harness.lines("commits")?.len());
    tally.count("tasks", expected.len());
    tally.broken.extend(broken.into_iter().map(|sentence| format!("{}: {sentence}", round.name)));
    if tally.broken.is_empty() || !round.keep {
        harness.remove()?;
    }
    Ok(tally)
}

/// Kills `gadugi` after a random while; says whether it was still there.
fn dies(mut child: Child, most: Duration, random: &mut fastrand::Rng, tally: &mut Tally) -> io::Result<bool> {
    wait_at_random(random, most);
    let killed = kill_child(&mut child)?;
    tally.kills += usize::from(killed);
    Ok(killed)
}

/// Checks that uncommitted files of successful tasks are on their branches.
fn left_out(harness: &Harness<'_>, tally: &mut Tally) -> io::Result<Vec<String>> {
    let (file, prefix) = LEFT;
    let report = harness.report()?;
    let mut broken = Vec::new();
    for task in report["tasks"].as_array().into_iter().flatten() {
        let id = task["id"].as_str().unwrap_or_default();
        if !id.starts_with(prefix) {
            continue;
        }
        let last = task["attempts"].as_array().and_then(|attempts| attempts.last());
        let branch = last.and_then(|last| last["worktree"]["branch"].as_str()).unwrap_or_default();
        match harness.git(&["cat-file", "-p", &format!("{branch}:{file}")]) {
            Ok(text) if text == id => tally.count("files saved", 1),
            _ => broken.push(format!("a lost file: {file} of {id} is not on `{branch}`")),
        }
    }
    Ok(broken)
}
