//! The plan of a retry: tasks as they were planned, with the results of an earlier run in place of needs that are done.

use gadugi_core::agent::AgentCall;
use gadugi_core::plan::{Action, Origin, RawPlan, RawTask};
use gadugi_core::{CommitId, Plan, TaskId, TaskSpec};

use super::selection::Selection;
use crate::config::ConfigLayer;
use crate::failure::Failure;
use crate::parse::TimeLimit;
use crate::prepare::earlier::{EarlierRuns, all_needs};
use crate::site::Site;

/// What the arguments of the retry change in its tasks.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Message for their agents.
    pub(super) message: Option<&'a str>,
    /// Settings by flags.
    pub(super) flags: &'a ConfigLayer,
}

/// Makes the plan of the selected tasks.
pub(super) fn plan(
    site: &Site,
    runs: &EarlierRuns,
    selection: &Selection,
    base: &CommitId,
    given: Given<'_>,
) -> Result<Plan, Failure> {
    let mut tasks = Vec::with_capacity(selection.tasks.len());
    for earlier in selection.tasks.iter().filter_map(|id| runs.task(id)) {
        let planned = &earlier.task.task;
        let mut spec = given.apply_to(planned.spec.clone());
        let (again, done): (Vec<TaskId>, Vec<TaskId>) =
            all_needs(planned).into_iter().partition(|need| selection.tasks.contains(need));
        spec.origin = origin(site, runs, &planned.spec, &done, base)?;
        let needs = again.into_iter().map(|need| (need.to_string(), spec.source.clone())).collect();
        tasks.push(RawTask { spec, needs });
    }
    Ok(Plan::try_from(RawPlan { tasks })?)
}

/// The start of a task's work, from needs that are done.
fn origin(
    site: &Site,
    runs: &EarlierRuns,
    spec: &TaskSpec,
    done: &[TaskId],
    base: &CommitId,
) -> Result<Origin, Failure> {
    let mut origin = Origin::default();
    for need in done {
        if runs.success(need).is_some() {
            runs.take_needs(site, &mut origin, (&spec.id, std::slice::from_ref(need)), base)?;
        } else {
            // From a run that these are no retries of.
            let recorded = &spec.origin;
            origin.tips.extend(recorded.tips.iter().filter(|tip| tip.task == *need).cloned());
            origin.done.extend(recorded.done.iter().filter(|done| done.task == *need).cloned());
        }
    }
    if !origin.tips.is_empty() {
        origin.base = Some(base.clone());
    }
    Ok(origin)
}

impl Given<'_> {
    /// The task with the message after its prompt, and with the limits that flags set.
    fn apply_to(self, mut spec: TaskSpec) -> TaskSpec {
        let Self { message, flags } = self;
        let limit = |flag: Option<TimeLimit>, recorded| flag.map_or(recorded, TimeLimit::duration);
        spec.limits.timeout = limit(flags.timeout, spec.limits.timeout);
        spec.limits.idle_timeout = limit(flags.idle_timeout, spec.limits.idle_timeout);
        spec.retries = flags.retries.unwrap_or(spec.retries);
        if let (Some(call), Some(message)) = (&spec.action.agent, message) {
            let prompt = format!("{}\n\n{}", call.prompt.trim_end(), message.trim());
            spec.action = Action::of_agent(AgentCall { prompt, ..call.clone() });
        }
        spec
    }
}
