//! Dies at every step that has a name, in `gadugi` itself and in its shims.

use std::io;

use super::{Round, bring_to_its_end, expect_end};
use crate::args::Length;
use crate::oracle::Harm;
use crate::report::Tally;

/// The steps of `gadugi`, in about the order in which a run comes to them; `docs/testing.md` says what they are.
const POINTS: &[&str] = &[
    "registry-run-folder-made",
    "registry-run-created",
    "run-started",
    "registry-journal-written",
    "registry-journal-written:9",
    "intent-kept",
    "worktree-branch-made",
    "worktree-entry-made",
    "worktree-files-written",
    "worktree-ready",
    "worktree-ready:3",
    "shim-spawned",
    "shim-spawned:3",
    "command-started",
    "start-recorded",
    "command-ended",
    "end-recorded",
    "snapshot-committed",
    "snapshot-made",
    "attempt-ended",
    "attempt-ended:4",
    "release-renamed-aside",
    "release-entry-removed",
    "worktree-released",
    "task-finished",
    "run-ended",
];

/// Crash points that a run reaches only when it is resumed.
const RESUMED_POINTS: &[&str] = &["registry-owner-written", "run-resumed", "registry-journal-written", "command-ended"];

/// Crash points that it reaches only when it is stopped.
const STOPPED_POINTS: &[&str] = &["stop-recorded", "stop-sent"];

/// The steps of a shim.
const SHIM_POINTS: &[&str] = &[
    "shim-begun",
    "shim-command-forked",
    "shim-proc-linked",
    "shim-command-started",
    "shim-command-ended",
    "shim-exit-written",
    "shim-exit-linked",
];

const PLACES: usize = POINTS.len() + RESUMED_POINTS.len() + STOPPED_POINTS.len() + SHIM_POINTS.len();

pub(super) fn rounds(length: Length) -> usize {
    PLACES * length.of(1, 20)
}

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    let place = round.number % PLACES;
    let place = match place.checked_sub(POINTS.len()) {
        None => return orchestrator(round, POINTS[place], false),
        Some(place) => place,
    };
    let place = match place.checked_sub(RESUMED_POINTS.len()) {
        None => return orchestrator(round, RESUMED_POINTS[place], true),
        Some(place) => place,
    };
    match place.checked_sub(STOPPED_POINTS.len()) {
        None => stopped(round, STOPPED_POINTS[place]),
        Some(place) => shim(round, SHIM_POINTS[place]),
    }
}

/// Dies at the point, in the run or when it is resumed for the first time, and is then resumed for good.
fn orchestrator(round: &Round<'_>, point: &str, when_resumed: bool) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::None, |harness, _, tally| {
        if when_resumed {
            harness.gadugi_dying_at("end-recorded", &["run", "../tasks"])?;
            tally.kills += 1;
        }
        let args: &[&str] = if when_resumed { &["resume"] } else { &["run", "../tasks"] };
        let answer = harness.gadugi_dying_at(point, args)?;
        if answer.code.is_some() {
            tally.broken.push(format!("{point} was never come to: {:?} {}", answer.code, answer.err));
            return Ok(());
        }
        tally.kills += 1;
        // Also of a run that is over: what was given back and is not deleted yet is left to the next command.
        bring_to_its_end(harness, tally)
    })
}

/// Dies while it stops a task that runs out of time.
fn stopped(round: &Round<'_>, point: &str) -> io::Result<Tally> {
    let slow = |harness: &crate::harness::Harness<'_>, _: &mut fastrand::Rng| {
        let begun = format!("echo $GADUGI_TASK $GADUGI_ATTEMPT >> {}/begun\nsleep 60", harness.folder.display());
        harness.task("slow", "timeout: 300ms\ngrace: 200ms\n", &begun)?;
        Ok([("slow", "timed_out")].into())
    };
    round.with_plan(Harm::None, slow, &mut round.random(), |harness, _, tally| {
        let answer = harness.gadugi_dying_at(point, &["run", "../tasks"])?;
        if answer.code.is_some() {
            tally.broken.push(format!("{point} was never come to: {:?} {}", answer.code, answer.err));
        }
        tally.kills += 1;
        bring_to_its_end(harness, tally)
    })
}

/// Every shim of the run dies at the point; `gadugi` itself lives.
fn shim(round: &Round<'_>, point: &str) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::Tasks, |harness, _, tally| {
        let answer = harness.gadugi_dying_at(point, &["run", "../tasks"])?;
        expect_end(&answer, tally);
        let report = harness.report()?;
        let attempts = report["tasks"].as_array().into_iter().flatten().flat_map(|task| task["attempts"].as_array());
        tally.kills += attempts.flatten().count();
        Ok(())
    })
}
