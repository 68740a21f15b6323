//! The use of each call of an agent, and the cost limits of calls.

use std::time::Duration;

use gadugi_core::agent::{Argument, Figure, OwnPart, Piece, Tokens};
use gadugi_core::plan::{Program, RawTask};
use gadugi_core::run::{Warning, WarningKind};
use gadugi_core::{EventKind, Phase, Report};
use gadugi_test_support::fakes::BrokenWorktree;
use tokio::time::Instant;

use crate::harness::{Harness, id, task};
use crate::limits::{exits, name, sleep, started};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{ended, reports, robot};

/// Two attempts in one session, whose figures the second one continues.
fn counts_on() -> Harness {
    Harness::with_robots(vec![robot("a", &[])])
        .plays("a", exits(1, 0))
        .says("a", 1, "session s\ncosts 0.5\ntokens 100\ndone")
        .plays_check("a", 1, exits(0, 1))
        .plays_at("a", 2, exits(10, 0))
        .says_at("a", 2, &[(0, "session s"), (2, "costs 0.75\ntokens 250"), (8, "done")])
        .spec("a", |spec| {
            spec.retries = 1;
            spec.check = Some("true".to_owned());
        })
}

#[tokio::test(start_paused = true)]
async fn what_a_conversation_that_goes_on_had_used_before_counts_once() {
    let mut harness = counts_on().call("a", |call| call.budget.cost_usd = Some(1.0));
    harness.settings.budget.cost_usd = Some(1.0);
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    let used = record.tasks[0].used();
    assert_eq!((used.cost_usd, used.tokens), (0.75, 250));
    let told = reports(&harness.log.events());
    let [first, second] = [0, 1].map(|at: usize| (told[at].1.cost_usd, told[at].1.own));
    let tokens = |input| Tokens { input, ..Tokens::default() };
    assert_eq!(
        first,
        (Some(0.5), OwnPart { cost_usd: Some(Figure::reported(0.5)), tokens: Some(Figure::reported(tokens(100))) })
    );
    let own = OwnPart {
        cost_usd: Some(Figure { value: 0.25, is_reckoned: true }),
        tokens: Some(Figure { value: tokens(150), is_reckoned: true }),
    };
    assert_eq!(second, (Some(0.75), own), "what it said stands beside its part");
}

