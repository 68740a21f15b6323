//! Traces of a run, with `-vv` and by `GADUGI_LOG`.

use crate::harness::{Answer, Harness};

#[test]
fn with_vv_a_run_prints_its_run_tasks_attempts_and_phases_beside_the_result() {
    let harness = Harness::new();
    let file = harness.script("greet", "echo hello; echo more > more.txt");
    let answer = harness.gadugi(&["-vv", "run", "--executor", "subprocess", &file]).expect(0);
    let run = harness.latest_run().file_name().expect("a name").to_string_lossy().into_owned();
    let answer = answer.says(&["gadugi_core", "gadugi_cli", "DEBUG", "executor chosen"]);
    let line = |words: [&str; 4]| answer.err.lines().any(|line| words.iter().all(|word| line.contains(word)));
    let (run, task, attempt) = (format!("run{{id={run}}}"), "task{id=greet}", "attempt{number=1}");
    assert!(line([&run, task, attempt, "phase{name=\"main\"}"]), "{}", answer.err);
    assert!(line([&run, task, attempt, "worktree snapshotted"]), "{}", answer.err);
    // The result is the report alone.
    assert!(!answer.out.contains("DEBUG") && answer.out.starts_with('#'), "{}", answer.out);
    assert!(!answer.err.contains('\u{1b}'), "there is no terminal: {}", answer.err);
}

#[test]
fn the_variable_filters_the_traces_and_is_heard_without_a_flag() {
    let harness = Harness::new();
    let file = harness.script("greet", "echo hello");
    let run = |flags: &[&str], filter: &str| -> Answer {
        let args = [flags, &["run", "--executor", "subprocess", &file]].concat();
        harness.command(&args).env("GADUGI_LOG", filter).output().expect("gadugi starts").into()
    };
    let silent = run(&["-vv"], "off").expect(0);
    assert!(!silent.err.contains("gadugi_"), "{}", silent.err);
    let own = run(&[], "gadugi_cli=debug").expect(0).says(&["gadugi_cli", "run created"]);
    assert!(!own.err.contains(" gadugi_core"), "{}", own.err);
    let usual = run(&["-v"], "").expect(0);
    assert!(!usual.err.contains("DEBUG"), "{}", usual.err);
}

#[test]
fn a_filter_that_is_none_is_refused_before_anything_starts() {
    let harness = Harness::new();
    let file = harness.script("greet", "echo hello");
    let answer: Answer =
        harness.command(&["run", &file]).env("GADUGI_LOG", "gadugi_core=loud").output().expect("gadugi starts").into();
    let answer = answer.expect(2).says(&["GADUGI_LOG", "gadugi_core=loud", "hint: write for example GADUGI_LOG="]);
    assert_eq!(answer.err.lines().count(), 2, "{}", answer.err);
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
}
