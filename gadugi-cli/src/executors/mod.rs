//! The executors of a call, and the choice of one for each task. Beside `site/` the only room of this crate that names adapters.

#[cfg(feature = "docker")]
pub(crate) mod docker;
mod forgetting;
pub(crate) mod limits;

#[cfg(feature = "docker")]
use std::path::Path;
use std::sync::Arc;

use gadugi_core::executor::Mount;
use gadugi_core::run::{TaskRecord, WarningKind};
use gadugi_core::{Executor, Executors, Plan, RunRecord, TaskSpec, error_chain};
use gadugi_exec::shim::Containment;
use gadugi_exec::{
    ExecutorPolicy, OutputCap, PolicyError, ShimProgram, SubprocessExecutor, SubprocessSettings, choose,
};

use crate::args::DrivingArgs;
use crate::config::{AgentProfile, Config};
use crate::context::Context;
use crate::failure::Failure;
use crate::site::Site;
use crate::surroundings::Surroundings;

pub(crate) use self::forgetting::forgetting;

/// The name of the executor that runs tasks as processes of this machine.
pub(crate) const SUBPROCESS: &str = "subprocess";

/// The lifetime of tasks, beside the process that starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskLifetime {
    /// Tasks outlive the process, and another gadugi can take them over.
    Own,
    /// Tasks end with the process (`--die-with-parent`).
    OfParent,
}

impl TaskLifetime {
    pub(crate) fn asked_for(args: &DrivingArgs) -> Self {
        if args.die_with_parent { Self::OfParent } else { Self::Own }
    }
}

/// The executors of this call: those of the embedding program, and our own. Without a `site` none can start a task.
pub(crate) fn executors(
    context: &Context,
    site: Option<&Site>,
    config: &Config,
    lifetime: TaskLifetime,
) -> Vec<Arc<dyn Executor>> {
    let mut settings = SubprocessSettings::new(context.surroundings.env.clone());
    settings.passed.extend(config.env.iter().cloned());
    settings.output_cap = output_cap(config);
    settings.shim = Some(ShimProgram::this_program());
    settings.die_with_parent = lifetime == TaskLifetime::OfParent;
    let subprocess: Arc<dyn Executor> = Arc::new(SubprocessExecutor::new(settings));
    let mut all = context.executors.clone();
    #[cfg(not(feature = "docker"))]
    let _ = site;
    #[cfg(feature = "docker")]
    all.push(Arc::new(docker::executor(context, site, config)));
    all.push(subprocess);
    all
}

fn output_cap(config: &Config) -> OutputCap {
    let tail = OutputCap::default().tail.min(config.output_cap / 2);
    OutputCap { head: config.output_cap - tail, tail }
}

/// The executor that runs the tasks that name none, and all that tasks do name.
pub(crate) struct Chosen {
    default: Arc<dyn Executor>,
    others: Vec<Arc<dyn Executor>>,
    reason: String,
    warnings: Vec<(WarningKind, String)>,
}

impl Chosen {
    pub(crate) fn name(&self) -> &str {
        self.default.name()
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The executor of a task.
    pub(crate) fn of(&self, task: &TaskSpec) -> Option<&Arc<dyn Executor>> {
        let Some(name) = &task.executor else { return Some(&self.default) };
        std::iter::once(&self.default).chain(&self.others).find(|executor| executor.name() == name)
    }

    /// The executors that run tasks of the plan.
    pub(crate) fn used_by(&self, plan: &Plan) -> Vec<Arc<dyn Executor>> {
        let all = std::iter::once(&self.default).chain(&self.others);
        let runs_one = |executor: &&Arc<dyn Executor>| {
            let is_of = |spec| self.of(spec).is_some_and(|of| of.name() == executor.name());
            plan.tasks().iter().any(|task| is_of(&task.spec))
        };
        all.filter(runs_one).cloned().collect()
    }

    /// Warnings to print before the run: a fallback, and what a task asks for and does not get.
    pub(crate) fn warnings(&self) -> &[(WarningKind, String)] {
        &self.warnings
    }

    pub(crate) fn into_executors(self) -> Executors {
        self.others.into_iter().fold(Executors::new(self.default), Executors::with)
    }
}

/// Chooses an executor by the configured policy, and probes every executor that a task names. A task that leaves the choice to
/// `auto` gets the name of the executor chosen for it.
pub(crate) async fn choose_executor(
    context: &Context,
    site: &Site,
    config: &Config,
    plan: &mut Plan,
    lifetime: TaskLifetime,
) -> Result<Chosen, Failure> {
    let Ok(policy) = config.executor.parse::<ExecutorPolicy>();
    let available = executors(context, Some(site), config, lifetime);
    Choice { policy, available, config, lifetime }.make(plan, &|_| true).await
}

/// Chooses the executors of a run that was started before. Its tasks get the executor again that was chosen then, never
/// another: a task that started in a container is not repeated on this machine.
pub(crate) async fn choose_recorded(
    available: Vec<Arc<dyn Executor>>,
    config: &Config,
    record: &RunRecord,
    lifetime: TaskLifetime,
) -> Result<Chosen, Failure> {
    let recorded = record.executor.as_ref().map(|(name, _)| name).or(record.header.executor.as_ref());
    // A damaged journal may have lost the choice and not what came of it.
    let of_task = |task: &TaskRecord| Some(task.last().filter(|_| task.task.spec.executor.is_none())?.executor.clone());
    let policy = match recorded.cloned().or_else(|| record.tasks.iter().find_map(of_task)) {
        Some(name) => ExecutorPolicy::Named(name),
        // No task was started.
        None => config.executor.parse().unwrap_or_else(|never| match never {}),
    };
    let mut plan = record.header.plan.clone();
    // A finished task needs no image any more.
    let may_start = |position: usize| !record.tasks[position].state.is_finished();
    let chosen = Choice { policy, available, config, lifetime }.make(&mut plan, &may_start).await;
    chosen.map_err(|failure| failure.about(format!("run {} cannot be resumed", record.header.run)))
}

/// A choice among the available executors.
struct Choice<'a> {
    policy: ExecutorPolicy,
    available: Vec<Arc<dyn Executor>>,
    config: &'a Config,
    lifetime: TaskLifetime,
}

