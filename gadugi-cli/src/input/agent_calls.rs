//! What agents are given once it is known where they run.

use std::fmt;

use gadugi_core::{
    Action, AgentCall, Argument, MAX_ARGUMENT_BYTES, Mount, NeedDone, Plan, PromptParts, TaskSpec, compose_argument,
};
use thiserror::Error;

use crate::config::{AgentPlace, AgentProfile, CallOf, Config, HOST_FOLDERS, skips_permissions};
use crate::parse::write_lines;

/// An agent that is not started where it would run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceIssue {
    /// Nothing makes it go on alone on the user's machine that does not let it do everything.
    #[error(
        "{task}: the agent `{agent}` would run on this machine, where gadugi knows no way to let it work alone but to let it do everything unasked"
    )]
    NotAlone {
        /// The task.
        task: String,
        /// The agent.
        agent: String,
    },
    /// What it reads would be too long for an argument.
    #[error(
        "{task}: what the agent `{agent}` is told has {bytes} bytes, with the frame, its needs and its check, and is an argument (the limit is {MAX_ARGUMENT_BYTES} bytes)"
    )]
    LongPrompt {
        /// The task.
        task: String,
        /// The agent.
        agent: String,
        /// The length of the argument, with what may still be added to it.
        bytes: usize,
    },
    /// The configuration lets it do everything on the user's machine.
    #[error("{task}: the agent `{agent}` would run on this machine with `{flag}`, and do there unasked what it likes")]
    SkipsPermissions {
        /// The task.
        task: String,
        /// The agent.
        agent: String,
        /// What says so.
        flag: String,
    },
}

impl PlaceIssue {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        let (remedy, agent) = match self {
            Self::LongPrompt { agent, .. } => {
                return format!(
                    "write `prompt = \"stdin\"` in [agents.{agent}], or shorten the task, its check or the frame"
                );
            }
            Self::NotAlone { agent, .. } => ("set `host_args`", agent),
            Self::SkipsPermissions { agent, .. } => ("put it into `isolated_args`", agent),
        };
        format!(
            "run it in a container: --executor docker --image IMG; or say that it may: --unsafe-host; or {remedy} in \
             [agents.{agent}]"
        )
    }
}

/// All agents that are not started where they would run.
#[derive(Debug, Error)]
pub struct PlaceError {
    /// One or more.
    pub issues: Vec<PlaceIssue>,
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, &self.issues)
    }
}

/// Completes the calls of all agents of a plan by what they are given where they run. `login` finds the files that show that
/// somebody has logged in with an agent, for those that may see them in a container.
///
/// # Errors
/// [`PlaceError`] with all that must not run there.
pub fn place_agents(
    plan: &mut Plan,
    config: &Config,
    place: impl Fn(&TaskSpec) -> AgentPlace,
    login: impl Fn(&AgentProfile) -> Vec<Mount>,
) -> Result<(), PlaceError> {
    let mut issues = Vec::new();
    for position in 0..plan.tasks().len() {
        let spec = &plan.tasks()[position].spec;
        let Some(call) = &spec.action.agent else { continue };
        let Some(profile) = config.agents.get(&call.name) else { continue };
        let (place, task, agent) = (place(spec), spec.id.to_string(), call.name.clone());
        if place == AgentPlace::Host && !profile.goes_on_alone() {
            issues.push(PlaceIssue::NotAlone { task, agent });
            continue;
        }
        let of = CallOf {
            agent: &agent,
            task: &task,
            title: &spec.title,
            prompt: &call.prompt,
            model: call.model.as_deref(),
            budget: call.budget,
            run_budget: config.run_budget(),
            place: Some(place),
        };
        let mut call = profile.call(of);
        if place == AgentPlace::Isolated && profile.mount_login {
            call.shown = login(profile);
        }
        let filled =
            |command: &[Argument]| command.iter().map(|argument| argument.fill("", "", "")).collect::<Vec<_>>();
        let resume = call.resume.as_deref().map(filled).unwrap_or_default();
        let skips = skips_permissions(&filled(&call.command)).or_else(|| skips_permissions(&resume));
        if let Some(flag) = skips.filter(|_| place == AgentPlace::Host) {
            issues.push(PlaceIssue::SkipsPermissions { task, agent, flag });
            continue;
        }
        let bytes = longest_argument(plan, position, &call, config);
        if bytes > MAX_ARGUMENT_BYTES {
            issues.push(PlaceIssue::LongPrompt { task, agent, bytes });
            continue;
        }
        let mut env = spec.env.clone();
        if place != AgentPlace::Host {
            for (name, value) in profile.isolated_env.iter().filter(|(name, _)| !spec.secrets.contains(name)) {
                env.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let mut secrets = spec.secrets.clone();
        if place == AgentPlace::Isolated {
            secrets.retain(|name| !HOST_FOLDERS.contains(&name.as_str()) || !profile.env.contains(name));
        }
        plan.set_action(position, Action::of_agent(call), env, secrets);
    }
    if issues.is_empty() { Ok(()) } else { Err(PlaceError { issues }) }
}

/// What an agent may be told beyond what is known before the run: what a failed check has printed.
const ROOM_FOR_CHECK: usize = 9 * 1024;

/// How long the longest argument of a call can become, where the prompt is one; else 0.
fn longest_argument(plan: &Plan, position: usize, call: &AgentCall, config: &Config) -> usize {
    let commands = || call.command.iter().chain(call.resume.iter().flatten());
    if !commands().any(Argument::has_prompt) {
        return 0;
    }
    let spec = &plan.tasks()[position].spec;
    let needs = plan.needs(position).iter().map(|need| &plan.tasks()[*need].spec);
    let need = |spec: &TaskSpec| NeedDone { task: spec.id.clone(), title: spec.title.clone(), last_message: None };
    let needs: Vec<NeedDone> = needs.map(need).collect();
    let branch = format!("{}{}", config.branch_prefix.as_str(), spec.id).parse().ok();
    let prompt = compose_argument(PromptParts {
        prompt: &call.prompt,
        frame: &call.frame,
        branch: branch.as_ref(),
        needs: &needs,
        check: spec.check.as_deref(),
        earlier: None,
    });
    let room = if spec.check.is_some() { ROOM_FOR_CHECK } else { 0 };
    let arguments =
        commands().filter(|argument| argument.has_prompt()).map(|argument| argument.fill(&prompt, "", "").len());
    arguments.max().unwrap_or_default() + room
}
