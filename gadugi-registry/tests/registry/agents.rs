//! Agents in reports.

use gadugi_core::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Denials, Figure, OwnPart, RateLimit, Tokens,
};
use gadugi_core::executor::ExitStatus;
use gadugi_core::run::{Failure, WarningKind};
use gadugi_core::{Event, EventKind, Outcome, Phase, Report, RunHeader, RunRecord};
use gadugi_registry::render::{json, markdown};
use serde_json::{Value, json as value};

use crate::sample::{Story, attempt, header, raw};
use crate::schema;

/// A run in which one agent tells everything, at its second attempt, one tells tokens alone, one is lost at its second attempt
/// before it was heard, and one task has none.
pub(crate) fn story() -> (RunHeader, Vec<Event>) {
    let mut tasks = ["login", "docs", "plain", "lost"].map(|id| raw(id, &[])).to_vec();
    tasks[0].spec.action.agent = Some(AgentCall::new("claude", vec![Argument::text("claude")], "Mend it."));
    tasks[1].spec.action.agent = Some(AgentCall::new("codex", vec![Argument::text("codex")], "Write it."));
    tasks[3].spec.action.agent = Some(AgentCall::new("claude", vec![Argument::text("claude")], "Lose it."));
    let header = header('g', tasks);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    let (first, second) = (attempt("login", 1), attempt("login", 2));
    let error = AgentError { class: AgentErrorClass::RateLimit, message: "too <many> | requests".into() };
    let refused = AgentReport {
        cost_usd: Some(0.25),
        limit: Some(RateLimit { class: error.class, until: None, pause: None, refusals: 2 }),
        end: Some(Err(error.clone())),
        ..AgentReport::default()
    };
    story.intent(&first).worktree(&first).started(&first, Phase::Main).ended(&first, Phase::Main, ExitStatus::Code(1));
    story.then(EventKind::AgentReported { attempt: first.clone(), report: refused });
    story.work(&first, 0).over(&first, Outcome::Failed(Failure::Agent(error)));
    let message = "Requests of claude are refused".to_owned();
    story.then(EventKind::Warning { kind: WarningKind::RateLimit, task: Some(first.task.clone()), message });
    let done = AgentReport {
        session: Some("405ef7ef".into()),
        model: Some("claude-opus-5-5".into()),
        turns: Some(7),
        tokens: Some(Tokens { input: 1200, cached: 1000, output: 300 }),
        cost_usd: Some(1.5),
        own: OwnPart {
            cost_usd: Some(Figure { value: 1.25, is_reckoned: true }),
            tokens: Some(Figure::reported(Tokens { input: 1200, cached: 1000, output: 300 })),
        },
        last_tool: Some("Bash: cargo test".into()),
        last_message: Some("All <b>done</b>.\n```\nreally".into()),
        denials: Denials::default(),
        limit: None,
        end: Some(Ok(())),
    };
    story.intent(&second).worktree(&second).started(&second, Phase::Main);
    story.ended(&second, Phase::Main, ExitStatus::Code(0));
    story.then(EventKind::AgentReported { attempt: second.clone(), report: done });
    story.work(&second, 1).over(&second, Outcome::Succeeded).finished("login", Outcome::Succeeded);
    let docs = attempt("docs", 1);
    let tokens = Some(Tokens { input: 50, cached: 0, output: 5 });
    let report = AgentReport { tokens, end: Some(Ok(())), ..AgentReport::default() };
    story.intent(&docs).worktree(&docs).started(&docs, Phase::Main).ended(&docs, Phase::Main, ExitStatus::Code(0));
    story.then(EventKind::AgentReported { attempt: docs.clone(), report });
    let budget = Outcome::Failed(Failure::Budget { message: "55 of 50 tokens are used".into() });
    story.work(&docs, 0).over(&docs, budget.clone()).finished("docs", budget);
    story.whole("plain", ExitStatus::Code(0), Outcome::Succeeded);
    let (heard, lost) = (attempt("lost", 1), attempt("lost", 2));
    let failed = Outcome::Failed(Failure::ExitCode(1));
    let report = AgentReport { cost_usd: Some(0.5), tokens, ..AgentReport::default() };
    story.intent(&heard).worktree(&heard).started(&heard, Phase::Main).ended(&heard, Phase::Main, ExitStatus::Code(1));
    story.then(EventKind::AgentReported { attempt: heard.clone(), report });
    story.work(&heard, 0).over(&heard, failed);
    let outcome = Outcome::Lost { why: "it is gone".into() };
    story
        .intent(&lost)
        .worktree(&lost)
        .started(&lost, Phase::Main)
        .over(&lost, outcome.clone())
        .finished("lost", outcome);
    story.run_ended();
    (header, story.events)
}

