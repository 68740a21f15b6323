//! The prompts of agents, and their files.

use crate::harness::Harness;

/// Takes its prompt as its last argument, and no other options than `--loud`.
const STRICT: &str = r#"#!/bin/sh
while [ $# -gt 1 ]; do
    case "$1" in --) shift; break ;; --loud) shift ;; *) echo "unknown option $1"; exit 9 ;; esac
done
[ "$before" = -- ] || case "$1" in -*) echo "unknown option $1"; exit 9 ;; esac
printf '%s' "$1" > told.txt
"#;

/// Says 200 KB on one line.
const TALKATIVE: &str = r#"#!/bin/sh
cat > /dev/null
echo done > done.txt
long=$(head -c 200000 /dev/zero | tr '\0' x)
printf '{"type":"result","subtype":"success","is_error":false,"result":"%s","session_id":"s-1"}\n' "$long"
"#;

/// Keeps what it reads.
const READER: &str = "#!/bin/sh\ncat > told.txt\n";

const AGENTS: &str = "[agents.strict]\ncommand = ['strict', '--loud']\nprompt = 'argument'\n\
                      [agents.reader]\ncommand = ['reader']\n";

fn harness() -> Harness {
    let harness = Harness::new();
    harness.agent("strict", STRICT);
    harness.agent("reader", READER);
    harness.agent("claude", TALKATIVE);
    harness.repo.write("gadugi.toml", AGENTS);
    harness
}

fn told(harness: &Harness, task: &str) -> String {
    harness.repo.git(&["show", &format!("gadugi/{task}:told.txt")])
}

#[test]
fn a_prompt_that_begins_with_a_dash_is_no_option() {
    let harness = harness();
    let list = harness.task("list.md", "---\nagent: strict\n---\n- Mend this\n- Mend that\n");
    harness.gadugi_with_agents(&["run", "--executor", "subprocess", &list]).expect(0);
    assert!(
        told(&harness, "list").trim_start().starts_with("- Mend this\n- Mend that\n"),
        "{}",
        told(&harness, "list")
    );
    let text = ["run", "--executor", "subprocess", "--agent", "reader", "-t", "--help"];
    harness.gadugi_with_agents(&text).expect(0);
    assert!(told(&harness, "help").starts_with("--help\n"));
}

#[test]
fn a_long_message_of_a_needed_task_is_cut_for_an_argument_and_whole_on_the_standard_input() {
    let harness = harness();
    let talk = harness.task("talk.md", "---\nagent: claude\n---\nTalk\n");
    let strict = harness.task("strict.md", "---\nagent: strict\nneeds: [talk]\n---\nGo on\n");
    let reader = harness.task("reader.md", "---\nagent: reader\nneeds: [talk]\n---\nGo on\n");
    harness.gadugi_with_agents(&["run", "--executor", "subprocess", &talk, &strict, &reader]).expect(0);
    let told_strict = told(&harness, "strict");
    assert!(told_strict.contains("- `talk`: Talk. It said: xxx") && told_strict.contains("x…"), "{told_strict}");
    assert!((60_000..70_000).contains(&told_strict.len()), "{}", told_strict.len());
    assert!(told(&harness, "reader").len() > 200_000);
}

#[test]
fn what_is_too_long_for_an_argument_is_refused_before_anything_is_made() {
    let harness = harness();
    let long = "x".repeat(150_000);
    let check = harness.task("check.md", format!("---\nagent: strict\ncheck: 'true # {long}'\n---\nDo it\n"));
    let text = harness.task("text.md", format!("---\nagent: strict\n---\n{long}\n"));
    let command = harness.task("command.md", format!("---\ncommand: [echo, {long}]\n---\n"));
    let env = harness.task("env.md", format!("---\nrun: 'true'\nenv: {{A: {long}}}\n---\n"));
    for (file, words) in [
        (&check, "check: what the agent `strict` is told has 15"),
        (&text, "the text of 150000 bytes is too long for the agent `strict`"),
        (&command, "an argument of `command` has 150000 bytes"),
        (&env, "`env.A` has 150002 bytes"),
    ] {
        for command in ["plan", "run"] {
            harness.gadugi_with_agents(&[command, "--executor", "subprocess", file]).expect(2).says(&[words, "hint: "]);
        }
    }
    assert!(!harness.repo.path().join(".git/gadugi/runs").exists());
    // A script is written to a file, and a prompt can be read.
    let script = harness.task("script.md", format!("---\nrun: 'true # {long}'\n---\n"));
    let reader = harness.task("reader.md", format!("---\nagent: reader\n---\n{long}\n"));
    harness.gadugi_with_agents(&["run", "--executor", "subprocess", &script, &reader]).expect(0);
}

