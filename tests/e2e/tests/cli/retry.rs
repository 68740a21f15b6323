//! `gadugi retry`, and `gadugi run --needs-from`.

use std::fs;

use gadugi_fakeagent::{Call, Installed};
use rustix::process::Signal;
use serde_json::Value;

use crate::fake_agents::with_fakes;
use crate::harness::{Going, Harness};
use crate::waiting::pid;

/// A task that succeeds once a file is there. It notes each of its calls.
fn gated(harness: &Harness, name: &str, needs: &str) -> String {
    let root = harness.repo.root().display().to_string();
    let text = format!(
        "---\nneeds: [{needs}]\nrun: |\n  echo {name} >> {root}/ran\n  ls > seen-by-{name}.txt\n  test -e {root}/open-{name} || exit 3\n  \
         echo {name} > {name}.txt\n---\n# Make {name}\n"
    );
    harness.task(&format!("{name}.md"), text)
}

fn open(harness: &Harness, name: &str) {
    fs::write(harness.repo.root().join(format!("open-{name}")), "").expect("a file");
}

/// The calls of all tasks of [`gated`], in order.
fn ran(harness: &Harness) -> Vec<String> {
    let ran = fs::read_to_string(harness.repo.root().join("ran")).unwrap_or_default();
    ran.lines().map(str::to_owned).collect()
}

fn id(report: &Value) -> String {
    report["run"].as_str().expect("an id").to_owned()
}

fn task<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["tasks"].as_array().expect("tasks").iter().find(|task| task["id"] == id).expect("the task")
}

