//! A night's work in small: eight tasks for two agents, with needs, checks that fail once, a rate limit, a budget, and an agent
//! that does not go.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gadugi_fakeagent::{Call, Installed};
use serde_json::Value;

use crate::harness::{Answer, Going, Harness};
use crate::waiting::{gate, killed, open};

const CONFIG: &str = r#"
jobs = 4

[agents.claude]
backoff = "1s"
linger = "1s"
"#;

const TASKS: [(&str, &str); 8] = [
    (
        "models",
        "agent: claude\n---\nfake: run echo models > models.txt\nfake: tokens 10 5\nfake: cost 0.10\nfake: say Models.",
    ),
    (
        "login",
        "agent: claude\nneeds: [models]\nretries: 1\ncheck: cat models.txt login.txt && grep -q right login.txt\n---\n\
         fake: run echo wrong > login.txt\nfake: cost 0.20\nfake: say Login.\n\
         fake: on-resume run echo right > login.txt\nfake: on-resume cost 0.05\nfake: on-resume say Mended.",
    ),
    (
        "docs",
        "agent: codex\nretries: 1\ncheck: cat docs.txt && grep -q right docs.txt\n---\n\
         fake: run echo wrong > docs.txt\nfake: tokens 30 3\nfake: say Docs.\n\
         fake: on-resume run echo right > docs.txt\nfake: on-resume tokens 7 2\nfake: on-resume say Mended.",
    ),
    (
        "limited",
        "agent: claude\nretries: 0\n---\nfake: limit 1\n\
         fake: on-resume run echo limited > limited.txt\nfake: on-resume cost 0.40\nfake: on-resume say At last.",
    ),
    ("steady", "agent: codex\n---\nfake: run echo steady > steady.txt\nfake: tokens 1 1\nfake: say Steady."),
    (
        "greedy",
        "agent: claude\nmax_tokens: 100\nretries: 3\n---\nfake: tokens 100 20\nfake: say I begin.\nfake: endless",
    ),
    ("after-greedy", "agent: codex\nneeds: [greedy]\n---\nfake: say Never."),
    (
        "lingering",
        "agent: claude\n---\nfake: run echo there > lingering.txt\nfake: cost 0.80\nfake: say Done.\nfake: linger 60",
    ),
];

pub(crate) struct Night {
    pub(crate) harness: Harness,
    agents: Installed,
}

impl Night {
    pub(crate) fn new(config: &str) -> Self {
        let harness = Harness::new();
        harness.repo.commit_file("gadugi.toml", config);
        let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
        let agents = Installed::new(program, &harness.repo.root().join("agents")).expect("they are installed");
        Self { harness, agents }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.harness.command(args);
        command.env("PATH", self.agents.search_path().expect("a path"));
        command
    }

    fn gadugi(&self, args: &[&str]) -> Answer {
        Answer::from(self.command(args).output().expect("gadugi starts"))
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.harness.gadugi(&["report", "--format", "json"]).expect(0).out).expect("JSON")
    }

    /// The calls whose prompt, or that of the conversation before it, is of this task: those in its worktree.
    fn calls(&self, task: &str) -> Vec<Call> {
        let calls = self.agents.calls().expect("they are recorded").into_iter();
        calls.filter(|call| Path::new(&call.cwd).file_name().is_some_and(|name| name == task)).collect()
    }
}

/// The cost of the calls by the result lines of the streams in the logs.
fn cost_of_streams(report: &Value) -> f64 {
    let mut sum = 0.0;
    for attempt in report["tasks"].as_array().into_iter().flatten().flat_map(attempts) {
        for command in attempt["commands"].as_array().into_iter().flatten() {
            let log = fs::read_to_string(command["log"].as_str().expect("a log")).expect("it is there");
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let models = |line: Value| line["model_usage_since_last_result"].as_object().cloned().unwrap_or_default();
            sum += lines.flat_map(models).filter_map(|(_, used)| used["costUSD"].as_f64()).sum::<f64>();
        }
    }
    sum
}

