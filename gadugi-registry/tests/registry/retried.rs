//! Tasks of several attempts, in reports.

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::Failure;
use gadugi_core::worktrees::{Counts, Work};
use gadugi_core::{CommitId, EventKind, Lease, Outcome, Phase, Report, RunRecord};
use gadugi_registry::render::{json, junit, markdown};
use serde_json::{Value, json as value};

use crate::sample::{Story, attempt, header, raw};
use crate::schema;

fn commit(digit: &str) -> CommitId {
    digit.repeat(40).parse().expect("a commit")
}

/// A task whose first attempt made a commit, and whose second one began in a new worktree and made none.
fn retried(of_task: Option<Counts>) -> Report {
    let header = header('r', vec![raw("flaky", &[])]);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    for (number, base, tip, commits, outcome) in
        [(1, "a", "b", 1, Outcome::Failed(Failure::Check(ExitStatus::Code(1)))), (2, "b", "b", 0, Outcome::Succeeded)]
    {
        let attempt = attempt("flaky", number);
        story.intent(&attempt);
        let lease = Lease {
            run: header.run.clone(),
            attempt: attempt.clone(),
            path: format!("/tree/{number}").into(),
            branch: Some(format!("gadugi/flaky-{number}").parse().expect("a branch")),
            base: Some(commit(base)),
        };
        story.then(EventKind::WorktreeReady { lease, seeded: None, took: None });
        story.started(&attempt, Phase::Main).ended(&attempt, Phase::Main, ExitStatus::Code(0));
        let of_task = of_task.filter(|_| number == 2);
        let work = Work { tip: Some(commit(tip)), commits, files: commits * 3, of_task, ..Work::default() };
        story.then(EventKind::WorkCollected { attempt: attempt.clone(), work });
        story.over(&attempt, outcome);
    }
    story.finished("flaky", Outcome::Succeeded).run_ended();
    Report::from(RunRecord::fold(header, &story.events).expect("events that follow one another"))
}

#[test]
fn the_work_of_attempts_that_go_on_from_one_another_begins_where_the_first_did() {
    let (a, b) = (commit("a"), commit("b"));
    for (of_task, row, line, counts) in [
        (Some(Counts { commits: 1, files: 3 }), "| 1 | 3 |", "1 commit, 3 changed files", (value!(1), value!(3))),
        // By a version that counted each attempt by itself.
        (None, "| unknown | unknown |", "what it holds is unknown", (Value::Null, Value::Null)),
    ] {
        let report = retried(of_task);
        let people = markdown(&report, &|_, _| None);
        for words in [
            &format!("`gadugi/flaky-2` {row}"),
            &format!("- Branch: `gadugi/flaky-2` ({line})\n"),
            "  - its branch: `gadugi/flaky-1` (1 commit, 3 changed files)\n",
            &format!("git log -p {a}..gadugi/flaky-2\n"),
            "gadugi merge 20261122-083355-00r\n",
        ] {
            assert!(people.contains(words), "{words}\n---\n{people}");
        }
        let told: Value = serde_json::from_str(&json(&report, &|_, _| None)).expect("JSON");
        schema::check(&told);
        let made = &told["tasks"][0]["made"];
        assert_eq!((&made["commits"], &made["files"]), (&counts.0, &counts.1));
        assert_eq!((&made["branch"], &made["base"]), (&value!("gadugi/flaky-2"), &value!(a.as_str())));
        assert_eq!(told["tasks"][0]["attempts"][1]["worktree"]["base"], value!(b.as_str()));
    }
}

#[test]
fn of_very_many_attempts_the_last_are_listed_for_ci_servers() {
    let header = header('r', vec![raw("flaky", &[])]);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    for number in 1..=30 {
        let attempt = attempt("flaky", number);
        story.intent(&attempt).worktree(&attempt);
        story.over(&attempt, Outcome::Lost { why: format!("attempt {number}.") });
    }
    story.finished("flaky", Outcome::Lost { why: "attempt 30.".to_owned() }).run_ended();
    let report = Report::from(RunRecord::fold(header, &story.events).expect("events that follow one another"));
    let listed = junit(&report, &|_, _| None);
    assert_eq!(listed.matches("<rerunError").count(), 20);
    assert!(listed.contains("attempt 10.") && !listed.contains("attempt 9."), "{listed}");
}