#[test]
fn files_for_agents_that_git_ignores_are_named_with_the_line_that_copies_them() {
    let harness = harness();
    harness.repo.write(".gitignore", "CLAUDE.md\n.mcp.json\n/.claude/\nbuild/\n");
    harness.repo.write("CLAUDE.md", "Be kind.\n");
    harness.repo.write(".claude/settings.local.json", "{}");
    harness.repo.write("AGENTS.md", "Not ignored.\n");
    let line = "seed = [\"/CLAUDE.md\", \"/.claude/settings.local.json\"]";
    let args = ["plan", "--executor", "subprocess", "--agent", "reader", "-t", "Do it"];
    harness.gadugi_with_agents(&args).expect(0).says(&[line]);
    let doctor = harness.gadugi_with_agents(&["doctor"]).out;
    assert!(doctor.contains("agent files") && doctor.contains(line), "{doctor}");
    // Nobody reads them for a script.
    let script = harness.script("script", "true");
    assert!(!harness.gadugi_with_agents(&["plan", &script]).expect(0).err.contains("CLAUDE.md"));
    std::fs::remove_file(harness.repo.path().join("gadugi.toml")).expect("it is there");
    harness.gadugi(&["init"]).expect(0).says(&[line]);
    let settings = std::fs::read_to_string(harness.repo.path().join("gadugi.toml")).expect("it was written");
    assert!(settings.contains(&format!("\n# {line}\n")), "{settings}");
    harness.repo.write("gadugi.toml", format!("{line}\n{AGENTS}"));
    let answer = harness.gadugi_with_agents(&args).expect(0);
    assert!(!answer.err.contains("CLAUDE.md") && answer.out.contains("seed: 2 files"), "{}{}", answer.out, answer.err);
    assert!(!harness.gadugi_with_agents(&["doctor"]).out.contains("agent files"));
}

#[test]
fn what_is_another_tools_in_prompt_files_is_said_in_a_line_and_can_be_refused() {
    let harness = harness();
    let command =
        "---\ndescription: Review: all of it\nallowed-tools: Read\nargument-hint: [x]\nagent: ask\n---\nReview\n";
    let one = harness.task("review.md", command);
    let run = ["run", "--executor", "subprocess", "--agent", "reader"];
    let answer = harness.gadugi_with_agents(&[&run[..], &[&one]].concat()).expect(0);
    let notes: Vec<&str> = answer.err.lines().filter(|line| line.contains("passed over")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].ends_with("review.md: passed over what is not gadugi's: allowed-tools, argument-hint, agent: ask")
    );
    assert_eq!(harness.report()["tasks"][0]["title"], "Review: all of it");
    for n in 0..20 {
        harness.task(&format!("p{n}.md"), command);
    }
    let folder = harness.repo.root().join("tasks");
    let plan = ["plan", "--executor", "subprocess", "--agent", "reader", folder.to_str().expect("UTF-8")];
    let answer = harness.gadugi_with_agents(&plan).expect(0);
    assert_eq!(answer.err.lines().filter(|line| line.contains("passed over")).count(), 1, "{}", answer.err);
    answer.says(&["passed over in 21 files", "allowed-tools (21)"]);
    let strict = [&run[..], &["--strict", &one]].concat();
    harness.gadugi_with_agents(&strict).expect(2).says(&["review.md:2", "not valid YAML"]);
    harness.repo.write("gadugi.toml", format!("strict = true\n{AGENTS}"));
    harness.gadugi_with_agents(&[&run[..], &[&one]].concat()).expect(2);
}

#[test]
fn a_file_of_another_kind_is_never_a_prompt() {
    let harness = harness();
    let run = ["run", "--executor", "subprocess", "--agent", "reader"];
    for (name, text, words) in [
        ("tasks.json", "[{\"prompt\": \"x\"}]", "is JSON, which is no task file"),
        ("plan.yaml", "tasks:\n- run: x\n", "is YAML, which is no task file"),
        ("hugo.md", "+++\nagent = 'reader'\n+++\nDo it\n", "hugo.md:1: the line '+++' begins no front matter"),
    ] {
        let file = harness.task(name, text);
        harness.gadugi_with_agents(&[&run[..], &[&file]].concat()).expect(2).says(&[words, "hint: "]);
    }
    let late = harness.task("late.md", "\n<!-- ours -->\n---\nrun: echo x > told.txt\n---\n");
    harness.gadugi_with_agents(&[&run[..], &[&late]].concat()).expect(0);
    assert_eq!(told(&harness, "late"), "x");
}
