//! `gadugi plan`: the tasks, their order and what overlaps.

mod prompt;

use gadugi_core::Plan;
use gadugi_core::plan::{Action, Program, Setup};
use gadugi_core::scheduler::start_order;

use crate::args::PlanArgs;
use crate::config::{Config, seed_line};
use crate::context::Context;
use crate::executors::{Chosen, TaskLifetime, choose_executor, limits};
use crate::failure::{Code, Failure};
use crate::prepare::disk_space::{self, WorktreeCount};
use crate::prepare::earlier::EarlierRuns;
use crate::prepare::{self, programs};
use crate::site::{Base, Site};
use crate::terminal::{Tone, columns, duration_text, harmless, seed_text};

/// Pairs of tasks that touch the same files and are named; there may be half a million of them.
const MAX_PAIRS: usize = 20;

pub(super) async fn plan(context: &Context, args: &PlanArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let config = prepare::config(context, &site, Some(&args.tasks))?;
    let earlier = EarlierRuns::named(context, &site, args.tasks.needs_from.as_ref()).await?;
    let (mut plan, taken) = prepare::plan(context, &config, &args.tasks, earlier.as_ref())?;
    if let Some(earlier) = &earlier {
        earlier.give_to(&site, &mut plan, &taken, &site.base(&config)?.commit)?;
        earlier.announce(&context.terminal, &taken);
    }
    if let Some(task) = &args.prompt {
        return prompt::print(context, &config, &plan, task);
    }
    let base = site.base(&config)?;
    site.check_branches(&config)?;
    let chosen = choose_executor(context, &site, &config, &mut plan, TaskLifetime::Own).await?;
    prepare::complete_agent_calls(context, &mut plan, &chosen, &config, &args.tasks)?;
    programs::require(context, plan.tasks().iter().map(|task| &task.spec), &chosen, &config)?;
    limits::budgets_not_held(&plan, &config).iter().for_each(|what| context.terminal.say(&format!("warning: {what}")));
    let durations = site.earlier_durations(None)?;
    let order = start_order(&plan, &durations);
    let terminal = &context.terminal;
    let header = ["#", "TASK", "NEEDS", "RUNS", "EXECUTOR", "TITLE"].map(str::to_owned).to_vec();
    let row = |(n, &at): (usize, &usize)| {
        let task = &plan.tasks()[at];
        let needs: Vec<_> = task.needs.iter().map(|need| need.as_str()).collect();
        let executor = task.spec.executor.as_deref().unwrap_or(chosen.name());
        let cells = [
            (n + 1).to_string(),
            task.spec.id.to_string(),
            needs.join(","),
            runs(&task.spec.action),
            executor.to_owned(),
            harmless(&task.spec.title),
        ];
        cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).to_vec()
    };
    let rows: Vec<_> = std::iter::once(header).chain(order.iter().enumerate().map(row)).collect();
    let head = |at: usize, _: usize, cell: &str| terminal.toned(if at == 0 { Tone::Faint } else { Tone::Plain }, cell);
    terminal.result(&columns(&rows, head))?;
    terminal.result(&format!("\n{}", summary(&plan, &config, &base, &chosen)))?;
    if let Some(space) = disk_space::survey(context, &site, &config, &base.commit)? {
        let count = WorktreeCount::of(&plan, &config, &durations);
        terminal.result(&disk_space::line(&space, count))?;
        disk_space::warn(context, &space, count, &config);
    }
    let (each, warnings) = site.seeds(&config)?;
    if each.files > 0 || !config.seed.is_empty() {
        terminal.result(&format!("seed: {} into each worktree\n", seed_text(each)))?;
    }
    warnings.iter().for_each(|warning| terminal.say(&format!("warning: {warning}")));
    let left_out = site.left_out_of_seeds(&config);
    if !left_out.is_empty() && plan.tasks().iter().any(|task| task.spec.action.agent.is_some()) {
        let line = seed_line(&[&config.seed[..], &left_out].concat());
        terminal
            .say(&format!("note: git ignores files that agents read, so tasks do not get them; to copy them: {line}"));
    }
    if terminal.verbose {
        let specs = plan.tasks().iter().map(|task| &task.spec);
        let terms = specs.filter_map(|spec| Some((spec.id.as_str(), chosen.of(spec)?.terms(spec))));
        terminal.result(&terms_text(terms))?;
    }
    Ok(Code::Success)
}

