//! `gadugi clean` of runs that may still be needed.

use rustix::process::Signal;

use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::{gated, gone, killed, open, pid};

/// A run whose driver has died between the start of its task and the record of that start.
fn unrecorded(harness: &Harness) -> String {
    let file = gated(harness, "a", "echo done > f.txt");
    let run = harness.command(&["run", &file]).env("GADUGI_CRASH_AT", "command-started").output().expect("it starts");
    assert_eq!(run.status.code(), None, "{}", String::from_utf8_lossy(&run.stderr));
    pid(harness, "a")
}

#[test]
fn a_command_whose_start_nobody_recorded_is_seen_kept_and_stopped() {
    let harness = Harness::new();
    let task = unrecorded(&harness);
    for args in [&["clean"][..], &["clean", "--discard"]] {
        harness.gadugi(args).expect(1).says(&["is not over", "gadugi resume", "gadugi stop"]);
    }
    harness.gadugi(&["clean", "--all", "--discard"]).expect(0).says(&["is not over", "left alone"]);
    assert!(harness.worktrees().join("a").exists());
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("a     running") && ps.contains("pid "), "{ps}");
    let mut attach = Going::start(harness.command(&["attach"]));
    attach.until("its tasks go on (a: pid ");
    attach.signal(Signal::INT);
    attach.end().expect(130);
    let mut logs = Going::start(harness.command(&["logs", "-f", "a"]));
    logs.until("nobody drives run");
    assert!(is_alive(&task));
    harness.gadugi(&["stop", "--now", "a"]).expect(0).says(&["a: stopped"]);
    gone(&task);
    logs.end().expect(0).says(&["does not run"]);
}

#[test]
fn a_garbled_journal_does_not_take_the_worktree_from_a_running_command() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "echo done > f.txt");
    killed(&harness, Going::start(harness.command(&["run", &file])), &["a"]);
    std::fs::write(harness.latest_run().join("journal.jsonl"), "garbage\n").expect("it can be written");
    harness.gadugi(&["clean"]).expect(1);
    harness.gadugi(&["clean", "--all", "--discard"]).expect(0);
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("running") && ps.contains("pid "), "{ps}");
    open(&harness, "a");
    gone(&pid(&harness, "a"));
    assert_eq!(std::fs::read_to_string(harness.worktrees().join("a/f.txt")).expect("it is there"), "done\n");
}

/// As what a container leaves whose commands run as root.
#[cfg(target_os = "linux")]
#[test]
fn files_of_another_user_that_keep_a_removed_worktree_from_being_deleted_are_told_with_what_helps() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let harness = Harness::new();
    harness.repo.commit_file(".gitignore", "cache/\n");
    let file = crate::waiting::gated(&harness, "a", "true");
    // In a place where everybody can execute it.
    let program = harness.repo.root().join("gadugi");
    std::fs::copy(harness.command(&[]).get_program(), &program).expect("a copy");
    let owned = std::process::Command::new("chown").args(["-R", "1234:1234"]).arg(harness.repo.root()).status();
    assert!(owned.is_ok_and(|status| status.success()));
    let as_user = |args: &[&str]| {
        let gadugi = harness.command(args);
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "1234", "--regid", "1234", "--clear-groups"]).arg(&program).args(gadugi.get_args());
        command.current_dir(harness.repo.path()).env_clear();
        command.envs(gadugi.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let run = crate::harness::Going::start(as_user(&["run", &file]));
    let worktree = harness.worktrees().join("a");
    crate::waiting::pid(&harness, "a");
    std::fs::create_dir(worktree.join("cache")).expect("a folder");
    std::fs::write(worktree.join("cache/of-root"), "").expect("a file");
    crate::waiting::open(&harness, "a");
    run.end().expect(0);
    let clean = || -> crate::harness::Answer { as_user(&["clean", "--wait"]).output().expect("it starts").into() };
    let said = clean().expect(1).says(&["could be deleted", "belong to user 0", "sudo chown", "[docker]"]).err;
    let folder = said
        .split('\'')
        .find(|word| word.starts_with('/') && word.contains("/.gadugi-removed-"))
        .expect("it is named")
        .to_owned();
    let owned = std::process::Command::new("chown").args(["-R", "1234", &folder]).status();
    assert!(owned.is_ok_and(|status| status.success()));
    clean().expect(0);
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn homes_of_agents_whose_runs_are_over_or_not_known_are_removed() {
    let harness = Harness::new();
    harness.gadugi(&["run", "--executor", "subprocess", &harness.script("a", "true")]).expect(0);
    let run = harness.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let homes = harness.repo.path().join(".git/gadugi/homes");
    let leave = |run: &str| {
        std::fs::create_dir_all(homes.join(format!("{run}-a/.agent"))).expect("a folder");
    };
    leave(&run);
    leave("20200101-000000-aaa");
    std::fs::create_dir(homes.join("of-nobody")).expect("a folder");
    let shown = harness.gadugi(&["clean", "--dry-run"]).expect(0).out;
    assert!(homes.join(format!("{run}-a")).exists(), "{shown}");
    let said = harness.gadugi(&["clean", "--wait"]).expect(0).out;
    for run in [run.as_str(), "20200101-000000-aaa"] {
        assert!(said.contains(&format!("removed  home folder of the agent of a in run {run}\n")), "{said}");
        assert!(!homes.join(format!("{run}-a")).exists());
    }
    assert!(homes.join("of-nobody").exists(), "it is not ours");
    std::fs::remove_dir(homes.join("of-nobody")).expect("it is empty");
    // Each command that begins or goes on with a run removes them too.
    for command in [&["resume"][..], &["run", "--executor", "subprocess", &harness.script("b", "true")]] {
        leave("20200101-000000-aaa");
        harness.gadugi(command).expect(0);
        harness.gadugi(&["clean", "--wait"]).expect(0);
        assert!(!homes.exists(), "{command:?}");
    }
}

#[test]
fn an_executor_that_no_run_has_used_is_not_missed() {
    let harness = Harness::new();
    let file = harness.script("a", "echo a > a.txt");
    harness.gadugi(&["run", "--executor", "subprocess", &file]).expect(0);
    let mut clean = harness.command(&["clean"]);
    clean.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let answer = crate::harness::Answer::from(clean.output().expect("it starts")).expect(0);
    assert!(!answer.err.contains("docker"), "{}", answer.err);
}
