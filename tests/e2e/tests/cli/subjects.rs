//! The subjects of the commits that keep what tasks have left uncommitted.

use crate::harness::Harness;

fn message(harness: &Harness, branch: &str) -> String {
    harness.repo.git(&["log", "-1", "--format=%B", branch])
}

#[test]
fn the_commit_of_a_task_has_its_title_as_subject_and_names_run_and_task() {
    let harness = Harness::new();
    let titled = harness.task("fix-login.md", "---\nrun: echo 1 > a\n---\n# Fix the login bug\n\nIt fails.\n");
    let untitled = harness.task("no-title.md", "---\nrun: echo 1 > b\n---\n");
    harness.gadugi(&["run", &titled, &untitled]).expect(0);
    let run = harness.latest_run();
    let run = run.file_name().expect("a name").to_string_lossy();
    let expected = format!("Fix the login bug\n\nGadugi-Run: {run}\nGadugi-Task: fix-login\n");
    assert_eq!(message(&harness, "gadugi/fix-login"), expected);
    assert!(message(&harness, "gadugi/no-title").starts_with("Work of no-title\n\n"));
    let log = harness.repo.git(&["reflog", "-1", "--format=%gs", "gadugi/fix-login"]);
    assert_eq!(log, "commit: Fix the login bug");
}

#[test]
fn a_subject_follows_the_template_of_the_repository_or_of_the_task() {
    let harness = Harness::new();
    harness.repo.write("gadugi.toml", "commit_subject = \"fix: {title} ({task} {run}, {attempt})\"\n");
    let own = "---\nrun: echo 1 > b\ncommit_subject: \"chore({task}): {title}\"\n---\n# Tidy up\n";
    let tasks = [harness.script("a", "echo 1 > a"), harness.task("b.md", own)];
    harness.gadugi(&["run", &tasks[0], &tasks[1]]).expect(0);
    let run = harness.latest_run();
    let run = run.file_name().expect("a name").to_string_lossy();
    assert!(message(&harness, "gadugi/a").starts_with(&format!("fix: The task a (a {run}, 1)\n")));
    assert!(message(&harness, "gadugi/b").starts_with("chore(b): Tidy up\n"));
}

#[test]
fn a_template_that_git_or_gadugi_would_not_understand_is_refused_before_the_run() {
    let harness = Harness::new();
    let task = harness.script("a", "echo 1 > a");
    for (template, rule) in [("# {title}", "comment"), ("{titel}", "placeholders"), ("a\\nb", "one line")] {
        harness.repo.write("gadugi.toml", format!("commit_subject = \"{template}\"\n"));
        harness.gadugi(&["run", &task]).expect(2).says(&["commit_subject", rule]);
    }
}
