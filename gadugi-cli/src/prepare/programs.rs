//! The check that the programs of tasks are installed, before anything is created.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use gadugi_core::TaskSpec;
use gadugi_core::plan::{Action, Program};

use crate::config::Config;
use crate::context::Context;
use crate::executors::{Chosen, SUBPROCESS};
use crate::failure::Failure;
use crate::surroundings::{ProgramSearch, find_program};

/// Tasks that a message names.
const MAX_NAMED: usize = 3;

/// A missing program, and the agent that it belongs to, if any.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Missing {
    agent: Option<String>,
    program: String,
    /// A file of that name that cannot be executed.
    denied: Option<PathBuf>,
}

/// Refuses tasks with agents that are not installed, and warns of other missing programs. Only tasks that run
/// on this machine are checked. A task's `setup` may still install its program, which is only warned of.
pub(crate) fn require<'a>(
    context: &Context,
    specs: impl Iterator<Item = &'a TaskSpec>,
    chosen: &Chosen,
    config: &Config,
) -> Result<(), Failure> {
    let mut refused: BTreeMap<Missing, Vec<&TaskSpec>> = BTreeMap::new();
    let mut warned: BTreeMap<Missing, Vec<&TaskSpec>> = BTreeMap::new();
    for spec in specs {
        let runs_here = chosen.of(spec).is_some_and(|executor| executor.name() == SUBPROCESS);
        let Some(missing) = missing(context, spec).filter(|_| runs_here) else { continue };
        let is_refused = missing.agent.is_some() && spec.setup.is_none();
        (if is_refused { &mut refused } else { &mut warned }).entry(missing).or_default().push(spec);
    }
    for (missing, specs) in &warned {
        let setup = if specs.iter().all(|spec| spec.setup.is_some()) { "; their setup has to bring it" } else { "" };
        context.terminal.say(&format!("warning: {}{setup}", text(missing, specs)));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = refused.iter().map(|(missing, specs)| text(missing, specs)).collect();
    let hints: Vec<String> = refused.keys().map(|missing| remedy(context, config, missing)).collect();
    Err(Failure::environment(lines.join("\n")).hint(hints.join("\n")))
}

/// The program of a task if it is missing. `None` also where that cannot be known: a relative path is one of the worktree.
fn missing(context: &Context, spec: &TaskSpec) -> Option<Missing> {
    let Action { program, agent, .. } = &spec.action;
    let program = match (agent, program) {
        (Some(call), _) => call.command.first()?.fill("", "", ""),
        (None, Program::Argv(argv)) => argv.first()?.clone(),
        _ => return None,
    };
    let own = spec.env.get("PATH").map(OsString::from);
    let path = own.or_else(|| context.surroundings.env.get(OsStr::new("PATH")).cloned());
    let denied = match find_program(&program, path.as_deref()) {
        ProgramSearch::At(_) | ProgramSearch::Unknown => return None,
        ProgramSearch::Nowhere => None,
        ProgramSearch::NotExecutable(file) => Some(file),
    };
    Some(Missing { agent: agent.as_ref().map(|call| call.name.clone()), program, denied })
}

fn text(missing: &Missing, specs: &[&TaskSpec]) -> String {
    let named: Vec<&str> = specs.iter().take(MAX_NAMED).map(|spec| spec.id.as_str()).collect();
    let more =
        if specs.len() > named.len() { format!(" and {} more", specs.len() - named.len()) } else { String::new() };
    let tasks = format!("{}{more}", named.join(", "));
    let Missing { agent, program, denied } = missing;
    let what = match (denied, Path::new(program).is_absolute()) {
        (Some(file), _) => format!("`{}` cannot be executed", file.display()),
        (None, true) => format!("`{program}` does not exist"),
        (None, false) => format!("`{program}` was not found on PATH"),
    };
    match agent {
        Some(agent) => format!("the agent `{agent}` is not installed: {what} ({tasks})"),
        None => format!("{what} ({tasks})"),
    }
}

fn remedy(context: &Context, config: &Config, missing: &Missing) -> String {
    let agent = missing.agent.as_deref().unwrap_or_default();
    let others = super::installed_agents(&context.surroundings, config);
    let others = match others.is_empty() {
        true => "none of the agents that gadugi knows is installed here".to_owned(),
        false => format!("installed here, for --agent NAME: {}", others.join(", ")),
    };
    let first = match &missing.denied {
        Some(file) => format!("make it executable (chmod +x {})", file.display()),
        None => "install it".to_owned(),
    };
    format!("{first}, or write where it is into `command` of [agents.{agent}] in gadugi.toml; {others}")
}
