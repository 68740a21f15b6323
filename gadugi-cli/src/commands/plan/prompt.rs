//! `gadugi plan --prompt`: the prompt of an agent.

use gadugi_core::agent::{NeedDone, PromptParts, compose_prompt};
use gadugi_core::{Plan, TaskId};

use crate::config::Config;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// Prints the prompt of a task as far as it is known before the run: with its branch, if that is free, and
/// without the last messages of the tasks that it needs.
pub(super) fn print(context: &Context, config: &Config, plan: &Plan, name: &str) -> Result<Code, Failure> {
    let ids = || plan.tasks().iter().map(|task| task.spec.id.as_str()).collect::<Vec<_>>().join(", ");
    let Some(position) = plan.tasks().iter().position(|task| task.spec.id.as_str() == name) else {
        return Err(Failure::usage(format!("there is no task `{name}`")).hint(format!("the tasks are: {}", ids())));
    };
    let spec = &plan.tasks()[position].spec;
    let Some(call) = &spec.action.agent else {
        let failure = Failure::usage(format!("`{name}` is for no agent, so nothing is told to one"));
        return Err(failure.hint("name a task that has an agent"));
    };
    let need = |id: &TaskId, title: &str| NeedDone { task: id.clone(), title: title.to_owned(), last_message: None };
    let needs = plan.needs(position).iter().map(|need_at| &plan.tasks()[*need_at].spec);
    let done = spec.origin.done.iter().cloned();
    let needs: Vec<_> = done.chain(needs.map(|spec| need(&spec.id, &spec.title))).collect();
    let branch = format!("{}{}", config.branch_prefix.as_str(), spec.id);
    let branch = branch.parse().map_err(|error| Failure::usage(format!("the branch `{branch}`: {error}")))?;
    let prompt = compose_prompt(PromptParts {
        prompt: &call.prompt,
        frame: &call.frame,
        branch: Some(&branch),
        needs: &needs,
        check: spec.check.as_deref(),
        earlier: None,
    });
    context.terminal.result(&prompt)?;
    Ok(Code::Success)
}