fn report() -> Report {
    let (header, events) = story();
    Report::from(RunRecord::fold(header, &events).expect("events that follow one another"))
}

#[test]
fn the_report_for_programs_has_what_agents_told_and_counts_what_they_did_not() {
    let told: Value = serde_json::from_str(&json(&report(), &|_, _| None)).expect("JSON");
    schema::check(&told);
    assert_eq!(
        told["agents"],
        value!({
            "attempts": 5, "cost_usd": 2.0, "attempts_without_cost": 2, "attempts_with_reckoned_cost": 1,
            "tokens": { "input": 1300, "cached": 1000, "output": 310 }, "attempts_without_tokens": 2,
            "attempts_with_reckoned_tokens": 0,
        })
    );
    let attempts = &told["tasks"][0]["attempts"];
    assert_eq!(attempts[0]["agent"]["end"]["class"], "rate_limit");
    assert_eq!((&attempts[0]["agent"]["tokens"], &attempts[0]["agent"]["cost_usd"]), (&Value::Null, &value!(0.25)));
    assert_eq!((&attempts[1]["agent"]["session"], &attempts[1]["agent"]["turns"]), (&value!("405ef7ef"), &value!(7)));
    let own = value!({
        "tokens": { "input": 1200, "cached": 1000, "output": 300 }, "cost_usd": 1.25, "cost_reckoned": true,
    });
    assert_eq!((&attempts[1]["agent"]["cost_usd"], &attempts[1]["agent"]["own"]), (&value!(1.5), &own));
    assert_eq!(attempts[0]["agent"].get("own"), None, "of a version that did not tell it");
    assert_eq!(told["tasks"][2]["attempts"][0]["agent"], Value::Null);
    assert_eq!(told["tasks"][1]["outcome"]["failure"]["kind"], "budget");
}

#[test]
fn the_report_for_people_has_a_cost_for_each_task_and_never_takes_what_is_unknown_for_nothing() {
    let told = markdown(&report(), &|_, _| None);
    for line in [
        "- Cost, as told by agents: 2.00 US dollars, reckoned for 1 attempt from figures of the conversation, without 2 attempts that told none",
        "- Tokens, as told by agents: 1300 tokens in (1000 of them cached), 310 out, without 2 attempts that told none",
        "| Outcome | Task | Title | Branch | Commits | Files | Duration | Executor | Cost |",
        "  - agent: 0.25 US dollars, requests refused 2 times",
        "  - agent: model `claude-opus-5-5`, session `405ef7ef`, 7 turns, 1200 tokens in (1000 of them cached), 300 out, \
         1.25 US dollars (reckoned; told of the conversation: 1.50 US dollars), last tool Bash: cargo test",
        "````text\nAll <b>done</b>.\n```\nreally\n````",
    ] {
        assert!(told.contains(&format!("{line}\n")), "{line}\n---\n{told}");
    }
    let cost_of = |task: &str| {
        let row = told.lines().find(|line| line.contains(&format!("| `{task}` |"))).expect("a row");
        row.trim_end_matches(" |").rsplit(" | ").next().expect("a cell").to_owned()
    };
    let costs = ["login", "docs", "plain", "lost"].map(cost_of);
    assert_eq!(costs, ["1.50 US dollars", "unknown", "-", "0.50 US dollars, 1 attempt unknown"]);
}
