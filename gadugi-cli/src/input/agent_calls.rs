//! The calls of agents, completed by the surroundings that they run in.

use std::fmt;

use gadugi_core::agent::{AgentCall, Argument, MAX_ARGUMENT_BYTES, NeedDone, PromptParts, compose_argument};
use gadugi_core::executor::Mount;
use gadugi_core::plan::Action;
use gadugi_core::{Plan, TaskSpec};
use thiserror::Error;

use crate::config::{AgentPlace, AgentProfile, CallOf, Config, HOST_FOLDERS, skips_permissions};
use crate::parse::write_lines;

/// An agent that is refused where it would run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AgentCallIssue {
    /// It would ask questions on the user's machine, unless everything were allowed to it.
    #[error(
        "{task}: the agent `{agent}` would run on this machine, where gadugi knows no way to let it work alone but to let it do everything unasked"
    )]
    NotAlone {
        /// The task.
        task: String,
        /// The agent.
        agent: String,
    },
    /// Its prompt is too long for an argument.
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
        /// The argument of its command.
        flag: String,
    },
}

impl AgentCallIssue {
    /// A remedy.
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

/// All agents that are refused where they would run.
#[derive(Debug, Error)]
pub struct AgentCallError {
    /// One or more.
    pub issues: Vec<AgentCallIssue>,
}

impl fmt::Display for AgentCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, &self.issues)
    }
}

/// Completes the calls of all agents of a plan with the arguments, variables and mounts of their surroundings. `login` finds the
/// login files of an agent, for those that may see them in a container.
///
/// # Errors
/// [`AgentCallError`] with all agents that must not run there.
pub fn complete_agent_calls(
    plan: &mut Plan,
    config: &Config,
    place: impl Fn(&TaskSpec) -> AgentPlace,
    login: impl Fn(&AgentProfile) -> Vec<Mount>,
) -> Result<(), AgentCallError> {
    let mut issues = Vec::new();
    for position in 0..plan.tasks().len() {
        let spec = &plan.tasks()[position].spec;
        let Some(call) = &spec.action.agent else { continue };
        let Some(profile) = config.agents.get(&call.name) else { continue };
        let (place, task, agent) = (place(spec), spec.id.to_string(), call.name.clone());
        if place == AgentPlace::Host && !profile.works_unattended() {
            issues.push(AgentCallIssue::NotAlone { task, agent });
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
            issues.push(AgentCallIssue::SkipsPermissions { task, agent, flag });
            continue;
        }
        let bytes = longest_argument(plan, position, &call, config);
        if bytes > MAX_ARGUMENT_BYTES {
            issues.push(AgentCallIssue::LongPrompt { task, agent, bytes });
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
    if issues.is_empty() { Ok(()) } else { Err(AgentCallError { issues }) }
}

/// Room in a prompt for the output of a failed check, which is not known before the run.
const MAX_CHECK_OUTPUT: usize = 9 * 1024;

/// The length that the longest argument of a call can reach, where the prompt is one; else 0.
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
    let room = if spec.check.is_some() { MAX_CHECK_OUTPUT } else { 0 };
    let arguments =
        commands().filter(|argument| argument.has_prompt()).map(|argument| argument.fill(&prompt, "", "").len());
    arguments.max().unwrap_or_default() + room
}
