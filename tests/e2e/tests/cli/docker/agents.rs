//! Agents in containers, which go on in their conversations.

use gadugi_test_support::docker::Docker;
use gadugi_test_support::repo::TestRepo;
use serde_json::Value;

use super::dock::Dock;
use crate::harness::{Going, Harness};

/// Talks as Claude Code does, and keeps its conversations in its home folder. Its first attempt does half of the work, and its
/// second the rest, for which it needs that half.
const AGENT: &str = r#"cat > /tmp/prompt
sessions=$HOME/.agent/sessions
mkdir -p "$sessions"
session=${1:-s-$GADUGI_ATTEMPT}
printf '{"type":"system","subtype":"init","session_id":"%s","model":"m"}\n' "$session"
result() {
  printf '{"type":"result","subtype":"success","session_id":"%s","num_turns":1,"usage":{"input_tokens":10,"output_tokens":5},%s}\n' "$session" "$1"
}
if [ $# = 1 ] && [ ! -e "$sessions/$session" ]; then
  result '"is_error":true,"errors":["No conversation found"]'
  exit 1
fi
cat /tmp/prompt >> "$sessions/$session"
if [ $# = 0 ]; then
  echo one > one.txt
  git add one.txt
  git commit -q -m One
  echo half > half.txt
  case $KIND in
    limit)
      result '"is_error":true,"api_error_status":429,"result":"API Error: Request rejected (429)"'
      exit 1
      ;;
    timeout) sleep 600 ;;
    gated)
      mkdir -p .signs
      : > .signs/begun
      while [ ! -e .signs/gate ]; do sleep 0.02; done
      ;;
  esac
else
  cat one.txt half.txt > whole.txt && cp "$sessions/$session" transcript.txt || exit 7
fi
result '"is_error":false,"result":"Done."'
"#;

/// A check that sees nothing of the agent's home.
const CHECK: &str = "test -e whole.txt && test -z \"$(ls -A ~)\"";

const CONFIG: &str = "[docker]\nnetwork = \"none\"\n\n[agents.robin]\ncommand = [\"sh\", \"agent.sh\"]\n\
                      resume = [\"sh\", \"agent.sh\", \"{session}\"]\noutput = \"claude-stream-json\"\nbackoff = \"1s\"\n";

fn new() -> Option<Dock> {
    let repo = TestRepo::new();
    repo.write("agent.sh", AGENT);
    Some(Dock::at(Docker::of_machine()?, repo, CONFIG))
}

/// A task whose agent ends its first attempt in this way.
fn task(dock: &Dock, kind: &str, front_matter: &str) -> String {
    let text = format!("---\nagent: robin\nenv: {{ KIND: {kind} }}\n{front_matter}---\n# Do all for {kind}\n");
    dock.task(&format!("{kind}.md"), text)
}

fn attempts<'a>(report: &'a Value, task: &str) -> &'a Vec<Value> {
    let mut tasks = report["tasks"].as_array().expect("tasks").iter();
    let task = tasks.find(|found| found["id"] == task).expect("the task");
    assert_eq!(task["outcome"]["kind"], "succeeded", "{task}");
    task["attempts"].as_array().expect("attempts")
}

/// Checks that the second attempt at a task resumed the conversation of the first, and got this prompt.
fn assert_went_on(dock: &Dock, report: &Value, task: &str, told: &str) {
    let [first, second] = &attempts(report, task)[..] else { panic!("{report}") };
    assert_eq!((&first["agent"]["session"], &second["agent"]["session"]), (&"s-1".into(), &"s-1".into()));
    assert_eq!(first["worktree"]["path"], second["worktree"]["path"]);
    let show = |file: &str| dock.repo.git(&["show", &format!("gadugi/{task}:{file}")]);
    assert_eq!(show("whole.txt"), "one\nhalf");
    let transcript = show("transcript.txt");
    assert!(transcript.starts_with(&format!("# Do all for {task}\n")), "{transcript}");
    assert!(transcript.contains(&format!("\n{told}")), "{transcript}");
    assert_eq!(transcript.matches("# Do all for").count(), 1, "{transcript}");
}

/// Checks that no home is left, once removed worktrees are deleted.
fn assert_no_home(harness: &Harness) {
    harness.gadugi(&["clean", "--wait"]).expect(0);
    assert!(!harness.repo.path().join(".git/gadugi/homes").exists());
}