/// Runs `a`, and `b` that needs it and fails, and `c` that needs `b`.
fn chain(harness: &Harness) -> Vec<String> {
    let files = vec![gated(harness, "a", ""), gated(harness, "b", "a"), gated(harness, "c", "b")];
    open(harness, "a");
    open(harness, "c");
    let args: Vec<&str> =
        ["run", "--executor", "subprocess"].into_iter().chain(files.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(1);
    files
}

#[test]
fn what_did_not_succeed_is_run_again_from_the_branches_of_what_did_and_nothing_else_is() {
    let harness = Harness::new();
    chain(&harness);
    let first = harness.report();
    open(&harness, "b");
    let answer = harness.gadugi(&["retry"]).expect(0);
    let first_id = id(&first);
    answer.says(&[&format!("retry of run {first_id}: b (failed), c (skipped)")]);
    assert_eq!(ran(&harness), ["a", "b", "b", "c"]);
    let second = harness.report();
    assert_eq!(second["link"]["run"], first_id.as_str());
    let header: Value =
        serde_json::from_slice(&fs::read(harness.latest_run().join("run.json")).expect("a file")).expect("JSON");
    assert_eq!(header["link"]["run"], first_id.as_str());
    assert_eq!(harness.outcomes().into_keys().collect::<Vec<_>>(), ["b", "c"]);
    let tip = harness.repo.git(&["rev-parse", "gadugi/a"]);
    let needed = &task(&second, "b")["needs_done_before"][0];
    assert_eq!((&needed["task"], &needed["tip"]), (&"a".into(), &tip.as_str().into()));
    assert_eq!(harness.repo.git(&["show", "gadugi/c:a.txt"]), "a");
    assert_eq!(harness.repo.git(&["show", "gadugi/c:b.txt"]), "b");
    let text = harness.gadugi(&["report"]).expect(0).out;
    assert!(text.contains(&format!("Retry of run `{first_id}`")), "{text}");
    let done = harness.gadugi(&["retry"]).expect(2);
    done.says(&["every task of run", "has succeeded", "-m \"…\""]);
    harness.assert_sound();
}

#[test]
fn a_retry_of_a_retry_takes_what_has_succeeded_anywhere_before() {
    let harness = Harness::new();
    chain(&harness);
    harness.gadugi(&["retry", "b"]).expect(1);
    open(&harness, "b");
    // The latest run has only `b`; `c` did not succeed in the one before.
    harness.gadugi(&["retry"]).expect(0).says(&["b (failed), c (skipped)"]);
    assert_eq!(ran(&harness), ["a", "b", "b", "b", "c"]);
    assert_eq!(harness.repo.git(&["show", "gadugi/c:a.txt"]), "a");
    harness.assert_sound();
}

#[test]
fn a_clean_without_a_name_takes_the_retried_run_along() {
    let harness = Harness::new();
    chain(&harness);
    open(&harness, "b");
    harness.gadugi(&["retry"]).expect(0);
    harness.gadugi(&["merge"]).expect(0);
    harness.gadugi(&["clean"]).expect(0);
    // Only the attempt that has failed holds something that is nowhere else.
    assert_eq!(harness.repo.git(&["branch", "--list", "gadugi/*"]), "+ gadugi/b");
    for file in ["a.txt", "b.txt", "c.txt"] {
        assert!(harness.repo.path().join(file).is_file(), "{file}");
    }
    harness.assert_sound();
}

#[test]
fn what_a_named_task_needs_and_has_not_succeeded_is_run_with_it() {
    let harness = Harness::new();
    chain(&harness);
    open(&harness, "b");
    harness.gadugi(&["retry", "latest", "c"]).expect(0).says(&["b (failed, needed), c (skipped)"]);
    assert_eq!(ran(&harness), ["a", "b", "b", "c"]);
}

#[test]
fn a_task_starts_anew_or_where_the_earlier_attempt_had_ended_with_what_was_not_committed() {
    let harness = Harness::new();
    chain(&harness);
    let kept = harness.worktrees().join("b");
    fs::write(kept.join("by-the-user.txt"), "mine").expect("a file");
    harness.gadugi(&["retry", "b", "--from", "base"]).expect(1);
    let anew = harness.report();
    let branch = |report: &Value| task(report, "b")["made"]["branch"].as_str().expect("a branch").to_owned();
    assert_eq!(branch(&anew), "gadugi/b-2");
    assert!(kept.join("by-the-user.txt").exists() && !harness.worktrees().join("b-2/by-the-user.txt").exists());
    let first = anew["link"]["run"].as_str().expect("a run").to_owned();
    open(&harness, "b");
    harness.gadugi(&["retry", &first, "b", "--from", "previous"]).expect(0);
    assert_eq!(branch(&harness.report()), "gadugi/b");
    assert_eq!(harness.repo.git(&["show", "gadugi/b:by-the-user.txt"]), "mine");
    assert_eq!(harness.repo.git(&["show", "gadugi/b:b.txt"]), "b");
    assert!(!kept.exists(), "it is released after the success");
    harness.assert_sound();
}

#[test]
fn where_the_worktree_is_gone_a_task_starts_from_the_last_commit_of_the_earlier_attempt() {
    let harness = Harness::new();
    let root = harness.repo.root().display().to_string();
    let commit = "git add -A && git -c user.name=t -c user.email=t@t commit -qm half";
    let file = harness
        .script("b", &format!("test -e half.txt || {{ echo half > half.txt; {commit}; }}\ntest -e {root}/open-b"));
    harness.gadugi(&["run", "--executor", "subprocess", "--keep", "never", &file]).expect(1);
    assert!(!harness.worktrees().join("b").exists());
    open(&harness, "b");
    harness.gadugi(&["retry", "--from", "previous"]).expect(0);
    let report = harness.report();
    assert_eq!(task(&report, "b")["outcome"]["kind"], "succeeded");
    let branch = task(&report, "b")["made"]["branch"].as_str().expect("a branch").to_owned();
    assert_eq!(harness.repo.git(&["show", &format!("{branch}:half.txt")]), "half");
    assert_eq!(task(&report, "b")["made"]["base"], harness.repo.git(&["rev-parse", "main"]).as_str());
}

#[test]
fn the_work_of_a_need_is_taken_from_its_branch_its_commit_or_the_base_and_missed_where_it_is_nowhere() {
    let harness = Harness::new();
    chain(&harness);
    let git = |args: &[&str]| harness.repo.git(args);
    let start = |args: &[&str]| {
        let code = if harness.repo.root().join("open-b").exists() { 0 } else { 1 };
        harness.gadugi(&[&["retry", "--from", "base"], args].concat()).expect(code);
        task(&harness.report(), "b")["made"]["base"].as_str().expect("a base").to_owned()
    };
    // The user has added to the branch.
    git(&["checkout", "-q", "gadugi/a"]);
    let added = harness.repo.commit_file("added.txt", "by the user");
    git(&["checkout", "-q", "main"]);
    assert_eq!(start(&[]), added);
    // The branch is gone, and its last commit is there.
    let tip = git(&["rev-parse", "gadugi/a^"]);
    git(&["branch", "-q", "-D", "gadugi/a"]);
    assert_eq!(start(&[]), tip);
    // It is merged, and the base has moved on.
    git(&["merge", "-q", "--no-edit", &tip]);
    let base = harness.repo.commit_file("more.txt", "more");
    assert_eq!(start(&[]), base);
    // It is nowhere.
    git(&["reset", "-q", "--hard", "HEAD~2"]);
    for reference in git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi", "refs/gadugi"]).lines() {
        git(&["worktree", "prune"]);
        git(&["update-ref", "-d", reference]);
    }
    fs::remove_dir_all(harness.worktrees()).expect("the worktrees");
    git(&["worktree", "prune"]);
    git(&["reflog", "expire", "--expire=now", "--all"]);
    git(&["gc", "-q", "--prune=now"]);
    let gone = harness.gadugi(&["retry", "b", "--from", "base"]).expect(2);
    gone.says(&["the work of `a`, which `b` needs, is gone", "makes it again"]);
    open(&harness, "b");
    harness.gadugi(&["retry", "latest", "a", "b", "--from", "base"]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/b:a.txt"]), "a");
}

#[test]
fn a_word_that_means_a_run_and_a_task_is_refused_with_both() {
    let harness = Harness::new();
    let file = harness.task("20.md", "---\nid: \"20\"\nrun: exit 1\n---\n");
    harness.gadugi(&["run", "--executor", "subprocess", &file]).expect(1);
    let run = id(&harness.report());
    let refused = harness.gadugi(&["retry", "20"]).expect(2);
    refused.says(&["`20` is a task of run", &run, "gadugi retry latest 20", &format!("gadugi retry {run}")]);
    harness.gadugi(&["retry", "latest", "20"]).expect(1);
    harness.gadugi(&["retry", &run]).expect(1);
    harness.gadugi(&["retry", "2O"]).expect(2).says(&["`2O` is neither a run nor a task of run", "did you mean `20`?"]);
    harness.gadugi(&["retry", "latest", "2O"]).expect(2).says(&["has no task `2O`"]);
    harness.gadugi(&["retry", "20", "-m", "Again"]).expect(2);
    harness.gadugi(&["retry", "latest", "20", "-m", "Again"]).expect(2).says(&["a message is for agents"]);
}

#[test]
fn a_run_that_is_not_over_is_refused_and_a_stopped_one_is_retried() {
    let harness = Harness::new();
    let file = harness.script("slow", "test ! -e ../../quick || exit 0\necho $$ > ../../pid-slow\nsleep 600");
    let going = Going::start(harness.command(&["run", "--executor", "subprocess", &file]));
    pid(&harness, "slow");
    harness.gadugi(&["retry"]).expect(2).says(&["is not over", "gadugi attach", "gadugi stop"]);
    going.signal(Signal::KILL);
    going.end();
    harness.gadugi(&["retry"]).expect(2).says(&["is not over: nobody drives it", "gadugi resume"]);
    harness.gadugi(&["stop"]).expect(0);
    fs::write(harness.repo.root().join("quick"), "").expect("a file");
    harness.gadugi(&["retry", "-j", "1", "--timeout", "5m"]).expect(0).says(&["slow (cancelled)"]);
    assert_eq!(harness.outcomes()["slow"], "succeeded");
    let header: Value =
        serde_json::from_slice(&fs::read(harness.latest_run().join("run.json")).expect("a file")).expect("JSON");
    assert_eq!(header["settings"]["jobs"], 1);
    assert_eq!(header["tasks"][0]["limits"]["timeout_seconds"], 300.0);
    assert!(harness.gadugi(&["ps", "--all"]).expect(0).out.matches("run 2").count() >= 2);
}

#[test]
fn a_retry_goes_into_the_background_and_prints_events_as_a_run_does() {
    let harness = Harness::new();
    let file = harness.script("a", "test -e ../../open-a");
    harness.gadugi(&["run", "--executor", "subprocess", &file]).expect(1);
    let detached = harness.gadugi(&["retry", "--detach"]).expect(0);
    let run = detached.out.trim().to_owned();
    harness.gadugi(&["attach", &run]).expect(1);
    open(&harness, "a");
    let events = harness.gadugi(&["retry", &run, "--json"]).expect(0).out;
    assert!(events.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{events}");
    assert!(events.contains("run_ended"), "{events}");
}

#[test]
fn needs_that_have_succeeded_are_taken_from_an_earlier_run() {
    let harness = Harness::new();
    let files = chain(&harness);
    let first = id(&harness.report());
    open(&harness, "b");
    let with = |args: &[&str]| {
        let files = files.iter().map(String::as_str);
        let args: Vec<&str> =
            ["run", "--executor", "subprocess"].into_iter().chain(files).chain(args.to_vec()).collect();
        harness.gadugi(&args)
    };
    with(&["--skip", "a"]).expect(2).says(&["needs `a`, which --skip leaves out", "--needs-from RUN"]);
    with(&["--skip", "b", "--needs-from", &first]).expect(2).says(&["has not succeeded in run"]);
    with(&["--only", "b", "--needs-from", &first]).expect(0).says(&[&format!("taken from run {first}: a")]);
    assert_eq!(ran(&harness), ["a", "b", "b"]);
    let second = id(&harness.report());
    assert!(harness.report()["link"].is_null(), "it is no retry");
    with(&["--skip", "a", "--skip", "b", "--needs-from", &second]).expect(0);
    assert_eq!(ran(&harness), ["a", "b", "b", "c"]);
    // Also a need that is in none of the files.
    harness.gadugi(&["run", "--executor", "subprocess", &files[1], "--needs-from", &first]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/b-3:a.txt"]), "a");
    let planned = harness.gadugi(&["plan", &files[1], "--needs-from", &first]).expect(0);
    planned.says(&["taken from run"]);
}

/// The calls of an agent that got a prompt.
fn calls_of(agents: &Installed, agent: &str) -> Vec<Call> {
    let calls = agents.calls().expect("they are recorded").into_iter();
    calls.filter(|call| call.agent == agent && call.prompt.is_some()).collect()
}

#[test]
fn an_agent_goes_on_with_its_conversation_after_a_failed_check_and_is_paid_once() {
    for agent in ["claude", "codex"] {
        let harness = Harness::new();
        let (agents, call) = with_fakes(&harness);
        let text = format!(
            "---\nagent: {agent}\ncheck: \"cat whole.txt || {{ echo it is not whole; exit 4; }}\"\n---\n# Make it whole\n\
             fake: run echo half > half.txt\nfake: on-resume run cp half.txt whole.txt\nfake: tokens 100 20\nfake: cost 0.25\n"
        );
        let file = harness.task("a.md", text);
        call(&["run", &file]).expect(1);
        call(&["retry"]).expect(0);
        let calls = calls_of(&agents, agent);
        let [first, second] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((&first.resumed, &second.resumed), (&None, &first.session));
        assert_eq!(first.cwd, second.cwd);
        let told = second.prompt.as_deref().unwrap_or_default();
        assert!(told.starts_with("Its check failed (exit code 4)."), "{told}");
        assert!(told.contains("it is not whole") && told.ends_with("Mend that, and commit.\n"), "{told}");
        assert_eq!(harness.repo.git(&["show", "gadugi/a:whole.txt"]), "half");
        let report = harness.report();
        let own = &task(&report, "a")["attempts"][0]["agent"]["own"];
        // The second call charged nothing, and the conversation what the first had.
        assert_eq!(own["tokens"]["input"].as_u64().unwrap_or_default(), 0, "{report:#}");
        assert_eq!(report["agents"]["cost_usd"].as_f64().unwrap_or_default(), 0.0, "{report:#}");
        assert!(report["warnings"].as_array().is_some_and(Vec::is_empty), "{report:#}");
        harness.assert_sound();
    }
}

#[test]
fn the_message_of_the_user_comes_first_in_the_conversation_and_last_in_a_new_one() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let text = "---\nagent: claude\ncheck: test -e whole.txt\n---\n# Make it whole\n\
                fake: on-resume once second run true\nfake: run echo half > half.txt\n";
    let file = harness.task("a.md", text);
    call(&["run", &file]).expect(1);
    call(&["retry", "a", "-m", "Write whole.txt, please."]).expect(1);
    call(&["retry", "--from", "base", "-m", "fake: run touch whole.txt"]).expect(0);
    let calls = calls_of(&agents, "claude");
    let [first, second, third] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&second.resumed, &third.resumed), (&first.session, &None));
    let told = second.prompt.as_deref().unwrap_or_default();
    assert!(told.starts_with("Write whole.txt, please.\n\nIts check failed (exit code 1)."), "{told}");
    let told = third.prompt.as_deref().unwrap_or_default();
    assert!(told.starts_with("# Make it whole\n"), "{told}");
    assert!(told.contains("\n\nWrite whole.txt, please.\n\nfake: run touch whole.txt\n\n---\n"), "{told}");
    assert!(told.contains("An earlier attempt was not accepted. Its check failed (exit code 1)."), "{told}");
    harness.assert_sound();
}

