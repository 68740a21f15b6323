//! The tasks whose branches are published, and the branches that theirs are stacked on.

use gadugi_core::run::TaskRecord;
use gadugi_core::{BranchName, CommitId, Outcome, RunRecord, TaskId};

use super::full;
use crate::context::Context;
use crate::failure::Failure;
use crate::site::{PreviewSource, Site};
use crate::work::{ScratchObjects, TaskWork};

/// A task with a branch to publish.
pub(super) struct Candidate<'a> {
    pub(super) task: &'a TaskRecord,
    pub(super) branch: BranchName,
}

/// The tasks to publish, and how many cannot be.
pub(super) struct Candidates<'a> {
    /// Each after those that it needs.
    pub(super) found: Vec<Candidate<'a>>,
    pub(super) refused: usize,
}

impl<'a> Candidates<'a> {
    /// Finds those that have succeeded and have commits. Of the others only `named` ones are refused.
    pub(super) async fn find(
        context: &Context,
        site: &Site,
        tasks: &[&'a TaskRecord],
        named: bool,
    ) -> Result<Self, Failure> {
        let objects = ScratchObjects::new(site)?;
        let mut all = Self { found: Vec::new(), refused: 0 };
        for task in in_order(tasks) {
            let id = &task.task.spec.id;
            match task.outcome() {
                Some(outcome) if outcome.success() => {}
                outcome => {
                    let state =
                        outcome.map_or("is not over".to_owned(), |outcome| format!("has not succeeded: {outcome}"));
                    if named {
                        let failure = Failure::undone(format!("{id} {state}"));
                        failure.hint("`gadugi pr` publishes what has succeeded").print(&context.terminal);
                        all.refused += 1;
                    } else {
                        context.terminal.say(&format!("{id} is passed over: it {state}"));
                    }
                    continue;
                }
            }
            match TaskWork::on_branch(site, task, &objects).await {
                Ok(Some(work)) if work.preview.commit == work.base => say_empty(context, id),
                Ok(Some(work)) if work.preview.source == PreviewSource::Branch => {
                    all.found.push(Candidate { task, branch: work.branch });
                }
                Ok(Some(work)) => {
                    let message = format!("{id}: its branch {} is gone, or another one has its name", work.branch);
                    let hint = format!("`git branch {} {}` makes it again", work.branch, work.preview.commit);
                    Failure::undone(message).hint(hint).print(&context.terminal);
                    all.refused += 1;
                }
                Ok(None) => say_empty(context, id),
                Err(failure) => {
                    failure.print(&context.terminal);
                    all.refused += 1;
                }
            }
        }
        Ok(all)
    }
}

fn say_empty(context: &Context, task: &TaskId) {
    context.terminal.say(&format!("{task} is passed over: it has no commits"));
}

/// The tasks, each after those of them that it needs.
fn in_order<'a>(tasks: &[&'a TaskRecord]) -> Vec<&'a TaskRecord> {
    let mut left = tasks.to_vec();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |task: &TaskRecord| left.iter().any(|other| task.task.needs.contains(&other.task.spec.id));
        let next = left.iter().position(|task| !waits(task)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// A need whose commits a task's branch starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) task: TaskId,
    pub(super) tip: BaseTip,
}

/// The end of a need's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BaseTip {
    /// Its branch in this run.
    Branch(BranchName),
    /// A commit of an earlier run.
    Commit(CommitId),
}

impl BaseTip {
    /// The name of its commit for git.
    pub(super) fn revision(&self) -> String {
        match self {
            Self::Branch(branch) => full(branch),
            Self::Commit(commit) => commit.to_string(),
        }
    }
}

/// The needs of a task that have commits, of this run and of the one that it retries. In the place of one without any stand
/// those that it needs itself.
pub(super) fn bases(record: &RunRecord, task: &TaskRecord) -> Vec<Base> {
    let earlier = task.task.spec.origin.tips.iter();
    let earlier = earlier.map(|tip| Base { task: tip.task.clone(), tip: BaseTip::Commit(tip.tip.clone()) });
    let mut found: Vec<Base> = earlier.collect();
    for need in task.task.needs.iter().filter_map(|need| record.task(need)) {
        for base in base_of(record, need) {
            if !found.contains(&base) {
                found.push(base);
            }
        }
    }
    found
}

fn base_of(record: &RunRecord, need: &TaskRecord) -> Vec<Base> {
    let with_branch = need.with_branch().filter(|_| need.outcome().is_some_and(Outcome::success));
    let branch = with_branch.and_then(|attempt| attempt.lease.as_ref()?.branch.clone());
    let has_commits = with_branch.and_then(|attempt| need.made(attempt)).is_none_or(|made| made.commits > 0);
    match branch {
        Some(branch) if has_commits => {
            vec![Base { task: need.task.spec.id.clone(), tip: BaseTip::Branch(branch) }]
        }
        _ => bases(record, need),
    }
}
