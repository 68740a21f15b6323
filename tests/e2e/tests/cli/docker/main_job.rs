//! The main job of containers, as a user sees it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use gadugi_test_support::docker::Docker;
use gadugi_test_support::repo::TestRepo;

use super::dock::Dock;
use crate::harness::Answer;

/// The tasks of the documentation.
fn examples() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/tasks");
    folder.canonicalize().expect("the examples").to_str().expect("UTF-8").to_owned()
}

const MADE: [(&str, &str); 3] =
    [("history", "GADUGI-HISTORY.md"), ("inventory", "GADUGI-INVENTORY.md"), ("todo-list", "TODO-LIST.md")];

/// Checks that the examples have run in containers, and that nothing of that is left but commits.
fn assert_made(dock: &Dock, answer: Answer) {
    let answer = answer.expect(0);
    for (task, file) in MADE {
        let made = dock.repo.git(&["diff", "--name-only", "main", &format!("gadugi/{task}")]);
        assert_eq!(made, file, "{task}");
        let message = dock.repo.git(&["log", "--format=%B", &format!("main..gadugi/{task}")]);
        assert!(message.contains(&format!("Gadugi-Task: {task}")), "{message}");
    }
    let tasks = dock.report()["tasks"].as_array().expect("tasks").clone();
    assert!(tasks.iter().all(|task| task["attempts"][0]["executor"] == "docker"), "{tasks:?}");
    assert!(answer.out.contains("docker"), "{}", answer.out);
    assert!(!dock.repo.git(&["worktree", "list"]).contains("repo.gadugi"), "worktrees of succeeded tasks go");
    assert!(!dock.repo.path().join(".git/gadugi/git").exists(), "so do private git folders");
    dock.assert_clean();
}

#[test]
fn the_example_tasks_run_in_containers_and_end_in_commits() {
    // The one test with the network that users have.
    let Some(docker) = Docker::of_machine() else { return };
    let dock = Dock::at(docker, TestRepo::new(), "");
    dock.repo.commit_file("src/main.rs", "fn main() {} // TODO: all\n");
    let before = dock.repo.fingerprint();
    assert_made(&dock, dock.gadugi(&["run", "--executor", "docker", &examples()]));
    assert_eq!(dock.repo.fingerprint(), before, "the user's repository has changed");
}

