//! The executors of a call, and which of them runs which task.

use std::collections::BTreeMap;
#[cfg(feature = "docker")]
use std::path::Path;
use std::sync::Arc;

use gadugi_core::{
    Executor, Executors, Mount, Plan, RunId, RunRecord, TaskRecord, TaskSpec, WarningKind, Worktrees, error_chain,
};
use gadugi_exec::{
    ExecutorPolicy, OutputCap, PolicyError, ShimProgram, SubprocessExecutor, SubprocessSettings, choose,
};

use super::Site;
use super::forgetting::forgetting;
use crate::config::{AgentProfile, Config};
use crate::context::Context;
use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// The name of the executor that runs tasks as processes of this machine.
pub(crate) const SUBPROCESS: &str = "subprocess";

/// The executors of this call: those of the embedding program, and our own. `site` may be missing where none is to run
/// anything.
pub(crate) fn executors(
    context: &Context,
    site: Option<&Site>,
    config: &Config,
    die_with_parent: bool,
) -> Vec<Arc<dyn Executor>> {
    let mut settings = SubprocessSettings::new(context.surroundings.env.clone());
    settings.passed.extend(config.env.iter().cloned());
    settings.output_cap = output_cap(config);
    settings.shim = Some(ShimProgram::this_program());
    settings.die_with_parent = die_with_parent;
    let subprocess: Arc<dyn Executor> = Arc::new(SubprocessExecutor::new(settings));
    let mut all = context.executors.clone();
    #[cfg(not(feature = "docker"))]
    let _ = site;
    #[cfg(feature = "docker")]
    all.push(Arc::new(super::docker::executor(context, site, config)));
    all.push(subprocess);
    all
}

pub(super) fn output_cap(config: &Config) -> OutputCap {
    let tail = OutputCap::default().tail.min(config.output_cap / 2);
    OutputCap { head: config.output_cap - tail, tail }
}

/// Removes what runs that are over have left with an executor, such as a container whose gadugi died, and the homes of their
/// agents. Gives what was removed, a line each, and what could not be done first.
pub(crate) async fn collect(site: &Site, executors: &[Arc<dyn Executor>]) -> (Vec<String>, Result<(), Failure>) {
    let (mut removed, mut collected) = (Vec::new(), Ok(()));
    for executor in executors {
        match collect_of(site, &**executor).await {
            Ok(some) => removed.extend(some),
            Err(failure) => collected = collected.and(Err(failure)),
        }
    }
    // Also where an executor is away.
    let homes = collect_homes(site, &mut removed).await;
    (removed, collected.and(homes))
}

async fn collect_of(site: &Site, executor: &dyn Executor) -> Result<Vec<String>, Failure> {
    let cannot = |error| Failure::environment(error_chain(&error));
    let mut runs = BTreeMap::new();
    for run in executor.left_by().await.map_err(cannot)? {
        let known = is_over(site, &run).await;
        runs.extend(known.map(|is_over| (run, is_over)));
    }
    executor.collect(&runs).await.map_err(cannot)
}

/// Removes the homes of agents whose runs are over. One is made only once its run is known.
async fn collect_homes(site: &Site, removed: &mut Vec<String>) -> Result<(), Failure> {
    let Some(places) = site.places.get() else { return Ok(()) };
    for (run, task) in places.homes().await? {
        if is_over(site, &run).await.unwrap_or(true) {
            places.forget_home(&run, &task).await?;
            removed.push(format!("home folder of the agent of {task} in run {run}"));
        }
    }
    Ok(())
}

/// Whether a run is over that may have left something; `None` where it is not known. One that cannot be read may go on.
async fn is_over(site: &Site, run: &RunId) -> Option<bool> {
    match site.load(run).await {
        Ok(loaded) => Some(loaded.record.ended.is_some() && !loaded.driven),
        Err(_) if site.registry.run_folder(run).exists() => Some(false),
        Err(_) => None,
    }
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

    /// The executor that runs a task.
    pub(crate) fn of(&self, task: &TaskSpec) -> Option<&Arc<dyn Executor>> {
        let Some(name) = &task.executor else { return Some(&self.default) };
        std::iter::once(&self.default).chain(&self.others).find(|executor| executor.name() == name)
    }

    /// The executors that tasks of the plan come to.
    pub(crate) fn those_that_run(&self, plan: &Plan) -> Vec<Arc<dyn Executor>> {
        let all = std::iter::once(&self.default).chain(&self.others);
        let runs_one = |executor: &&Arc<dyn Executor>| {
            let is_of = |spec| self.of(spec).is_some_and(|of| of.name() == executor.name());
            plan.tasks().iter().any(|task| is_of(&task.spec))
        };
        all.filter(runs_one).cloned().collect()
    }

    /// What the user should know before the run: a fallback, and what a task asks for and does not get.
    pub(crate) fn warnings(&self) -> &[(WarningKind, String)] {
        &self.warnings
    }

    pub(crate) fn into_executors(self) -> Executors {
        self.others.into_iter().fold(Executors::new(self.default), Executors::with)
    }
}

/// Chooses by the configured policy, and probes every executor that a task asks for. A task that leaves the choice to
/// `auto` gets the name of what is chosen for it.
pub(crate) async fn choose_executor(
    context: &Context,
    site: &Site,
    config: &Config,
    plan: &mut Plan,
    die_with_parent: bool,
) -> Result<Chosen, Failure> {
    let Ok(policy) = config.executor.parse::<ExecutorPolicy>();
    let available = executors(context, Some(site), config, die_with_parent);
    choose_by(&policy, available, plan, config, die_with_parent, &|_| true).await
}

