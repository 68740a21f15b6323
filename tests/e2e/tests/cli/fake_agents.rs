//! Tasks that are given to coding agents. These do what their prompts say, and print what the real ones print.

use std::path::Path;

use gadugi_fakeagent::Installed;

use crate::stand::{Answer, Stand};

const PROFILES: &str = r#"
[agents.claude]
command = ["claude", "-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"]

[agents.codex]
command = ["codex", "exec", "--json", "--sandbox", "workspace-write", "-"]
"#;

#[test]
fn agents_work_on_what_their_tasks_say_in_worktrees_of_their_own() {
    let stand = Stand::new();
    stand.repo.commit_file("gadugi.toml", PROFILES);
    let program = Path::new(env!("CARGO_BIN_EXE_gadugi-e2e-fakeagent"));
    let agents = Installed::new(program, &stand.repo.root().join("agents")).expect("they are installed");
    let tasks = ["claude", "codex"].map(|agent| {
        let text =
            format!("---\nagent: {agent}\n---\n# By {agent}\nfake: run echo {agent} > made.txt\nfake: say Done.\n");
        stand.task(&format!("by-{agent}.md"), text)
    });
    let mut command = stand.command(&["run", &tasks[0], &tasks[1]]);
    command.env("PATH", agents.search_path().expect("a path"));
    Answer::from(command.output().expect("gadugi starts")).expect(0);
    let mut calls = agents.calls().expect("they are recorded");
    calls.sort_by(|a, b| a.agent.cmp(&b.agent));
    assert_eq!(calls.iter().map(|call| call.agent.as_str()).collect::<Vec<_>>(), ["claude", "codex"]);
    for call in calls {
        assert!(call.prompt.is_some_and(|prompt| prompt.contains(&format!("# By {}\n", call.agent))));
        assert!(Path::new(&call.cwd).starts_with(stand.worktrees()), "{}", call.cwd);
        let branches = stand.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi"]);
        let branch = branches.lines().find(|branch| branch.contains(&format!("by-{}", call.agent))).expect("a branch");
        assert_eq!(stand.repo.git(&["show", &format!("{branch}:made.txt")]), call.agent);
    }
    stand.assert_sound();
}
