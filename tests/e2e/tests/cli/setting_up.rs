//! What a worktree gets before its task begins: files of the user's, and a setup.

use serde_json::{Value, json};

use crate::stand::{Going, Stand};
use crate::waiting::{gated_with, killed, open, pid};

/// A repository that ignores some, with this configuration.
fn stand(config: &str) -> Stand {
    let stand = Stand::new();
    stand.repo.write(".gitignore", "deps/\n.env\n");
    stand.repo.write("gadugi.toml", format!("executor = \"subprocess\"\n{config}"));
    stand.repo.git(&["add", "."]);
    stand.repo.git(&["commit", "-q", "-m", "Settings"]);
    stand
}

fn only_task(stand: &Stand) -> Value {
    stand.report()["tasks"][0].clone()
}

#[test]
fn a_setup_prepares_the_worktree_and_its_output_comes_before_that_of_the_task() {
    let stand = stand("setup = [\"mkdir deps\", \"echo \\\"for $COLOUR\\\" | tee deps/made\"]\n");
    let file = stand.task("a.md", "---\nenv: {COLOUR: blue}\nrun: cat deps/made deps/made\ncheck: echo checked\n---\n");
    let answer = stand.gadugi(&["run", &file]).expect(0).says(&["setting up", "started", "checking", ", setup "]);
    assert!(answer.out.contains("The setup:") && answer.out.contains("Setup: "), "{}", answer.out);
    assert_eq!(stand.gadugi(&["logs", "a"]).expect(0).out, "for blue\nfor blue\nfor blue\nchecked\n");
    assert_eq!(stand.gadugi(&["logs", "a", "-n", "4"]).expect(0).out, "for blue\nfor blue\nfor blue\nchecked\n");
    assert_eq!(stand.gadugi(&["logs", "a", "-n", "2"]).expect(0).out, "for blue\nchecked\n");
    let commands = only_task(&stand)["attempts"][0]["commands"].clone();
    let phases: Vec<&Value> = commands.as_array().expect("commands").iter().map(|command| &command["phase"]).collect();
    assert_eq!(phases, ["setup", "main", "check"]);
    assert!(stand.report()["performance"]["setup_seconds_sum"].is_number());
    stand.assert_sound();
}

#[test]
fn a_setup_that_fails_is_told_apart_from_a_task_that_does() {
    let stand = stand("setup = \"echo no network; exit 7\"\nretries = 1\nretry_delay = \"0s\"\n");
    let file = stand.task("a.md", "---\nrun: touch ran\n---\n");
    let other = stand.task("b.md", "---\nsetup: \"\"\nrun: 'true'\n---\n");
    let answer = stand.gadugi(&["run", &file, &other]).expect(1).says(&["failed (setup: exit code 7), setup "]);
    assert!(answer.out.contains("failed (setup: exit code 7)"), "{}", answer.out);
    let task = only_task(&stand);
    assert_eq!(task["outcome"]["failure"], json!({ "kind": "setup", "status": { "kind": "code", "code": 7 } }));
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(stand.gadugi(&["logs", "a"]).expect(0).out, "no network\n");
    assert!(!stand.worktrees().join("a/ran").exists());
    assert_eq!(stand.outcomes()["b"], "succeeded");
    let junit = stand.gadugi(&["report", "--format", "junit"]).expect(0).out;
    assert!(junit.contains("<error ") && !junit.contains("<failure "), "{junit}");
}

#[test]
fn a_setup_that_takes_too_long_is_out_of_its_own_time() {
    let stand = stand("setup_timeout = \"300ms\"\ngrace = \"0s\"\n");
    let file = stand.task("a.md", "---\nsetup: sleep 600\ntimeout: 1h\nrun: 'true'\n---\n");
    let answer = stand.gadugi(&["run", &file]).expect(1).says(&["timed out (setup)"]);
    assert!(answer.out.contains("timed out (setup)"), "{}", answer.out);
    assert_eq!(only_task(&stand)["outcome"]["clock"], "setup");
}

