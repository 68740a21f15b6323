//! `gadugi diff`: what tasks have made, by git's own diff.

use std::fs;
use std::path::Path;

use crate::harness::{Answer, Going, Harness};

/// What `git diff` says of a branch since `main`, as `gadugi diff` has it for a pipe.
fn plain(harness: &Harness, branch: &str) -> String {
    harness.repo.git(&["diff", "--binary", "main", branch]) + "\n"
}

/// Waits until the task of a run has made a file.
#[track_caller]
fn wait_for(path: &Path, going: &mut Going) {
    while !path.exists() {
        assert!(!going.has_ended(), "it ended without {}", path.display());
        std::thread::yield_now();
    }
}

fn diff(harness: &Harness, args: &[&str]) -> Answer {
    harness.gadugi(&[&["diff"], args].concat())
}

#[test]
fn the_diff_of_a_task_is_gits_and_is_what_git_apply_takes() {
    let harness = Harness::new();
    // None of these may change what a program reads.
    for (key, value) in [("diff.noprefix", "true"), ("color.ui", "always"), ("diff.external", "false")] {
        harness.repo.git(&["config", key, value]);
    }
    let script = "echo more >> README.md\nmkdir src\nprintf 'a\\000b' > src/data\ngit add src\ngit -c user.name=T -c user.email=t@example.com commit -qm 'Add data'";
    let task = harness.script("fix", script);
    harness.gadugi(&["run", &task]).expect(0);
    let answer = diff(&harness, &["fix"]).expect(0);
    assert!(answer.out.contains("diff --git a/README.md b/README.md") && answer.out.contains("GIT binary patch"));
    let patch = harness.repo.root().join("patch");
    fs::write(&patch, &answer.out).expect("a patch");
    harness.repo.git(&["apply", patch.to_str().expect("UTF-8")]);
    harness.repo.git(&["add", "--all"]);
    harness.repo.git(&["diff", "--cached", "--quiet", "--no-ext-diff", "gadugi/fix"]);
    assert!(harness.repo.path().join("src/data").exists());
}

#[test]
fn a_diff_is_cut_to_names_counts_and_paths() {
    let harness = Harness::new();
    let task = harness.script("fix", "mkdir src docs\necho 1 > src/one\necho 2 > docs/two");
    harness.gadugi(&["run", &task]).expect(0);
    assert_eq!(diff(&harness, &["--name-only"]).expect(0).out, "docs/two\nsrc/one\n");
    let stat = diff(&harness, &["--stat", "fix"]).expect(0).out;
    assert!(stat.contains("docs/two | 1 +") && stat.contains("2 files changed, 2 insertions(+)"), "{stat}");
    assert_eq!(diff(&harness, &["fix", "--name-only", "--", "src"]).expect(0).out, "src/one\n");
    fs::create_dir(harness.repo.path().join("src")).expect("a folder");
    let below = harness.command_in(&harness.repo.path().join("src"), &["diff", "--name-only", "--", "."]);
    assert_eq!(Answer::from({ below }.output().expect("gadugi starts")).expect(0).out, "src/one\n");
}

#[test]
fn several_tasks_follow_on_each_other_under_headings_and_apply_as_one_patch() {
    let harness = Harness::new();
    let tasks = ["a", "b"].map(|name| harness.script(name, &format!("echo {name} > {name}")));
    let idle = harness.script("idle", "true");
    harness.gadugi(&["run", &tasks[0], &tasks[1], &idle]).expect(0);
    let answer = diff(&harness, &[]).expect(0);
    let headings: Vec<&str> = answer.out.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(headings, ["# a: The task a (gadugi/a)", "# b: The task b (gadugi/b)"]);
    let patch = harness.repo.root().join("patch");
    fs::write(&patch, &answer.out).expect("a patch");
    harness.repo.git(&["apply", patch.to_str().expect("UTF-8")]);
    assert_eq!(fs::read_to_string(harness.repo.path().join("b")).expect("a file"), "b\n");
    // In the order in which they are named, and once.
    let named = diff(&harness, &["b", "a", "b", "--name-only"]).expect(0).out;
    assert_eq!(named.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), ["b", "", "a"]);
    diff(&harness, &["idle"]).expect(0).says(&["idle has changed nothing"]);
}

