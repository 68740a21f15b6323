//! The JSON form of a planned task: all that another process needs to start it.

use std::collections::BTreeMap;
use std::time::Duration;

use gadugi_core::plan::{
    Action, Changes, Limits, PlannedTask, Program, RawTask, Resources, RetryFrom, Setup, SourceLocation,
    SubjectTemplate, TouchPattern,
};
use gadugi_core::{TaskId, TaskSpec};
use serde::{Deserialize, Serialize};

use super::agent::AgentForm;
use super::origin::OriginForm;
use super::scalar::{PathForm, Seconds, Text, from_texts, texts};
use super::{FormatError, no_format};

#[derive(Serialize, Deserialize)]
pub(crate) struct TaskForm {
    id: Text<TaskId>,
    title: String,
    source: SourceForm,
    needs: Vec<Text<TaskId>>,
    program: ProgramForm,
    stdin: Option<String>,
    agent: Option<AgentForm>,
    /// Left out where nothing prepares the worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    setup: Option<SetupForm>,
    check: Option<String>,
    /// Left out where nothing has to be changed.
    #[serde(default, skip_serializing_if = "ChangesForm::is_optional")]
    changes: ChangesForm,
    /// Left out where it is the title alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit_subject: Option<Text<SubjectTemplate>>,
    /// Left out where it starts as its run and its needs make it.
    #[serde(default, skip_serializing_if = "OriginForm::is_default")]
    origin: OriginForm,
    touches: Vec<Text<TouchPattern>>,
    executor: Option<String>,
    limits: LimitsForm,
    retries: u32,
    #[serde(default = "one_second")]
    retry_delay_seconds: Seconds,
    #[serde(default)]
    retry_from: RetryFromForm,
    env: BTreeMap<String, String>,
    secrets: Vec<String>,
    priority: i32,
    resources: ResourcesForm,
}

#[derive(Serialize, Deserialize)]
struct SourceForm {
    file: PathForm,
    line: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ProgramForm {
    Script { script: String },
    Argv { argv: Vec<String> },
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum RetryFromForm {
    #[default]
    Base,
    Previous,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum ChangesForm {
    #[default]
    Optional,
    Required,
    Discarded,
}

impl ChangesForm {
    fn is_optional(&self) -> bool {
        matches!(self, Self::Optional)
    }
}

fn one_second() -> Seconds {
    Seconds(Duration::from_secs(1))
}

#[derive(Serialize, Deserialize)]
struct SetupForm {
    script: String,
    timeout_seconds: Option<Seconds>,
}

#[derive(Serialize, Deserialize)]
struct LimitsForm {
    timeout_seconds: Option<Seconds>,
    idle_timeout_seconds: Option<Seconds>,
    grace_seconds: Seconds,
}

#[derive(Serialize, Deserialize)]
struct ResourcesForm {
    image: Option<String>,
    memory_bytes: Option<u64>,
    cpus: Option<f64>,
}

impl TryFrom<&PlannedTask> for TaskForm {
    type Error = FormatError;

    fn try_from(task: &PlannedTask) -> Result<Self, FormatError> {
        let spec = &task.spec;
        Ok(Self {
            id: Text(spec.id.clone()),
            title: spec.title.clone(),
            source: SourceForm { file: spec.source.file.as_path().into(), line: spec.source.line },
            needs: texts(&task.needs),
            program: match &spec.action.program {
                Program::Script(script) => ProgramForm::Script { script: script.clone() },
                Program::Argv(argv) => ProgramForm::Argv { argv: argv.clone() },
                _ => return no_format("this kind of program"),
            },
            stdin: spec.action.stdin.clone(),
            agent: spec.action.agent.as_ref().map(AgentForm::try_from).transpose()?,
            setup: spec
                .setup
                .as_ref()
                .map(|setup| SetupForm { script: setup.script.clone(), timeout_seconds: setup.timeout.map(Seconds) }),
            check: spec.check.clone(),
            changes: match spec.changes {
                Changes::Optional => ChangesForm::Optional,
                Changes::Required => ChangesForm::Required,
                Changes::Discarded => ChangesForm::Discarded,
                _ => return no_format("this need of changes"),
            },
            commit_subject: Some(&spec.commit_subject)
                .filter(|subject| **subject != SubjectTemplate::default())
                .map(|subject| Text(subject.clone())),
            origin: (&spec.origin).into(),
            touches: texts(&spec.touches),
            executor: spec.executor.clone(),
            limits: LimitsForm {
                timeout_seconds: spec.limits.timeout.map(Seconds),
                idle_timeout_seconds: spec.limits.idle_timeout.map(Seconds),
                grace_seconds: Seconds(spec.limits.grace),
            },
            retries: spec.retries,
            retry_delay_seconds: Seconds(spec.retry_delay),
            retry_from: match spec.retry_from {
                RetryFrom::Base => RetryFromForm::Base,
                RetryFrom::Previous => RetryFromForm::Previous,
                _ => return no_format("this start of a retry"),
            },
            env: spec.env.clone(),
            secrets: spec.secrets.clone(),
            priority: spec.priority,
            resources: ResourcesForm {
                image: spec.resources.image.clone(),
                memory_bytes: spec.resources.memory,
                cpus: spec.resources.cpus,
            },
        })
    }
}

impl From<TaskForm> for RawTask {
    fn from(form: TaskForm) -> Self {
        let source = SourceLocation { file: form.source.file.0, line: form.source.line };
        Self {
            needs: form.needs.into_iter().map(|need| (need.0.to_string(), source.clone())).collect(),
            spec: TaskSpec {
                id: form.id.0,
                title: form.title,
                source,
                action: action(form.program, form.stdin, form.agent),
                setup: form
                    .setup
                    .map(|form| Setup { script: form.script, timeout: form.timeout_seconds.map(|timeout| timeout.0) }),
                check: form.check,
                changes: match form.changes {
                    ChangesForm::Optional => Changes::Optional,
                    ChangesForm::Required => Changes::Required,
                    ChangesForm::Discarded => Changes::Discarded,
                },
                commit_subject: form.commit_subject.map(|subject| subject.0).unwrap_or_default(),
                origin: form.origin.into(),
                touches: from_texts(form.touches),
                executor: form.executor,
                limits: Limits {
                    timeout: form.limits.timeout_seconds.map(|timeout| timeout.0),
                    idle_timeout: form.limits.idle_timeout_seconds.map(|timeout| timeout.0),
                    grace: form.limits.grace_seconds.0,
                },
                retries: form.retries,
                retry_delay: form.retry_delay_seconds.0,
                retry_from: match form.retry_from {
                    RetryFromForm::Base => RetryFrom::Base,
                    RetryFromForm::Previous => RetryFrom::Previous,
                },
                env: form.env,
                secrets: form.secrets,
                priority: form.priority,
                resources: Resources {
                    image: form.resources.image,
                    memory: form.resources.memory_bytes,
                    cpus: form.resources.cpus,
                },
            },
        }
    }
}

fn action(program: ProgramForm, stdin: Option<String>, agent: Option<AgentForm>) -> Action {
    let argv = if let ProgramForm::Argv { argv } = &program { argv.as_slice() } else { &[] };
    let agent = agent.map(|agent| agent.into_call(argv, stdin.as_deref()));
    let program = match program {
        ProgramForm::Script { script } => Program::Script(script),
        ProgramForm::Argv { argv } => Program::Argv(argv),
    };
    Action { program, stdin, agent }
}
