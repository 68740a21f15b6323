//! Tasks that leave their work elsewhere than on their branch: what needs them does not start without it.

use std::path::Path;
use std::process::Command;

use crate::harness::Harness;

/// A script's beginning, by which git knows who commits.
const IDENTITY: &str = "export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t";

impl Harness {
    /// A task with a script that commits, and one that needs it and sees whether the work is there.
    fn with_dependant(&self, name: &str, script: &str) -> [String; 2] {
        let needed = self.script(name, &format!("{IDENTITY}\n{script}"));
        let text = format!("---\nneeds: [{name}]\nrun: test -f work.txt\n---\n# What needs it\n");
        [needed, self.task(&format!("after-{name}.md"), text)]
    }

    /// The commands that the report names to bring work to its branch.
    fn ways_home(&self) -> Vec<String> {
        let report = self.gadugi(&["report"]).expect(0).out;
        let (_, steps) = report.split_once("# Bring work to its branch that is elsewhere\n").expect("there is a step");
        steps.lines().take_while(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn run_in(&self, folder: &Path, command: &str) {
        let status = Command::new("sh").args(["-ec", &format!("{IDENTITY}; {command}")]).current_dir(folder).output();
        let output = status.expect("it starts");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn work_on_a_branch_of_the_tasks_own_is_taken_over_and_what_needs_it_starts_with_it() {
    let harness = Harness::new();
    let own = harness
        .with_dependant("own", "git checkout -q -b feature/x; echo w > work.txt; git add .; git commit -qm Work");
    let renamed =
        harness.with_dependant("renamed", "git branch -m feature/y; echo r > work.txt; git add .; git commit -qm Work");
    let none =
        harness.with_dependant("none", "git checkout -q --detach; echo n > work.txt; git add .; git commit -qm Work");
    let tasks = [own, renamed, none].concat();
    let args: Vec<&str> = ["run"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(0);
    let report = harness.gadugi(&["report"]).expect(0).out;
    for place in ["branch feature/x", "branch feature/y", "a detached HEAD"] {
        assert!(report.contains(&format!("Taken over: its work was on {place}")), "{report}");
        assert!(report.contains(&format!("its work was on {place}, and was taken over to its branch")), "{report}");
    }
    assert_eq!(harness.repo.git(&["show", "gadugi/own:work.txt"]), "w");
    assert_eq!(harness.repo.git(&["rev-parse", "feature/x"]), harness.repo.git(&["rev-parse", "gadugi/own"]));
    assert!(!harness.worktrees().join("own").exists(), "its worktree is given back");
    harness.assert_sound();
}

#[test]
fn what_needs_work_that_is_elsewhere_does_not_start_and_the_report_names_the_way_home() {
    let beside = "echo a > a.txt; git add .; git commit -qm A; git checkout -q -b side HEAD~1; echo w > work.txt; git add .; git commit -qm Work";
    let merging = "echo a > README.md; git commit -qam A; git checkout -q -b other HEAD~1; echo b > README.md; echo w > work.txt; git add .; \
                   git commit -qm B; git checkout -q gadugi/merging; git merge -q other || true; git checkout -q --theirs README.md; git add .";
    for (name, script, place) in [
        ("beside", beside, "branch side, 1 commit"),
        ("merging", merging, "a merge is in progress"),
        ("stashing", "echo w > work.txt; git stash -q -u", "1 stash entry"),
        ("moving", "echo w > work.txt; git worktree move . ../moved", "the worktree was moved to"),
    ] {
        let harness = Harness::new();
        let tasks = harness.with_dependant(name, script);
        let said = format!("failed: work is elsewhere ({place}");
        harness
            .gadugi(&["run", &tasks[0], &tasks[1]])
            .expect(1)
            .says(&[&said, &format!("skipped (because of {name})")]);
        for command in harness.ways_home() {
            // git asks for a message of a merge, and is told none.
            harness.run_in(harness.repo.path(), &format!("export GIT_EDITOR=true; {command}"));
        }
        let worktree = harness.worktrees().join(name);
        harness.run_in(
            &worktree,
            "test -f work.txt && test \"$(git symbolic-ref --short HEAD)\" = gadugi/$(basename $PWD)",
        );
        let report = harness.report();
        let about = report["warnings"].as_array().expect("warnings").iter().filter(|one| one["about"] == "elsewhere");
        assert_eq!(about.count(), 1, "{report}");
    }
}

#[test]
fn a_worktree_that_the_task_has_removed_and_markers_that_it_has_committed_are_failures() {
    let harness = Harness::new();
    let gone = harness.with_dependant("gone", "rm -rf \"$PWD\"");
    let markers = "printf '<<<<<<< HEAD\\na\\n=======\\nb\\n>>>>>>> b\\n' > work.txt; git add .; git commit -qm Work";
    let markers = harness.with_dependant("markers", markers);
    harness.gadugi(&["run", &gone[0], &gone[1], &markers[0], &markers[1]]).expect(1).says(&[
        "failed: work is elsewhere (the worktree was removed)",
        "failed: conflict markers are committed (work.txt)",
        "skipped (because of gone)",
        "skipped (because of markers)",
    ]);
    assert!(harness.ways_home().iter().any(|command| command.starts_with("git diff --check")));
}
