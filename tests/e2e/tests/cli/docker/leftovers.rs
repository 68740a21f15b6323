//! Containers that a gadugi could not remove any more.

use super::dock::Dock;

/// A container as a run of the repository with this label would have left it.
fn leave(dock: &Dock, repository: &str, run: &str, name: &str) -> String {
    let labels = [
        format!("gadugi.repo={repository}"),
        format!("gadugi.run={run}"),
        "gadugi.task=a".to_owned(),
        "gadugi.attempt=1".to_owned(),
        "gadugi.phase=main".to_owned(),
        "gadugi.nonce=0123456789abcdef".to_owned(),
    ];
    let mut args = vec!["create", "--name", name, "--network", "none"];
    args.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
    args.extend([dock.image.name(), "true"]);
    dock.docker.run(&args)
}

#[test]
fn clean_removes_containers_of_runs_that_are_over_and_of_this_repository_only() {
    let Some(dock) = Dock::new() else { return };
    let file = dock.gated("a", "", "true");
    let run = crate::harness::Going::start(dock.command(&["run", &file]));
    dock.begun("a");
    let going = dock.containers().remove(0);
    let repository = dock.docker.run(&["inspect", "--format", "{{index .Config.Labels \"gadugi.repo\"}}", &going]);
    let id = dock.docker.run(&["inspect", "--format", "{{index .Config.Labels \"gadugi.run\"}}", &going]);
    let name = |what: &str| format!("gadugi-test-{what}-{id}");
    let ours = leave(&dock, &repository, &id, &name("ours"));
    // Within the repository of this test, so that it goes with it in any case.
    let elsewhere = format!("elsewhere{repository}");
    let theirs = leave(&dock, &elsewhere, &id, &name("theirs"));
    let unknown = leave(&dock, &repository, "20200101-000000-aaa", &name("unknown"));
    let cleaned = dock.gadugi(&["clean", "--all"]).expect(0);
    assert!(!cleaned.out.contains("container"), "its run goes on: {}", cleaned.out);
    dock.open("a");
    run.end().expect(0);
    let shown = dock.gadugi(&["clean", "--dry-run"]).expect(0).out;
    assert!(dock.containers().iter().any(|id| ours.starts_with(id)), "a dry run removes nothing: {shown}");
    let cleaned = dock.gadugi(&["clean"]).expect(0).out;
    assert!(cleaned.contains(&format!("removed  container {}", name("ours"))), "{cleaned}");
    let left = dock.containers();
    let is_left = |container: &str| left.iter().any(|id| container.starts_with(id));
    assert!(!is_left(&ours) && is_left(&theirs), "{left:?}");
    assert!(is_left(&unknown), "a run that is not known may just begin");
    dock.docker.run(&["rm", &theirs, &unknown]);
    dock.assert_clean();
}

#[test]
fn a_later_run_removes_what_an_earlier_one_has_left() {
    let Some(dock) = Dock::new() else { return };
    dock.gadugi(&["run", &dock.scripted("a", "", "true")]).expect(0);
    let run = dock.report()["run"].as_str().expect("a run").to_owned();
    // What names the repository is not told by a container that is gone.
    let machine = std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned());
    let machine = machine
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    let repository = format!("{machine}:{}", dock.repo.path().join(".git").display());
    leave(&dock, &repository, &run, &format!("gadugi-test-earlier-{run}"));
    let file = dock.gated("b", "", "true");
    let later = crate::harness::Going::start(dock.command(&["run", &file]));
    dock.begun("b");
    super::dock::until("it is removed", || dock.containers().len() == 1);
    dock.open("b");
    later.end().expect(0);
    dock.assert_clean();
}

#[test]
fn clean_takes_what_a_failed_task_has_left_only_once_it_is_kept_elsewhere() {
    let Some(dock) = Dock::new() else { return };
    let script = "echo one > one.txt\ngit add .\ngit commit -q -m One\necho two > two.txt\nexit 3";
    dock.gadugi(&["run", &dock.scripted("a", "", script)]).expect(1);
    let private = dock.repo.path().join(".git/gadugi/git");
    let tip = dock.repo.git(&["rev-parse", "gadugi/a"]);
    assert_eq!(dock.repo.git(&["log", "--format=%s", "main..gadugi/a"]), "One", "commits are taken over in any case");
    let kept = dock.gadugi(&["clean"]).expect(0).out;
    assert!(kept.contains("uncommitted"), "{kept}");
    assert_eq!(std::fs::read_to_string(dock.worktrees().join("a/two.txt")).expect("it stays"), "two\n");
    let status = dock.repo.git_in(&dock.worktrees().join("a"), &["status", "--porcelain"]);
    assert_eq!(status, "?? two.txt", "the worktree goes on where the task has left it");
    dock.gadugi(&["clean", "--discard"]).expect(0);
    assert!(!dock.worktrees().join("a").exists() && !private.exists(), "all of it goes at once");
    assert!(dock.repo.git(&["log", "--all", "--format=%H"]).contains(&tip), "and its commits stay for a while");
    dock.assert_clean();
}
