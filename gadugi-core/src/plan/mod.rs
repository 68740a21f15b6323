//! The plan of a run: tasks that are known to form a directed acyclic graph.

mod origin;
mod phase;
mod subject;
mod task;
mod touches;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use thiserror::Error;

pub use self::origin::{EarlierAttempt, EarlierConversation, FailedCheck, Origin};
pub use self::phase::Phase;
pub use self::subject::SubjectTemplate;
pub use self::task::{
    Action, Changes, Limits, MAX_RETRY_DELAY, Program, Resources, RetryFrom, Setup, SourceLocation, TaskSpec,
};
pub use self::touches::TouchPattern;
use crate::closest::closest;
use crate::id::TaskId;

/// A task as read from the input, with needs that are not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTask {
    /// The task without its place in the graph.
    pub spec: TaskSpec,
    /// Ids of its needs, each with the location in the input.
    pub needs: Vec<(String, SourceLocation)>,
}

/// Tasks as read from the input, in the user's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RawPlan {
    /// The tasks.
    pub tasks: Vec<RawTask>,
}

/// An error in a raw plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanIssue {
    /// There is no task at all.
    #[error("there is no task")]
    Empty,
    /// Two tasks have one id.
    #[error("{second}: the task id `{id}` is taken by {first}")]
    Duplicate {
        /// The id.
        id: TaskId,
        /// The task that has it.
        first: SourceLocation,
        /// The task that wants it too.
        second: SourceLocation,
    },
    /// A task needs one that does not exist.
    #[error("{at}: the task `{task}` needs `{need}`, which does not exist{}", did_you_mean(.suggestion.as_ref()))]
    UnknownNeed {
        /// The task that needs.
        task: TaskId,
        /// The id that it needs.
        need: String,
        /// Location of the need.
        at: SourceLocation,
        /// A task with a similar id.
        suggestion: Option<TaskId>,
    },
    /// Tasks need each other in a circle.
    #[error("{at}: the tasks need each other in a circle: {}", circle(.tasks))]
    Cycle {
        /// Tasks of the circle; each needs the next, and the last one the first.
        tasks: Vec<TaskId>,
        /// Location of the need of the first of them.
        at: SourceLocation,
    },
}

fn did_you_mean(suggestion: Option<&TaskId>) -> String {
    suggestion.map(|id| format!(" (did you mean `{id}`?)")).unwrap_or_default()
}

fn circle(tasks: &[TaskId]) -> String {
    let names = tasks.iter().chain(tasks.first()).map(TaskId::as_str);
    names.collect::<Vec<_>>().join(" -> ")
}

/// All errors of a raw plan, so that they can be corrected in one go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct PlanError {
    /// The errors, at least one.
    pub issues: Vec<PlanIssue>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, issue) in self.issues.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            issue.fmt(f)?;
        }
        Ok(())
    }
}

/// A task with its place in the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTask {
    /// The task.
    pub spec: TaskSpec,
    /// Tasks that must succeed before it, in the order in which it names them, each once.
    pub needs: Vec<TaskId>,
}

/// Tasks that form a directed acyclic graph: every need exists, no id is twice, nothing is circular.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    tasks: Vec<PlannedTask>,
    /// For each task, the positions of its needs.
    needs: Vec<Vec<usize>>,
    /// For each task, the positions of its dependants.
    dependants: Vec<Vec<usize>>,
    /// Positions, each after all its needs; else in the user's order.
    order: Vec<usize>,
}

impl TryFrom<RawPlan> for Plan {
    type Error = PlanError;

