//! Properties of any run of agents, also if its driver dies.

use std::collections::HashMap;
use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::WarningKind;
use gadugi_core::{AttemptRef, Event, EventKind, Outcome, Phase, RunRecord};
use gadugi_test_support::fakes::Play;
use proptest::prelude::*;

use crate::harness::{Harness, SECOND, id};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{attempt, robot};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// Number of attempts with a script; later ones succeed.
const SCRIPTED: usize = 4;

/// The script of one attempt.
#[derive(Debug, Clone)]
struct Script {
    seconds: u32,
    words: &'static str,
    tokens: u32,
    code: i32,
    check: i32,
}

fn script() -> impl Strategy<Value = Script> {
    let words = prop::sample::select(vec!["done", "", "fails badly", "fails rate-limit", "refused", "session s\ndone"]);
    let code = prop::sample::select(vec![0, 0, 0, 1]);
    let check = prop::sample::select(vec![0, 0, 1]);
    let parts = (0_u32..20, words, 0_u32..100, code, check);
    parts.prop_map(|(seconds, words, tokens, code, check)| Script { seconds, words, tokens, code, check })
}

#[derive(Debug, Clone)]
struct Case {
    scripts: Vec<Vec<Script>>,
    retries: u32,
    jobs: usize,
    of_task: Option<u64>,
    of_run: Option<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let scripts = prop::collection::vec(prop::collection::vec(script(), SCRIPTED), NAMES.len());
    let budgets = (prop::option::of(1_u64..300), prop::option::of(1_u64..600));
    (scripts, 0_u32..3, 1_usize..4, budgets).prop_map(|(scripts, retries, jobs, (of_task, of_run))| Case {
        scripts,
        retries,
        jobs,
        of_task,
        of_run,
    })
}

fn harness(case: &Case) -> Harness {
    let mut harness = Harness::with_robots(NAMES.map(|name| robot(name, &[])).to_vec()).jobs(case.jobs);
    harness.settings.budget.tokens = case.of_run;
    for (name, scripts) in NAMES.iter().zip(&case.scripts) {
        harness = harness.spec(name, |spec| {
            spec.retries = case.retries;
            spec.check = Some("true".to_owned());
        });
        harness = harness.call(name, |call| call.budget.tokens = case.of_task);
        for (Script { seconds, words, tokens, code, check }, number) in scripts.iter().zip(1..) {
            harness = harness
                .plays_at(name, number, Play::Ends(SECOND * *seconds, ExitStatus::Code(*code)))
                .plays_check(name, number, Play::Ends(SECOND, ExitStatus::Code(*check)))
                .says(name, number, &format!("tokens {tokens}\n{words}"));
        }
    }
    harness
}

fn count<'a>(
    events: &'a [Event],
    wanted: impl Fn(&'a EventKind) -> Option<&'a AttemptRef>,
) -> HashMap<AttemptRef, u32> {
    let mut counts = HashMap::new();
    events.iter().filter_map(|event| wanted(&event.kind)).for_each(|of| *counts.entry(of.clone()).or_default() += 1);
    counts
}

fn assert_sound(case: &Case, harness: &Harness, record: &RunRecord) -> Result<(), TestCaseError> {
    let events = harness.log.events();
    let ends = count(&events, |kind| match kind {
        EventKind::AttemptEnded { attempt, .. } => Some(attempt),
        _ => None,
    });
    let reports = count(&events, |kind| match kind {
        EventKind::AgentReported { attempt, .. } => Some(attempt),
        _ => None,
    });
    prop_assert!(ends.values().chain(reports.values()).all(|times| *times == 1), "{:?} {:?}", ends, reports);
    let started = harness.executor.started();
    for request in started.iter().filter(|request| request.phase == Phase::Main) {
        prop_assert!(reports.contains_key(&request.attempt), "{} was not heard out", request.attempt);
    }
    for name in NAMES {
        let task = record.task(&id(name)).expect("a task");
        prop_assert!(task.outcome().is_some());
        let outcomes: Vec<&Outcome> = task.attempts.iter().filter_map(|at| Some(&at.ended.as_ref()?.0)).collect();
        let spent = outcomes.iter().filter(|outcome| !outcome.refused()).count();
        prop_assert!(spent <= case.retries as usize + 1, "{}: {:?}", name, outcomes);
        let well = outcomes.iter().rposition(|outcome| outcome.success());
        prop_assert!(well.is_none_or(|at| at + 1 == outcomes.len()), "{}: nothing follows on a success", name);
        // Before each call there was something left.
        let mut used = 0;
        for at in &task.attempts {
            let was_called = started.iter().any(|call| call.attempt == attempt(name, at.number.get()));
            prop_assert!(!was_called || case.of_task.is_none_or(|most| used < most), "{}: {} used", name, used);
            used += at.agent.as_ref().map_or(0, |report| report.used().tokens);
        }
    }
    let reached = |event: &Event| matches!(event.kind, EventKind::Warning { kind: WarningKind::Budget, .. });
    if let Some(at) = events.iter().position(reached) {
        let later = events[at..].iter().filter(|event| matches!(event.kind, EventKind::AttemptIntended { .. }));
        prop_assert_eq!(later.count(), 0, "nothing is begun after the budget of the run was reached");
    }
    let folded = RunRecord::fold(harness.header(), &events);
    prop_assert_eq!(folded.as_ref(), Ok(record));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_run_of_agents_ends_and_keeps_the_rules_also_if_its_driver_dies(case in case(), dies_at in 1_u64..90) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let undisturbed = harness(&case);
        let record = runtime.block_on(undisturbed.drive());
        assert_sound(&case, &undisturbed, &record)?;
        let mut disturbed = harness(&case);
        disturbed.dies_at(dies_at);
        runtime.block_on(drive_and_die(&disturbed, false, Duration::ZERO));
        if disturbed.log.events().iter().any(|event| matches!(event.kind, EventKind::RunEnded { .. })) {
            return Ok(());
        }
        disturbed.log = disturbed.log.goes_on(None);
        let record = runtime.block_on(drive_on(&disturbed));
        assert_sound(&case, &disturbed, &record)?;
    }
}