#[test]
fn after_ctrl_c_an_agent_goes_on_where_it_was() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let text = "---\nagent: claude\ngrace: 200ms\n---\nfake: on-resume run cp half.txt whole.txt\n\
                fake: run echo half > half.txt && echo $$ > ../../pid-a\nfake: endless\n";
    let file = harness.task("a.md", text);
    let mut command = harness.command(&["run", &file]);
    command.env("PATH", agents.search_path().expect("a path"));
    let going = Going::start(command);
    pid(&harness, "a");
    going.signal(Signal::INT);
    going.end().expect(130);
    call(&["retry"]).expect(0).says(&["a (cancelled)"]);
    let calls = calls_of(&agents, "claude");
    assert_eq!(calls[1].resumed, calls[0].session);
    assert_eq!(calls[1].cwd, calls[0].cwd);
    assert!(calls[1].prompt.as_deref().is_some_and(|told| told.starts_with("You were interrupted. ")), "{calls:?}");
    assert_eq!(harness.repo.git(&["show", "gadugi/a:whole.txt"]), "half");
    harness.assert_sound();
}

#[test]
fn a_task_that_has_succeeded_gets_a_follow_up_in_its_conversation() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let file = harness.task("a.md", "---\nagent: claude\n---\nfake: run echo a > a.txt\nfake: cost 0.5\n");
    call(&["run", &file]).expect(0);
    call(&["retry", "a"]).expect(2).says(&["the task `a` has succeeded", "-m"]);
    call(&["retry", "a", "-m", "More.\nfake: run echo more > more.txt\nfake: cost 0.25"]).expect(0);
    let calls = calls_of(&agents, "claude");
    let [first, second] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&second.resumed, &second.cwd), (&first.session, &first.cwd));
    let told = second.prompt.as_deref().unwrap_or_default();
    assert!(told.starts_with("More.\n") && told.contains("Your worktree was made anew"), "{told}");
    let report = harness.report();
    let made = &task(&report, "a")["made"];
    assert_eq!(made["branch"], "gadugi/a-2");
    assert_eq!(
        (harness.repo.git(&["show", "gadugi/a-2:a.txt"]), harness.repo.git(&["show", "gadugi/a-2:more.txt"])),
        ("a".to_owned(), "more".to_owned())
    );
    assert_eq!(report["agents"]["cost_usd"], 0.25);
    harness.assert_sound();
}