fn attempts(task: &Value) -> &[Value] {
    task["attempts"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn eight_tasks_end_as_expected_and_cost_what_their_streams_say() {
    let night = Night::new(CONFIG);
    let tasks: Vec<String> =
        TASKS.iter().map(|(name, text)| night.harness.task(&format!("{name}.md"), format!("---\n{text}\n"))).collect();
    let run: Vec<&str> = ["run"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    night.gadugi(&run).expect(1);
    let report = night.report();
    let by_name: BTreeMap<&str, &Value> = report["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .map(|task| (task["id"].as_str().expect("an id"), task))
        .collect();
    let outcomes: BTreeMap<&str, &str> =
        by_name.iter().map(|(name, task)| (*name, task["outcome"]["text"].as_str().expect("an outcome"))).collect();
    for (task, outcome) in &outcomes {
        let expected = match *task {
            "greedy" => "failed (budget: 120 of 100 tokens are used)",
            "after-greedy" => "skipped (because of greedy)",
            _ => "succeeded",
        };
        assert_eq!(*outcome, expected, "{task}: {outcomes:?}");
    }

    // The checks that failed once were followed by the same conversation in the same place, which heard what they printed.
    for (task, resume) in [("login", "--resume"), ("docs", "resume")] {
        let calls = night.calls(task);
        let [first, second] = &calls[..] else { panic!("{task}: {calls:?}") };
        assert_eq!((&first.cwd, first.session.as_ref()), (&second.cwd, second.resumed.as_ref()), "{task}");
        assert!(second.argv.iter().any(|argument| argument == resume), "{task}: {:?}", second.argv);
        let heard = second.prompt.as_deref().unwrap_or_default();
        assert!(heard.contains("Its check failed (exit code 1)") && heard.contains("\nwrong\n"), "{task}: {heard}");
        let [failed, passed] = attempts(by_name[task]) else { panic!("{task}") };
        assert_eq!(failed["outcome"]["failure"]["kind"], "check");
        assert_eq!(
            (&failed["agent"]["session"], &passed["agent"]["last_message"]),
            (&passed["agent"]["session"], &"Mended.".into())
        );
    }
    assert!(night.calls("login")[0].prompt.as_deref().is_some_and(|prompt| prompt.contains("`models`: ")));

    // A refusal spends no retry, and is told.
    let [refused, done] = attempts(by_name["limited"]) else { panic!("{}", by_name["limited"]) };
    assert_eq!(refused["outcome"]["failure"]["error"]["class"], "rate_limit");
    assert_eq!(done["outcome"]["kind"], "succeeded");
    let prompt = night.calls("limited").pop().and_then(|call| call.prompt).unwrap_or_default();
    assert!(prompt.contains("requests were refused for a while"), "{prompt}");
    let warnings = report["warnings"].as_array().expect("warnings");
    assert!(warnings.iter().any(|warning| warning["about"] == "rate limit"), "{warnings:?}");

    // Everything is on the branches, and the sum is that of the streams.
    for (task, file) in [
        ("models", "models"),
        ("login", "right"),
        ("docs", "right"),
        ("limited", "limited"),
        ("steady", "steady"),
        ("lingering", "there"),
    ] {
        let attempt = attempts(by_name[task]).last().expect("an attempt");
        let branch = attempt["worktree"]["branch"].as_str().expect("a branch");
        assert_eq!(night.harness.repo.git(&["show", &format!("{branch}:{task}.txt")]), file, "{task}");
    }
    let docs: Vec<_> = attempts(by_name["docs"]).iter().map(|attempt| &attempt["agent"]).collect();
    let figures = |agent: &Value| ["input", "output"].map(|key| agent["tokens"][key].as_u64());
    assert_eq!([figures(docs[1]), figures(&docs[1]["own"])], [[Some(37), Some(5)], [Some(7), Some(2)]]);
    assert_eq!(docs[1]["own"]["tokens_reckoned"], true);
    let tokens = &report["agents"]["tokens"];
    assert_eq!((tokens["input"].as_u64(), tokens["output"].as_u64()), (Some(10 + 37 + 1 + 100), Some(5 + 5 + 1 + 20)));
    let told = report["agents"]["cost_usd"].as_f64().expect("a cost");
    let streams = cost_of_streams(&report);
    assert!((told - streams).abs() < 1e-9 && (told - 1.55).abs() < 1e-9, "{told} and {streams}");
    let costs = report["tasks"].as_array().into_iter().flatten().flat_map(attempts);
    let sum: f64 = costs.filter_map(|attempt| attempt["agent"]["own"]["cost_usd"].as_f64()).sum();
    assert!((sum - told).abs() < 1e-9, "{sum}");
    night.harness.assert_sound();
}

#[test]
fn the_budget_of_a_run_stops_what_runs_and_starts_nothing_more() {
    let night = Night::new("jobs = 2\nchanges = \"optional\"\n");
    let costly = night.harness.task("costly.md", "---\nagent: claude\n---\nfake: cost 0.50\nfake: say Costly.\n");
    let endless = night.harness.task("endless.md", "---\nagent: codex\n---\nfake: endless\n");
    let later = night.harness.task("later.md", "---\nagent: claude\nneeds: [costly]\n---\nfake: say Later.\n");
    night.gadugi(&["run", "--max-cost", "0.2", &costly, &endless, &later]).expect(1);
    let report = night.report();
    let outcome = |task: usize| report["tasks"][task]["outcome"]["text"].as_str().expect("an outcome");
    assert_eq!(outcome(0), "succeeded, nothing changed");
    assert!(outcome(1).starts_with("failed (budget: of the run: 0.50 of 0.20 US dollars are used"), "{}", outcome(1));
    assert_eq!(outcome(2), "skipped (budget of the run: 0.50 of 0.20 US dollars are used)");
    assert_eq!(attempts(&report["tasks"][2]).len(), 0);
    let warnings = report["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.iter().filter(|warning| warning["about"] == "budget").count(), 1, "{warnings:?}");
    assert_eq!(report["agents"]["cost_usd"].as_f64(), Some(0.5));
    night.harness.assert_sound();
}

#[test]
fn whoever_can_log_an_agent_in_hears_once_that_it_is_not_let_in() {
    let night = Night::new("");
    let (tell, heard) = (night.harness.repo.root().join("tell"), night.harness.repo.root().join("heard.txt"));
    fs::write(&tell, format!("#!/bin/sh\ncat >> '{}'\n", heard.display())).expect("a script");
    fs::set_permissions(&tell, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let tasks = ["a", "b"].map(|name| {
        night
            .harness
            .task(&format!("{name}.md"), "---\nagent: claude\nretries: 2\n---\nfake: fail 401 Invalid API key\n")
    });
    let mut command = night.command(&["run", "-j", "1", &tasks[0], &tasks[1]]);
    Answer::from(command.env("GADUGI_NOTIFY", &tell).output().expect("gadugi starts")).expect(1);
    let run = night.harness.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let heard = fs::read_to_string(heard).expect("it was told");
    let [login, end] = heard.lines().collect::<Vec<_>>()[..] else { panic!("{heard}") };
    assert!(login.starts_with(&format!("run {run}: claude is not let in (")), "{login}");
    assert!(login.contains("Invalid API key"), "{login}");
    assert_eq!(end, format!("run {run}: 0 of 2 tasks succeeded"));
}

#[test]
fn while_an_agent_is_refused_tasks_of_another_one_go_first() {
    let night = Night::new("jobs = 1\nchanges = \"optional\"\n[agents.claude]\nbackoff = \"1s\"\n");
    let tasks = [("a", "claude", "limit 1"), ("b", "claude", "say B."), ("c", "codex", "say C.")];
    let tasks = tasks.map(|(name, agent, does)| {
        night.harness.task(&format!("{name}.md"), format!("---\nagent: {agent}\n---\nfake: {does}\n"))
    });
    night.gadugi(&["run", &tasks[0], &tasks[1], &tasks[2]]).expect(0);
    let order: Vec<_> = night.agents.calls().expect("they are recorded").into_iter().map(|call| call.agent).collect();
    assert_eq!(order, ["claude", "codex", "claude", "claude"]);
    assert_eq!(night.calls("c").len(), 1);
}

#[test]
fn a_conversation_that_goes_on_is_waited_for_by_whoever_resumes_the_run() {
    let night = Night::new("");
    let gate = gate(&night.harness, "mends");
    let text = format!(
        "---\nagent: claude\nretries: 1\ncheck: test -e mended.txt\n---\n\
         fake: cost 0.20\nfake: say Done.\nfake: on-resume run {gate}; echo mended > mended.txt\nfake: on-resume cost 0.05\n\
         fake: on-resume say Mended.\n"
    );
    let task = night.harness.task("mends.md", text);
    killed(&night.harness, Going::start(night.command(&["run", &task])), &["mends"]);
    // What the conversation that goes on will cost has not been told yet.
    let ps = night.gadugi(&["ps", "latest"]).expect(0).out;
    assert!(ps.contains("$0.20+"), "{ps}");
    open(&night.harness, "mends");
    night.gadugi(&["resume"]).expect(0);
    let calls = night.calls("mends");
    let [first, second] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&first.session, &first.cwd), (&second.resumed, &second.cwd));
    let report = night.report();
    let [failed, passed] = attempts(&report["tasks"][0]) else { panic!("{report}") };
    assert_eq!(
        (&failed["outcome"]["failure"]["kind"], &passed["outcome"]["kind"]),
        (&"check".into(), &"succeeded".into())
    );
    assert_eq!(passed["agent"]["last_message"], "Mended.");
    let told = report["agents"]["cost_usd"].as_f64().expect("a cost");
    assert!((told - 0.25).abs() < 1e-9 && (told - cost_of_streams(&report)).abs() < 1e-9, "{told}");
    night.harness.assert_sound();
}

#[test]
fn what_a_conversation_had_cost_before_a_failed_check_counts_once_everywhere() {
    let night = Night::new("jobs = 2\nretries = 1\n");
    let tasks = ["claude", "codex"].map(|agent| {
        let text = format!(
            "---\nagent: {agent}\nmax_cost: 1.0\nmax_tokens: 1000\ncheck: test -e mended.txt\n---\n\
             fake: tokens 300 100\nfake: cost 0.40\nfake: run echo {agent} > made.txt\nfake: say Done.\n\
             fake: on-resume tokens 200 100\nfake: on-resume cost 0.40\nfake: on-resume run echo mended > mended.txt\n"
        );
        night.harness.task(&format!("by-{agent}.md"), text)
    });
    night.gadugi(&["run", "--max-cost", "1", &tasks[0], &tasks[1]]).expect(0);
    let report = night.report();
    let told = report["agents"]["cost_usd"].as_f64().expect("a cost");
    assert!((told - 0.8).abs() < 1e-9, "{told}");
    let agents = &report["agents"];
    assert_eq!([&agents["tokens"]["input"], &agents["tokens"]["output"]], [&Value::from(1000), &Value::from(400)]);
    let reckoned = ["attempts_with_reckoned_cost", "attempts_with_reckoned_tokens"].map(|key| agents[key].as_u64());
    assert_eq!(reckoned, [Some(0), Some(1)]);
    let people = night.harness.gadugi(&["report"]).expect(0).out;
    let line = "300 tokens in (0 of them cached), 100 out";
    assert!(people.contains(line), "{people}");
    let line = "200 tokens in (0 of them cached), 100 out (reckoned; told of the conversation: \
                500 tokens in (0 of them cached), 200 out)";
    assert!(people.contains(line), "{people}");
    let ps = night.gadugi(&["ps", "latest"]).expect(0).out;
    assert!(ps.contains("$0.80 ") && ps.contains("700 tokens "), "{ps}");
    night.harness.assert_sound();
}

#[test]
fn budgets_are_handed_on_as_what_is_left_and_what_cannot_be_held_is_said() {
    let night = Night::new("jobs = 1\n");
    let text = "---\nagent: claude\nmax_cost: 1.0\nretries: 1\ncheck: test -e mended.txt\n---\n\
                fake: cost 0.80\nfake: run echo made > made.txt\nfake: say Done.\n\
                fake: on-resume cost 0.30\nfake: on-resume run echo mended > mended.txt\n";
    let handed = night.harness.task("handed.md", text);
    night.gadugi(&["run", &handed]).expect(1);
    let given = |call: &Call| {
        let at = call.argv.iter().position(|argument| argument == "--max-budget-usd").expect("it was told");
        call.argv[at + 1].clone()
    };
    assert_eq!(night.calls("handed").iter().map(given).collect::<Vec<_>>(), ["1", "0.2"]);
    let report = night.report();
    let outcome = report["tasks"][0]["outcome"]["text"].as_str().expect("an outcome");
    assert_eq!(outcome, "failed (budget: 1.10 of 1.00 US dollars are used)");

    // Of a run's budget each gets its share, and what is left of that goes on.
    let tasks = ["one", "two"].map(|name| {
        let text =
            format!("---\nagent: claude\n---\nfake: cost 0.30\nfake: run echo x > {name}.txt\nfake: say Done.\n");
        night.harness.task(&format!("{name}.md"), text)
    });
    night.gadugi(&["run", "-j", "2", "--max-cost", "1", &tasks[0], &tasks[1]]).expect(0);
    assert_eq!(["one", "two"].map(|task| given(&night.calls(task)[0])), ["0.5", "0.5"]);
    let share = "---\nagent: claude\n---\nfake: cost 0.60\nfake: run echo x > x.txt\n\
                 fake: on-resume cost 0.10\nfake: on-resume run echo y > y.txt\n";
    let (big, small) = (
        night.harness.task("big.md", share),
        night.harness.task("small.md", "---\nagent: claude\n---\nfake: run touch z\n"),
    );
    night.gadugi(&["run", "-j", "2", "--max-cost", "1", &big, &small]).expect(0);
    let calls = night.calls("big");
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0].session, given(&calls[0])), (&calls[1].resumed, "0.5".to_owned()));
    assert_eq!(night.report()["agents"]["cost_usd"].as_f64().map(|cost| (cost * 100.0).round()), Some(70.0));

    let codex = night
        .harness
        .task("codex.md", "---\nagent: codex\nmax_tokens: 100\n---\nfake: tokens 100 20\nfake: run touch x\n");
    let words = [
        "warning: a budget in US dollars does not hold `codex`, which tells no cost",
        "warning: a budget in tokens cannot hold `codex` during a turn, at whose end it tells them",
    ];
    night.gadugi(&["plan", "--max-cost", "1", &codex, &small]).expect(0).says(&words);
    night.gadugi(&["run", "--max-cost", "1", &codex, &small]).expect(0).says(&words);
    let report = night.gadugi(&["report"]).expect(0).out;
    for line in ["it has overrun its budget: 120 of 100 tokens are used (budget)", "which tells no cost (not held)"] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    night.harness.assert_sound();
}
