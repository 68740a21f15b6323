//! Makes tasks of drafts: ids for those that have none, defaults from the settings, and the commands of agents.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::time::Duration;

use gadugi_core::agent::Budget;
use gadugi_core::plan::{
    Action, Changes, Limits, Origin, Program, RawTask, Resources, RetryFrom, Setup, SourceLocation,
};
use gadugi_core::{TaskId, TaskSpec};

use crate::config::{AgentProfile, CallOf, Config, Environment, PromptMode};
use crate::input::Findings;
use crate::input::draft::{Draft, Names, Prompt, TaskAction};
use crate::input::foreign::PassedOver;
use crate::input::issue::{InputIssue, MAX_ARGUMENT_BYTES};
use crate::input::markdown;
use crate::parse::{TimeLimit, closest, shown};

/// The ids of all drafts.
struct Ids {
    ids: Vec<TaskId>,
    /// For each id that drafts have by their plain names, and none by its own word, where those drafts are.
    plain: HashMap<TaskId, Vec<SourceLocation>>,
}

impl Ids {
    /// Drafts that name their id get that, whether it is taken or not: the plan refuses duplicates. Others get
    /// one of their own, from their names.
    fn assign(drafts: &[Draft]) -> Self {
        let explicit: HashSet<TaskId> = drafts.iter().filter_map(|draft| draft.keys.id.clone()).collect();
        let mut plain: HashMap<TaskId, Vec<SourceLocation>> = HashMap::new();
        let mut taken = explicit.clone();
        let mut ids = Vec::new();
        for draft in drafts {
            let id = draft.keys.id.clone().unwrap_or_else(|| {
                let name = TaskId::slug(&draft.names.plain);
                if !explicit.contains(&name) {
                    plain.entry(name).or_default().push(draft.at.clone());
                }
                free_id(&draft.names, &taken)
            });
            taken.insert(id.clone());
            ids.push(id);
        }
        Self { ids, plain }
    }

    /// Notes needs that name a file whose name other files have too.
    fn check_needs(&self, draft: &Draft, issues: &mut Vec<InputIssue>) {
        for need in draft.keys.needs.iter().flatten() {
            let named = need.value.parse().ok().and_then(|need: TaskId| self.plain.get(&need));
            if let Some(candidates) = named.filter(|candidates| candidates.len() > 1) {
                issues.push(InputIssue::AmbiguousNeed {
                    at: need.at.clone(),
                    need: need.value.clone(),
                    candidates: candidates.clone(),
                });
            }
        }
    }
}

fn free_id(names: &Names, taken: &HashSet<TaskId>) -> TaskId {
    let plain = TaskId::slug(&names.plain);
    if !taken.contains(&plain) {
        return plain;
    }
    let mut id = TaskId::slug_apart(&names.unique, |id| taken.contains(id));
    let mut number = 2;
    while taken.contains(&id) {
        id = TaskId::slug_apart(&format!("{} {number}", names.unique), |id| taken.contains(id));
        number += 1;
    }
    id
}

/// Notes arguments and variables that the system gives to no program.
fn check_lengths(draft: &Draft, issues: &mut Vec<InputIssue>) {
    let mut check = |what: &dyn Fn() -> String, bytes: usize| {
        if bytes > gadugi_core::agent::MAX_ARGUMENT_BYTES {
            issues.push(InputIssue::TooLong { at: draft.at.clone(), what: what(), bytes });
        }
    };
    if let TaskAction::Command(command) = &draft.action {
        command.iter().for_each(|argument| check(&|| "an argument of `command`".to_owned(), argument.len()));
    }
    for (name, value) in draft.keys.env.iter().flatten() {
        check(&|| format!("`env.{name}`"), name.len() + 1 + value.len());
    }
}

pub(crate) struct Resolver<'a> {
    pub(crate) config: &'a Config,
    pub(crate) environment: &'a Environment,
    pub(crate) installed: &'a [String],
}

