//! The branches of a run as they are now, and which of them merge with each other and with a target.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gadugi_core::run::{Counterpart, ForeseenConflict, LineOfWork, LineState, Outlook, TaskState};
use gadugi_core::worktrees::{Forecast, Side, Verdict, merge_order};
use gadugi_core::{CommitId, RunRecord, TaskId, Worktrees};
use tokio::time::timeout;

use crate::context::Context;
use crate::failure::Failure;
use crate::prepare;
use crate::site::{Base, Site};

/// Time limit of the forecast for a report, which does without it.
const OUTLOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// The branches of a run with the verdicts on them.
pub(crate) struct RunForecast {
    /// The branch that they would be merged into.
    pub(crate) target: Base,
    /// The work of tasks that can be merged, in the order of the plan.
    pub(crate) lines: Vec<LineOfWork>,
    /// The verdicts: the sides are the lines, and then the target.
    pub(crate) forecast: Forecast,
    /// The tasks that are not compared, with the reasons.
    pub(crate) left_out: Vec<(TaskId, LeftOut)>,
    /// A suggested order of merging what has succeeded, as positions of lines.
    pub(crate) order: Vec<usize>,
}

/// The reason why a task is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It has changed nothing, so far or at all.
    NothingMade,
    /// The target has its commits already.
    InTarget(String),
    /// Its branch does not exist any more.
    BranchGone(String),
    /// Its branch was moved to a commit without the work.
    BranchMoved(String, CommitId),
}

impl LeftOut {
    /// The word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NothingMade => "nothing_made",
            Self::InTarget(_) => "in_target",
            Self::BranchGone(_) => "branch_gone",
            Self::BranchMoved(..) => "branch_moved",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingMade => f.write_str("has changed nothing"),
            Self::InTarget(target) => write!(f, "is in {target} already"),
            Self::BranchGone(branch) => write!(f, "its branch {branch} is gone"),
            Self::BranchMoved(branch, to) => {
                write!(f, "its branch {branch} was moved to {}, without what it made", to.short())
            }
        }
    }
}

/// Foretells which branches of a run merge with each other and with a target: `into`, else the branch that the run started from,
/// else what the user's work tree is at.
pub(crate) async fn forecast(
    site: &Site,
    worktrees: &dyn Worktrees,
    record: &RunRecord,
    into: Option<&str>,
) -> Result<RunForecast, Failure> {
    let target = target(site, record, into)?;
    let mut left_out = Vec::new();
    let mut lines = Vec::new();
    for line in record.lines_of_work() {
        match standing(site, line)? {
            Ok(line) => lines.push(line),
            Err((position, reason)) => left_out.push((position, reason)),
        }
    }
    let mut sides: Vec<Side> = lines.iter().map(|line| line.side.clone()).collect();
    sides.push(Side { name: target.name.clone(), tip: target.commit.clone(), worktree: None });
    let forecast = worktrees.forecast(sides).await?;
    let mut places = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let is_known = line.state == LineState::Succeeded;
        if forecast.contains(lines.len(), place) && is_known {
            left_out.push((line.position, LeftOut::InTarget(target.name.clone())));
        } else if !line.has_commits() && !forecast.is_beyond_tip(place) && !is_unseen(&forecast, place) {
            left_out.push((line.position, LeftOut::NothingMade));
        } else {
            places.push(place);
        }
    }
    let sides: Vec<usize> = places.iter().copied().chain([lines.len()]).collect();
    let forecast = forecast.of_sides(&sides);
    let lines: Vec<LineOfWork> = places.into_iter().map(|place| lines[place].clone()).collect();
    // What has ended without a line has made nothing.
    let is_listed = |position: usize| {
        lines.iter().any(|line| line.position == position) || left_out.iter().any(|(other, _)| *other == position)
    };
    let tasks = record.tasks.iter().enumerate();
    let without: Vec<usize> = tasks
        .filter(|(position, task)| !task.attempts.is_empty() && !is_listed(*position))
        .filter(|(_, task)| !matches!(task.state, TaskState::Queued | TaskState::Blocked { .. }))
        .map(|(position, _)| position)
        .collect();
    left_out.extend(without.into_iter().map(|position| (position, LeftOut::NothingMade)));
    left_out.sort_by_key(|(position, _)| *position);
    let order = order(record, &lines, &forecast);
    let id = |position: usize| record.tasks[position].task.spec.id.clone();
    let left_out = left_out.into_iter().map(|(position, reason)| (id(position), reason)).collect();
    Ok(RunForecast { target, lines, forecast, left_out, order })
}