    fn try_from(raw: RawPlan) -> Result<Self, PlanError> {
        let mut issues = Vec::new();
        if raw.tasks.is_empty() {
            issues.push(PlanIssue::Empty);
        }
        let mut positions: HashMap<TaskId, usize> = HashMap::new();
        for (position, RawTask { spec, .. }) in raw.tasks.iter().enumerate() {
            match positions.get(&spec.id) {
                Some(&first) => issues.push(PlanIssue::Duplicate {
                    id: spec.id.clone(),
                    first: raw.tasks[first].spec.source.clone(),
                    second: spec.source.clone(),
                }),
                None => {
                    positions.insert(spec.id.clone(), position);
                }
            }
        }
        let mut needs: Vec<Vec<usize>> = Vec::new();
        for task in &raw.tasks {
            let mut found = Vec::new();
            for (need, at) in &task.needs {
                match need.parse::<TaskId>().ok().and_then(|id| positions.get(&id)) {
                    Some(position) if found.contains(position) => {}
                    Some(position) => found.push(*position),
                    None => issues.push(PlanIssue::UnknownNeed {
                        task: task.spec.id.clone(),
                        need: need.clone(),
                        at: at.clone(),
                        suggestion: closest_id(need, positions.keys()),
                    }),
                }
            }
            needs.push(found);
        }
        let order = match topological_order(&needs) {
            Ok(order) => order,
            Err(cycle) => {
                let first = &raw.tasks[cycle[0]];
                let next = &raw.tasks[cycle[1 % cycle.len()]].spec.id;
                let at = first.needs.iter().find(|(need, _)| need == next.as_str()).map(|(_, at)| at);
                issues.push(PlanIssue::Cycle {
                    at: at.unwrap_or(&first.spec.source).clone(),
                    tasks: cycle.into_iter().map(|at| raw.tasks[at].spec.id.clone()).collect(),
                });
                Vec::new()
            }
        };
        if !issues.is_empty() {
            return Err(PlanError { issues });
        }
        let mut dependants = vec![Vec::new(); needs.len()];
        for (position, its) in needs.iter().enumerate() {
            for need in its {
                dependants[*need].push(position);
            }
        }
        let ids: Vec<TaskId> = raw.tasks.iter().map(|task| task.spec.id.clone()).collect();
        let tasks = raw.tasks.into_iter().zip(&needs).map(|(task, its)| PlannedTask {
            spec: task.spec,
            needs: its.iter().map(|need| ids[*need].clone()).collect(),
        });
        Ok(Self { tasks: tasks.collect(), needs, dependants, order })
    }
}

impl Plan {
    /// The tasks, in the user's order. A position in this slice names a task in the other methods.
    #[must_use]
    pub fn tasks(&self) -> &[PlannedTask] {
        &self.tasks
    }

    /// The task of that id.
    #[must_use]
    pub fn get(&self, id: &TaskId) -> Option<&PlannedTask> {
        self.tasks.iter().find(|task| task.spec.id == *id)
    }

    /// Replaces the action, the environment and the secrets of the task at `position`, once its executor is known.
    pub fn set_action(&mut self, position: usize, action: Action, env: BTreeMap<String, String>, secrets: Vec<String>) {
        let spec = &mut self.tasks[position].spec;
        (spec.action, spec.env, spec.secrets) = (action, env, secrets);
    }

    /// Sets the executor of the task at `position`, where the task names it in other words.
    pub fn set_executor(&mut self, position: usize, executor: String) {
        self.tasks[position].spec.executor = Some(executor);
    }

    /// Sets the start of the work of the task at `position`.
    pub fn set_origin(&mut self, position: usize, origin: Origin) {
        self.tasks[position].spec.origin = origin;
    }

    /// The positions of the needs of the task at `position`.
    #[must_use]
    pub fn needs(&self, position: usize) -> &[usize] {
        &self.needs[position]
    }

    /// The positions of the tasks that need the one at `position`, directly.
    #[must_use]
    pub fn dependants(&self, position: usize) -> &[usize] {
        &self.dependants[position]
    }

    /// For each task, the length of the longest chain from it through its dependants, by the weight of each position.
    #[must_use]
    pub fn path_lengths(&self, weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut lengths = vec![0.0; self.tasks.len()];
        for &position in self.order.iter().rev() {
            let after = self.dependants[position].iter().map(|d| lengths[*d]).fold(0.0, f64::max);
            lengths[position] = weight(position) + after;
        }
        lengths
    }

