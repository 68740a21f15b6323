//! Secrets of tasks in containers.

use super::dock::{Dock, files_below};
use crate::harness::Going;

/// A unique text: wherever it is found, it has leaked.
const CANARY: &str = "canary-7f3a9c-'quoted'-d81e";

#[test]
fn a_secret_is_seen_by_its_task_and_stands_nowhere_else() {
    let Some(dock) = Dock::new() else { return };
    let length = CANARY.len();
    let seen = format!(
        "[ \"$(printf %s \"$TOKEN\" | wc -c)\" = {length} ]\ncase \"$TOKEN\" in canary-*-d81e) echo seen ;; *) exit 9 ;; esac"
    );
    let check = "check: test \"${TOKEN%%-*}\" = canary\n";
    let file = dock.gated("a", &format!("secrets: [TOKEN]\n{check}"), &seen);
    let mut command = dock.command(&["run", &file]);
    command.env("TOKEN", CANARY).env("UNASKED", CANARY);
    let run = Going::start(command);
    dock.begun("a");
    let containers = dock.containers();
    assert_eq!(containers.len(), 1);
    assert_hidden("docker inspect", dock.docker.run(&["inspect", &containers[0]]).as_bytes());
    assert_hidden("docker logs", dock.docker.run(&["logs", &containers[0]]).as_bytes());
    assert_hidden("gadugi ps", dock.gadugi(&["ps", "--json"]).expect(0).out.as_bytes());
    assert_hidden("gadugi ps", dock.gadugi(&["ps"]).expect(0).out.as_bytes());
    for process in std::fs::read_dir("/proc").expect("processes") {
        let arguments = std::fs::read(process.expect("a process").path().join("cmdline")).unwrap_or_default();
        assert_hidden("the arguments of a process", &arguments);
    }
    assert_none_holds(&dock);
    dock.open("a");
    let answer = run.end().expect(0);
    assert_hidden("what was said", answer.err.as_bytes());
    assert_hidden("the report", answer.out.as_bytes());
    for format in ["md", "json", "junit"] {
        assert_hidden(format, dock.gadugi(&["report", "--format", format]).expect(0).out.as_bytes());
    }
    let logs = dock.gadugi(&["logs", "a"]).expect(0);
    assert_eq!(logs.out, "seen\n");
    assert_none_holds(&dock);
    dock.assert_clean();
}

/// The home folder of the container is that of the agent, and the file of the user's is his.
#[test]
fn an_agent_can_read_its_login_where_it_asks_for_it_and_change_nothing_of_it() {
    let Some(dock) = Dock::new() else { return };
    let login = dock.repo.root().join("home/.agent/deep/login.json");
    std::fs::create_dir_all(login.parent().expect("a folder")).expect("folders");
    std::fs::write(&login, "let me in\n").expect("a login");
    let script = "cat ~/.agent/deep/login.json\n\
                  if echo over > ~/.agent/deep/login.json; then exit 8; fi\n\
                  echo mine > ~/.agent/deep/session && echo mine > ~/.agent/other && ls ~/.agent/deep";
    for (name, key, outcome) in [("shown", "mount_login = true", 0), ("hidden", "", 1)] {
        let config = std::fs::read_to_string(dock.repo.path().join("gadugi.toml")).unwrap_or_default();
        let agent = format!(
            "\n[agents.{name}]\ncommand = [\"sh\", \"-e\"]\nframe = \"\"\n\
             login = [\"~/.agent/deep/login.json\", \"~/.agent/none\"]\n{key}\n"
        );
        dock.repo.write("gadugi.toml", config + &agent);
        let task = dock.task(&format!("{name}.md"), format!("---\nagent: {name}\nchanges: optional\n---\n{script}\n"));
        dock.gadugi(&["run", &task]).expect(outcome);
        let out = dock.gadugi(&["logs", name]).expect(0).out;
        let read = out.starts_with("let me in\n") && out.ends_with("login.json\nsession\n");
        assert_eq!(read, outcome == 0, "{out}");
    }
    assert_eq!(std::fs::read_to_string(&login).expect("the login"), "let me in\n");
    dock.assert_clean();
}

#[track_caller]
fn assert_hidden(place: &str, bytes: &[u8]) {
    // Also where its quotes are written in another way.
    for part in [CANARY, "7f3a9c", "d81e-", "canary-7f"] {
        let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(!found, "the secret stands in {place}: {}", String::from_utf8_lossy(bytes));
    }
}

/// No file of the registry or of a worktree.
#[track_caller]
fn assert_none_holds(dock: &Dock) {
    for (path, bytes) in files_below(&dock.repo.root()) {
        let is_task = path.starts_with(dock.repo.root().join("tasks"));
        if !is_task {
            assert_hidden(&path.display().to_string(), &bytes);
        }
    }
}

#[test]
fn a_secret_that_is_not_set_stops_a_run_in_containers_before_it_begins() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.scripted("a", "secrets: [TOKEN]\n", "true");
    dock.gadugi(&["run", &file]).expect(2).says(&["TOKEN"]);
    assert!(!dock.repo.path().join(".git/gadugi/runs").exists());
}