#[tokio::test(start_paused = true)]
async fn what_a_conversation_had_used_counts_once_also_under_the_next_driver() {
    let events = counts_on();
    events.drive().await;
    let last = events.log.events().last().map(|event| event.seq).expect("events");
    for dies_at in 1..last {
        let mut harness = counts_on().call("a", |call| call.budget.cost_usd = Some(1.0));
        harness.settings.budget.cost_usd = Some(1.0);
        harness.dies_at(dies_at);
        drive_and_die(&harness, false, Duration::ZERO).await;
        harness.log = harness.log.goes_on(None);
        let record = drive_on(&harness).await;
        let used = record.tasks[0].used();
        assert_eq!((ended(&record, "a").as_str(), used.cost_usd, used.tokens), ("succeeded", 0.75, 250), "{dies_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_conversation_in_between_and_calls_that_told_nothing_change_no_part() {
    let said = |attempt: u32| match attempt {
        1 => "session s\ntokens 100\nfails badly",
        2 => "session other\ntokens 70\nfails badly",
        3 => "session s\nfails badly",
        4 => "session s\ntokens 400\nfails badly",
        _ => "session s\ntokens 20\ndone",
    };
    let harness = Harness::with_robots(vec![robot("a", &[])]).spec("a", |spec| spec.retries = 4);
    let harness = (1..=5).fold(harness, |harness, attempt| harness.says("a", attempt, said(attempt)));
    let record = harness.drive().await;
    let told = record.tasks[0].attempts.iter().map(|attempt| attempt.agent.as_ref().expect("a report").own_tokens());
    let told: Vec<_> = told.map(|tokens| tokens.map(|tokens| (tokens.value.input, tokens.is_reckoned))).collect();
    // A smaller figure is none of the conversation.
    assert_eq!(told, [Some((100, false)), Some((70, false)), None, Some((300, true)), Some((20, false))]);
}

/// The cost limit of each call, and whether it resumed a session.
fn told_cost(harness: &Harness) -> Vec<(String, String)> {
    let mains = harness.executor.started().into_iter().filter(|request| request.phase == Phase::Main);
    let argv = |program: Program| match program {
        Program::Argv(argv) => argv[1..].join(" "),
        other => panic!("{other:?}"),
    };
    mains.map(|request| (request.attempt.to_string(), argv(request.program))).collect()
}

/// A task whose agent takes a cost limit.
fn held(name: &str, needs: &[&str]) -> RawTask {
    let mut task = robot(name, needs);
    let call = task.spec.action.agent.as_mut().expect("an agent");
    let max = Argument(vec![Piece::Text("max=".into()), Piece::MaxCost]);
    call.command = vec![Argument::text("robot"), max.clone()];
    call.resume =
        Some(vec![Argument::text("robot"), max, Argument(vec![Piece::Text("resume=".into()), Piece::Session])]);
    task
}

#[tokio::test(start_paused = true)]
async fn a_further_call_may_cost_what_earlier_ones_have_left_of_the_budgets() {
    let harness = Harness::with_robots(vec![held("a", &[])])
        .says("a", 1, "session s\ncosts 0.8\ndone")
        .says("a", 2, "session s\ncosts 0.95\ndone")
        .plays_check("a", 1, exits(0, 1))
        .plays_check("a", 2, exits(0, 1))
        .spec("a", |spec| {
            spec.retries = 2;
            spec.check = Some("true".to_owned());
        })
        .call("a", |call| call.budget.cost_usd = Some(1.0));
    harness.drive().await;
    let told = told_cost(&harness).into_iter().map(|(_, told)| told).collect::<Vec<_>>();
    assert_eq!(told, ["max=1", "max=0.2 resume=s", "max=0.05 resume=s"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_left_is_shared_by_those_that_run_beside_one_another() {
    let mut harness = Harness::with_robots(vec![held("a", &[]), held("b", &[]), held("c", &[]), held("d", &[])])
        .jobs(2)
        .spec("a", |spec| spec.priority = 3)
        .spec("b", |spec| spec.priority = 2)
        .spec("c", |spec| spec.priority = 1)
        .plays("a", exits(10, 0))
        .says("a", 1, "costs 0.1\ndone")
        .plays("b", exits(100, 0))
        .says_at("b", 1, &[(90, "costs 0.5\ndone")])
        .plays("c", exits(10, 0))
        .says("c", 1, "costs 0.2\ndone")
        .call("d", |call| call.budget.cost_usd = Some(0.15));
    harness.settings.budget.cost_usd = Some(1.0);
    harness.drive().await;
    let told =
        |name: &str| told_cost(&harness).into_iter().find(|(of, _)| *of == self::name(name, 1)).expect("a call").1;
    // What is promised to `b` is nobody else's.
    assert_eq!(["a", "b", "c", "d"].map(told), ["max=0.5", "max=0.5", "max=0.4", "max=0.15"]);
}

#[tokio::test(start_paused = true)]
async fn one_for_which_the_run_has_nothing_left_that_is_not_promised_waits() {
    let mut harness =
        Harness::with_robots(vec![held("a", &[]), held("b", &[]), task("plain", &[]), held("c", &["plain"])])
            .jobs(4)
            .plays("a", exits(50, 0))
            .says("a", 1, "costs 0.3\ndone")
            .plays("b", exits(100, 0))
            .says_at("b", 1, &[(90, "costs 0.5\ndone")])
            .plays("plain", exits(5, 0));
    harness.settings.budget.cost_usd = Some(1.0);
    let record = harness.drive_with(async |_| {
        sleep(40).await;
        assert_eq!(started(&harness).len(), 3, "it waits");
    });
    let record = record.await.expect("the run ends");
    assert_eq!(ended(&record, "c"), "succeeded");
    assert_eq!(told_cost(&harness).pop(), Some((name("c", 1), "max=0.2".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_used_up_its_share_goes_on_with_what_others_have_left_and_spends_no_retry() {
    let mut harness = Harness::with_robots(vec![held("a", &[]), held("b", &[])])
        .jobs(2)
        .plays("a", exits(50, 1))
        .says("a", 1, "session s\ncosts 0.5\nfails budget")
        .says("a", 2, "session s\ncosts 0.8\ndone")
        .plays("b", exits(10, 0))
        .says("b", 1, "costs 0.1\ndone");
    harness.settings.budget.cost_usd = Some(1.0);
    let record = harness.drive().await;
    assert_eq!((ended(&record, "a").as_str(), record.tasks[0].attempts.len()), ("succeeded", 2));
    assert_eq!(told_cost(&harness).pop(), Some((name("a", 2), "max=0.4 resume=s".to_owned())));
    let prompt = harness.executor.started().pop().and_then(|request| request.stdin).unwrap_or_default();
    assert!(prompt.contains("There is more. Go on."), "{prompt}");
    // Where there is none, that is its end.
    for of_task in [true, false] {
        let mut harness = Harness::with_robots(vec![held("a", &[])])
            .plays("a", exits(5, 1))
            .says("a", 1, "session s\ncosts 1.1\nfails budget")
            .spec("a", |spec| spec.retries = 3);
        let most = Some(1.0);
        match of_task {
            true => harness = harness.call("a", |call| call.budget.cost_usd = most),
            false => harness.settings.budget.cost_usd = most,
        }
        let record = harness.drive().await;
        let told = ended(&record, "a");
        assert!(told.starts_with("failed (budget: ") && told.contains("1.10 of 1.00 US dollars"), "{told}");
        assert_eq!(started(&harness).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_was_overrun_is_said_also_of_what_succeeded() {
    let harness = Harness::with_robots(vec![robot("a", &[])])
        .says("a", 1, "tokens 462\ndone")
        .call("a", |call| call.budget.tokens = Some(150));
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    let warnings = Report::from(record).warnings;
    let message = "it has overrun its budget: 462 of 150 tokens are used".to_owned();
    assert_eq!(warnings, [Warning { kind: WarningKind::Budget, task: Some(id("a")), message }]);
}

#[tokio::test(start_paused = true)]
async fn a_worktree_that_is_given_back_late_holds_nothing_of_what_a_run_has_left() {
    let harness = || {
        let harness = Harness::with_robots(vec![held("a", &[]), held("b", &["a"])]).plays("a", exits(1, 0));
        let mut harness = harness.plays("b", exits(5, 0)).says("a", 1, "costs 0.2\ndone");
        harness.settings.budget.cost_usd = Some(1.0);
        harness.worktrees.break_for(&id("a"), BrokenWorktree::LateRelease);
        harness
    };
    let undisturbed = harness();
    undisturbed.drive().await;
    let ended = undisturbed.log.events().into_iter().find_map(|event| match event.kind {
        EventKind::AttemptEnded { .. } => Some(event.seq),
        _ => None,
    });
    // The driver dies when the attempt has ended, and the next one gives its worktree back.
    let mut harness = harness();
    harness.dies_at(ended.expect("an end") + 1);
    drive_and_die(&harness, false, Duration::ZERO).await;
    harness.log = harness.log.goes_on(None);
    let since = Instant::now();
    drive_on(&harness).await;
    assert_eq!(told_cost(&harness).pop(), Some((name("b", 1), "max=0.8".to_owned())));
    assert_eq!(since.elapsed().as_secs(), 10, "it began while the worktree was given back");
}
