//! The report for CI servers.

use std::io::{self, Write};

use gadugi_core::run::{AttemptRecord, Clock, Failure, TaskRecord};
use gadugi_core::{Outcome, Phase, Report};
use quick_junit::{NonSuccessKind, Report as JUnit, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::LogTail;
use super::escape::{xml, xml_line};
use super::words::{attempt_ref, attempt_time, open, state};

/// Limit for the listed earlier attempts of a task, each with the end of its output: all of them are in memory at once.
const MAX_RERUNS: usize = 20;

/// A report as JUnit XML: the run is a test suite, a task is a test case.
///
/// - A task that did not succeed by its own doing (its command, its check, a clock, a conflict) is a
///   failure. One that something else kept from a result (no worktree, its setup, no start, no snapshot, cancelled
///   while it ran, lost, not over) is an error. One that never began is skipped.
/// - A task that succeeded and changed nothing has a property `outcome` that says so.
/// - A conflict with another task or with the target is a property `conflict`.
/// - Earlier attempts at a task that then succeeded are flaky runs of it; those at one that did not are
///   reruns. Of more than 20, the last 20 are listed.
/// - The time of a case is the measured time of the commands of the task's last attempt; flaky runs and
///   reruns have their own.
/// - That nobody drove the run for a time, or does now, stands in the output of the suite.
/// - `tail` gives the end of an output; what XML 1.0 cannot hold is taken out of it.
#[must_use]
pub fn junit(report: &Report, tail: LogTail<'_>) -> String {
    suites(report, tail).to_string().expect("cannot fail because it is written to memory, from strings")
}

/// Writes the same XML.
///
/// # Errors
/// Those of writing.
pub(super) fn write_junit(report: &Report, tail: LogTail<'_>, to: &mut dyn Write) -> io::Result<()> {
    suites(report, tail).serialize(to).map_err(io::Error::other)
}

fn suites(report: &Report, tail: LogTail<'_>) -> JUnit {
    let record = &report.record;
    let mut suite = TestSuite::new(record.header.run.as_str());
    if let Some(started) = record.started {
        suite.extra.insert("timestamp".into(), started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    }
    if let Some((Some(wall), _)) = record.ended {
        suite.set_time(wall);
    }
    let interruptions = interruptions(report);
    if !interruptions.is_empty() {
        suite.set_system_out(xml(interruptions.as_bytes()));
    }
    suite.add_test_cases(record.tasks.iter().map(|task| case(report, task, tail)));
    let mut junit = JUnit::new("gadugi");
    if let Some((Some(wall), _)) = record.ended {
        junit.set_time(wall);
    }
    junit.add_test_suite(suite);
    junit
}

/// The interruptions of the run, a line each.
fn interruptions(report: &Report) -> String {
    let record = &report.record;
    let past = record.interruptions.iter().map(|interruption| format!("interrupted: {interruption}\n"));
    let remedy = format!("`gadugi resume {}` goes on with it", record.header.run);
    past.chain(open(report).map(|open| format!("interrupted: {open}; {remedy}\n"))).collect()
}

fn case(report: &Report, task: &TaskRecord, tail: LogTail<'_>) -> TestCase {
    let mut status = match task.outcome() {
        Some(outcome) if outcome.success() => TestCaseStatus::success(),
        Some(outcome) if task.attempts.is_empty() => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(xml_line(&outcome.to_string()));
            skipped
        }
        Some(outcome) => {
            let mut status = TestCaseStatus::non_success(kind(outcome));
            status.set_type(outcome.word()).set_message(xml_line(&outcome.to_string()));
            status
        }
        None => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("not over").set_message(state(report, task));
            status
        }
    };
    if let Some((_, earlier)) = task.attempts.split_last() {
        let listed = &earlier[earlier.len().saturating_sub(MAX_RERUNS)..];
        status.add_reruns(listed.iter().map(|attempt| rerun(task, attempt, tail)));
    }
    let mut case = TestCase::new(task.task.spec.id.as_str(), status);
    case.set_classname("gadugi");
    if let Some(outcome @ Outcome::Unchanged) = task.outcome() {
        case.add_property(("outcome", outcome.word()));
    }
    for conflict in report.conflicts() {
        if let Some(other) = conflict.other_than(&task.task.spec.id) {
            let text = format!("with {other} in {}", conflict.files_text());
            case.add_property(("conflict", xml_line(&text).as_str()));
        }
    }
    if let Some(last) = task.last() {
        if let Some(time) = attempt_time(last) {
            case.set_time(time);
        }
        if let Some(output) = output(task, last, tail) {
            case.set_system_out(output);
        }
    }
    case
}

fn rerun(task: &TaskRecord, attempt: &AttemptRecord, tail: LogTail<'_>) -> TestRerun {
    let outcome = attempt.ended.as_ref().map(|(outcome, _)| outcome);
    let mut rerun = TestRerun::new(outcome.map_or(NonSuccessKind::Error, kind));
    if let Some(outcome) = outcome {
        rerun.set_type(outcome.word()).set_message(xml_line(&outcome.to_string()));
    }
    if let Some(time) = attempt_time(attempt) {
        rerun.set_time(time);
    }
    if let Some(output) = output(task, attempt, tail) {
        rerun.set_system_out(output);
    }
    rerun
}

fn kind(outcome: &Outcome) -> NonSuccessKind {
    match outcome {
        Outcome::Failed(
            Failure::ExitCode(_)
            | Failure::Signal(_)
            | Failure::OutOfMemory
            | Failure::Check(_)
            | Failure::NothingChanged
            | Failure::Elsewhere(_)
            | Failure::ConflictMarkers { .. },
        )
        | Outcome::TimedOut(Clock::Wall | Clock::Idle)
        | Outcome::Conflict { .. } => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    }
}

/// The end of the output of the attempt's last command.
fn output(task: &TaskRecord, attempt: &AttemptRecord, tail: LogTail<'_>) -> Option<String> {
    let phase = attempt.commands.last().map_or(Phase::Main, |command| command.phase);
    tail(&attempt_ref(task, attempt), phase).map(|bytes| xml(&bytes)).filter(|text| !text.is_empty())
}