impl Choice<'_> {
    /// Chooses for all tasks of a plan. Only the tasks that `may_start`, by position, have to be accepted by their executor.
    async fn make(self, plan: &mut Plan, may_start: &(dyn Fn(usize) -> bool + Sync)) -> Result<Chosen, Failure> {
        let Self { policy, available, config, lifetime } = self;
        let to_start = (0..plan.tasks().len()).filter(|position| may_start(*position));
        let undecided: Vec<&TaskSpec> =
            to_start.map(|position| &plan.tasks()[position].spec).filter(|spec| spec.executor.is_none()).collect();
        let choice = choose(&policy, &available, &undecided).await.map_err(no_executor)?;
        let mut warnings = Vec::new();
        if choice.fell_back {
            let message = format!("tasks run by {}: {}", choice.executor.name(), choice.reason);
            warnings.push((WarningKind::Fallback, message));
        }
        for position in 0..plan.tasks().len() {
            let spec = &plan.tasks()[position].spec;
            let (executor, is_left_to_us) = match &spec.executor {
                None => (Arc::clone(&choice.executor), false),
                Some(name) => {
                    let Ok(policy) = name.parse::<ExecutorPolicy>();
                    let asked = if may_start(position) { &[spec][..] } else { &[] };
                    let choice = choose(&policy, &available, asked).await.map_err(no_executor)?;
                    if choice.fell_back {
                        let message = format!("{} runs by {}: {}", spec.id, choice.executor.name(), choice.reason);
                        warnings.push((WarningKind::Fallback, message));
                    }
                    (choice.executor, policy == ExecutorPolicy::Auto)
                }
            };
            warnings
                .extend(limits::lifetime_not_held(&*executor, lifetime).filter(|warning| !warnings.contains(warning)));
            warnings.extend(limits::not_held(spec, &*executor, config));
            if is_left_to_us {
                tracing::debug!(task = %spec.id, executor = executor.name(), "executor chosen for a task");
                plan.set_executor(position, executor.name().to_owned());
            }
        }
        tracing::debug!(executor = choice.executor.name(), reason = choice.reason, "executor chosen");
        let others = available.into_iter().filter(|executor| executor.name() != choice.executor.name()).collect();
        Ok(Chosen { default: choice.executor, others, reason: choice.reason, warnings })
    }
}

/// Mounts the existing files with an agent's login into the home folder of a container.
#[cfg(feature = "docker")]
pub(crate) fn login_mounts(surroundings: &Surroundings, profile: &AgentProfile) -> Vec<Mount> {
    let mount = |file: &String| {
        let source = surroundings.in_home(file).filter(|path| path.is_file())?;
        let target = Path::new(gadugi_exec::docker::HOME).join(file.strip_prefix("~/")?);
        Some(Mount { source, target, writable: false })
    };
    profile.login.iter().filter_map(mount).collect()
}

/// No mounts: no executor of this build has a home folder of its own.
#[cfg(not(feature = "docker"))]
pub(crate) fn login_mounts(_: &Surroundings, _: &AgentProfile) -> Vec<Mount> {
    Vec::new()
}

fn no_executor(error: PolicyError) -> Failure {
    let hint = match &error {
        PolicyError::Unusable { source, .. } => source.remedy.clone(),
        _ => "`--executor auto` takes what is there; `gadugi doctor` says why".to_owned(),
    };
    Failure::environment(error_chain(&error)).hint(hint)
}

/// Turns this process into the supervisor of a command, if it was started as one; then it does not return.
pub(crate) fn become_shim_if_requested() {
    gadugi_exec::shim::main_if_requested();
}

/// Describes how processes that outlive a command are found on this system, and what would find them better, if anything.
pub(crate) fn supervision() -> (&'static str, Option<&'static str>) {
    let systemd = "begin gadugi in a scope of your own: systemd-run --user --scope -p Delegate=yes gadugi …";
    match gadugi_exec::shim::containment() {
        Containment::CgroupV2 => ("by a cgroup for each task", None),
        Containment::CgroupV1Freezer => ("by a freezer (cgroup v1) for each task", None),
        Containment::Descent => ("by descent, since no cgroup can be made here", Some(systemd)),
        _ => ("by process group: tasks do not outlive gadugi on this system", Some("Linux has more")),
    }
}
