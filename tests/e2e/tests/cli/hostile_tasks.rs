//! Commands that misbehave: each ends in an outcome of its own, and nothing is left.

use crate::harness::Harness;

#[test]
fn a_command_that_does_not_exist_is_a_failure_that_names_it() {
    let harness = Harness::new();
    let file = harness.task("t.md", "---\ncommand: [no-such-program, x]\n---\n");
    let answer = harness.gadugi(&["run", &file]).expect(1);
    assert!(answer.out.contains("no-such-program\\` was not found"), "{}", answer.out);
    assert_eq!(harness.outcomes()["t"], "failed");
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    let harness = Harness::new();
    let code = harness.script("code", "exit 3");
    let signal = harness.script("signal", "kill -SEGV $$");
    harness.gadugi(&["run", &code, &signal]).expect(1);
    let tasks = &harness.report()["tasks"];
    let failure = |at: usize| tasks[at]["outcome"]["failure"].clone();
    assert_eq!(failure(0), serde_json::json!({ "kind": "exit_code", "code": 3 }));
    assert_eq!(failure(1), serde_json::json!({ "kind": "signal", "signal": 11 }));
}

#[test]
fn a_script_that_ignores_term_is_killed_after_its_grace() {
    let harness = Harness::new();
    let file = harness.task("deaf.md", "---\ntimeout: 300ms\ngrace: 200ms\nrun: |\n  trap '' TERM\n  echo $$ > ../../pid-of-deaf\n  while :; do sleep 0.05; done\n---\n");
    harness.gadugi(&["run", &file]).expect(1);
    assert_eq!(harness.outcomes()["deaf"], "timed_out");
    let pid = std::fs::read_to_string(harness.repo.root().join("pid-of-deaf")).expect("it ran");
    assert!(!is_alive(&pid), "the script still runs");
}

#[test]
fn a_silent_task_is_stopped_by_the_idle_clock() {
    let harness = Harness::new();
    let file = harness.task("quiet.md", "---\nidle_timeout: 300ms\nrun: echo once; sleep 600\n---\n");
    harness.gadugi(&["run", &file]).expect(1);
    assert_eq!(harness.report()["tasks"][0]["outcome"]["clock"], "idle");
}

#[test]
fn what_a_script_leaves_in_its_process_group_dies_with_it() {
    let harness = Harness::new();
    let file = harness.script("t", "sleep 600 >/dev/null 2>&1 & echo $! > ../../pid-left");
    harness.gadugi(&["run", &file]).expect(0);
    let pid = std::fs::read_to_string(harness.repo.root().join("pid-left")).expect("it ran");
    assert!(!is_alive(&pid), "the background process still runs");
}

#[cfg(target_os = "linux")] // where there is setsid(1)
#[test]
fn a_daemon_that_holds_the_output_is_ended_with_its_task_and_does_not_hold_the_run() {
    let harness = Harness::new();
    let file = harness.script("t", "setsid sh -c 'echo $$ > ../../pid-daemon; exec sleep 600' &\nwhile [ ! -s ../../pid-daemon ]; do sleep 0.02; done");
    let answer = harness.gadugi(&["run", &file]).expect(0);
    let pid = std::fs::read_to_string(harness.repo.root().join("pid-daemon")).expect("it ran");
    assert!(!is_alive(&pid), "the daemon still runs");
    assert!(answer.out.contains("it left a process behind"), "{}", answer.out);
}

#[test]
fn a_gibibyte_without_a_newline_is_capped_and_counted() {
    let harness = Harness::new();
    let file = harness.script("flood", "head -c 1073741824 /dev/zero; printf END");
    harness.gadugi(&["run", &file]).expect(0);
    let report = harness.report();
    let output = &report["tasks"][0]["attempts"][0]["commands"][0]["end"];
    assert_eq!(output["output_bytes"], 1_073_741_827);
    assert!(output["dropped_bytes"].as_u64().is_some_and(|dropped| dropped > 900_000_000), "{output}");
    let log = harness.gadugi(&["logs", "flood", "--raw"]).expect(0);
    assert!(log.out.trim_end().ends_with("END"), "the tail is kept");
}

#[test]
fn bytes_that_are_no_utf_8_are_kept_in_the_log_and_shown_as_far_as_they_can_be() {
    let harness = Harness::new();
    let file = harness.script("t", "printf 'a\\377\\000\\033[31mred\\n'");
    harness.gadugi(&["run", &file]).expect(0);
    let raw = harness.command(&["logs", "t", "--raw"]).output().expect("it starts");
    assert_eq!(raw.stdout, b"a\xff\x00\x1b[31mred\n");
    let shown = harness.gadugi(&["logs", "t"]).expect(0);
    assert_eq!(shown.out, "a\u{fffd}red\n");
}

#[test]
fn a_task_sees_only_the_environment_that_it_was_given() {
    let harness = Harness::new();
    let file = harness.task(
        "t.md",
        "---\nenv:\n  WANTED: yes it is\nsecrets: [TOKEN]\nrun: env > env.txt; echo \"$TOKEN\" | wc -c\n---\n",
    );
    let mut command = harness.command(&["run", &file]);
    let answer: crate::harness::Answer =
        command.env("CANARY", "sings").env("TOKEN", "s3cr3t").output().expect("it starts").into();
    answer.expect(0);
    let env = harness.repo.git(&["show", "gadugi/t:env.txt"]);
    assert!(env.contains("WANTED=yes it is") && env.contains("TOKEN=s3cr3t") && !env.contains("CANARY"), "{env}");
    let registry = harness.repo.path().join(".git/gadugi");
    assert!(!holds(&registry, b"s3cr3t"), "the secret stands in the registry");
}

#[test]
fn a_task_that_changes_branches_or_its_git_file_loses_nothing() {
    let harness = Harness::new();
    let elsewhere = harness.script("elsewhere", "git -c advice.detachedHead=false checkout -q --detach; echo x > x.txt; git add x.txt; git -c user.name=t -c user.email=t@t commit -qm x");
    let swapped = harness.script("swapped", "echo y > y.txt; rm .git; git init -q .");
    let answer = harness.gadugi(&["run", &elsewhere, &swapped]);
    answer.expect(1).says(&["failed: work is elsewhere (another repository in the worktree)"]);
    assert_eq!(harness.repo.git(&["show", "gadugi/elsewhere:x.txt"]), "x");
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("swapped/y.txt")).expect("it stays"), "y\n");
    harness.gadugi(&["clean"]);
    assert!(harness.worktrees().join("swapped/y.txt").exists(), "what is on no branch stays");
}

/// Whether a process runs; one that is dead and waits for its parent does not.
#[cfg(target_os = "linux")]
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Whether there is a process of that number.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_alive(pid: &str) -> bool {
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::test_kill_process(pid.expect("a pid")).is_ok()
}

/// Whether a file below a folder holds these bytes.
fn holds(folder: &std::path::Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = std::fs::read(&path).expect("a file");
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn a_program_of_another_machine_is_named_as_the_reason() {
    let harness = Harness::new();
    let file = harness.script("a", "printf '\\177ELF' > prog; chmod +x prog; ./prog");
    let report = harness.gadugi(&["run", &file]).expect(1).out;
    let said = report.lines().find(|line| line.contains("its output ends with: ")).unwrap_or_default();
    assert!(said.to_lowercase().contains("exec format error"), "{report}");
}
