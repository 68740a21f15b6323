//! `gadugi merge`: what lands, what is set aside, and what is left alone.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::fake_agents::with_fakes;
use crate::harness::{Answer, Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::{gate, open, pid};

/// Runs tasks that each write a file of their own, and others with these scripts.
fn run(harness: &Harness, scripts: &[(&str, &str)]) {
    let files: Vec<String> = scripts.iter().map(|(name, script)| harness.script(name, script)).collect();
    let args: Vec<&str> = ["run", "-j2"].into_iter().chain(files.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(0);
}

/// A repository whose run has three tasks with a file each.
fn three() -> Harness {
    let harness = Harness::new();
    run(&harness, &[("a", "echo a > a.txt"), ("b", "echo b > b.txt"), ("c", "echo c > c.txt")]);
    harness
}

fn merge(harness: &Harness, args: &[&str]) -> Answer {
    let args: Vec<&str> = ["merge"].iter().chain(args).copied().collect();
    harness.gadugi(&args)
}

fn report(harness: &Harness) -> Value {
    let answer = harness.gadugi(&["report", "--merge", "--format", "json"]).expect(0);
    serde_json::from_str(&answer.out).expect("a report in JSON")
}

/// The files of a commit.
fn files(harness: &Harness, commit: &str) -> Vec<String> {
    harness.repo.git(&["ls-tree", "-r", "--name-only", commit]).lines().map(str::to_owned).collect()
}

fn log(harness: &Harness, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["log", "--format=%s"].iter().chain(args).copied().collect();
    harness.repo.git(&args).lines().map(str::to_owned).collect()
}

fn tip(harness: &Harness) -> String {
    harness.repo.git(&["rev-parse", "main"])
}

/// Nothing of a merge is left but its record and the branches of tasks.
#[track_caller]
fn assert_nothing_left(harness: &Harness) {
    let refs = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/merges"]);
    assert_eq!(refs, "");
    let checks = harness.repo.git(&["branch", "--list", "gadugi/check-*"]);
    assert_eq!(checks, "");
    assert!(!harness.repo.path().join(".git/index.lock").exists());
    harness.assert_sound();
}

#[test]
fn all_that_has_succeeded_lands_at_once_and_the_files_follow() {
    let harness = three();
    harness.repo.write("notes.txt", "mine\n");
    let answer = merge(&harness, &[]).expect(0);
    assert!(answer.out.contains("3 tasks merged into main"), "{}", answer.out);
    assert_eq!(files(&harness, "main"), ["README.md", "a.txt", "b.txt", "c.txt"]);
    assert_eq!(harness.repo.git(&["status", "--porcelain"]), "?? notes.txt");
    assert_eq!(std::fs::read_to_string(harness.repo.path().join("b.txt")).expect("it followed"), "b\n");
    let merges = log(&harness, &["--merges", "--first-parent", "main"]);
    assert_eq!(merges.len(), 3);
    assert!(merges.iter().any(|subject| subject == "Merge task 'a': The task a"), "{merges:?}");
    assert_nothing_left(&harness);
    merge(&harness, &[]).expect(0).says(&[]);
    assert_eq!(log(&harness, &["--merges", "main"]).len(), 3);
    harness.gadugi(&["clean"]).expect(0);
    assert_eq!(harness.repo.git(&["branch", "--list", "gadugi/*"]), "");
}

#[test]
fn what_conflicts_is_set_aside_and_the_rest_lands() {
    let harness = Harness::new();
    run(&harness, &[("a", "echo a > same.txt"), ("b", "echo b > same.txt"), ("c", "echo c > c.txt")]);
    let answer = merge(&harness, &["--no-check"]).expect(1);
    let report = report(&harness);
    let results: Vec<&str> =
        report["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["result"].as_str()).collect();
    assert_eq!(results.iter().filter(|result| **result == "merged").count(), 2);
    assert!(answer.out.contains("in same.txt"), "{}", answer.out);
    assert_eq!(files(&harness, "main"), ["README.md", "c.txt", "same.txt"]);
    assert_nothing_left(&harness);
}

#[test]
fn two_tasks_that_fail_the_check_only_together_are_named_and_the_rest_lands() {
    let harness = three();
    let check = "test ! -e a.txt || test ! -e c.txt";
    let answer = merge(&harness, &["--check", check]).expect(1);
    assert!(answer.out.contains("the check fails on it together with a"), "{}", answer.out);
    assert_eq!(files(&harness, "main"), ["README.md", "a.txt", "b.txt"]);
    assert_nothing_left(&harness);
}

#[test]
fn nothing_lands_while_the_check_fails_on_the_target_alone() {
    let harness = three();
    let before = (tip(&harness), harness.repo.fingerprint());
    let answer = merge(&harness, &["--check", "exit 1"]).expect(1);
    assert!(answer.out.contains("the check fails on main alone"), "{}", answer.out);
    assert_eq!((tip(&harness), harness.repo.fingerprint()), before);
    assert_nothing_left(&harness);
}

#[test]
fn a_check_that_is_not_there_blames_nobody() {
    let harness = three();
    let before = tip(&harness);
    let answer = merge(&harness, &["--check", "no-such-program-anywhere"]).expect(3);
    assert!(answer.out.contains("could not be asked"), "{}", answer.out);
    assert!(answer.out.contains("exit code 127"), "{}", answer.out);
    assert_eq!(tip(&harness), before);
    assert_nothing_left(&harness);
}

#[test]
fn a_flaky_check_is_said_and_lands() {
    let harness = three();
    let seen = harness.repo.root().join("seen");
    let check = format!("test -e '{0}' || {{ touch '{0}'; exit 1; }}", seen.display());
    let answer = merge(&harness, &["--check", &check]).expect(0);
    assert!(answer.out.contains("1 flaky"), "{}", answer.out);
    assert_eq!(report(&harness)["flaky_trees"], 1);
}

#[test]
fn a_dry_run_shows_what_would_be_and_changes_nothing() {
    let harness = Harness::new();
    run(&harness, &[("a", "echo a > same.txt"), ("b", "echo b > same.txt")]);
    let before = (tip(&harness), harness.repo.fingerprint());
    let answer = merge(&harness, &["--dry-run"]).expect(0);
    assert!(answer.out.contains("set aside") && answer.out.contains("same.txt"), "{}", answer.out);
    assert_eq!((tip(&harness), harness.repo.fingerprint()), before);
    assert!(!harness.repo.path().join(".git/gadugi/merges").exists());
    assert_nothing_left(&harness);
}

#[test]
fn a_task_brings_along_what_it_needs_and_nothing_else() {
    let harness = Harness::new();
    let a = harness.script("a", "echo a > a.txt");
    let b = harness.task("b.md", "---\nneeds: [a]\nrun: cp a.txt b.txt\n---\n");
    let c = harness.script("c", "echo c > c.txt");
    harness.gadugi(&["run", &a, &b, &c]).expect(0);
    merge(&harness, &["b"]).expect(0);
    assert_eq!(files(&harness, "main"), ["README.md", "a.txt", "b.txt"]);
    merge(&harness, &["nothing"]).expect(2).says(&["there is no task `nothing`"]);
}

#[test]
fn squashing_makes_one_commit_of_each_task_and_rebasing_keeps_its_commits() {
    let git = "git -c user.name=t -c user.email=t@localhost";
    let script = format!(
        "echo 1 > a.txt; git add a.txt; {git} commit -qm 'First step'; echo 2 > a.txt; {git} commit -qam 'Second step'"
    );
    for (strategy, expected) in
        [("squash", vec!["The task a", "first"]), ("rebase", vec!["Second step", "First step", "first"])]
    {
        let harness = Harness::of(gadugi_test_support::repo::TestRepo::new());
        harness.repo.write("README.md", "x\n");
        harness.repo.git(&["add", "-A"]);
        harness.repo.git(&["commit", "-qm", "first"]);
        run(&harness, &[("a", &script)]);
        merge(&harness, &["--strategy", strategy]).expect(0);
        assert_eq!(log(&harness, &["main"]), expected);
        harness.gadugi(&["clean"]).expect(0);
        assert_eq!(harness.repo.git(&["branch", "--list", "gadugi/*"]), "");
    }
}

#[test]
fn a_file_of_the_user_in_the_way_keeps_the_result_on_a_branch() {
    let harness = three();
    harness.repo.write("a.txt", "mine\n");
    let before = (tip(&harness), harness.repo.fingerprint());
    let answer = merge(&harness, &[]).expect(1);
    assert_eq!((tip(&harness), harness.repo.fingerprint()), before);
    let branch = answer.out.split_whitespace().find(|word| word.starts_with("gadugi/merged/"));
    let branch = branch.expect("it is named").trim_end_matches(';').to_owned();
    assert!(answer.err.contains(&format!("git merge --ff-only {branch}")), "{}", answer.err);
    assert_eq!(files(&harness, &branch), ["README.md", "a.txt", "b.txt", "c.txt"]);
    std::fs::remove_file(harness.repo.path().join("a.txt")).expect("it is out of the way");
    harness.repo.git(&["merge", "-q", "--ff-only", &branch]);
    assert_eq!(harness.repo.git(&["status", "--porcelain"]), "");
    assert_nothing_left(&harness);
}

#[test]
fn a_branch_that_is_checked_out_nowhere_moves_too() {
    let harness = three();
    harness.repo.git(&["branch", "release"]);
    let before = tip(&harness);
    merge(&harness, &["--into", "release"]).expect(0);
    assert_eq!(files(&harness, "release"), ["README.md", "a.txt", "b.txt", "c.txt"]);
    assert_eq!((tip(&harness), harness.repo.git(&["status", "--porcelain"])), (before, String::new()));
    merge(&harness, &["--into", "no-such"]).expect(2).says(&["there is no branch `no-such`"]);
}

#[test]
fn what_did_not_succeed_is_passed_over_with_its_outcome() {
    let harness = Harness::new();
    let (a, b) = (harness.script("a", "echo a > a.txt"), harness.script("b", "exit 7"));
    harness.gadugi(&["run", &a, &b]).expect(1);
    let answer = merge(&harness, &[]).expect(0);
    assert!(answer.out.contains("exit code 7"), "{}", answer.out);
    merge(&harness, &["b"]).expect(2).says(&["`b` cannot be merged", "gadugi retry"]);
}

#[test]
fn a_run_can_be_merged_at_its_end() {
    let harness = Harness::new();
    let (a, b) = (harness.script("a", "echo a > a.txt"), harness.script("b", "exit 7"));
    harness.repo.write("gadugi.toml", "[merge]\ncheck = \"test -e a.txt\"\n");
    harness.gadugi(&["run", "--merge", &a, &b]).expect(1);
    assert_eq!(files(&harness, "main"), ["README.md", "a.txt"]);
}

/// A check that waits for [`open`], and the check itself.
fn gated(harness: &Harness, name: &str) -> String {
    format!("echo x >> '{}/checked'; {}", harness.repo.root().display(), gate(harness, name))
}

fn checked(harness: &Harness) -> usize {
    std::fs::read_to_string(harness.repo.root().join("checked")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_merge_whose_process_was_killed_goes_on_with_the_check_that_runs() {
    let harness = three();
    let check = gated(&harness, "check");
    let going = Going::start(harness.command(&["merge", "--check", &check]));
    let task = pid(&harness, "check");
    going.signal(Signal::KILL);
    drop(going.end());
    assert!(is_alive(&task));
    merge(&harness, &["--into", "main"]).expect(4).says(&["was cut short", "gadugi merge --abort"]);
    open(&harness, "check");
    merge(&harness, &[]).expect(0);
    assert_eq!((checked(&harness), files(&harness, "main").len()), (1, 4));
    assert_nothing_left(&harness);
}

#[test]
fn a_merge_whose_process_was_killed_can_be_given_up() {
    let harness = three();
    let before = (tip(&harness), harness.repo.fingerprint());
    let check = gated(&harness, "check");
    let going = Going::start(harness.command(&["merge", "--check", &check]));
    let task = pid(&harness, "check");
    going.signal(Signal::KILL);
    drop(going.end());
    merge(&harness, &["--abort"]).expect(0);
    assert!(!is_alive(&task));
    assert_eq!((tip(&harness), harness.repo.fingerprint()), before);
    assert_nothing_left(&harness);
    merge(&harness, &["--abort"]).expect(2).says(&["there is no merge to abort"]);
    merge(&harness, &[]).expect(0);
}

#[test]
fn ctrl_c_stops_the_check_and_leaves_the_target_alone() {
    let harness = three();
    let before = (tip(&harness), harness.repo.fingerprint());
    let check = gated(&harness, "check");
    let going = Going::start(harness.command(&["merge", "--check", &check]));
    let task = pid(&harness, "check");
    going.signal(Signal::INT);
    going.end().expect(130);
    assert!(!is_alive(&task));
    assert_eq!((tip(&harness), harness.repo.fingerprint()), before);
    assert_nothing_left(&harness);
    assert_eq!(report(&harness)["end"], "cancelled");
}

#[test]
fn a_user_who_commits_meanwhile_keeps_that_commit() {
    let harness = three();
    let check = gated(&harness, "check");
    let going = Going::start(harness.command(&["merge", "--check", &check]));
    pid(&harness, "check");
    harness.repo.commit_file("user.txt", "mine\n");
    open(&harness, "check");
    going.end().expect(0);
    assert_eq!(files(&harness, "main"), ["README.md", "a.txt", "b.txt", "c.txt", "user.txt"]);
    // The files were others the second time, so they were checked again.
    assert_eq!(checked(&harness), 2);
}

#[test]
fn generated_files_are_made_anew_and_never_in_conflict() {
    let harness = Harness::new();
    harness.repo.commit_file("parts/base", "base\n");
    harness.repo.commit_file("index.lock.txt", "base\n");
    let script = |name: &str| format!("echo {name} > parts/{name}; cat parts/* > index.lock.txt");
    let (a, b) = (script("a"), script("b"));
    run(&harness, &[("a", a.as_str()), ("b", b.as_str())]);
    harness.repo.write("gadugi.toml", "[merge.regenerate]\n\"index.lock.txt\" = \"cat parts/* > index.lock.txt\"\n");
    merge(&harness, &[]).expect(0);
    assert_eq!(harness.repo.git(&["show", "main:index.lock.txt"]), "a\nb\nbase");
}

#[test]
fn the_report_of_a_merge_is_there_in_three_formats() {
    let harness = three();
    harness.gadugi(&["report", "--merge"]).expect(2).says(&["was not merged yet"]);
    merge(&harness, &["--check", "test ! -e b.txt"]).expect(1);
    let markdown = harness.gadugi(&["report", "--merge"]).expect(0).out;
    assert!(markdown.contains("| `b` | not merged | the check fails on it |"), "{markdown}");
    let junit = harness.gadugi(&["report", "--merge", "--format", "junit"]).expect(0).out;
    assert!(junit.contains("tests=\"3\"") && junit.contains("failures=\"1\""), "{junit}");
    let merges = std::fs::read_dir(harness.repo.path().join(".git/gadugi/merges")).expect("merges");
    let folder: PathBuf = merges.map(|merge| merge.expect("it can be read").path()).max().expect("a merge");
    for name in ["merge.json", "journal.jsonl", "report.md", "report.json", "junit.xml"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let events = harness.gadugi(&["merge", "--json"]).expect(0).out;
    assert!(events.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{events}");
}

#[test]
fn the_author_of_what_conflicts_resolves_it_in_its_own_conversation() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let file = |name: &str| {
        let text = format!(
            "---\nagent: claude\n---\nfake: on-resume run echo both > same.txt\nfake: run echo {name} > same.txt\n"
        );
        harness.task(&format!("{name}.md"), text)
    };
    call(&["run", "--executor", "subprocess", &file("a"), &file("b")]).expect(0);
    let answer = call(&["merge", "--executor", "subprocess", "--resolve", "--check", "test -s same.txt"]).expect(0);
    assert!(answer.out.contains("2 tasks merged into main"), "{}", answer.out);
    assert_eq!(harness.repo.git(&["show", "main:same.txt"]), "both");
    let calls: Vec<_> = agents.calls().expect("they are recorded");
    let calls: Vec<_> = calls.iter().filter(|call| call.prompt.is_some()).collect();
    let [.., last] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(calls.len(), 3);
    let author = calls.iter().find(|call| call.session == last.resumed).expect("one of the authors");
    assert_eq!(author.cwd, last.cwd);
    assert!(last.prompt.as_deref().is_some_and(|prompt| prompt.contains("- same.txt")), "{last:?}");
    assert_nothing_left(&harness);
    harness.gadugi(&["clean"]).expect(0);
    assert_eq!(harness.repo.git(&["branch", "--list", "gadugi/*"]), "");
    assert!(!harness.worktrees().exists());
}

#[test]
fn a_resolution_with_markers_is_not_accepted_and_the_rest_lands() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let file = |name: &str| {
        let text = format!("---\nagent: codex\n---\nfake: run echo {name} > same.txt; echo {name} > {name}.txt\n");
        harness.task(&format!("{name}.md"), text)
    };
    call(&["run", "--executor", "subprocess", &file("a"), &file("b")]).expect(0);
    let answer = call(&["merge", "--executor", "subprocess", "--resolve"]).expect(1);
    assert!(answer.out.contains("1 task merged into main"), "{}", answer.out);
    let calls = agents.calls().expect("they are recorded");
    assert_eq!(calls.iter().filter(|call| call.prompt.is_some()).count(), 4);
    assert_nothing_left(&harness);
}
