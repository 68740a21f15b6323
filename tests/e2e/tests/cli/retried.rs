//! The work of a task in several attempts.

use serde_json::Value;

use crate::harness::Harness;

/// A task whose first attempt runs one script, and later ones another, and whose check fails once.
fn twice(harness: &Harness, name: &str, keys: &str, first: &str, then: &str) -> String {
    let seen = harness.repo.root().join(format!("{name}-seen"));
    let (seen, checked) = (seen.display(), format!("{}-checked", seen.display()));
    let commit = "git add -A && git -c user.name=t -c user.email=t@t commit -qm made";
    let text = format!(
        "---\nretries: 1\nretry_delay: 1ms\n{keys}check: \"test -e {checked} || {{ touch {checked}; exit 1; }}\"\nrun: |\n  \
         commit() {{ {commit}; }}\n  if test -e {seen}; then {then}; else touch {seen}; {first}; fi\n---\n"
    );
    harness.task(&format!("{name}.md"), text)
}

const FROM_PREVIOUS: &str = "retry_from: previous\n";

fn by_id<'a>(report: &'a Value, id: &str) -> &'a Value {
    let mut tasks = report["tasks"].as_array().expect("tasks").iter();
    tasks.find(|task| task["id"] == id).expect("the task")
}

#[test]
fn what_attempts_made_that_go_on_from_one_another_is_counted_and_offered_from_where_the_task_began() {
    let harness = Harness::new();
    let one = "echo 1 > one.txt; commit; echo 2 > two.txt; commit";
    let tasks = [
        twice(&harness, "all-at-first", FROM_PREVIOUS, one, "true"),
        twice(&harness, "some-each", FROM_PREVIOUS, one, "echo 3 > three.txt; commit; echo 4 > one.txt"),
        twice(&harness, "from-base", "retry_from: base\n", one, "echo 3 > three.txt; commit"),
        twice(&harness, "nothing", FROM_PREVIOUS, "true", "true"),
    ];
    let args: Vec<&str> =
        ["run", "--executor", "subprocess"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    harness.gadugi(&args).expect(0);
    let base = harness.repo.git(&["rev-parse", "HEAD"]);
    let report = harness.report();
    let people = harness.gadugi(&["report"]).expect(0).out;
    let made = |id: &str| {
        let made = &by_id(&report, id)["made"];
        assert_eq!(made["base"], base.as_str(), "{id}");
        let branch = made["branch"].as_str().expect("a branch").to_owned();
        let (commits, files) = (made["commits"].as_u64().expect("a count"), made["files"].as_u64().expect("a count"));
        // git counts the same.
        let range = format!("{base}..{branch}");
        assert_eq!(harness.repo.git(&["rev-list", "--count", &range]), commits.to_string(), "{id}");
        let row = format!("| `{id}` | {id} | `{branch}` | {commits} | {files} |");
        assert!(people.contains(&row), "{row}\n{people}");
        assert_eq!(people.contains(&format!("git log -p {range}\n")), commits > 0, "{id}: {people}");
        (by_id(&report, id)["outcome"]["text"].as_str().expect("an outcome").to_owned(), commits, files)
    };
    assert_eq!(made("all-at-first"), ("succeeded".to_owned(), 2, 2));
    assert_eq!(made("some-each"), ("succeeded".to_owned(), 4, 3));
    assert_eq!(made("from-base"), ("succeeded".to_owned(), 1, 1));
    let run = report["run"].as_str().expect("an id");
    assert!(people.contains(&format!("\ngadugi merge {run}\n")), "{people}");
    assert_eq!(made("nothing"), ("succeeded, nothing changed".to_owned(), 0, 0));
    // What is on no branch that goes on is named.
    assert!(people.contains("  - its branch: `gadugi/from-base` (2 commits, 2 changed files)\n"), "{people}");
    assert_eq!(by_id(&report, "some-each")["attempts"][1]["work"]["commits"], 2, "each attempt has its own count");
}

#[test]
fn conflict_markers_that_an_earlier_attempt_committed_are_no_success_of_the_next_one() {
    let harness = Harness::new();
    let markers = "printf '<<<<<<< ours\\na\\n=======\\nb\\n>>>>>>> theirs\\n' > merged.txt; commit";
    let task = twice(&harness, "markers", FROM_PREVIOUS, markers, "true");
    harness.gadugi(&["run", "--executor", "subprocess", &task]).expect(1);
    assert_eq!(by_id(&harness.report(), "markers")["outcome"]["failure"]["kind"], "conflict_markers");
}