/// The worktrees to look into for a forecast.
pub(crate) fn worktrees(context: &Context, site: &Site) -> Result<Arc<dyn Worktrees>, Failure> {
    let config = prepare::config_or_default(context, site);
    site.worktrees(&context.surroundings, &config, &site.head().commit)
}

/// What the branches of a run can be merged as now, for its report; `None` without a branch, or where that cannot be told in
/// a few seconds.
pub(crate) async fn outlook(site: &Site, worktrees: &dyn Worktrees, record: &RunRecord) -> Option<Outlook> {
    record.lines_of_work().next()?;
    match timeout(OUTLOOK_TIMEOUT, forecast(site, worktrees, record, None)).await {
        Ok(Ok(forecast)) => Some(forecast.outlook(record)),
        Ok(Err(failure)) => {
            tracing::debug!(error = failure.texts().0, "no forecast for the report");
            None
        }
        Err(_) => {
            tracing::debug!("no forecast for the report in time");
            None
        }
    }
}

/// Whether nothing is known of a side.
fn is_unseen(forecast: &Forecast, side: usize) -> bool {
    let mut pairs = forecast.pairs().filter(|(one, other, _)| *one == side || *other == side);
    pairs.any(|(_, _, verdict)| matches!(verdict, Verdict::Unknown { .. }))
}

/// The branch that a run is merged into.
fn target(site: &Site, record: &RunRecord, into: Option<&str>) -> Result<Base, Failure> {
    let name = into.or(record.header.base_name.as_deref());
    if let Some(name) = name
        && let Some(commit) = site.branch_tip(name)?
    {
        return Ok(Base { commit, name: name.to_owned() });
    }
    match into {
        Some(name) => Ok(Base { commit: site.commit(name)?, name: name.to_owned() }),
        None => Ok(site.head()),
    }
}

/// A line of work with the commit that its branch has now, or the reason why it cannot be merged.
fn standing(site: &Site, mut line: LineOfWork) -> Result<Result<LineOfWork, (usize, LeftOut)>, Failure> {
    // What is in a worktree is looked at there.
    if line.side.worktree.is_some() {
        return Ok(Ok(line));
    }
    let (position, branch) = (line.position, line.branch.to_string());
    Ok(match site.branch_tip(&branch)? {
        None => Err((position, LeftOut::BranchGone(branch))),
        Some(tip) if tip == line.side.tip || site.contains(&tip, &line.side.tip)? => {
            line.side.tip = tip;
            Ok(line)
        }
        Some(tip) => Err((position, LeftOut::BranchMoved(branch, tip))),
    })
}

/// A suggested order of merging what has succeeded.
fn order(record: &RunRecord, lines: &[LineOfWork], forecast: &Forecast) -> Vec<usize> {
    let places: Vec<usize> = (0..lines.len()).filter(|place| lines[*place].state == LineState::Succeeded).collect();
    let place_of = |position: usize| places.iter().position(|place| lines[*place].position == position);
    let needs = |place: &usize| {
        let needs = record.header.plan.needs(lines[*place].position).iter();
        needs.filter_map(|need| place_of(*need)).collect()
    };
    let needs: Vec<Vec<usize>> = places.iter().map(needs).collect();
    let sides: Vec<usize> = places.iter().copied().chain([lines.len()]).collect();
    merge_order(&forecast.of_sides(&sides), &needs).into_iter().map(|place| places[place]).collect()
}

impl RunForecast {
    /// What it means for the report of the run.
    fn outlook(&self, record: &RunRecord) -> Outlook {
        let id = |place: usize| record.tasks[self.lines[place].position].task.spec.id.clone();
        let conflict = |(one, other, files): (usize, usize, &[String])| {
            let other = match other < self.lines.len() {
                true => Counterpart::Task(id(other)),
                false => Counterpart::Target(self.target.name.clone()),
            };
            ForeseenConflict::new(id(one), other, files.to_vec())
        };
        let those = |is_it: fn(&LeftOut) -> bool| -> BTreeSet<TaskId> {
            self.left_out.iter().filter(|(_, reason)| is_it(reason)).map(|(task, _)| task.clone()).collect()
        };
        Outlook {
            conflicts: self.forecast.conflicts().map(conflict).collect(),
            unknown: self.forecast.pairs().filter(|(_, _, verdict)| matches!(verdict, Verdict::Unknown { .. })).count(),
            in_target: those(|reason| matches!(reason, LeftOut::InTarget(_))),
            gone: those(|reason| matches!(reason, LeftOut::BranchGone(_) | LeftOut::BranchMoved(..))),
        }
    }
}
