//! The branches that keep others when `gadugi clean` decides which may go.

use crate::clean_said::plain;
use crate::harness::Harness;

/// A script that commits a file of this name.
fn commit(file: &str) -> String {
    format!("echo {file} > {file}; git add {file}; git -c user.name=t -c user.email=t@t commit -qm {file}")
}

/// Cleans, after a dry run that says the same, and gives what is said of branches.
#[track_caller]
fn clean(harness: &Harness, args: &[&str]) -> Vec<String> {
    let dry = plain(harness, &harness.gadugi(&[&["clean", "--dry-run"], args].concat()).expect(0).out);
    let done = plain(harness, &harness.gadugi(&[&["clean", "--wait"], args].concat()).expect(0).out);
    let dry: Vec<_> = dry.iter().map(|line| line.replace("would go", "removed ")).collect();
    assert_eq!(dry, done);
    harness.assert_sound();
    done.into_iter().filter(|line| line[9..].starts_with("gadugi/")).collect()
}

fn branches(harness: &Harness) -> String {
    harness.repo.git(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/gadugi"]).replace('\n', " ")
}

#[test]
fn a_finished_branch_stays_when_only_failed_tasks_contain_it() {
    let harness = Harness::new();
    let files = [
        harness.script("done", &commit("done.txt")),
        harness.task("idle.md", "---\nneeds: [done]\nrun: exit 1\n---\n"),
        harness.task("more.md", format!("---\nneeds: [done]\nrun: {}; exit 1\n---\n", commit("more.txt"))),
        harness.task(
            "apart.md",
            format!("---\nneeds: [done]\nrun: git checkout -q --detach; {}; exit 1\n---\n", commit("x")),
        ),
    ];
    harness.gadugi(&["run", &files[0], &files[1], &files[2], &files[3]]).expect(1);
    let said = clean(&harness, &[]);
    let expected = [
        "kept     gadugi/done: 1 commit on no other branch but gadugi/more, whose task did not succeed, \
         and not all that it changes is in main",
        "removed  gadugi/idle (was ID): merged into gadugi/done",
        "kept     gadugi/more: 1 commit on no other branch, and not all that it changes is in main",
        "kept     gadugi/apart: it is checked out in WT/apart",
    ];
    assert_eq!(said, expected);
    assert_eq!(branches(&harness), "apart done more");
    // What the user has made of it keeps it.
    harness.repo.git(&["branch", "mine", "gadugi/more"]);
    let said = clean(&harness, &[]);
    assert_eq!(said[0], "removed  gadugi/done (was ID): merged into mine");
    assert_eq!(said[1], "removed  gadugi/more (was ID): merged into mine");
}

#[test]
fn of_branches_on_one_commit_one_stays_and_the_others_go_for_it() {
    let harness = Harness::new();
    let first = harness.script("first", &commit("f.txt"));
    let second = harness.task("second.md", "---\nneeds: [first]\nrun: 'true'\n---\n");
    let third = harness.task("third.md", "---\nneeds: [second]\nrun: 'true'\n---\n");
    harness.gadugi(&["run", &first, &second, &third]).expect(0);
    let expected = [
        "removed  gadugi/first (was ID): merged into gadugi/third",
        "removed  gadugi/second (was ID): merged into gadugi/third",
        "kept     gadugi/third: 1 commit on no other branch, and not all that it changes is in main",
    ];
    assert_eq!(clean(&harness, &[]), expected);
    assert_eq!(branches(&harness), "third");
}

#[test]
fn of_a_chain_of_branches_the_last_one_stays_and_the_others_go_for_it() {
    let harness = Harness::new();
    let first = harness.script("first", &commit("f.txt"));
    let second = harness.task("second.md", format!("---\nneeds: [first]\nrun: {}\n---\n", commit("s.txt")));
    let third = harness.task("third.md", format!("---\nneeds: [second]\nrun: {}\n---\n", commit("t.txt")));
    harness.gadugi(&["run", &first, &second, &third]).expect(0);
    let expected = [
        "removed  gadugi/first (was ID): merged into gadugi/third",
        "removed  gadugi/second (was ID): merged into gadugi/third",
        "kept     gadugi/third: 3 commits on no other branch, and not all that it changes is in main",
    ];
    assert_eq!(clean(&harness, &[]), expected);
}

#[test]
fn branches_of_several_runs_are_decided_on_together() {
    let harness = Harness::new();
    let first = harness.script("first", &commit("f.txt"));
    harness.gadugi(&["run", &first]).expect(0);
    let second = harness.script("second", "true");
    harness.gadugi(&["run", "--base", "gadugi/first", &second]).expect(0);
    let expected = [
        "removed  gadugi/first (was ID): merged into gadugi/second",
        "kept     gadugi/second: 1 commit on no other branch, and not all that it changes is in main",
    ];
    assert_eq!(clean(&harness, &["--all"]), expected);
    // A later clean has nothing else to say of what stays.
    assert_eq!(clean(&harness, &["--all"]), expected[1..]);
}

#[test]
fn discarding_keeps_each_of_several_branches_as_a_reference() {
    let harness = Harness::new();
    let first = harness.script("first", &commit("f.txt"));
    let second = harness.task("second.md", "---\nneeds: [first]\nrun: exit 1\n---\n");
    harness.gadugi(&["run", &first, &second]).expect(1);
    let tip = harness.repo.git(&["rev-parse", "gadugi/first"]);
    clean(&harness, &["--discard"]);
    assert_eq!(branches(&harness), "");
    let kept = harness.repo.git(&["for-each-ref", "--format=%(objectname)", "refs/gadugi/trash"]);
    assert_eq!(kept.lines().collect::<Vec<_>>(), [tip.as_str(), &tip]);
}

#[test]
fn discarding_several_attempts_names_the_references_that_keep_them() {
    let harness = Harness::new();
    let script =
        "echo $GADUGI_ATTEMPT > n.txt; git add n.txt; git -c user.name=t -c user.email=t@t commit -qm n; exit 1";
    let four = harness.task("four.md", format!("---\nretries: 2\nretry_delay: 0s\nrun: {script}\n---\n"));
    harness.gadugi(&["run", &four]).expect(1);
    // One of them without its worktree, one with more in it than its branch has.
    harness.repo.git(&["worktree", "remove", "--force", &harness.worktrees().join("four").to_string_lossy()]);
    std::fs::write(harness.worktrees().join("four-3/more.txt"), "more").expect("a file");
    let said = clean(&harness, &["--discard"]);
    let of = |branch: &str| {
        let line = said.iter().find(|line| line.contains(&format!(" {branch} (was ")));
        let line = line.unwrap_or_else(|| panic!("{said:?}"));
        let name = line.split("it stays as ").nth(1).and_then(|rest| rest.strip_suffix(" for 14 days"));
        let run = harness.latest_run().file_name().expect("a name").to_string_lossy().into_owned();
        name.unwrap_or_else(|| panic!("{line}")).replace("RUN", &run)
    };
    for (branch, number) in [("gadugi/four", "1"), ("gadugi/four-2", "2"), ("gadugi/four-3", "3")] {
        assert_eq!(harness.repo.git(&["show", &format!("{}:n.txt", of(branch))]), number, "{branch}");
    }
    assert_eq!(harness.repo.git(&["show", &format!("{}:more.txt", of("gadugi/four-3"))]), "more");
    let names = ["gadugi/four", "gadugi/four-2", "gadugi/four-3"].map(of);
    assert_eq!(std::collections::BTreeSet::from(names).len(), 3);
}
