//! Further attempts of agents after a failed check and after a refusal, in the same session where possible.

use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::executor::{ExecRequest, ExitStatus};
use gadugi_core::plan::{Program, RetryFrom};
use gadugi_core::run::{Clock, Failure, KeepPolicy, WorktreeState};
use gadugi_core::{Outcome, Phase, RunRecord, TaskSpec};
use gadugi_test_support::fakes::{BrokenWorktree, Play, WorktreeCall};

use crate::harness::{Harness, SECOND, id, outcome};
use crate::resuming::{drive_and_die, drive_on};
use crate::robot::{attempt, ended, robot};

fn exits(seconds: u32, code: i32) -> Play {
    Play::Ends(SECOND * seconds, ExitStatus::Code(code))
}

/// A task whose check fails this many times.
pub(crate) fn unchecked(times: u32) -> Harness {
    let harness = Harness::with_robots(vec![robot("a", &[])]).spec("a", |spec| {
        spec.check = Some("cargo test".to_owned());
        spec.retries = 5;
    });
    let harness = (1..=times).fold(harness, |harness, number| {
        let printed = format!("error: nothing works ({number})");
        harness.plays_check("a", number, exits(0, 7)).prints("a", number, Phase::Check, &[(0, printed.as_str())])
    });
    (1..=times + 1).fold(harness, |harness, number| harness.says("a", number, &format!("session s{number}\ndone")))
}

/// The calls of the agent.
pub(crate) fn calls(harness: &Harness) -> Vec<ExecRequest> {
    harness.executor.started().into_iter().filter(|request| request.phase == Phase::Main).collect()
}

pub(crate) fn argv(call: &ExecRequest) -> Vec<&str> {
    match &call.program {
        Program::Argv(argv) => argv.iter().map(String::as_str).collect(),
        other => panic!("an agent is no script: {other:?}"),
    }
}

fn folders(harness: &Harness) -> Vec<PathBuf> {
    calls(harness).into_iter().map(|call| call.folder).collect()
}

const MEND: &str = "\n\nMend that, and commit.\n";