    /// The positions of the longest chain by the weight of each position, from its first task to its last.
    #[must_use]
    pub fn critical_path(&self, weight: impl Fn(usize) -> f64) -> Vec<usize> {
        let lengths = self.path_lengths(weight);
        let longest = |among: &mut dyn Iterator<Item = usize>| among.max_by(|a, b| lengths[*a].total_cmp(&lengths[*b]));
        let mut path = Vec::new();
        let mut at = longest(&mut self.order.iter().copied());
        while let Some(position) = at {
            path.push(position);
            at = longest(&mut self.dependants[position].iter().copied());
        }
        path
    }

    /// Pairs of tasks that never run at once: their `touches` overlap, and neither needs the other.
    #[must_use]
    pub fn overlaps(&self) -> Vec<(usize, usize)> {
        let touching: Vec<usize> =
            (0..self.tasks.len()).filter(|at| !self.tasks[*at].spec.touches.is_empty()).collect();
        if touching.len() < 2 {
            return Vec::new();
        }
        let after = self.all_after();
        // Many tasks name the same few folders.
        let mut known: HashMap<(&TouchPattern, &TouchPattern), bool> = HashMap::new();
        let mut pairs = Vec::new();
        for (n, &a) in touching.iter().enumerate() {
            for &b in &touching[n + 1..] {
                let mut meet = |a, b| *known.entry((a, b)).or_insert_with(|| TouchPattern::overlaps(a, b));
                let (of_a, of_b) = (&self.tasks[a].spec.touches, &self.tasks[b].spec.touches);
                if !after[a].contains(b)
                    && !after[b].contains(a)
                    && of_a.iter().any(|a| of_b.iter().any(|b| meet(a, b)))
                {
                    pairs.push((a, b));
                }
            }
        }
        pairs
    }

    /// Whether the `touches` of two tasks overlap.
    #[must_use]
    pub fn touch(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.tasks[a].spec.touches, &self.tasks[b].spec.touches);
        a.iter().any(|a| b.iter().any(|b| a.overlaps(b)))
    }

    /// For each task, its direct and indirect dependants.
    fn all_after(&self) -> Vec<Positions> {
        let mut after = vec![Positions::none_of(self.tasks.len()); self.tasks.len()];
        for &position in self.order.iter().rev() {
            let mut its = Positions::none_of(self.tasks.len());
            for &dependant in &self.dependants[position] {
                its.add(dependant);
                its.add_all(&after[dependant]);
            }
            after[position] = its;
        }
        after
    }
}

/// A set of positions, a bit for each.
#[derive(Clone)]
struct Positions(Vec<u64>);

impl Positions {
    fn none_of(tasks: usize) -> Self {
        Self(vec![0; tasks.div_ceil(64)])
    }

    fn add(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn add_all(&mut self, others: &Self) {
        for (word, others) in self.0.iter_mut().zip(&others.0) {
            *word |= others;
        }
    }

    fn contains(&self, position: usize) -> bool {
        self.0[position / 64] & 1 << (position % 64) != 0
    }
}

/// Returns the positions, each after its needs and otherwise in order; or the positions of a circle.
fn topological_order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependants = vec![Vec::new(); needs.len()];
    for (position, its) in needs.iter().enumerate() {
        for need in its {
            dependants[*need].push(position);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..needs.len()).filter(|at| missing[*at] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for dependant in &dependants[at] {
            missing[*dependant] -= 1;
            if missing[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
    if order.len() == needs.len() {
        return Ok(order);
    }
    // Everything that is left has a need that is left too, so going from need to need must come round.
    let left = |at: &usize| missing[*at] > 0;
    let mut path: Vec<usize> = (0..needs.len()).filter(left).take(1).collect();
    loop {
        let last = path[path.len() - 1];
        let Some(next) = needs[last].iter().copied().find(left) else { return Err(path) };
        if let Some(start) = path.iter().position(|at| *at == next) {
            return Err(path.split_off(start));
        }
        path.push(next);
    }
}

/// The id most similar to `name`, if at most a third of the letters differ, or one of a short name.
fn closest_id<'a>(name: &str, ids: impl Iterator<Item = &'a TaskId>) -> Option<TaskId> {
    let slips = name.chars().count().max(3) / 3;
    closest(name, ids.map(TaskId::as_str), slips)?.parse().ok()
}