#[test]
fn what_tasks_make_belongs_to_the_owner_of_the_repository() {
    const OWNER: u32 = 12_345;
    let Some(docker) = Docker::of_machine() else { return };
    if !rustix::process::getuid().is_root() {
        // Then all of this belongs to who runs the tests, and the other tests would fail if it did not.
        return;
    }
    let dock = Dock::at(docker, TestRepo::new(), "keep = \"always\"\n[docker]\nnetwork = \"none\"\n");
    let owner = format!("{OWNER}:{OWNER}");
    let chown = Command::new("chown").args(["-R", &owner]).arg(dock.repo.root()).status().expect("chown starts");
    assert!(chown.success());
    let mut reach = Command::new("setpriv");
    reach.args([format!("--reuid={OWNER}"), "--clear-groups".to_owned(), "test".to_owned(), "-d".to_owned()]);
    if !reach.arg(dock.repo.path()).status().is_ok_and(|status| status.success()) {
        println!("skipped: nobody but root gets to {}", dock.repo.path().display());
        return;
    }
    // Its socket lets a group in.
    let group = std::fs::metadata("/var/run/docker.sock").expect("the daemon's socket").gid();
    let gadugi = dock.command(&["run", &examples()]);
    let mut as_owner = Command::new("setpriv");
    as_owner.args([format!("--reuid={OWNER}"), format!("--regid={OWNER}"), format!("--groups={group}")]);
    as_owner.arg(gadugi.get_program()).args(gadugi.get_args()).env_clear().current_dir(dock.repo.path());
    as_owner.envs(gadugi.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let answer: Answer = as_owner.output().expect("setpriv starts").into();
    answer.expect(0);
    for (task, file) in MADE {
        let metadata = dock.worktrees().join(task).join(file).metadata().expect("it was made");
        assert_eq!((metadata.uid(), metadata.gid()), (OWNER, OWNER), "{task}");
    }
    let find = Command::new("find").arg(dock.repo.root()).args(["!", "-user", &OWNER.to_string()]).output();
    assert_eq!(String::from_utf8_lossy(&find.expect("find starts").stdout), "", "others own something there");
    assert_eq!(dock.containers(), Vec::<String>::new());
}

#[test]
fn a_retry_runs_in_a_container_again() {
    let Some(dock) = Dock::new() else { return };
    let there = "[ ! -e \"$(git rev-parse --git-common-dir)/gadugi\" ] && [ -e /.dockerenv ] || exit 9";
    let script = format!("{there}\necho \"$GADUGI_ATTEMPT\" >> tries.txt\n[ \"$GADUGI_ATTEMPT\" = 2 ]");
    let file = dock.scripted("a", "retries: 1\nretry_delay: 0s\nretry_from: previous\n", &script);
    dock.gadugi(&["run", &file]).expect(0);
    let report = dock.report();
    let attempts = report["tasks"][0]["attempts"].as_array().expect("attempts").clone();
    assert_eq!(attempts.len(), 2);
    assert!(attempts.iter().all(|attempt| attempt["executor"] == "docker"), "{attempts:?}");
    let branch = attempts[1]["worktree"]["branch"].as_str().expect("a branch").to_owned();
    assert_eq!(dock.repo.git(&["show", &format!("{branch}:tries.txt")]), "1\n2");
    dock.gadugi(&["clean"]).expect(0);
    dock.assert_clean();
}

#[test]
fn a_task_of_another_executor_runs_beside_those_in_containers() {
    let Some(dock) = Dock::new() else { return };
    let here =
        dock.scripted("here", "executor: subprocess\n", "[ ! -e /run/gadugi ]; pwd > pwd.txt; uname -n > name.txt");
    let there = dock.scripted("there", "", "uname -n > name.txt");
    dock.gadugi(&["run", &here, &there]).expect(0);
    assert_eq!(dock.repo.git(&["show", "gadugi/there:name.txt"]), "there", "a container is named after its task");
    assert_ne!(dock.repo.git(&["show", "gadugi/here:name.txt"]), "here");
    let report = dock.report();
    let executor = |at: usize| report["tasks"][at]["attempts"][0]["executor"].clone();
    assert_eq!([executor(0), executor(1)], ["subprocess", "docker"]);
    dock.assert_clean();
}

#[test]
fn an_agent_reads_its_prompt_in_a_container_of_its_own_image() {
    let Some(docker) = Docker::of_machine() else { return };
    let tools = docker.tools();
    let agent = format!(
        "[agents.scribe]\nframe = \"\"\nimage = \"{}\"\ncommand = [\"sh\", \"-c\", \"cat > prompt.txt\"]\n",
        tools.name()
    );
    let config = format!("[docker]\nnetwork = \"none\"\n{agent}");
    let dock = Dock::at(docker, TestRepo::new(), &config);
    dock.repo.write("gadugi.toml", format!("agent = \"scribe\"\nimage = \"gadugi-test/missing:1\"\n{config}"));
    dock.gadugi(&["run", "--executor", "docker", "-t", "Grüße, \"quoted\" & $HOME"]).expect(0);
    let branch = dock.repo.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/gadugi"]);
    assert_eq!(dock.repo.git(&["show", &format!("{branch}:prompt.txt")]), "Grüße, \"quoted\" & $HOME");
    dock.assert_clean();
}

#[test]
fn containers_work_from_linked_worktrees_and_in_paths_with_spaces() {
    let Some(docker) = Docker::of_machine() else { return };
    let dock = Dock::at(docker, TestRepo::init("my project ü", &[]), "[docker]\nnetwork = \"none\"\n");
    let linked = dock.repo.root().join("a linked one");
    dock.repo.git(&["worktree", "add", "-q", "-b", "linked", linked.to_str().expect("UTF-8")]);
    let file =
        dock.scripted("a", "", "echo a > a.txt\ngit add .\ngit commit -q -m A\n[ -z \"$(git status --porcelain)\" ]");
    for folder in [dock.repo.path(), &linked] {
        let answer: Answer = dock.command_in(folder, &["run", &file]).output().expect("gadugi starts").into();
        answer.expect(0);
    }
    for branch in ["gadugi/a", "gadugi/a-2"] {
        assert_eq!(dock.repo.git(&["log", "-1", "--format=%s", branch]), "A");
    }
    dock.assert_clean();
}