/// The agent or program of a task, in a word or two.
fn runs(action: &Action) -> String {
    match (&action.agent, &action.program) {
        (Some(agent), _) => format!("agent {}", agent.name),
        (None, Program::Argv(argv)) => harmless(argv.first().map_or("", String::as_str)),
        _ => "script".to_owned(),
    }
}

/// The terms under which an executor runs a task, as names and values.
type Terms = Vec<(String, String)>;

/// Formats the terms under which tasks run. Equal terms stand once, after all tasks that have them.
fn terms_text<'a>(tasks: impl Iterator<Item = (&'a str, Terms)>) -> String {
    let mut groups: Vec<(Vec<&str>, Terms)> = Vec::new();
    for (id, terms) in tasks.filter(|(_, terms)| !terms.is_empty()) {
        match groups.iter_mut().find(|(_, known)| *known == terms) {
            Some((ids, _)) => ids.push(id),
            None => groups.push((vec![id], terms)),
        }
    }
    let group = |(ids, terms): &(Vec<&str>, Terms)| {
        let row = |(name, value): &(String, String)| vec![format!("  {}", harmless(name)), harmless(value)];
        let rows: Vec<_> = terms.iter().map(row).collect();
        format!("\n{}:\n{}", ids.join(", "), columns(&rows, |_, _, cell| cell.to_owned()))
    };
    groups.iter().map(group).collect()
}

fn summary(plan: &Plan, config: &Config, base: &Base, chosen: &Chosen) -> String {
    let mut lines = vec![
        format!(
            "{} task{}, at most {} at once, from {} ({})",
            plan.tasks().len(),
            if plan.tasks().len() == 1 { "" } else { "s" },
            config.jobs,
            base.name,
            base.commit.short()
        ),
        format!("executor: {} ({})", chosen.name(), chosen.reason()),
    ];
    let names = |positions: &[usize]| positions.iter().map(|at| plan.tasks()[*at].spec.id.as_str()).collect::<Vec<_>>();
    let path = plan.critical_path(|_| 1.0);
    if path.len() > 1 {
        lines.push(format!("longest chain: {}", names(&path).join(" -> ")));
    }
    let overlaps = plan.overlaps();
    for &(a, b) in overlaps.iter().take(MAX_PAIRS) {
        let turns = if config.allow_overlap { "may run at once, as configured" } else { "take turns" };
        lines.push(format!("{} touch the same files: they {turns}", names(&[a, b]).join(" and ")));
    }
    match overlaps.len().saturating_sub(MAX_PAIRS) {
        0 => {}
        1 => lines.push("… and 1 more pair".to_owned()),
        more => lines.push(format!("… and {more} more pairs")),
    }
    if let Some(timeout) = config.timeout {
        lines.push(format!("timeout: {}", duration_text(timeout)));
    }
    lines.extend(setups(plan));
    lines.join("\n") + "\n"
}

/// Formats the setups of tasks. Equal setups stand once, with all tasks that have them.
fn setups(plan: &Plan) -> Vec<String> {
    let mut groups: Vec<(&Setup, Vec<&str>)> = Vec::new();
    for spec in plan.tasks().iter().map(|task| &task.spec) {
        let Some(setup) = &spec.setup else { continue };
        match groups.iter_mut().find(|(known, _)| *known == setup) {
            Some((_, ids)) => ids.push(spec.id.as_str()),
            None => groups.push((setup, vec![spec.id.as_str()])),
        }
    }
    let text = |(setup, ids): (&Setup, Vec<&str>)| {
        let whose = if ids.len() == plan.tasks().len() { String::new() } else { format!(" of {}", ids.join(", ")) };
        let (first, more) = setup.script.split_once('\n').map_or((&*setup.script, ""), |(first, _)| (first, " …"));
        let limit = setup.timeout.map(|timeout| format!(" (at most {})", duration_text(timeout))).unwrap_or_default();
        format!("setup{whose}: {}{more}{limit}", harmless(first))
    };
    groups.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_tasks_share_are_said_once() {
        let terms = |terms: &[(&str, &str)]| {
            terms.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        let small = terms(&[("image", "alpine"), ("memory", "1 GiB\u{1b}[2J")]);
        let tasks = [
            ("a", small.clone()),
            ("b", Vec::new()),
            ("c", terms(&[("image", "debian"), ("read-only", "no")])),
            ("d", small),
        ];
        insta::assert_snapshot!(terms_text(tasks.into_iter()), @r"

        a, d:
          image   alpine
          memory  1 GiB

        c:
          image      debian
          read-only  no
        ");
        assert_eq!(terms_text([("b", Vec::new())].into_iter()), "");
    }
}
