//! Where there is no daemon, none that answers, or no image. Most of this needs no daemon either.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use super::dock::Dock;
use crate::harness::{Answer, Going, Harness};

const NOWHERE: &str = "unix:///nonexistent.sock";

/// A command line for which the daemon is there.
fn with_host(harness: &Harness, host: &str, args: &[&str]) -> Command {
    let mut command = harness.command(args);
    command.env("DOCKER_HOST", host);
    command
}

fn asked(harness: &Harness, host: &str, args: &[&str]) -> Answer {
    with_host(harness, host, args).output().expect("gadugi starts").into()
}

/// A repository that names an image.
fn stand_with_image(image: &str) -> Harness {
    let harness = Harness::new();
    harness.repo.commit_file("gadugi.toml", format!("image = \"{image}\"\n[docker]\nnetwork = \"none\"\n"));
    harness
}

/// Checks that nothing was made.
#[track_caller]
fn assert_untouched(harness: &Harness) {
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists(), "a run was made");
    assert!(!harness.worktrees().exists(), "a worktree was made");
    assert_eq!(harness.repo.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

/// Checks that tasks ran as processes, and that this is said in every place where a user may look.
#[track_caller]
fn assert_fell_back(harness: &Harness, answer: Answer, why: &str) {
    let answer = answer.expect(0).says(&["warning", "subprocess", why]);
    assert!(answer.out.contains(why), "{}", answer.out);
    let journal = std::fs::read_to_string(harness.latest_run().join("journal.jsonl")).expect("a journal");
    let events: Vec<serde_json::Value> =
        journal.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let chosen = events.iter().find(|event| event["kind"] == "executor_chosen").expect("the choice");
    assert_eq!(chosen["executor"], "subprocess");
    assert!(chosen["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{chosen}");
    let warned = events.iter().any(|event| event["kind"] == "warning" && event.to_string().contains(why));
    assert!(warned, "{journal}");
    let report = std::fs::read_to_string(harness.latest_run().join("report.md")).expect("a report");
    assert!(report.contains(why), "{report}");
}

#[test]
fn without_a_daemon_auto_falls_back_and_says_so_everywhere() {
    let harness = stand_with_image("some/image:1");
    let file = harness.script("a", "echo a > a.txt");
    let answer = asked(&harness, NOWHERE, &["run", "--executor", "auto", &file]);
    assert_fell_back(&harness, answer, "there is no Docker daemon: /nonexistent.sock does not exist");
    assert_eq!(harness.repo.git(&["show", "gadugi/a:a.txt"]), "a");
}

#[test]
fn without_a_daemon_what_has_to_run_in_a_container_is_an_error_and_nothing_begins() {
    let harness = stand_with_image("some/image:1");
    let (plain, boxed) = (
        harness.script("plain", "true"),
        harness.task("boxed.md", "---\nexecutor: docker\nrun: 'true'\n---\n# Boxed\n"),
    );
    let said = ["/nonexistent.sock does not exist", "systemctl start docker", "DOCKER_HOST"];
    asked(&harness, NOWHERE, &["run", "--executor", "docker", &plain]).expect(3).says(&said);
    asked(&harness, NOWHERE, &["run", &plain, &boxed]).expect(3).says(&said);
    asked(&harness, NOWHERE, &["run", "--executor", "subprocess", &plain, &boxed]).expect(3).says(&said);
    asked(&harness, NOWHERE, &["run", "--detach", "--executor", "docker", &plain]).expect(3).says(&said);
    asked(&harness, "localhost", &["run", "--executor", "docker", &plain])
        .expect(3)
        .says(&["`localhost` (DOCKER_HOST)"]);
    assert_untouched(&harness);
}

#[test]
fn a_daemon_that_never_answers_is_given_up_once_and_named() {
    let (needs, falls_back) = (stand_with_image("some/image:1"), stand_with_image("some/image:1"));
    let socket = needs.repo.root().join("silent.sock");
    // Whoever connects waits in its queue.
    let listener = UnixListener::bind(&socket).expect("a socket");
    let host = format!("unix://{}", socket.display());
    let names = ["a", "b", "c", "d", "e", "f"];
    let undecided = |name| {
        let text = format!("---\nexecutor: auto\nrun: 'true'\n---\n# {name}\n");
        falls_back.task(&format!("{name}.md"), text)
    };
    let undecided = names.map(undecided);
    let args: Vec<_> = ["run"].into_iter().chain(undecided.iter().map(String::as_str)).collect();
    let begun = Instant::now();
    let file = needs.script("a", "true");
    let needed = Going::start(with_host(&needs, &host, &["run", "--executor", "docker", &file]));
    let answer = asked(&falls_back, &host, &args);
    // Not five seconds for each task.
    assert!(begun.elapsed() < Duration::from_secs(20), "it was waited for more than once");
    let silent = format!("{host} (DOCKER_HOST) has not answered within 5 s");
    needed.end().expect(3).says(&[&silent, "restart it"]);
    assert_untouched(&needs);
    assert_fell_back(&falls_back, answer, &silent);
    drop(listener);
}

#[test]
fn a_missing_image_is_named_with_its_remedy_before_anything_is_made() {
    let Some(dock) = Dock::new() else { return };
    let harness = stand_with_image("gadugi-test/missing:1");
    let file = harness.script("a", "true");
    let remedies = ["gadugi-test/missing:1", "gadugi image build --tag gadugi-test/missing:1", "gadugi image pull"];
    harness.gadugi(&["run", "--executor", "docker", &file]).expect(3).says(&remedies);
    let own = harness.task("own.md", "---\nexecutor: docker\nimage: gadugi-test/other:1\nrun: 'true'\n---\n# Own\n");
    let other = ["gadugi-test/other:1", "gadugi image build --tag gadugi-test/other:1"];
    harness.gadugi(&["run", "--executor", "subprocess", &file, &own]).expect(3).says(&other);
    harness.gadugi(&["run", "--executor", "docker", "--image", dock.image.name(), &file, &own]).expect(3).says(&other);
    assert_untouched(&harness);
    let answer = harness.gadugi(&["run", "--executor", "auto", &file]);
    assert_fell_back(&harness, answer, "gadugi-test/missing:1");
}

#[test]
fn a_task_that_leaves_the_choice_open_gets_a_container_where_there_is_one() {
    let Some(dock) = Dock::new() else { return };
    let open = dock.scripted("open", "executor: auto\n", "uname -n > name.txt");
    let missing = dock.scripted("missing", "executor: auto\nimage: gadugi-test/missing:1\n", "uname -n > name.txt");
    let plain = dock.scripted("plain", "", "uname -n > name.txt");
    let answer = dock.gadugi(&["run", "--executor", "subprocess", &open, &missing, &plain]).expect(0);
    let answer = answer.says(&["missing runs by subprocess", "there is no image `gadugi-test/missing:1`"]);
    assert!(!answer.err.contains("open runs by"), "{}", answer.err);
    let report = dock.report();
    let executors = report["tasks"].as_array().expect("tasks").iter();
    let executors: Vec<_> = executors.map(|task| task["attempts"][0]["executor"].clone()).collect();
    assert_eq!(executors, ["docker", "subprocess", "subprocess"]);
    assert_eq!(dock.repo.git(&["show", "gadugi/open:name.txt"]), "open");
    assert!(dock.of_run("report.md").contains("missing runs by subprocess"));
    dock.assert_clean();
}

#[test]
fn what_began_in_a_container_never_goes_on_on_the_host() {
    let Some(dock) = Dock::new() else { return };
    let files = [dock.gated("a", "", "uname -n > name.txt"), dock.scripted("b", "needs: [a]\n", "uname -n > name.txt")];
    dock.killed(Going::start(dock.command(&["run", &files[0], &files[1]])), &["a"]);
    let journal = || dock.of_run("journal.jsonl");
    let before = journal();
    asked(&dock, NOWHERE, &["resume"]).expect(3).says(&[
        "cannot be resumed",
        "/nonexistent.sock does not exist",
        "DOCKER_HOST",
    ]);
    // Also where it is the task that has come to its end, and where processes are wanted from now on.
    dock.open("a");
    dock.repo.write("gadugi.toml", "executor = \"subprocess\"\n");
    asked(&dock, NOWHERE, &["resume"]).expect(3).says(&["cannot be resumed"]);
    assert_eq!(journal(), before, "nothing was begun");
    assert!(!dock.worktrees().join("b").exists());
    let ps = asked(&dock, NOWHERE, &["ps"]).expect(0).out;
    assert!(ps.contains("unknown"), "what cannot be asked for is not guessed: {ps}");
    dock.gadugi(&["resume"]).expect(0);
    assert_eq!(["a", "b"].map(|task| dock.repo.git(&["show", &format!("gadugi/{task}:name.txt")])), ["a", "b"]);
    assert_eq!(dock.starts("a"), 1);
    dock.assert_clean();
}
