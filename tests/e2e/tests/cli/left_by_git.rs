//! Git beside a run, and its remains when it is killed with its task.

use crate::harness::{Going, Harness};

/// Waits until a shell expression holds in the worktree.
fn until(expression: &str) -> String {
    format!("until {expression}; do sleep 0.02; done")
}

#[test]
fn the_index_lock_of_a_commit_that_a_task_left_in_the_background_does_not_fail_it() {
    let harness = Harness::new();
    let background = "git -c user.name=T -c user.email=t@example.com commit -a --allow-empty -q >/dev/null 2>&1 &";
    let waits = until("[ -e \"$(git rev-parse --git-path index.lock)\" ]");
    let script = format!("echo work > work.txt\nGIT_EDITOR='sh -c \"sleep 600\"' {background}\n{waits}\n");
    let file = harness.script("a", &script);
    let run = harness.gadugi(&["run", &file]).expect(0);
    assert_eq!(harness.repo.git(&["show", "gadugi/a:work.txt"]), "work", "{}", run.err);
    assert!(!harness.worktrees().join("a").exists());
    harness.assert_sound();
}

#[test]
fn locks_that_a_killed_git_has_left_in_the_repository_are_named_with_what_removes_them() {
    let harness = Harness::new();
    let lock = harness.repo.path().join(".git/packed-refs.lock");
    let old = harness.repo.path().join(".git/shallow.lock");
    std::fs::write(&old, "").expect("a lock");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let file = harness.script("a", &format!(": > '{}'", lock.display()));
    let run = harness.gadugi(&["run", &file]).expect(0);
    let remedy = format!("`rm '{}'`", lock.display());
    run.says(&[&remedy]);
    let report = harness.report()["warnings"].to_string();
    assert!(report.contains(&remedy), "{report}");
    assert!(!report.contains("shallow.lock"), "that was there before");
    assert!(lock.exists() && old.exists(), "nobody knows whose they are");
}

#[test]
fn a_user_who_tidies_up_all_the_time_loses_nothing_of_a_run() {
    tidy_beside(1);
}

fn tidy_beside(rounds: usize) {
    for _ in 0..rounds {
        let harness = Harness::new();
        let tasks: Vec<String> =
            (0..12).map(|n| harness.script(&format!("t{n}"), &format!("echo {n} > {n}.txt"))).collect();
        let args: Vec<&str> = ["run", "-j4"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
        let mut run = Going::start(harness.command(&args));
        // The first is refused while the run goes on, the others are not. None of them has to succeed.
        let tidying = ["gc -q --prune=now", "worktree prune --expire=now", "repack -adq", "pack-refs --all"];
        while !run.has_ended() {
            for command in tidying {
                harness.repo.try_git_in(harness.repo.path(), &command.split(' ').collect::<Vec<_>>());
            }
        }
        run.end().expect(0);
        for n in 0..12 {
            assert_eq!(harness.repo.git(&["show", &format!("gadugi/t{n}:{n}.txt")]), n.to_string());
        }
        harness.repo.git(&["gc", "-q", "--prune=now"]);
        harness.assert_sound();
    }
}

mod heavy {
    #[test]
    #[ignore = "heavy: fifty runs beside a git that tidies up"]
    fn a_user_who_tidies_up_all_the_time_loses_nothing_of_many_runs() {
        super::tidy_beside(50);
    }
}
