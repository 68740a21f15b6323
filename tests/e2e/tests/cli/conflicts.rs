//! Which branches of a run merge with each other: `gadugi conflicts`, and what a run says about it while it goes on.

use serde_json::Value;

use crate::harness::{Going, Harness};
use crate::waiting::{gate, killed, open, pid};

/// The forecast for the latest run, as JSON.
fn forecast(harness: &Harness, args: &[&str]) -> Value {
    let answer = harness.gadugi(&[&["conflicts", "--json"], args].concat()).expect(0);
    serde_json::from_str(&answer.out).expect("a forecast in JSON")
}

/// The verdict on two tasks, with the files.
fn verdict(forecast: &Value, one: &str, other: &str) -> (String, Vec<String>) {
    let mut pairs = forecast["pairs"].as_array().expect("pairs").iter();
    let pair = pairs.find(|pair| pair["tasks"] == serde_json::json!([one, other])).expect("the pair");
    words(pair)
}

/// The verdict on a task and the target, with the files.
fn with_target(forecast: &Value, task: &str) -> (String, Vec<String>) {
    let mut tasks = forecast["tasks"].as_array().expect("tasks").iter();
    words(&tasks.find(|one| one["id"] == task).expect("the task")["with_target"])
}

fn words(verdict: &Value) -> (String, Vec<String>) {
    let files = verdict["files"].as_array().into_iter().flatten();
    let files = files.map(|file| file.as_str().expect("a path").to_owned()).collect();
    (verdict["verdict"].as_str().expect("a verdict").to_owned(), files)
}

fn merges() -> (String, Vec<String>) {
    ("merges_as_text".to_owned(), Vec::new())
}

fn conflict(files: &[&str]) -> (String, Vec<String>) {
    ("conflict".to_owned(), files.iter().map(|file| (*file).to_owned()).collect())
}

/// The lines of the latest run's journal of this kind.
fn events(harness: &Harness, kind: &str) -> Vec<Value> {
    let journal = std::fs::read_to_string(harness.latest_run().join("journal.jsonl")).expect("a journal");
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.filter(|event| event["kind"] == kind).collect()
}

