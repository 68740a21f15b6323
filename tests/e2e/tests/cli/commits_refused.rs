//! Configurations of the user in which `git commit` of a task is refused, and the commit that Gadugi makes is not.

use crate::harness::Harness;

/// A task that leaves its file succeeds, one that commits fails, and why is told.
#[track_caller]
fn refuses(config: &str, why: &str) {
    let harness = Harness::new();
    let home = harness.repo.root().join("home");
    std::fs::create_dir_all(&home).expect("a home");
    std::fs::write(home.join(".gitconfig"), config).expect("a configuration");
    // Nothing else may say who commits.
    for name in ["user.name", "user.email"] {
        harness.repo.try_git_in(harness.repo.path(), &["config", "--unset", name]);
    }
    let leaves = harness.script("leaves", "echo left > left.txt");
    let commits = harness.script("commits", "echo made > made.txt\ngit add made.txt\ngit commit -qm Work");
    let run = harness.gadugi(&["run", "--executor", "subprocess", &leaves, &commits]).expect(1).says(&[why]);
    assert_eq!(harness.repo.git(&["show", "gadugi/leaves:left.txt"]), "left", "{}", run.err);
    let outcomes = harness.outcomes();
    assert_eq!((outcomes["leaves"].as_str(), outcomes["commits"].as_str()), ("succeeded", "failed"));
    let warnings = harness.report()["warnings"].to_string();
    assert!(warnings.contains("its output ends with: ") && warnings.contains(why), "{warnings}");
    let page = harness.gadugi(&["report"]).expect(0).out;
    assert!(page.contains("its output ends with: "), "{page}");
    let kept = harness.worktrees().join("commits/made.txt");
    assert_eq!(std::fs::read_to_string(kept).expect("the file of the failed task"), "made\n");
    harness.assert_sound();
}

#[test]
fn a_commit_that_cannot_be_signed_fails_the_task_that_makes_it_with_the_reason_and_no_other() {
    refuses(
        "[user]\nname = U\nemail = u@example.com\n[commit]\ngpgSign = true\n[gpg]\nprogram = false\n",
        "gpg failed to sign the data",
    );
}

#[test]
fn a_commit_without_an_identity_fails_the_task_that_makes_it_with_the_reason_and_no_other() {
    refuses("[user]\nuseConfigOnly = true\n", "auto-detection is disabled");
}
