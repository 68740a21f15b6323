//! From the arguments to a configuration and a plan; shared by `plan` and `run`.

pub(crate) mod disk_space;
pub(crate) mod earlier;
mod flags;
mod passed_over;
pub(crate) mod programs;

use std::collections::HashSet;
use std::sync::Arc;

use gadugi_core::plan::RawPlan;
use gadugi_core::{Executor, Plan, TaskId, TaskSpec};

use self::earlier::{EarlierRuns, TakenNeeds};
use crate::args::TaskArgs;
use crate::config::{AgentPlace, AgentProfile, Config, ConfigFile, ConfigLayer, ConfigSources, PromptMode};
use crate::context::Context;
use crate::executors::{Chosen, TaskLifetime, executors, login_mounts};
use crate::failure::Failure;
use crate::input::{self, TaskInput, read_tasks};
use crate::site::Site;
use crate::surroundings::Surroundings;

/// The settings of this call.
pub(crate) fn config(context: &Context, site: &Site, args: Option<&TaskArgs>) -> Result<Config, Failure> {
    let named = context.named_config();
    let repository = site.config_file(named.as_deref());
    let user = context.surroundings.user_config();
    let mut files = vec![ConfigFile { path: &repository, required: named.is_some() }];
    files.extend(user.iter().map(|path| ConfigFile { path, required: false }));
    let flags = args.map(flags::layer).transpose()?.unwrap_or_default();
    let config = Config::load(ConfigSources { files: &files, environment: &context.surroundings.env, flags })?;
    for file in files.iter().filter(|file| file.path.is_file()) {
        tracing::debug!(file = %file.path.display(), "configuration file read");
    }
    Ok(config)
}

/// The settings that the flags of this call make.
pub(crate) fn flags(args: &TaskArgs) -> Result<ConfigLayer, Failure> {
    flags::layer(args)
}

/// The settings of this call, or with a warning the defaults: an error in the settings must not keep a command from showing or
/// stopping what runs.
pub(crate) fn config_or_default(context: &Context, site: &Site) -> Config {
    config(context, site, None).unwrap_or_else(|failure| {
        context.terminal.say(&format!("warning: {}", failure.texts().0));
        Config::default()
    })
}

/// The executors to ask whether a recorded command still runs.
pub(crate) fn witnesses(context: &Context, site: &Site) -> Vec<Arc<dyn Executor>> {
    executors(context, Some(site), &config_or_default(context, site), TaskLifetime::Own)
}

/// The tasks of this call, as a sound plan, and the needs that are taken from `earlier` runs.
pub(crate) fn plan(
    context: &Context,
    config: &Config,
    args: &TaskArgs,
    earlier: Option<&EarlierRuns>,
) -> Result<(Plan, TakenNeeds), Failure> {
    let installed = installed_agents(&context.surroundings, config);
    let mut took_installed = false;
    let mut passed_over = Vec::new();
    let raw = read_tasks(TaskInput {
        folder: &context.surroundings.folder,
        arguments: &args.tasks,
        texts: &args.texts,
        stdin: &mut std::io::stdin().lock(),
        config,
        environment: &context.surroundings.env,
        installed: &installed,
        took_installed: &mut took_installed,
        passed_over: &mut passed_over,
    })?;
    passed_over::report(&context.terminal, &passed_over);
    if let ([only], true) = (&installed[..], took_installed) {
        context.terminal.say(&format!("no agent is named; tasks get `{only}`, the only one that is installed here"));
    }
    let is_done = |need: &str| earlier.is_some_and(|earlier| earlier.has_succeeded(need));
    let mut raw = choose(raw, args, &is_done)?;
    let taken = earlier.map(|earlier| earlier.take_from(&mut raw)).unwrap_or_default();
    if raw.tasks.is_empty() {
        let hint = "name task files, folders or globs, or give a task as text: gadugi run -t \"…\"";
        return Err(Failure::usage("there is no task").hint(hint));
    }
    Ok((Plan::try_from(raw)?, taken))
}

/// The agents whose programs are installed here, without what is none but only runs scripts.
pub(crate) fn installed_agents(surroundings: &Surroundings, config: &Config) -> Vec<String> {
    let agents = config.agents.iter().filter(|(_, profile)| profile.prompt != PromptMode::Script);
    let installed = agents.filter(|(_, profile)| surroundings.program(&profile.command[0]).is_some());
    installed.map(|(name, _)| name.clone()).collect()
}

/// Completes the calls of the agents of a plan by their executors, on which the rights of an agent depend.
pub(crate) fn complete_agent_calls(
    context: &Context,
    plan: &mut Plan,
    chosen: &Chosen,
    config: &Config,
    args: &TaskArgs,
) -> Result<(), Failure> {
    let place = |spec: &TaskSpec| match chosen.of(spec).map(|executor| executor.capabilities().isolates) {
        Some(true) => AgentPlace::Isolated,
        _ if args.unsafe_host => AgentPlace::UnsafeHost,
        _ => AgentPlace::Host,
    };
    let login = |profile: &AgentProfile| login_mounts(&context.surroundings, profile);
    Ok(input::complete_agent_calls(plan, config, place, login)?)
}

/// Takes what `--only` names, with all that it needs and is not done, and leaves out what `--skip` names.
fn choose(mut raw: RawPlan, args: &TaskArgs, is_done: &dyn Fn(&str) -> bool) -> Result<RawPlan, Failure> {
    let exists = |name: &String| raw.tasks.iter().any(|task| task.spec.id.as_str() == name);
    if let Some(name) = args.only.iter().chain(&args.skip).find(|name| !exists(name)) {
        let ids: Vec<_> = raw.tasks.iter().map(|task| task.spec.id.as_str()).collect();
        return Err(
            Failure::usage(format!("there is no task `{name}`")).hint(format!("the tasks are: {}", ids.join(", ")))
        );
    }
    if !args.only.is_empty() {
        let mut wanted: HashSet<String> = HashSet::new();
        let mut open = args.only.clone();
        while let Some(name) = open.pop() {
            let task = raw.tasks.iter().find(|task| task.spec.id.as_str() == name);
            open.extend(
                task.iter()
                    .flat_map(|task| &task.needs)
                    .map(|(need, _)| need.clone())
                    .filter(|need| !wanted.contains(need) && !is_done(need)),
            );
            wanted.insert(name);
        }
        raw.tasks.retain(|task| wanted.contains(task.spec.id.as_str()));
    }
    let skipped = |id: &TaskId| args.skip.iter().any(|skip| skip == id.as_str());
    raw.tasks.retain(|task| !skipped(&task.spec.id));
    for task in &raw.tasks {
        let is_missing = |(need, _): &&(String, _)| args.skip.contains(need) && !is_done(need);
        if let Some((need, at)) = task.needs.iter().find(is_missing) {
            let message = format!("{at}: `{}` needs `{need}`, which --skip leaves out", task.spec.id);
            let hint = match &args.needs_from {
                Some(run) => format!("it has not succeeded in run {run}; leave `{}` out too", task.spec.id),
                None => format!(
                    "leave `{}` out too, or take `{need}` from a run where it has succeeded: --needs-from RUN",
                    task.spec.id
                ),
            };
            return Err(Failure::usage(message).hint(hint));
        }
    }
    Ok(raw)
}