#[test]
fn a_run_whose_driver_is_killed_during_a_setup_goes_on_with_it() {
    let stand = stand("");
    let root = stand.repo.root().display().to_string();
    let setup = format!("echo $$ > '{root}/pid-a'; while [ ! -e '{root}/gate-a' ]; do sleep 0.02; done; mkdir deps");
    let file = stand.task("a.md", format!("---\nsetup: |\n  {setup}\nrun: test -d deps\n---\n"));
    killed(&stand, Going::start(stand.command(&["run", &file])), &["a"]);
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("running (setup)"), "{ps}");
    let resume = Going::start(stand.command(&["resume"]));
    open(&stand, "a");
    resume.end().expect(0);
    let commands = only_task(&stand)["attempts"][0]["commands"].clone();
    assert_eq!(commands.as_array().map(Vec::len), Some(2), "{commands}");
    stand.assert_sound();
}

#[test]
fn a_task_that_is_stopped_during_its_setup_is_cancelled() {
    let stand = stand("");
    let root = stand.repo.root().display().to_string();
    let setup = format!("trap 'exit 0' TERM; echo $$ > '{root}/pid-a'; while :; do sleep 0.02; done");
    let file = stand.task("a.md", format!("---\nsetup: \"{setup}\"\nrun: touch ran\n---\n"));
    let run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    stand.gadugi(&["stop"]).expect(0);
    run.end().expect(130);
    assert_eq!(stand.outcomes()["a"], "cancelled");
    assert!(!stand.worktrees().join("a/ran").exists());
}

#[test]
fn files_that_git_ignores_are_copied_into_worktrees_and_the_plan_says_how_many() {
    let stand = stand("seed = [\".env\"]\n");
    stand.repo.write(".env", "COLOUR=blue\n");
    stand.repo.write(".worktreeinclude", "/deps/\nnew.txt\n");
    stand.repo.write("deps/a/one", "1");
    stand.repo.write("deps/b/two", "22");
    stand.repo.write("new.txt", "not ignored");
    let file = stand.task("a.md", "---\nsetup: make\nrun: cat .env deps/b/two\n---\n");
    let plan = stand.gadugi(&["plan", &file]).expect(0).says(&["warning: ", "new.txt"]);
    assert!(plan.out.contains("seed: 3 files (15 bytes) into each worktree\n"), "{}", plan.out);
    assert!(plan.out.contains("setup: make (at most 10m00s)\n"), "{}", plan.out);
    let file = stand.task("a.md", "---\nrun: cat .env deps/b/two\n---\n");
    let answer = stand.gadugi(&["run", "-v", "--keep", "always", &file]).expect(0);
    assert!(answer.out.contains("Seeded: 3 files of 15 bytes") && answer.out.contains("new.txt"), "{}", answer.out);
    let answer = answer.says(&[", seeded with 3 files (15 bytes)", "since git would commit it there: new.txt"]);
    assert!(!answer.err.contains("copying"), "{}", answer.err);
    assert_eq!(stand.gadugi(&["logs", "a"]).expect(0).out, "COLOUR=blue\n22\n");
    assert!(stand.worktrees().join("a/deps/a/one").is_file());
    assert_eq!(stand.repo.git(&["ls-tree", "-r", "--name-only", "gadugi/a"]), ".gitignore\nREADME.md\ngadugi.toml");
    let doctor = stand.gadugi(&["doctor"]).expect(0);
    assert!(doctor.out.contains("seeding"), "{}", doctor.out);
    stand.assert_sound();
}

#[test]
fn copying_much_is_said_when_it_begins() {
    let stand = stand("seed = [\"deps/\"]\njobs = 2\n");
    let huge = std::fs::create_dir(stand.repo.path().join("deps"))
        .and_then(|()| std::fs::File::create(stand.repo.path().join("deps/huge")))
        .expect("a file");
    huge.set_len(200 << 20).expect("a file that is one hole");
    let files = ["a", "b"].map(|name| stand.script(name, "test -s deps/huge"));
    stand
        .gadugi(&["run", &files[0], &files[1]])
        .expect(0)
        .says(&["copying 1 file (200.0 MiB) into each of 2 new worktrees"]);
}

#[test]
fn a_setup_may_be_followed_by_a_task_that_outlives_its_driver() {
    let stand = stand("setup = \"mkdir deps\"\n");
    let file = gated_with(&stand, "a", "", "test -d deps");
    killed(&stand, Going::start(stand.command(&["run", &file])), &["a"]);
    let resume = Going::start(stand.command(&["resume"]));
    open(&stand, "a");
    resume.end().expect(0);
    assert_eq!(stand.outcomes()["a"], "succeeded");
}
