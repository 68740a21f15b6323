//! The order in which tasks are started.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::TaskId;
use crate::plan::Plan;
use crate::run::RunSettings;

/// The order in which the tasks of a plan are started with one job, given how long tasks took before.
/// With more jobs they are started in the same order, as far as their needs allow.
#[must_use]
pub fn start_order(plan: &Plan, estimates: &HashMap<TaskId, Duration>) -> Vec<usize> {
    let order = StartOrder::new(plan, estimates, true);
    let mut started = Vec::with_capacity(plan.tasks().len());
    let mut is_started = vec![false; plan.tasks().len()];
    loop {
        let ready = |at: usize| !is_started[at] && plan.needs(at).iter().all(|need| is_started[*need]);
        let Some(next) = order.pick(1, ready, |_| false).pop() else { return started };
        is_started[next] = true;
        started.push(next);
    }
}

/// The tasks of a plan that are started first, all at once.
#[must_use]
pub fn first_started(plan: &Plan, estimates: &HashMap<TaskId, Duration>, settings: &RunSettings) -> Vec<usize> {
    let order = StartOrder::new(plan, estimates, settings.allow_overlap);
    order.pick(settings.jobs.get(), |at| plan.needs(at).is_empty(), |_| false)
}

/// The order in which tasks that are ready are started, and which of them cannot run at once.
pub(super) struct StartOrder {
    /// All positions: the higher priority first, then the longer path ahead, then the user's order.
    ranked: Vec<usize>,
    /// For each position, those that must not run at the same time.
    exclusive: Vec<Vec<usize>>,
}

impl StartOrder {
    /// Computes the order once. Tasks of unknown duration count as the median of the others, or as
    /// one second where none is known.
    pub(super) fn new(plan: &Plan, estimates: &HashMap<TaskId, Duration>, allow_overlap: bool) -> Self {
        let known = |at: usize| estimates.get(&plan.tasks()[at].spec.id).map(Duration::as_secs_f64);
        let mut durations: Vec<f64> = (0..plan.tasks().len()).filter_map(known).collect();
        durations.sort_by(f64::total_cmp);
        let usual = durations.get(durations.len() / 2).copied().unwrap_or(1.0);
        let lengths = plan.path_lengths(|at| known(at).unwrap_or(usual));
        let mut ranked: Vec<usize> = (0..plan.tasks().len()).collect();
        let priority = |at: usize| plan.tasks()[at].spec.priority;
        ranked.sort_by(|&a, &b| priority(b).cmp(&priority(a)).then(lengths[b].total_cmp(&lengths[a])).then(a.cmp(&b)));
        let mut exclusive = vec![Vec::new(); plan.tasks().len()];
        if !allow_overlap {
            for (a, b) in plan.overlaps() {
                exclusive[a].push(b);
                exclusive[b].push(a);
            }
        }
        Self { ranked, exclusive }
    }

    /// The positions to start now: at most `room`, each of them ready, and none together with one that it
    /// excludes, whether live or picked here.
    pub(super) fn pick(&self, room: usize, ready: impl Fn(usize) -> bool, live: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut picked: Vec<usize> = Vec::new();
        for &at in &self.ranked {
            if picked.len() >= room {
                break;
            }
            let free = |other: &usize| !live(*other) && !picked.contains(other);
            if ready(at) && self.exclusive[at].iter().all(free) {
                picked.push(at);
            }
        }
        picked
    }
}
