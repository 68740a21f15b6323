//! Ends that are told apart, also where they come from a container.

use super::dock::Dock;

#[test]
fn a_container_whose_time_is_up_is_timed_out_and_gone() {
    let Some(dock) = Dock::new() else { return };
    let wall = dock.signed("wall", "timeout: 2s\ngrace: 200ms\n", "trap '' TERM\nwhile :; do echo; sleep 0.05; done");
    let idle = dock.signed("idle", "idle_timeout: 2s\n", "echo once\nsleep 600");
    let answer = dock.gadugi(&["run", &wall, &idle]).expect(1);
    assert!(answer.out.contains("timed out"), "{}", answer.out);
    let report = dock.report();
    for (task, clock) in report["tasks"].as_array().expect("tasks").iter().zip(["wall", "idle"]) {
        assert_eq!((&task["outcome"]["kind"], &task["outcome"]["clock"]), (&"timed_out".into(), &clock.into()));
    }
    dock.assert_clean();
}

#[test]
fn a_container_without_memory_has_failed_for_that_and_is_tried_again() {
    let Some(dock) = Dock::new() else { return };
    let greedy = "head -c 200000000 /dev/zero | tail > eaten.txt";
    let file = dock.scripted("greedy", "memory: 16MiB\nretries: 1\nretry_delay: 0s\n", greedy);
    let answer = dock.gadugi(&["run", &file]).expect(1);
    assert!(answer.out.contains("failed (out of memory)"), "{}", answer.out);
    assert!(dock.of_run("report.md").contains("failed (out of memory)"));
    let json: serde_json::Value = serde_json::from_str(&dock.of_run("report.json")).expect("JSON");
    let task = &json["tasks"][0];
    assert_eq!(task["outcome"]["failure"], serde_json::json!({ "kind": "out_of_memory" }), "{task}");
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(2));
    dock.assert_clean();
}

#[test]
fn exit_codes_signals_and_missing_programs_of_containers_are_told() {
    let Some(dock) = Dock::new() else { return };
    let code = dock.scripted("code", "", "exit 3");
    let signal = dock.scripted("signal", "", "kill -SEGV $$");
    let missing = dock.task("missing.md", "---\ncommand: [no-such-program, x]\n---\n# Missing\n");
    let check = dock.scripted("check", "check: exit 5\n", "true");
    let answer = dock.gadugi(&["run", &code, &signal, &missing, &check]).expect(1);
    assert!(answer.out.contains("no-such-program"), "{}", answer.out);
    let report = dock.report();
    let failure = |at: usize| report["tasks"][at]["outcome"]["failure"].clone();
    assert_eq!(failure(0), serde_json::json!({ "kind": "exit_code", "code": 3 }));
    // The daemon tells a signal as the shell does.
    assert_eq!(failure(1), serde_json::json!({ "kind": "exit_code", "code": 139 }));
    assert_eq!(failure(2)["kind"], "start");
    assert_eq!(failure(3)["kind"], "check");
    dock.assert_clean();
}