impl Resolver<'_> {
    /// Makes tasks of all drafts. What is wrong is noted. `took_installed` becomes `true` if one got the only agent that is
    /// installed.
    pub(crate) fn resolve(&self, drafts: Vec<Draft>, took_installed: &mut bool, found: &mut Findings) -> Vec<RawTask> {
        let ids = Ids::assign(&drafts);
        let mut tasks = Vec::new();
        for (draft, id) in drafts.into_iter().zip(&ids.ids) {
            ids.check_needs(&draft, &mut found.issues);
            *took_installed |= matches!(draft.action, TaskAction::Unsaid) && self.only_installed().is_some();
            tasks.extend(self.task(draft, id.clone(), found));
        }
        tasks
    }

    /// The only agent that is installed, where the settings name none.
    fn only_installed(&self) -> Option<&String> {
        match (&self.config.agent, self.installed) {
            (None, [only]) => Some(only),
            _ => None,
        }
    }

    fn task(&self, draft: Draft, id: TaskId, found: &mut Findings) -> Option<RawTask> {
        let config = self.config;
        let prompt = match &draft.prompt {
            Prompt::Text(text) => text.as_str(),
            Prompt::Unclear => "",
        };
        let title = draft.keys.title.as_deref().map(markdown::one_line).or_else(|| markdown::title(prompt));
        let title = title.unwrap_or_else(|| id.to_string());
        let (action, profile) = match self.action(&draft, &id, &title, found) {
            Some((action, profile)) => (Some(action), profile),
            None => (None, None),
        };
        let secrets = self.secrets(&draft, &id, profile, &mut found.issues);
        check_lengths(&draft, &mut found.issues);
        let has_agent = action.as_ref().is_some_and(|action| action.agent.is_some());
        let retry_from = draft.settings.retry_from.or(config.retry_from);
        let default_start = if has_agent && draft.keys.check.is_some() { RetryFrom::Previous } else { RetryFrom::Base };
        let needs_changes = if has_agent && draft.keys.check.is_none() { Changes::Required } else { Changes::Optional };
        let mut env = profile.map(|profile| profile.set_env.clone()).unwrap_or_default();
        env.retain(|name, _| !secrets.contains(name));
        env.extend(draft.keys.env.unwrap_or_default());
        let image = profile.and_then(|profile| profile.image.as_ref()).or(config.image.as_ref());
        let limit = |own: Option<TimeLimit>, default: Option<Duration>| own.map_or(default, TimeLimit::duration);
        let spec = TaskSpec {
            id,
            title,
            source: draft.at,
            action: action?,
            setup: draft
                .settings
                .setup
                .or_else(|| config.setup.clone())
                .filter(|script| !script.is_empty())
                .map(|script| Setup { script, timeout: limit(draft.settings.setup_timeout, config.setup_timeout) }),
            check: draft.keys.check,
            changes: draft.settings.changes.or(config.changes).unwrap_or(needs_changes),
            commit_subject: draft.settings.commit_subject.unwrap_or_else(|| config.commit_subject.clone()),
            origin: Origin::default(),
            touches: draft.keys.touches.unwrap_or_default(),
            executor: draft.settings.executor,
            limits: Limits {
                timeout: limit(draft.settings.timeout, config.timeout),
                idle_timeout: limit(draft.settings.idle_timeout, config.idle_timeout),
                grace: draft.settings.grace.unwrap_or(config.grace),
            },
            retries: draft.settings.retries.unwrap_or(config.retries),
            retry_delay: draft.settings.retry_delay.unwrap_or(config.retry_delay),
            retry_from: retry_from.unwrap_or(default_start),
            env,
            secrets,
            priority: draft.keys.priority.unwrap_or_default(),
            resources: Resources {
                image: draft.settings.image.or_else(|| image.cloned()),
                memory: draft.settings.docker.memory,
                cpus: draft.settings.docker.cpus,
            },
        };
        let needs = draft.keys.needs.into_iter().flatten().map(|need| (need.value, need.at)).collect();
        Some(RawTask { spec, needs })
    }

    /// The action of a task, and the profile of its agent.
    fn action(
        &self,
        draft: &Draft,
        id: &TaskId,
        title: &str,
        found: &mut Findings,
    ) -> Option<(Action, Option<&AgentProfile>)> {
        let issues = &mut found.issues;
        let own = |program| Some((Action { program, stdin: None, agent: None }, None));
        if let (Some(model), TaskAction::Script(_) | TaskAction::Command(_)) = (&draft.keys.model, &draft.action) {
            found.passed.push(PassedOver { at: model.at.clone(), what: "model (of no agent)".to_owned() });
        }
        let default = self.config.agent.as_ref().or(self.only_installed());
        let (agent, at) = match (&draft.action, default) {
            (TaskAction::Script(script), _) => return own(Program::Script(script.clone())),
            (TaskAction::Command(command), _) => return own(Program::Argv(command.clone())),
            (TaskAction::Agent(agent), _) => (&agent.value, &agent.at),
            (TaskAction::Unsaid, Some(agent)) => (agent, &draft.at),
            (TaskAction::Unsaid, None) => {
                issues.push(InputIssue::NoAction { at: draft.at.clone(), installed: self.installed.to_vec() });
                return None;
            }
            (TaskAction::Unclear, _) => return None,
        };
        let prompt = match &draft.prompt {
            Prompt::Text(text) if markdown::is_blank(text) => {
                issues.push(InputIssue::NoPrompt { at: draft.at.clone(), agent: agent.clone() });
                return None;
            }
            Prompt::Text(text) => text,
            Prompt::Unclear => return None,
        };
        let Some(profile) = self.config.agents.get(agent) else {
            let configured = || self.config.agents.keys();
            issues.push(InputIssue::UnknownAgent {
                at: at.clone(),
                agent: agent.clone(),
                suggestion: closest(agent, configured().map(String::as_str)).map(str::to_owned),
                configured: configured().cloned().collect(),
            });
            return None;
        };
        let as_argument = profile.prompt == PromptMode::Argument;
        if as_argument && prompt.len() > MAX_ARGUMENT_BYTES {
            let (agent, bytes) = (agent.clone(), prompt.len());
            issues.push(InputIssue::LongPrompt { at: draft.at.clone(), agent, bytes });
            return None;
        }
        if profile.prompt == PromptMode::Script {
            if let Some(model) = &draft.keys.model {
                let what = format!("model (of {agent}, which has none)");
                found.passed.push(PassedOver { at: model.at.clone(), what });
            }
            let program = Program::Script(prompt.clone());
            return Some((Action { program, stdin: None, agent: None }, Some(profile)));
        }
        let budget = Budget {
            cost_usd: draft.settings.max_cost.or(self.config.max_cost),
            tokens: draft.settings.max_tokens.or(self.config.max_tokens),
        };
        let model = draft.keys.model.as_ref().and_then(|model| {
            let taken = profile.model_named(&model.value);
            if taken.is_none() {
                let what = format!("model: {} (no model of {agent})", shown(&model.value));
                found.passed.push(PassedOver { at: model.at.clone(), what });
            }
            taken
        });
        let run_budget = self.config.run_budget();
        let of = CallOf { agent, task: id.as_str(), title, prompt, model, budget, run_budget, place: None };
        let call = profile.call(of);
        Some((Action::of_agent(call), Some(profile)))
    }

    /// The variables that are passed on: those that the task asks for, which must be set, and those of its
    /// agent, where they are set.
    fn secrets(
        &self,
        draft: &Draft,
        id: &TaskId,
        profile: Option<&AgentProfile>,
        issues: &mut Vec<InputIssue>,
    ) -> Vec<String> {
        let in_env = |name: &str| draft.keys.env.as_ref().is_some_and(|env| env.contains_key(name));
        let is_set = |name: &str| self.environment.contains_key(OsStr::new(name));
        let mut names: Vec<String> = Vec::new();
        for secret in draft.keys.secrets.iter().flatten() {
            let (at, task, name) = (secret.at.clone(), id.to_string(), secret.value.clone());
            if in_env(&name) {
                issues.push(InputIssue::SecretInEnv { at, task, name });
            } else if !is_set(&name) {
                issues.push(InputIssue::NoSecret { at, task, name });
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in profile.iter().flat_map(|profile| &profile.env) {
            if is_set(name) && !in_env(name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