/// Runs `a` and `b`, which write the same file, `c`, which adds another one, `lost`, which fails, and `idle`, which does nothing.
fn five_tasks(harness: &Harness) {
    let tasks = [
        harness.script("a", "echo of a >> README.md; mkdir src; echo a > src/both"),
        harness.script("b", "echo of b >> README.md; mkdir src; echo b > src/both"),
        harness.script("c", "echo c > c.txt"),
        harness.script("lost", "echo lost > c.txt; exit 1"),
        harness.script("idle", "true"),
    ];
    let args: Vec<&str> = ["run", "-j2"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(1);
}

#[test]
fn all_branches_of_a_run_are_compared_with_each_other_and_with_the_branch_it_started_from() {
    let harness = Harness::new();
    five_tasks(&harness);
    let before = (harness.repo.fingerprint(), harness.repo.git(&["count-objects"]));
    let json = forecast(&harness, &[]);
    assert_eq!((json["version"].as_u64(), json["target"]["name"].as_str()), (Some(1), Some("main")));
    assert_eq!(verdict(&json, "a", "b"), conflict(&["README.md", "src/both"]));
    assert_eq!(verdict(&json, "a", "c"), merges());
    assert_eq!(verdict(&json, "c", "lost"), conflict(&["c.txt"]));
    for task in ["a", "b", "c", "lost"] {
        assert_eq!(with_target(&json, task), merges());
    }
    let lost = json["tasks"].as_array().expect("tasks").iter().find(|task| task["id"] == "lost").expect("it is there");
    assert_eq!((lost["state"].as_str(), lost["uncommitted"].as_bool()), (Some("left"), Some(true)));
    assert_eq!(json["left_out"], serde_json::json!([{ "id": "idle", "reason": "nothing_made" }]));
    // What has failed is not to be merged.
    assert_eq!(json["order"], serde_json::json!(["c", "a", "b"]));

    let text = harness.gadugi(&["conflicts"]).expect(0).out;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let shown = text.split_once('\n').expect("lines").1;
    insta::assert_snapshot!(shown, @r"

    TASK  STATE                WITH main  CONFLICTS WITH
    a     succeeded            merges     b
    b     succeeded            merges     a
    c     succeeded            merges     lost
    lost  failed, uncommitted  merges     c

    conflicts:
      a with b
          README.md
          src/both
      c with lost
          c.txt

    not compared:
      idle: has changed nothing

    8 of 10 pairs merge as text, 2 conflict
    what merges as text may still not work: a check tells

    suggested order of merging into main:
      c, a, b
    ");
    harness.gadugi(&["conflicts", "--exit-code"]).expect(1);
    assert_eq!((harness.repo.fingerprint(), harness.repo.git(&["count-objects"])), before);
}

#[test]
fn the_target_counts_as_it_is_now_and_what_it_has_is_not_compared() {
    let harness = Harness::new();
    five_tasks(&harness);
    harness.repo.git(&["branch", "old"]);
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/a"]);
    harness.repo.git(&["branch", "-q", "-D", "gadugi/c"]);
    let json = forecast(&harness, &[]);
    assert_eq!(with_target(&json, "b"), conflict(&["README.md", "src/both"]));
    let left_out = serde_json::json!([
        { "id": "a", "reason": "in_target" },
        { "id": "c", "reason": "branch_gone" },
        { "id": "idle", "reason": "nothing_made" },
    ]);
    assert_eq!(json["left_out"], left_out);
    assert_eq!(json["order"], serde_json::json!(["b"]));
    assert_eq!(with_target(&forecast(&harness, &["--into", "old"]), "b"), merges());
    harness.gadugi(&["conflicts", "--into", "nowhere"]).expect(2).says(&["no branch or commit `nowhere`", "hint:"]);
    // Somebody has put something else in the place of the work.
    harness.repo.git(&["branch", "-q", "-f", "gadugi/b", "old"]);
    let left_out = &forecast(&harness, &[])["left_out"];
    assert_eq!(left_out[1], serde_json::json!({ "id": "b", "reason": "branch_moved" }));
}

/// A task that changes the README file and then waits, and one that changes it when the other one has.
fn one_after_the_other(harness: &Harness) -> [String; 2] {
    let root = harness.repo.root();
    let waits = harness.script("waits", &format!("echo of waits >> README.md\n{}", gate(harness, "waits")));
    let after = format!("while [ ! -s '{}/pid-waits' ]; do sleep 0.02; done", root.display());
    [waits, harness.script("ends", &format!("{after}\necho of ends >> README.md"))]
}

#[test]
fn a_run_warns_of_a_conflict_with_the_uncommitted_work_of_a_task_that_still_runs() {
    let harness = Harness::new();
    let [waits, ends] = one_after_the_other(&harness);
    let mut run = Going::start(harness.command(&["run", "-j2", &waits, &ends]));
    run.until("it conflicts with waits in README.md");
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("CONFLICTS"), "{ps}");
    let ps: Value = serde_json::from_str(&harness.gadugi(&["ps", "--json"]).expect(0).out).expect("JSON");
    assert_eq!(ps[0]["tasks"][0]["conflicts"][0]["other"], "ends");
    assert_eq!(ps[0]["tasks"][1]["conflicts"][0]["files"], serde_json::json!(["README.md"]));
    let json = forecast(&harness, &[]);
    assert_eq!(verdict(&json, "waits", "ends"), conflict(&["README.md"]));
    assert_eq!(json["tasks"][0]["state"], "under_way");
    let text = harness.gadugi(&["conflicts"]).expect(0).out;
    assert!(text.contains("running, uncommitted"), "{text}");
    // The target has moved on when the other task ends.
    harness.repo.commit_file("README.md", "# Another project\nof the user\n");
    open(&harness, "waits");
    run.end().expect(0);
    let foreseen = events(&harness, "conflict_foreseen");
    let sides: Vec<_> = foreseen.iter().map(|event| (&event["task"], &event["other"], &event["target"])).collect();
    let (waits, ends, main) = (Value::from("waits"), Value::from("ends"), Value::from("main"));
    assert_eq!(sides, [(&ends, &waits, &Value::Null), (&waits, &Value::Null, &main)]);
}

#[test]
fn a_conflict_that_is_gone_when_the_other_task_ends_is_taken_back() {
    let harness = Harness::new();
    let root = harness.repo.root();
    let waits =
        format!("cp README.md before\necho of waits >> README.md\n{}\nmv before README.md", gate(&harness, "waits"));
    let waits = harness.script("waits", &format!("{waits}\necho 1 > waits.txt"));
    let after = format!("while [ ! -s '{}/pid-waits' ]; do sleep 0.02; done", root.display());
    let ends = harness.script("ends", &format!("{after}\necho of ends >> README.md"));
    let mut run = Going::start(harness.command(&["run", "-j2", &waits, &ends]));
    run.until("it conflicts with waits in README.md");
    open(&harness, "waits");
    let said = run.end().expect(0).err;
    assert!(said.contains("it merges with ends as text again"), "{said}");
    assert_eq!(events(&harness, "conflict_gone").len(), 1);
    assert!(!harness.gadugi(&["ps", "latest"]).expect(0).out.contains("CONFLICTS"));
}

#[test]
fn a_resumed_run_repeats_no_conflict() {
    let harness = Harness::new();
    let [waits, ends] = one_after_the_other(&harness);
    let mut run = Going::start(harness.command(&["run", "-j2", &waits, &ends]));
    run.until("it conflicts with waits in README.md");
    pid(&harness, "waits");
    killed(&harness, run, &[]);
    let resumed = Going::start(harness.command(&["resume"]));
    open(&harness, "waits");
    resumed.end().expect(0);
    let foreseen = events(&harness, "conflict_foreseen");
    assert_eq!(foreseen.len(), 1, "{foreseen:?}");
}

#[test]
fn the_report_says_what_merges_at_the_end_of_the_run_and_when_it_is_printed_later() {
    let harness = Harness::new();
    let tasks = [
        harness.script("a", "echo of a >> README.md"),
        harness.script("b", "echo of b >> README.md"),
        harness.script("c", "echo c > c.txt"),
    ];
    let args: Vec<&str> = ["run"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    let printed = harness.gadugi(&args).expect(0).out;
    let title = "# Merge what succeeded: 2 of 3 merge as text; b conflicts with a in README.md\ngadugi merge ";
    assert!(printed.contains(title) && printed.contains("- `a` with `b`: `README.md`\n"), "{printed}");
    let kept = std::fs::read_to_string(harness.latest_run().join("report.md")).expect("a report");
    assert_eq!(kept, printed);
    // The user takes one of them.
    harness.repo.git(&["merge", "-q", "--no-edit", "gadugi/a"]);
    harness.repo.git(&["branch", "-q", "-d", "gadugi/a"]);
    let later = harness.gadugi(&["report"]).expect(0).out;
    let title = "# Merge what succeeded: 1 of 2 merges as text; b conflicts with main in README.md\n";
    assert!(later.contains(title) && later.contains("- `b` with `main`: `README.md`\n"), "{later}");
    assert!(!later.contains("..gadugi/a\n"), "its branch is gone:\n{later}");
    let json = harness.report();
    assert_eq!(json["outlook"]["branch_gone"], serde_json::json!(["a"]));
}

#[test]
fn the_example_of_the_documentation_has_the_members_of_a_forecast() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let example =
        page.split("```json forecast\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let harness = Harness::new();
    five_tasks(&harness);
    let shown = paths("", &serde_json::from_str(example).expect("JSON"));
    let mut real = paths("", &forecast(&harness, &[]));
    // Not all verdicts are in the run.
    real.insert(".pairs[].reason".to_owned());
    assert_eq!(shown, real);
}

/// The members of a value and of those in it.
fn paths(at: &str, value: &Value) -> std::collections::BTreeSet<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| paths(&format!("{at}.{name}"), value)).collect()
        }
        Value::Array(items) if items.iter().any(|item| item.is_object()) => {
            items.iter().flat_map(|item| paths(&format!("{at}[]"), item)).collect()
        }
        _ => [at.to_owned()].into(),
    }
}
