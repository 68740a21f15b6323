//! `gadugi show`: how a task stands, on one screen.

use std::path::Path;

use gadugi_fakeagent::Installed;
use serde_json::Value;

use crate::harness::{Answer, Harness};

fn show(harness: &Harness, args: &[&str]) -> String {
    harness.gadugi(&[&["show"], args].concat()).expect(0).out
}

/// The lines of a part of the screen, without its label.
fn part(screen: &str, label: &str) -> Vec<String> {
    let mut lines = screen.lines().skip_while(|line| !line.starts_with(&format!("{label:10}")));
    let first = lines.next().unwrap_or_else(|| panic!("no part {label} in\n{screen}"));
    let rest = lines.take_while(|line| line.starts_with(&" ".repeat(10)));
    std::iter::once(first).chain(rest).map(|line| line[10..].to_owned()).collect()
}

#[test]
fn a_task_that_succeeded_is_shown_with_its_commits_files_and_what_comes_next() {
    let harness = Harness::new();
    let commit = "git add . && git -c user.name=T -c user.email=t@example.com commit -qm";
    let script =
        format!("seq 3 > one; {commit} 'First step'\nseq 2 > two; printf 'a\\000' > data; echo working\necho done");
    let task =
        harness.task("fix.md", format!("---\nrun: |\n  {}\n---\n# Fix the login bug\n", script.replace('\n', "\n  ")));
    harness.gadugi(&["run", &task]).expect(0);
    let screen = show(&harness, &["fix"]);
    assert!(screen.starts_with("fix: Fix the login bug\n") && screen.lines().count() < 24, "{screen}");
    let run = harness.latest_run();
    let run = run.file_name().expect("a name").to_string_lossy();
    let state = &part(&screen, "state")[0];
    assert!(
        state.starts_with("succeeded, ") && state.ends_with(&format!("attempt 1, subprocess, run {run}")),
        "{state}"
    );
    let branch = part(&screen, "branch");
    let base = harness.repo.git(&["rev-parse", "main"]);
    assert_eq!(branch[0], format!("gadugi/fix, 2 commits since {}", &base[..8]));
    assert!(branch[1].ends_with(" Fix the login bug") && branch[2].ends_with(" First step"), "{branch:?}");
    let files = part(&screen, "files");
    assert_eq!(files, ["3 files changed, +5 -0", "binary  data", "+3 -0   one", "+2 -0   two"]);
    assert_eq!(part(&screen, "output"), ["working", "done"]);
    assert_eq!(part(&screen, "worktree"), ["removed; everything is on the branch"]);
    assert!(Path::new(&part(&screen, "log")[0]).is_file());
    assert_eq!(part(&screen, "next"), ["gadugi diff fix".to_owned(), format!("gadugi merge {run} fix")]);
    let json: Value = serde_json::from_str(&show(&harness, &["fix", "--json"])).expect("JSON");
    assert_eq!((&json["schema"], &json["outcome"]), (&"gadugi.show/1".into(), &"succeeded".into()));
    assert_eq!(json["work"]["commits"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["work"]["files"][1], serde_json::json!({"path": "one", "added": 3, "removed": 0}));
}

#[test]
fn a_task_that_failed_is_shown_with_its_error_and_its_kept_worktree() {
    let harness = Harness::new();
    let task = harness.script("fix", "echo new > new\nseq 9\necho 'error: no such user' >&2\nexit 3");
    let after = harness.task("after.md", "---\nrun: true\nneeds: [fix]\n---\n");
    harness.gadugi(&["run", &task, &after]).expect(1);
    let screen = show(&harness, &["fix"]);
    assert!(part(&screen, "state")[0].starts_with("failed (exit code 3), "), "{screen}");
    assert_eq!(part(&screen, "why"), ["error: no such user"]);
    assert_eq!(part(&screen, "note"), ["1 file of it not committed yet"]);
    assert_eq!(part(&screen, "output"), ["7", "8", "9", "error: no such user"]);
    assert_eq!(part(&screen, "worktree"), [harness.worktrees().join("fix").display().to_string()]);
    let next = part(&screen, "next");
    assert!(next[0] == "gadugi logs fix" && next[1].starts_with("gadugi retry "), "{next:?}");
    let skipped = show(&harness, &["after"]);
    assert!(part(&skipped, "state")[0].starts_with("skipped"), "{skipped}");
    assert!(!skipped.contains("branch") && !skipped.contains("log  "), "{skipped}");
    harness.gadugi(&["show", "nobody"]).expect(2).says(&["has no task `nobody`"]);
}

#[test]
fn the_last_words_and_the_cost_of_an_agent_are_shown_in_place_of_its_events() {
    let harness = Harness::new();
    let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
    let agents = Installed::new(program, &harness.repo.root().join("agents")).expect("they are installed");
    let text =
        "---\nagent: claude\n---\n# By claude\nfake: run echo 1 > made\nfake: cost 0.25\nfake: say The login works.\n";
    let mut command = harness.command(&["run", "--executor", "subprocess", &harness.task("fix.md", text)]);
    command.env("PATH", agents.search_path().expect("a path"));
    Answer::from(command.output().expect("gadugi starts")).expect(0);
    let screen = show(&harness, &["fix"]);
    assert_eq!(part(&screen, "agent"), ["The login works."]);
    assert!(part(&screen, "state")[0].contains("$0.25"), "{screen}");
    assert!(!screen.contains("{\"") && !screen.lines().any(|line| line.starts_with("output")), "{screen}");
}

#[test]
fn nothing_that_a_task_says_controls_the_terminal_or_makes_a_line_of_its_own() {
    let harness = Harness::new();
    let script = "printf 'a\\033[2Jb\\033]0;x\\007\\n'\nprintf 'x' > \"$(printf 'a\\nstate     fine')\"";
    let task = harness
        .task("fix.md", format!("---\ntitle: \"Fix \\e[31m it\"\nrun: |\n  {}\n---\n", script.replace('\n', "\n  ")));
    harness.gadugi(&["run", &task]).expect(0);
    let screen = show(&harness, &["fix"]);
    assert!(!screen.contains(['\u{1b}', '\u{7}']), "{screen:?}");
    assert_eq!(screen.lines().filter(|line| line.starts_with("state ")).count(), 1, "{screen}");
    assert_eq!(part(&screen, "output"), ["ab"]);
}
