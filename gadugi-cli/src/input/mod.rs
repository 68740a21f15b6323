//! The tasks of a run: from the arguments of the command to a [`RawPlan`].
//!
//! Files, folders, patterns, the standard input and inline texts are collected, each file is read once into
//! drafts, and drafts become tasks with the [settings](crate::config) for what they leave open. All errors are reported at once.

mod agent_calls;
mod collect;
mod draft;
mod foreign;
mod front_matter;
mod glob;
mod issue;
mod markdown;
mod no_task;
mod read;
mod resolve;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use gadugi_core::plan::RawPlan;

use crate::config::{Config, Environment};
pub use agent_calls::{AgentCallError, AgentCallIssue, complete_agent_calls};
pub use draft::{BATCH_KEYS, TASK_KEYS};
pub use foreign::PassedOver;
pub use issue::{InputError, InputIssue, MAX_ARGUMENT_BYTES, MAX_TASKS};

/// The tasks that a run is given, and all that is needed to read them.
pub struct TaskInput<'a> {
    /// Files, folders, patterns, and `-` for the standard input.
    pub arguments: &'a [PathBuf],
    /// Tasks for the default agent, written out.
    pub texts: &'a [String],
    /// The folder that relative arguments are relative to.
    pub folder: &'a Path,
    /// Read to its end if an argument is `-`, else left alone.
    pub stdin: &'a mut dyn Read,
    /// Defaults and agents.
    pub config: &'a Config,
    /// The environment in which secrets must be set. Their values are not read.
    pub environment: &'a Environment,
    /// The agents that are installed. A single one is the default agent where the settings name none.
    pub installed: &'a [String],
    /// Becomes `true` if that was done.
    pub took_installed: &'a mut bool,
    /// Receives the keys and values of other tools that were passed over.
    pub passed_over: &'a mut Vec<PassedOver>,
}

/// The findings of reading tasks.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) issues: Vec<InputIssue>,
    pub(crate) passed: Vec<PassedOver>,
}

/// Reads all tasks, in the order in which they are named, those of a folder by name, and texts last. The plan
/// is empty if nothing is named.
///
/// # Errors
/// [`InputError`] with everything that is wrong with any of them.
pub fn read_tasks(input: TaskInput<'_>) -> Result<RawPlan, InputError> {
    let mut found = Findings::default();
    let sources = collect::collect(input.arguments, input.folder, &mut found);
    let collected = found.issues.len();
    let mut reader = read::Reader { folder: input.folder, config: input.config, found: &mut found };
    let mut drafts = Vec::new();
    for source in &sources {
        drafts.extend(reader.read(source, input.stdin));
    }
    drafts.extend(reader.read_texts(input.texts));
    if drafts.len() > MAX_TASKS {
        found.issues.push(InputIssue::TooManyTasks { found: drafts.len() });
        return Err(InputError { issues: found.issues });
    }
    let resolver =
        resolve::Resolver { config: input.config, environment: input.environment, installed: input.installed };
    let tasks = resolver.resolve(drafts, input.took_installed, &mut found);
    let Findings { mut issues, passed } = found;
    if input.config.strict {
        issues.extend(passed.into_iter().map(|PassedOver { at, what }| InputIssue::NotOurs { at, what }));
    } else {
        input.passed_over.extend(passed);
    }
    if issues.is_empty() {
        return Ok(RawPlan { tasks });
    }
    let order: HashMap<&Path, usize> = sources.iter().enumerate().map(|(n, source)| (source.shown(), n)).collect();
    issues[collected..].sort_by_key(|issue| {
        let place = issue.at().map(|at| (order.get(at.file.as_path()).copied().unwrap_or(order.len()), at.line));
        place.unwrap_or((order.len(), 0))
    });
    Err(InputError { issues })
}