#[test]
fn a_task_that_still_runs_is_shown_with_its_uncommitted_work_and_without_secrets() {
    let harness = Harness::new();
    let (made, gate) = (harness.repo.root().join("made"), harness.repo.root().join("gate"));
    let script = format!(
        "echo c > committed; git add .; git -c user.name=T -c user.email=t@example.com commit -qm One\necho s > staged; git add staged\necho more >> README.md\n\
         echo u > untracked; echo KEY > .env\n: > {}\nwhile [ ! -e {} ]; do sleep 0.05; done",
        made.display(),
        gate.display()
    );
    let mut going = Going::start(harness.command(&["run", &harness.script("fix", &script)]));
    wait_for(&made, &mut going);
    let before = harness.repo.fingerprint();
    let worktree = harness.worktrees().join("fix");
    let state = || {
        let index = harness.repo.path().join(".git/worktrees/fix/index");
        let objects = harness.repo.git(&["count-objects"]);
        let status = harness.repo.git_in(&worktree, &["status", "--porcelain"]);
        (fs::read(index).expect("an index"), objects, status)
    };
    let found = state();
    let answer = diff(&harness, &["fix", "--name-only"]).expect(0);
    assert_eq!(answer.out, "README.md\ncommitted\nstaged\nuntracked\n");
    answer.says(&["fix: 3 files of it not committed yet", "look like secrets: .env"]);
    let full = diff(&harness, &[]).expect(0).out;
    assert!(full.contains("+more\n") && full.contains("+u\n") && !full.contains("KEY"), "{full}");
    assert_eq!(state(), found);
    assert_eq!(harness.repo.fingerprint(), before);
    let previews = harness.repo.path().join(".git/gadugi/previews");
    assert_eq!(fs::read_dir(previews).expect("a folder").count(), 0);
    fs::write(&gate, "").expect("a gate");
    going.end().expect(0);
    let work = diff(&harness, &["fix", "--name-only"]).expect(0).out;
    assert_eq!(work, "README.md\ncommitted\nstaged\nuntracked\n");
}

#[test]
fn the_kept_worktree_of_a_failed_task_is_shown_and_all_of_its_attempts_count() {
    let harness = Harness::new();
    let script = "echo more >> attempts\nexit 1";
    let task = harness.task(
        "fix.md",
        format!(
            "---\nrun: |\n  {}\nretries: 1\nretry_from: previous\nretry_delay: 1ms\n---\n",
            script.replace('\n', "\n  ")
        ),
    );
    let once = harness.script("once", "echo new > new\nexit 1");
    harness.gadugi(&["run", &task, &once]).expect(1);
    let uncommitted = diff(&harness, &["once"]).expect(0).says(&["once: 1 file of it not committed yet"]);
    assert!(uncommitted.out.contains("+new\n"), "{}", uncommitted.out);
    let answer = diff(&harness, &["fix"]).expect(0);
    assert!(answer.out.contains("@@ -0,0 +1,2 @@\n+more\n+more\n"), "{}", answer.out);
}

#[test]
fn work_whose_branch_is_gone_is_shown_as_recorded_and_named_once_it_is_gone_too() {
    let harness = Harness::new();
    let task = harness.script("fix", "echo 1 > one");
    harness.gadugi(&["run", &task]).expect(0);
    let expected = plain(&harness, "gadugi/fix");
    let tip = harness.repo.git(&["rev-parse", "gadugi/fix"]);
    // Another branch of this name is not the task's.
    harness.repo.git(&["branch", "-f", "gadugi/fix", "main"]);
    assert_eq!(
        diff(&harness, &["fix"]).expect(0).says(&["the branch gadugi/fix is gone or another one"]).out,
        expected
    );
    harness.repo.git(&["branch", "-D", "gadugi/fix"]);
    assert_eq!(diff(&harness, &["fix"]).expect(0).out, expected);
    harness.repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    harness.repo.git(&["gc", "-q", "--prune=now"]);
    let answer = diff(&harness, &["fix"]).expect(3).says(&["fix: the branch `gadugi/fix`", &tip[..7], "gone too"]);
    assert_eq!(answer.out, "");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let harness = Harness::new();
    diff(&harness, &[]).expect(2).says(&["gadugi run"]);
    let tasks = [harness.script("bad", "exit 1"), harness.task("after.md", "---\nrun: true\nneeds: [bad]\n---\n")];
    harness.gadugi(&["run", &tasks[0], &tasks[1]]).expect(1);
    diff(&harness, &["nobody"]).expect(2).says(&["has no task `nobody`", "`bad`"]);
    diff(&harness, &["after"]).expect(0).says(&["after has not been started"]);
    diff(&harness, &[]).expect(0).says(&["no task of run", "has changed anything"]);
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_several_tasks_are_shown_in_one_pager_of_the_user_with_colours() {
    use crate::terminals::OnTerminal;
    let harness = Harness::new();
    let tasks = ["a", "b"].map(|name| harness.script(name, &format!("echo {name} > {name}")));
    harness.gadugi(&["run", &tasks[0], &tasks[1]]).expect(0);
    harness.repo.git(&["config", "pager.diff", "sed s/^/PAGER/"]);
    let on_terminal = OnTerminal::start(&harness.command(&["diff"]));
    let screen = on_terminal.screen();
    let drawn = on_terminal.drawn_at_end(screen);
    assert_eq!(drawn.matches("PAGER\u{1b}[33m# ").count(), 2, "{drawn:?}");
    assert!(drawn.contains("PAGER\u{1b}[32m+\u{1b}[m\u{1b}[32ma\u{1b}[m"), "{drawn:?}");
    let screen = OnTerminal::start(&harness.command(&["show", "a"]));
    let drawn = {
        let all = screen.screen();
        screen.drawn_at_end(all)
    };
    assert!(drawn.lines().count() < 24 && drawn.contains("\u{1b}[32msucceeded"), "{drawn:?}");
}