/// The executors of a run that has begun before. Its tasks get the one again that was chosen then, never
/// another: what began in a container is not repeated on this machine. With `forgets`, what they cannot judge is gone.
pub(crate) async fn recorded_executor(
    context: &Context,
    site: &Site,
    config: &Config,
    record: &RunRecord,
    die_with_parent: bool,
    forgets: bool,
) -> Result<Chosen, Failure> {
    let chosen = record.executor.as_ref().map(|(name, _)| name).or(record.header.executor.as_ref());
    // A damaged journal may have lost the choice and not what came of it.
    let of_task = |task: &TaskRecord| Some(task.last().filter(|_| task.task.spec.executor.is_none())?.executor.clone());
    let policy = match chosen.cloned().or_else(|| record.tasks.iter().find_map(of_task)) {
        Some(name) => ExecutorPolicy::Named(name),
        // Nothing has begun.
        None => config.executor.parse().unwrap_or_else(|never| match never {}),
    };
    let mut plan = record.header.plan.clone();
    // What has ended needs no image any more.
    let may_start = |position: usize| !record.tasks[position].state.is_finished();
    let mut available = executors(context, Some(site), config, die_with_parent);
    if forgets {
        available = available.into_iter().map(|executor| forgetting(executor, &context.terminal)).collect();
    }
    let chosen = choose_by(&policy, available, &mut plan, config, die_with_parent, &may_start).await;
    chosen.map_err(|failure| failure.about(format!("run {} cannot be resumed", record.header.run)))
}

async fn choose_by(
    policy: &ExecutorPolicy,
    available: Vec<Arc<dyn Executor>>,
    plan: &mut Plan,
    config: &Config,
    die_with_parent: bool,
    may_start: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Chosen, Failure> {
    let to_start = (0..plan.tasks().len()).filter(|position| may_start(*position));
    let undecided: Vec<&TaskSpec> =
        to_start.map(|position| &plan.tasks()[position].spec).filter(|spec| spec.executor.is_none()).collect();
    let choice = choose(policy, &available, &undecided).await.map_err(no_executor)?;
    let mut warnings = Vec::new();
    if choice.fell_back {
        warnings.push((WarningKind::Fallback, format!("tasks run by {}: {}", choice.executor.name(), choice.reason)));
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
        if die_with_parent && executor.capabilities().mounts {
            let message = "containers go on when gadugi is killed, also with --die-with-parent".to_owned();
            if !warnings.contains(&(WarningKind::NotHeld, message.clone())) {
                warnings.push((WarningKind::NotHeld, message));
            }
        }
        warnings.extend(not_held(spec, &*executor, config).map(|message| (WarningKind::NotHeld, message)));
        if is_left_to_us {
            plan.set_executor(position, executor.name().to_owned());
        }
    }
    let others = available.into_iter().filter(|executor| executor.name() != choice.executor.name()).collect();
    Ok(Chosen { default: choice.executor, others, reason: choice.reason, warnings })
}

/// The files by which an agent is logged in and that are there, as it finds them in the home folder of a container.
#[cfg(feature = "docker")]
pub(crate) fn shown_login(surroundings: &Surroundings, profile: &AgentProfile) -> Vec<Mount> {
    let mount = |file: &String| {
        let source = surroundings.in_home(file).filter(|path| path.is_file())?;
        let target = Path::new(gadugi_exec::docker::HOME).join(file.strip_prefix("~/")?);
        Some(Mount { source, target, writable: false })
    };
    profile.login.iter().filter_map(mount).collect()
}

/// No executor here has a home folder of its own.
#[cfg(not(feature = "docker"))]
pub(crate) fn shown_login(_: &Surroundings, _: &AgentProfile) -> Vec<Mount> {
    Vec::new()
}

/// What a task asks for and its executor does not hold. The image of the configuration, or of its agent there, is one
/// for those tasks that come into containers.
fn not_held(task: &TaskSpec, executor: &dyn Executor, config: &Config) -> Option<String> {
    let (resources, can) = (&task.resources, executor.capabilities());
    let profile = task.action.agent.as_ref().and_then(|agent| config.agents.get(&agent.name));
    let configured = profile.and_then(|profile| profile.image.as_ref()).or(config.image.as_ref());
    let asked = [
        ("image", resources.image.is_some() && resources.image.as_ref() != configured && !can.images),
        ("memory", resources.memory.is_some() && !can.limits_resources),
        ("cpus", resources.cpus.is_some() && !can.limits_resources),
    ];
    let ignored: Vec<_> = asked.iter().filter(|(_, ignored)| *ignored).map(|(name, _)| *name).collect();
    let what = ignored.join(", ");
    (!ignored.is_empty()).then(|| format!("{}: the executor {} does not hold its {what}", task.id, executor.name()))
}

fn no_executor(error: PolicyError) -> Failure {
    let hint = match &error {
        PolicyError::Unusable { source, .. } => source.remedy.clone(),
        _ => "`--executor auto` takes what is there; `gadugi doctor` says why".to_owned(),
    };
    Failure::environment(error_chain(&error)).hint(hint)
}
