//! Tasks that are given to coding agents. These do what their prompts say, and print what the real ones print.

use std::path::Path;

use gadugi_fakeagent::Installed;

use crate::harness::{Answer, Harness};

/// As they are known without any configuration.
#[test]
fn agents_work_on_what_their_tasks_say_in_worktrees_of_their_own() {
    let harness = Harness::new();
    let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
    let agents = Installed::new(program, &harness.repo.root().join("agents")).expect("they are installed");
    let tasks = ["claude", "codex"].map(|agent| {
        let text =
            format!("---\nagent: {agent}\n---\n# By {agent}\nfake: run echo {agent} > made.txt\nfake: tokens 100 20\nfake: cost 0.25\nfake: say Done.\n");
        harness.task(&format!("by-{agent}.md"), text)
    });
    let mut command = harness.command(&["run", &tasks[0], &tasks[1]]);
    command.env("PATH", agents.search_path().expect("a path"));
    Answer::from(command.output().expect("gadugi starts")).expect(0);
    let mut calls = agents.calls().expect("they are recorded");
    calls.sort_by(|a, b| a.agent.cmp(&b.agent));
    assert_eq!(calls.iter().map(|call| call.agent.as_str()).collect::<Vec<_>>(), ["claude", "codex"]);
    for call in calls {
        assert!(call.prompt.is_some_and(|prompt| prompt.contains(&format!("# By {}\n", call.agent))));
        assert!(Path::new(&call.cwd).starts_with(harness.worktrees()), "{}", call.cwd);
        let branches = harness.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi"]);
        let branch = branches.lines().find(|branch| branch.contains(&format!("by-{}", call.agent))).expect("a branch");
        assert_eq!(harness.repo.git(&["show", &format!("{branch}:made.txt")]), call.agent);
    }
    let shown = harness.gadugi(&["ps", "latest"]).expect(0).out;
    let cost = |task: &str| {
        let line = shown.lines().find(|line| line.starts_with(task)).expect("a line for the task");
        let column = shown.lines().find_map(|line| line.find("COST")).expect("a column");
        line[column..].split("  ").next().unwrap_or_default().trim_end().to_owned()
    };
    assert_eq!(["by-claude", "by-codex"].map(cost), ["$0.25", "120 tokens"]);
    let json: serde_json::Value =
        serde_json::from_str(&harness.gadugi(&["ps", "latest", "--json"]).expect(0).out).expect("JSON");
    let rows = json[0]["tasks"].as_array().expect("tasks");
    let figures: Vec<_> = rows.iter().map(|row| (row["cost_usd"].as_f64(), row["tokens"].as_u64())).collect();
    assert_eq!(figures, [(Some(0.25), Some(120)), (None, Some(120))]);
    harness.assert_sound();
}

#[test]
fn an_agent_whose_time_was_over_goes_on_in_its_conversation_with_what_it_had_made() {
    let harness = Harness::new();
    let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
    let agents = Installed::new(program, &harness.repo.root().join("agents")).expect("they are installed");
    let tasks = ["claude", "codex"].map(|agent| {
        let text = format!(
            "---\nagent: {agent}\ntimeout: 2s\ngrace: 200ms\nretries: 1\nretry_delay: 0s\n---\n\
             fake: run echo half > half.txt\nfake: on-resume run cp half.txt whole.txt\nfake: once {agent} endless\n"
        );
        harness.task(&format!("by-{agent}.md"), text)
    });
    let mut command = harness.command(&["run", "--executor", "subprocess", &tasks[0], &tasks[1]]);
    command.env("PATH", agents.search_path().expect("a path"));
    Answer::from(command.output().expect("gadugi starts")).expect(0);
    let calls = agents.calls().expect("they are recorded");
    for agent in ["claude", "codex"] {
        let [first, second] = &calls.iter().filter(|call| call.agent == agent).collect::<Vec<_>>()[..] else {
            panic!("{calls:?}")
        };
        assert_eq!((&first.resumed, &second.resumed), (&None, &first.session));
        assert_eq!(first.cwd, second.cwd);
        let told = second.prompt.as_deref().unwrap_or_default();
        assert!(told.starts_with("You were stopped, since the time of 2 s was over."), "{told}");
        assert_eq!(harness.repo.git(&["show", &format!("gadugi/by-{agent}:whole.txt")]), "half");
    }
    let report = harness.report();
    for task in report["tasks"].as_array().expect("tasks") {
        assert_eq!(task["attempts"][0]["outcome"]["kind"], "timed_out", "{task}");
        assert_eq!(task["attempts"].as_array().map(Vec::len), Some(2));
    }
    harness.assert_sound();
}

/// The fake agents of a harness, and its command line that finds them.
pub(crate) fn with_fakes(harness: &Harness) -> (Installed, impl Fn(&[&str]) -> Answer) {
    let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
    let agents = Installed::new(program, &harness.repo.root().join("agents")).expect("they are installed");
    let path = agents.search_path().expect("a path");
    let call = move |args: &[&str]| {
        let mut command = harness.command(args);
        Answer::from(command.env("PATH", &path).output().expect("gadugi starts"))
    };
    (agents, call)
}

#[test]
fn six_tasks_outlive_a_plan_that_is_used_up_and_no_retry_is_spent() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    for agent in ["claude", "codex"] {
        let names: Vec<String> = (1..=6).map(|number| format!("{agent}{number}")).collect();
        let files: Vec<String> = names
            .iter()
            .map(|name| {
                let text = format!("---\nagent: {agent}\n---\nfake: on-resume run echo x > {name}.txt\nfake: once {agent} used-up 2\nfake: run echo x > {name}.txt\n");
                harness.task(&format!("{name}.md"), text)
            })
            .collect();
        let args: Vec<&str> = ["run", "-j", "2"].into_iter().chain(files.iter().map(String::as_str)).collect();
        let answer = call(&args).expect(0);
        answer.says(&[&format!("the requests of {agent} are refused; no task of it starts until ")]);
        let outcomes = harness.outcomes();
        assert!(names.iter().all(|name| outcomes[name] == "succeeded"), "{outcomes:?}");
        let calls = agents.calls().expect("they are recorded");
        assert_eq!(calls.iter().filter(|call| call.agent == agent && call.prompt.is_some()).count(), 7);
    }
    harness.assert_sound();
}

#[test]
fn an_agent_that_is_not_let_in_ends_within_seconds_and_its_other_tasks_are_not_started() {
    let harness = Harness::new();
    let (agents, call) = with_fakes(&harness);
    let files: Vec<String> = (1..=4)
        .map(|number| harness.task(&format!("t{number}.md"), "---\nagent: claude\n---\nfake: refused 401 3000 100\n"))
        .collect();
    let args: Vec<&str> = ["run", "-j", "1"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let answer = call(&args).expect(1);
    answer.says(&["claude is not let in", "log in with it, or set ANTHROPIC_API_KEY or"]);
    assert_eq!(agents.calls().expect("they are recorded").len(), 1);
    let report = harness.gadugi(&["report"]).expect(0).out;
    assert!(report.contains("authentication: not started, since claude was not let in for t1"), "{report}");
    harness.gadugi(&["report", "--format", "json"]).expect(0);
    harness.gadugi(&["report", "--format", "junit"]).expect(0);
    harness.assert_sound();
}