fn printed(number: u32) -> String {
    format!(
        "Its check failed (exit code 7). The end of what it printed:\n\n```\nerror: nothing works ({number})\n```{MEND}"
    )
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_check_the_conversation_goes_on_in_the_same_worktree_with_what_that_printed() {
    let harness = unchecked(2);
    let record = harness.drive().await;
    assert_eq!(ended(&record, "a"), "succeeded");
    let calls = calls(&harness);
    let argvs: Vec<Vec<&str>> = calls.iter().map(argv).collect();
    assert_eq!(argvs, [vec!["robot", "-p"], vec!["robot", "--resume=s1"], vec!["robot", "--resume=s2"]]);
    let prompts: Vec<&str> = calls.iter().filter_map(|call| call.stdin.as_deref()).collect();
    assert_eq!(prompts, ["Do a.\n", &printed(1), &printed(2)]);
    assert!(folders(&harness).iter().all(|folder| *folder == calls[0].folder));
    let places: Vec<&WorktreeState> = record.tasks[0].attempts.iter().map(|attempt| &attempt.worktree).collect();
    assert_eq!(places, [&WorktreeState::HandedOver, &WorktreeState::HandedOver, &WorktreeState::Released]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_for_good_ends_the_task() {
    let harness = unchecked(3).spec("a", |spec| spec.retries = 2);
    let failed = Outcome::Failed(Failure::Check(ExitStatus::Code(7)));
    assert_eq!(outcome(&harness.drive().await, "a"), failed);
    assert_eq!(calls(&harness).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn where_the_worktree_is_gone_or_the_agent_cannot_go_on_it_is_called_anew_with_what_the_check_printed() {
    let gone = unchecked(1);
    gone.worktrees.break_for(&id("a"), BrokenWorktree::TakeOver);
    let cannot = unchecked(1).call("a", |call| call.resume = None);
    let nameless = unchecked(1).says("a", 1, "done");
    for (harness, told) in [(gone, "gone"), (cannot, "no way to resume"), (nameless, "no session")] {
        assert_eq!(ended(&harness.drive().await, "a"), "succeeded", "{told}");
        let calls = calls(&harness);
        assert_eq!(argv(&calls[1]), ["robot", "-p"], "{told}");
        let prompt = format!("Do a.\n\nAn earlier attempt was not accepted. {}", printed(1));
        assert_eq!(calls[1].stdin, Some(prompt), "{told}");
        assert_ne!(calls[0].folder, calls[1].folder, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_failed_otherwise_is_followed_by_a_call_that_knows_nothing_of_it() {
    let harness = Harness::with_robots(vec![robot("a", &[])])
        .spec("a", |spec| spec.retries = 1)
        .plays("a", exits(1, 3))
        .says("a", 1, "session s1");
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let calls = calls(&harness);
    assert_eq!((argv(&calls[1]), calls[1].stdin.as_deref()), (vec!["robot", "-p"], Some("Do a.\n")));
    assert_ne!(calls[0].folder, calls[1].folder);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_conversation_goes_on_where_it_was() {
    for class in ["overloaded", "unavailable", "rate-limit"] {
        let words = format!("session s1\nfails {class}");
        let harness = Harness::with_robots(vec![robot("a", &[])]).plays("a", exits(5, 1)).says("a", 1, &words);
        assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
        let calls = calls(&harness);
        assert_eq!(argv(&calls[1]), ["robot", "--resume=s1"]);
        let prompt = "You were interrupted, since requests were refused for a while. Go on.\n";
        assert_eq!(calls[1].stdin.as_deref(), Some(prompt));
        assert_eq!(calls[0].folder, calls[1].folder);
    }
}

/// A task whose first attempts, this many, are stopped by a clock of an hour.
fn timed_out(times: u32, change: impl FnOnce(&mut TaskSpec)) -> Harness {
    let harness = Harness::with_robots(vec![robot("a", &[])]).spec("a", |spec| spec.retries = 1).spec("a", change);
    let harness = (1..=times).fold(harness, |harness, number| harness.plays_at("a", number, Play::WaitsForStop));
    (1..=times + 1).fold(harness, |harness, number| harness.says("a", number, &format!("session s{number}")))
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_ran_out_the_conversation_goes_on_where_it_was_and_hears_of_it() {
    let wall = |spec: &mut TaskSpec| spec.limits.timeout = Some(SECOND * 3600);
    let idle = |spec: &mut TaskSpec| spec.limits.idle_timeout = Some(SECOND * 90);
    let rest = "What you had made is still there, and what you had running is not. Go on, and commit.\n";
    for (harness, why) in [
        (timed_out(1, wall), "the time of 1 h was over"),
        (timed_out(1, idle), "nothing was printed for 1 min 30 s"),
        (timed_out(1, wall).spec("a", |spec| spec.retry_from = RetryFrom::Previous), "the time of 1 h was over"),
    ] {
        let record = harness.drive().await;
        assert_eq!(ended(&record, "a"), "succeeded");
        let calls = calls(&harness);
        assert_eq!(argv(&calls[1]), ["robot", "--resume=s1"]);
        assert_eq!(calls[1].stdin, Some(format!("You were stopped, since {why}. {rest}")));
        assert_eq!(calls[0].folder, calls[1].folder);
        assert_eq!(record.tasks[0].attempts[0].worktree, WorktreeState::HandedOver);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_out_spends_a_retry_as_ever() {
    let harness = timed_out(2, |spec| spec.limits.timeout = Some(SECOND * 10));
    assert_eq!(outcome(&harness.drive().await, "a"), Outcome::TimedOut(Clock::Wall));
    assert_eq!(calls(&harness).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_ran_out_one_that_cannot_go_on_begins_anew_where_its_task_says() {
    let wall = |spec: &mut TaskSpec| spec.limits.timeout = Some(SECOND * 10);
    let cannot = timed_out(1, wall).call("a", |call| call.resume = None);
    let nameless = timed_out(1, wall).says("a", 1, "says nothing of a session");
    let gone = timed_out(1, wall);
    gone.worktrees.break_for(&id("a"), BrokenWorktree::TakeOver);
    let unprepared = timed_out(0, wall)
        .spec("a", |spec| {
            spec.setup = Some(gadugi_core::plan::Setup { script: "make".to_owned(), timeout: Some(SECOND) });
        })
        .plays_setup("a", Play::WaitsForStop);
    for (harness, at) in [(cannot, 1), (nameless, 1), (gone, 1), (unprepared, 0)] {
        harness.drive().await;
        let calls = calls(&harness);
        assert_eq!((argv(&calls[at]), calls[at].stdin.as_deref()), (vec!["robot", "-p"], Some("Do a.\n")));
        assert!(at == 0 || calls[0].folder != calls[at].folder);
        let requests = harness.worktrees.calls();
        let from = requests.iter().rev().find_map(|call| match call {
            WorktreeCall::Create(requests) => Some(requests[0].from.clone()),
            _ => None,
        });
        assert_eq!(from, Some(None), "from base");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_check_that_does_not_end_in_time_the_agent_is_told() {
    let harness = Harness::with_robots(vec![robot("a", &[])]).spec("a", |spec| {
        spec.check = Some("cargo test".to_owned());
        spec.limits.timeout = Some(SECOND * 600);
        spec.retries = 1;
    });
    let harness = harness.plays_check("a", 1, Play::WaitsForStop).prints("a", 1, Phase::Check, &[(0, "test slow ...")]);
    let harness = harness.says("a", 1, "session s1\ndone").says("a", 2, "done");
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let call = &calls(&harness)[1];
    assert_eq!(argv(call), ["robot", "--resume=s1"]);
    let told = "Its check failed (stopped, since the time of 10 min was over). The end of what it printed:\n\n```\ntest slow ...\n```";
    assert_eq!(call.stdin, Some(format!("{told}{MEND}")));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_before_it_tells_its_conversation_goes_on_with_the_one_before() {
    let harness = timed_out(1, |spec| spec.limits.timeout = Some(SECOND * 10));
    let harness = harness.plays_at("a", 2, exits(1, 1)).says("a", 2, "fails overloaded").says("a", 3, "done");
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let calls = calls(&harness);
    assert_eq!(argv(&calls[2]), ["robot", "--resume=s1"]);
    assert_eq!(calls[0].folder, calls[2].folder);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_failed_check_does_not_make_the_agent_forget_it() {
    let harness = unchecked(1).call("a", |call| call.resume = None);
    let harness = harness.plays_at("a", 2, exits(0, 1)).says("a", 2, "fails rate-limit").says("a", 3, "done");
    assert_eq!(ended(&harness.drive().await, "a"), "succeeded");
    let third = calls(&harness)[2].stdin.clone().expect("a prompt");
    assert!(third.ends_with(&printed(1)), "{third}");
}

#[tokio::test(start_paused = true)]
async fn of_a_check_that_prints_much_the_end_is_told_also_if_it_is_one_line() {
    for (line, kept) in [(format!("{}\nthe end", "x".repeat(20_000)), "the end"), ("y".repeat(20_000), "yyyy")] {
        let harness = unchecked(1).prints("a", 1, Phase::Check, &[(0, line.as_str())]);
        harness.drive().await;
        let prompt = calls(&harness)[1].stdin.clone().expect("a prompt");
        assert!(prompt.contains(kept) && !prompt.contains("xx") && prompt.len() < 9_000, "{}", prompt.len());
    }
    let silent = unchecked(1).prints("a", 1, Phase::Check, &[]);
    silent.drive().await;
    let prompt = calls(&silent)[1].stdin.clone();
    assert_eq!(prompt, Some(format!("Its check failed (exit code 7). It printed nothing.{MEND}")));
}

fn releases(harness: &Harness) -> usize {
    harness.worktrees.calls().iter().filter(|call| matches!(call, WorktreeCall::Release(..))).count()
}

#[tokio::test(start_paused = true)]
async fn where_no_worktree_is_kept_it_stays_as_long_as_somebody_may_go_on_there() {
    for (retries, attempts) in [(1, 2), (0, 1)] {
        let mut harness = unchecked(1).spec("a", |spec| spec.retries = retries);
        harness.settings.keep = KeepPolicy::Never;
        let record = harness.drive().await;
        assert_eq!(folders(&harness).len(), attempts);
        assert!(folders(&harness).iter().all(|folder| *folder == folders(&harness)[0]));
        assert_eq!(releases(&harness), 1, "{retries}");
        assert_eq!(record.tasks[0].attempts.last().map(|attempt| &attempt.worktree), Some(&WorktreeState::Released));
    }
    let mut stopped = unchecked(1).spec("a", |spec| spec.retry_delay = SECOND * 100);
    stopped.settings.keep = KeepPolicy::Never;
    let record = stopped.drive_with(async |control| {
        tokio::time::sleep(SECOND * 5).await;
        control.stop_all(false);
    });
    let record = record.await.expect("the run ends");
    assert_eq!(record.tasks[0].attempts[0].worktree, WorktreeState::Released, "nobody goes on there");
}

#[tokio::test(start_paused = true)]
async fn the_conversation_comes_before_any_other_start_of_a_retry() {
    let harness = unchecked(1).spec("a", |spec| spec.retry_from = RetryFrom::Previous);
    harness.drive().await;
    assert_eq!(argv(&calls(&harness)[1]), ["robot", "--resume=s1"]);
    assert_eq!(folders(&harness)[0], folders(&harness)[1]);
}

fn sessions(record: &RunRecord) -> Vec<Option<String>> {
    let attempts = record.tasks[0].attempts.iter();
    attempts.map(|attempt| attempt.agent.as_ref().and_then(|agent| agent.session.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_driver_may_die_at_every_step_of_a_conversation() {
    for keep in [KeepPolicy::Failed, KeepPolicy::Never] {
        let new = || {
            let mut harness = unchecked(2);
            harness.settings.keep = keep;
            harness
        };
        let undisturbed = new();
        let expected = undisturbed.drive().await;
        let steps = undisturbed.log.events().len() as u64;
        assert!(steps > 20, "{steps}");
        for dies_at in 1..=steps {
            let mut harness = new();
            harness.dies_at(dies_at);
            drive_and_die(&harness, false, Duration::ZERO).await;
            harness.log = harness.log.goes_on(None);
            let record = drive_on(&harness).await;
            assert_eq!(ended(&record, "a"), "succeeded", "dies at {dies_at}");
            let (got, wanted) = (calls(&harness), calls(&undisturbed));
            let told = |calls: &[ExecRequest]| -> Vec<_> {
                let told = calls.iter().map(|call| (argv(call).join(" "), call.stdin.clone(), call.folder.clone()));
                told.collect()
            };
            assert_eq!(told(&got), told(&wanted), "{keep:?}, dies at {dies_at}");
            assert_eq!(sessions(&record), sessions(&expected), "{keep:?}, dies at {dies_at}");
            assert_eq!(calls(&harness)[2].attempt, attempt("a", 3), "{keep:?}, dies at {dies_at}");
        }
    }
}