#[test]
fn a_conversation_goes_on_in_the_next_container_after_a_failed_check_a_limit_and_a_clock() {
    let Some(dock) = new() else { return };
    let retry = "retries: 1\nretry_delay: 0s\n";
    let files = [
        task(&dock, "check", &format!("{retry}check: '{CHECK}'\n")),
        task(&dock, "limit", ""),
        task(&dock, "timeout", &format!("{retry}timeout: 5s\ngrace: 200ms\n")),
    ];
    let args: Vec<&str> = ["run", "-j3"].into_iter().chain(files.iter().map(String::as_str)).collect();
    dock.gadugi(&args).expect(0);
    let report = dock.report();
    assert_went_on(&dock, &report, "check", "Its check failed (exit code 1).");
    assert_went_on(&dock, &report, "limit", "You were interrupted");
    assert_went_on(&dock, &report, "timeout", "You were stopped, since the time of 5 s was over.");
    assert_no_home(&dock);
    dock.assert_clean();
}

#[test]
fn a_home_outlives_a_killed_gadugi_and_what_others_clean_and_goes_with_its_task() {
    let Some(dock) = new() else { return };
    let gated = task(&dock, "gated", &format!("retries: 1\nretry_delay: 0s\ncheck: '{CHECK}'\n"));
    dock.killed(Going::start(dock.command(&["run", &gated])), &["gated"]);
    let run = dock.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let session = dock.repo.path().join(format!(".git/gadugi/homes/{run}-gated/.agent/sessions/s-1"));
    assert!(session.is_file());
    dock.gadugi(&["run", &dock.scripted("other", "", "true")]).expect(0);
    dock.gadugi(&["clean", "--wait"]).expect(0);
    assert!(session.is_file(), "its run is not over");
    dock.open("gated");
    dock.gadugi(&["resume", &run]).expect(0);
    let report = dock.gadugi(&["report", &run, "--format", "json"]).expect(0).out;
    assert_went_on(&dock, &serde_json::from_str(&report).expect("JSON"), "gated", "Its check failed (exit code 1).");
    assert_no_home(&dock);
    dock.assert_clean();
}

#[test]
fn whenever_gadugi_is_killed_the_conversation_goes_on_and_no_home_is_left() {
    let points = [
        "home-made",
        "container-started",
        "attempt-ended",
        "container-created:3",
        "task-finished",
        "home-renamed-aside",
    ];
    for point in points {
        let Some(dock) = new() else { return };
        let file = task(&dock, "check", &format!("retries: 1\nretry_delay: 0s\ncheck: '{CHECK}'\n"));
        let killed = dock.command(&["run", &file]).env("GADUGI_CRASH_AT", point).output().expect("it starts");
        assert_eq!(killed.status.code(), None, "{point} is not come to: {}", String::from_utf8_lossy(&killed.stderr));
        dock.gadugi(&["resume"]).expect(0);
        assert_went_on(&dock, &dock.report(), "check", "Its check failed (exit code 1).");
        assert_no_home(&dock);
        dock.assert_clean();
    }
}

#[test]
fn a_retry_goes_on_in_the_conversation_of_an_earlier_run_and_takes_its_home() {
    let Some(dock) = new() else { return };
    let file = task(&dock, "check", &format!("check: '{CHECK}'\n"));
    dock.gadugi(&["run", &file]).expect(1);
    let homes = dock.repo.path().join(".git/gadugi/homes");
    let first = dock.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let home = |run: &str| homes.join(format!("{run}-check"));
    assert!(home(&first).join(".agent/sessions/s-1").is_file());
    // Another run removes what earlier ones have left.
    dock.gadugi(&["run", &dock.scripted("other", "", "true")]).expect(0);
    assert!(home(&first).exists(), "a retry may need it");
    dock.gadugi(&["retry", &first]).expect(0);
    let report = dock.report();
    let [attempt] = &attempts(&report, "check")[..] else { panic!("{report}") };
    assert_eq!(attempt["agent"]["session"], "s-1");
    let transcript = dock.repo.git(&["show", "gadugi/check:transcript.txt"]);
    assert!(transcript.contains("\nIts check failed (exit code 1)."), "{transcript}");
    assert_eq!(dock.repo.git(&["show", "gadugi/check:whole.txt"]), "one\nhalf");
    assert!(!home(&first).exists());
    assert_no_home(&dock);
    dock.assert_clean();
}

#[test]
fn the_home_of_a_failed_task_goes_with_its_worktree() {
    let Some(dock) = new() else { return };
    dock.gadugi(&["run", &task(&dock, "check", "check: exit 1\n")]).expect(1);
    dock.gadugi(&["clean", "--discard", "--wait"]).expect(0);
    assert_no_home(&dock);
    dock.assert_clean();
}
