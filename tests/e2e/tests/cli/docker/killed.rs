//! Kills of gadugi while its tasks run in containers, and their resumption.

use std::collections::BTreeMap;

use super::dock::Dock;
use crate::harness::{Answer, Going};

#[test]
fn a_killed_gadugi_leaves_containers_that_resume_takes_over_with_their_true_ends() {
    let Some(dock) = Dock::new() else { return };
    let files = [
        dock.gated("good", "check: test -e made.txt\n", "echo made > made.txt\ngit add .\ngit commit -q -m Made"),
        dock.gated("bad", "", "git add starts.txt\ngit commit -q -m Half\nexit 7"),
    ];
    dock.killed(Going::start(dock.command(&["run", &files[0], &files[1]])), &["good", "bad"]);
    assert_eq!(dock.containers().len(), 2, "they go on");
    let ps = dock.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("nobody drives it") && ps.contains("gadugi resume"), "{ps}");
    for container in dock.containers() {
        assert!(ps.contains(&format!("container {container}")), "{container} is not in\n{ps}");
    }
    // One ends while nobody is there, one when somebody is there again.
    dock.open("bad");
    super::dock::until("bad ends", || {
        dock.docker.run(&["ps", "-q", "--filter", "label=gadugi.task=bad", "--filter", "status=running"]).is_empty()
    });
    let mut resume = Going::start(dock.command(&["resume"]));
    resume.until("the process that drove the run ended");
    dock.open("good");
    resume.end().expect(1);
    let report = dock.report();
    let task = |id: &str| {
        let tasks = report["tasks"].as_array().expect("tasks").iter();
        tasks.clone().find(|task| task["id"] == id).expect("the task").clone()
    };
    assert_eq!(task("good")["outcome"]["kind"], "succeeded");
    assert_eq!(task("bad")["outcome"]["failure"], serde_json::json!({ "kind": "exit_code", "code": 7 }));
    for name in ["good", "bad"] {
        assert_eq!(task(name)["attempts"].as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(dock.starts(name), 1, "{name}");
        assert_eq!(dock.repo.git(&["rev-list", "--count", &format!("main..gadugi/{name}")]), "1", "{name}");
    }
    dock.assert_clean();
}

/// Kills gadugi at a point of a run, and of its resumptions, resumes the run, and compares all that is left with what an undisturbed one leaves.
fn assert_undisturbed_after(points: &[&str], undisturbed: &BTreeMap<String, String>) {
    let Some(dock) = Dock::new() else { return };
    let [good, bad] = tasks(&dock);
    let before = dock.repo.fingerprint();
    let mut command = dock.command(&["run", "-j1", &good, &bad]);
    // The first in the run, and each further one in the resumption of what the one before has left.
    for point in points {
        let killed = command.env("GADUGI_CRASH_AT", point).output().expect("it starts");
        assert_eq!(killed.status.code(), None, "{point} is not come to: {}", String::from_utf8_lossy(&killed.stderr));
        command = dock.command(&["resume"]);
    }
    dock.gadugi(&["resume"]).expect(1);
    let point = points.join(", ");
    assert_eq!(&left(&dock), undisturbed, "after a kill at {point}");
    assert_eq!(dock.repo.fingerprint(), before, "after a kill at {point}");
    dock.assert_clean();
}

/// A task with all kinds of work to import, and one that fails.
fn tasks(dock: &Dock) -> [String; 2] {
    let script = "echo one > one.txt\ngit add .\ngit commit -q -m One\n\
        git checkout -q -b side\ngit commit -q --allow-empty -m Side\ngit checkout -q gadugi/good\n\
        echo two > two.txt\necho said";
    [dock.signed("good", "check: test -e two.txt\n", script), dock.signed("bad", "", "exit 7")]
}

/// The remains of a run: references with their trees and messages, outcomes, worktrees, private git folders, logs.
fn left(dock: &Dock) -> BTreeMap<String, String> {
    let report = dock.report();
    let run = report["run"].as_str().expect("a run").to_owned();
    let mut left = BTreeMap::new();
    for name in dock.repo.git(&["for-each-ref", "--format=%(refname)"]).lines() {
        let commits = dock.repo.git(&["log", "--format=%T %s %(trailers:key=Gadugi-Task,separator=%x2C)", name]);
        left.insert(name.replace(&run, "RUN"), commits);
    }
    for task in report["tasks"].as_array().expect("tasks") {
        let id = task["id"].as_str().expect("an id");
        let attempts = task["attempts"].as_array().expect("attempts");
        let ends: Vec<_> =
            attempts.iter().flat_map(|attempt| attempt["commands"].as_array().expect("commands")).collect();
        let ends: Vec<_> = ends.iter().map(|end| format!("{} {}", end["phase"], end["end"]["status"])).collect();
        left.insert(format!("outcome of {id}"), format!("{} {} {ends:?}", task["outcome"], attempts.len()));
        left.insert(format!("starts of {id}"), dock.starts(id).to_string());
        left.insert(format!("log of {id}"), dock.gadugi(&["logs", "--raw", id]).expect(0).out);
    }
    left.insert("worktrees".to_owned(), dock.repo.git(&["worktree", "list"]).lines().count().to_string());
    let private = dock.repo.path().join(".git/gadugi/git").join(&run);
    let private = std::fs::read_dir(private).into_iter().flatten().flatten().map(|entry| entry.file_name());
    left.insert("private git folders".to_owned(), format!("{:?}", private.collect::<Vec<_>>()));
    left
}

