//! Files of the user's, and a setup, in a worktree before its task starts.

use serde_json::{Value, json};

use crate::harness::{Going, Harness};
use crate::waiting::{gated_with, killed, open, pid};

/// A repository that ignores some, with this configuration.
fn harness(config: &str) -> Harness {
    let harness = Harness::new();
    harness.repo.write(".gitignore", "deps/\n.env\n");
    harness.repo.write("gadugi.toml", format!("executor = \"subprocess\"\n{config}"));
    harness.repo.git(&["add", "."]);
    harness.repo.git(&["commit", "-q", "-m", "Settings"]);
    harness
}

fn only_task(harness: &Harness) -> Value {
    harness.report()["tasks"][0].clone()
}

#[test]
fn a_setup_prepares_the_worktree_and_its_output_comes_before_that_of_the_task() {
    let harness = harness("setup = [\"mkdir deps\", \"echo \\\"for $COLOUR\\\" | tee deps/made\"]\n");
    let file =
        harness.task("a.md", "---\nenv: {COLOUR: blue}\nrun: cat deps/made deps/made\ncheck: echo checked\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(0).says(&["setting up", "started", "checking", ", setup "]);
    assert!(answer.out.contains("The setup:") && answer.out.contains("Setup: "), "{}", answer.out);
    assert_eq!(harness.gadugi(&["logs", "a"]).expect(0).out, "for blue\nfor blue\nfor blue\nchecked\n");
    assert_eq!(harness.gadugi(&["logs", "a", "-n", "4"]).expect(0).out, "for blue\nfor blue\nfor blue\nchecked\n");
    assert_eq!(harness.gadugi(&["logs", "a", "-n", "2"]).expect(0).out, "for blue\nchecked\n");
    let commands = only_task(&harness)["attempts"][0]["commands"].clone();
    let phases: Vec<&Value> = commands.as_array().expect("commands").iter().map(|command| &command["phase"]).collect();
    assert_eq!(phases, ["setup", "main", "check"]);
    assert!(harness.report()["performance"]["setup_seconds_sum"].is_number());
    harness.assert_sound();
}

#[test]
fn a_setup_that_fails_is_told_apart_from_a_task_that_does() {
    let harness = harness("setup = \"echo no network; exit 7\"\nretries = 1\nretry_delay = \"0s\"\n");
    let file = harness.task("a.md", "---\nrun: touch ran\n---\n");
    let other = harness.task("b.md", "---\nsetup: \"\"\nrun: 'true'\n---\n");
    let answer = harness.gadugi(&["run", &file, &other]).expect(1).says(&["failed (setup: exit code 7), setup "]);
    assert!(answer.out.contains("failed (setup: exit code 7)"), "{}", answer.out);
    let task = only_task(&harness);
    assert_eq!(task["outcome"]["failure"], json!({ "kind": "setup", "status": { "kind": "code", "code": 7 } }));
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(harness.gadugi(&["logs", "a"]).expect(0).out, "no network\n");
    assert!(!harness.worktrees().join("a/ran").exists());
    assert_eq!(harness.outcomes()["b"], "succeeded");
    let junit = harness.gadugi(&["report", "--format", "junit"]).expect(0).out;
    assert!(junit.contains("<error ") && !junit.contains("<failure "), "{junit}");
}

#[test]
fn a_setup_that_takes_too_long_is_out_of_its_own_time() {
    let harness = harness("setup_timeout = \"300ms\"\ngrace = \"0s\"\n");
    let file = harness.task("a.md", "---\nsetup: sleep 600\ntimeout: 1h\nrun: 'true'\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(1).says(&["timed out (setup)"]);
    assert!(answer.out.contains("timed out (setup)"), "{}", answer.out);
    assert_eq!(only_task(&harness)["outcome"]["clock"], "setup");
}

#[test]
fn a_run_whose_driver_is_killed_during_a_setup_goes_on_with_it() {
    let harness = harness("");
    let root = harness.repo.root().display().to_string();
    let setup = format!("echo $$ > '{root}/pid-a'; while [ ! -e '{root}/gate-a' ]; do sleep 0.02; done; mkdir deps");
    let file = harness.task("a.md", format!("---\nsetup: |\n  {setup}\nrun: test -d deps\n---\n"));
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("running (setup)"), "{ps}");
    let resume = Going::start(harness.command(&["resume"]));
    open(&harness, "a");
    resume.end().expect(0);
    let commands = only_task(&harness)["attempts"][0]["commands"].clone();
    assert_eq!(commands.as_array().map(Vec::len), Some(2), "{commands}");
    harness.assert_sound();
}

#[test]
fn a_task_that_is_stopped_during_its_setup_is_cancelled() {
    let harness = harness("");
    let root = harness.repo.root().display().to_string();
    let setup = format!("trap 'exit 0' TERM; echo $$ > '{root}/pid-a'; while :; do sleep 0.02; done");
    let file = harness.task("a.md", format!("---\nsetup: \"{setup}\"\nrun: touch ran\n---\n"));
    let run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    harness.gadugi(&["stop"]).expect(0);
    run.end().expect(130);
    assert_eq!(harness.outcomes()["a"], "cancelled");
    assert!(!harness.worktrees().join("a/ran").exists());
}

#[test]
fn files_that_git_ignores_are_copied_into_worktrees_and_the_plan_says_how_many() {
    let harness = harness("seed = [\".env\"]\n");
    harness.repo.write(".env", "COLOUR=blue\n");
    harness.repo.write(".worktreeinclude", "/deps/\nnew.txt\n");
    harness.repo.write("deps/a/one", "1");
    harness.repo.write("deps/b/two", "22");
    harness.repo.write("new.txt", "not ignored");
    let file = harness.task("a.md", "---\nsetup: make\nrun: cat .env deps/b/two\n---\n");
    let plan = harness.gadugi(&["plan", &file]).expect(0).says(&["warning: ", "new.txt"]);
    assert!(plan.out.contains("seed: 3 files (15 bytes) into each worktree\n"), "{}", plan.out);
    assert!(plan.out.contains("setup: make (at most 10m00s)\n"), "{}", plan.out);
    let file = harness.task("a.md", "---\nrun: cat .env deps/b/two\n---\n");
    let answer = harness.gadugi(&["run", "-v", "--keep", "always", &file]).expect(0);
    assert!(answer.out.contains("Seeded: 3 files of 15 bytes") && answer.out.contains("new.txt"), "{}", answer.out);
    let answer = answer.says(&[", seeded with 3 files (15 bytes)", "since git would commit it there: new.txt"]);
    assert!(!answer.err.contains("copying"), "{}", answer.err);
    assert_eq!(harness.gadugi(&["logs", "a"]).expect(0).out, "COLOUR=blue\n22\n");
    assert!(harness.worktrees().join("a/deps/a/one").is_file());
    assert_eq!(harness.repo.git(&["ls-tree", "-r", "--name-only", "gadugi/a"]), ".gitignore\nREADME.md\ngadugi.toml");
    let doctor = harness.gadugi(&["doctor"]).expect(0);
    assert!(doctor.out.contains("seeding"), "{}", doctor.out);
    harness.assert_sound();
}

#[test]
fn copying_much_is_said_when_it_begins() {
    let harness = harness("seed = [\"deps/\"]\njobs = 2\n");
    let huge = std::fs::create_dir(harness.repo.path().join("deps"))
        .and_then(|()| std::fs::File::create(harness.repo.path().join("deps/huge")))
        .expect("a file");
    huge.set_len(200 << 20).expect("a file that is one hole");
    let files = ["a", "b"].map(|name| harness.script(name, "test -s deps/huge"));
    harness
        .gadugi(&["run", &files[0], &files[1]])
        .expect(0)
        .says(&["copying 1 file (200.0 MiB) into each of 2 new worktrees"]);
}

#[test]
fn a_setup_may_be_followed_by_a_task_that_outlives_its_driver() {
    let harness = harness("setup = \"mkdir deps\"\n");
    let file = gated_with(&harness, "a", "", "test -d deps");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    let resume = Going::start(harness.command(&["resume"]));
    open(&harness, "a");
    resume.end().expect(0);
    assert_eq!(harness.outcomes()["a"], "succeeded");
}