fn undisturbed() -> Option<BTreeMap<String, String>> {
    let dock = Dock::new()?;
    let [good, bad] = tasks(&dock);
    dock.gadugi(&["run", "-j1", &good, &bad]).expect(1);
    dock.assert_clean();
    let left = left(&dock);
    assert_eq!(left["refs/heads/gadugi/good"].lines().count(), 3, "{left:?}");
    assert!(left.contains_key("refs/gadugi/kept/RUN/good/1/side"), "{left:?}");
    assert!(left["outcome of bad"].contains("\"code\":7"), "{left:?}");
    Some(left)
}

#[test]
fn a_kill_while_a_container_is_started_or_its_commits_are_taken_over_changes_nothing_in_the_end() {
    let Some(undisturbed) = undisturbed() else { return };
    for point in ["container-noted", "import-others-kept"] {
        assert_undisturbed_after(&[point], &undisturbed);
    }
}

#[test]
fn a_kill_before_a_container_has_its_secrets_is_not_a_failure_of_the_task() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.signed("a", "secrets: [TOKEN]\n", "echo \"$TOKEN\" | wc -c > length.txt");
    let mut run = dock.command(&["run", &file]);
    let run = run.env("TOKEN", "12345").env("GADUGI_CRASH_AT", "container-started").output().expect("it starts");
    assert_eq!(run.status.code(), None, "{}", String::from_utf8_lossy(&run.stderr));
    dock.gadugi(&["resume"]).expect(2).says(&["TOKEN"]);
    let resumed: Answer = dock.command(&["resume"]).env("TOKEN", "12345").output().expect("it starts").into();
    resumed.expect(0);
    assert_eq!(dock.repo.git(&["show", "gadugi/a:length.txt"]), "6");
    assert_eq!(dock.starts("a"), 1);
    dock.assert_clean();
}

#[test]
fn a_second_kill_while_a_container_that_was_not_started_is_removed_changes_nothing_in_the_end() {
    let Some(undisturbed) = undisturbed() else { return };
    for second in ["container-unbegun", "container-unbegun-removed"] {
        assert_undisturbed_after(&["container-noted", second], &undisturbed);
    }
}

#[test]
fn a_kill_while_a_container_that_waits_for_secrets_is_removed_is_not_a_failure_of_the_task() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.signed("a", "secrets: [TOKEN]\n", "echo \"$TOKEN\" | wc -c > length.txt");
    let mut command = dock.command(&["run", &file]);
    for point in ["container-started", "container-unbegun", "container-started", "container-unbegun-removed"] {
        let killed = command.env("TOKEN", "12345").env("GADUGI_CRASH_AT", point).output().expect("it starts");
        assert_eq!(killed.status.code(), None, "{point}: {}", String::from_utf8_lossy(&killed.stderr));
        command = dock.command(&["resume"]);
    }
    let resumed: Answer = command.env("TOKEN", "12345").output().expect("it starts").into();
    resumed.expect(0);
    assert_eq!(dock.starts("a"), 1);
    dock.assert_clean();
}

mod heavy {
    use super::*;

    /// All points that only tasks in containers come to, and those around them.
    const POINTS: [&str; 17] = [
        "worktree-ready",
        "isolation-half-made",
        "worktree-isolated",
        "container-created",
        "container-noted",
        "container-started",
        "command-started",
        "start-recorded",
        "container-ended",
        "container-end-kept",
        "container-removed",
        "import-quarantined",
        "import-objects-taken",
        "import-others-kept",
        "import-branch-moved",
        "work-imported",
        "snapshot-committed",
    ];

    #[test]
    #[ignore = "heavy: kills some 40 runs in containers"]
    fn a_kill_at_any_point_changes_nothing_in_the_end() {
        let Some(undisturbed) = undisturbed() else { return };
        for point in POINTS {
            assert_undisturbed_after(&[point], &undisturbed);
        }
        // Of the check, and of the other task.
        for point in
            ["container-created", "container-noted", "container-started", "container-ended", "container-end-kept"]
        {
            for time in [2, 3] {
                assert_undisturbed_after(&[&format!("{point}:{time}")], &undisturbed);
            }
        }
    }

    #[test]
    #[ignore = "heavy: kills ten runs in containers"]
    fn a_run_in_containers_can_be_killed_again_and_again() {
        let Some(undisturbed) = undisturbed() else { return };
        let Some(dock) = Dock::new() else { return };
        let [good, bad] = tasks(&dock);
        let mut command = dock.command(&["run", "-j1", &good, &bad]);
        for point in POINTS {
            command.env("GADUGI_CRASH_AT", point).output().expect("it starts");
            command = dock.command(&["resume"]);
        }
        dock.gadugi(&["resume"]).expect(1);
        assert_eq!(left(&dock), undisturbed);
        dock.assert_clean();
    }
}
