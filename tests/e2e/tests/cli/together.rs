//! Several `gadugi` in one repository.

use crate::stand::{Going, Stand};

#[test]
fn two_runs_at_once_in_one_repository_both_work() {
    let stand = Stand::new();
    stand.repo.many_files(500);
    let before = stand.repo.fingerprint();
    for n in 0..6 {
        stand.script(&format!("t{n}"), &format!("echo {n} > {n}.txt"));
    }
    let folder = stand.repo.root().join("tasks");
    let args = ["run", "-j6", folder.to_str().expect("UTF-8")];
    let runs: Vec<_> = (0..3).map(|_| Going::start(stand.command(&args))).collect();
    for run in runs {
        run.end().expect(0);
    }
    let branches = stand.repo.git(&["for-each-ref", "--format=%(refname)", "refs/heads/gadugi"]);
    assert_eq!(branches.lines().count(), 18, "{branches}");
    assert_eq!(stand.repo.fingerprint(), before);
    stand.assert_sound();
}

#[test]
fn a_run_that_goes_on_is_not_cleaned() {
    let stand = Stand::new();
    let gate = stand.repo.root().join("gate");
    let file = stand.script("a", &format!("while [ ! -e '{}' ]; do sleep 0.02; done", gate.display()));
    let mut run = Going::start(stand.command(&["run", &file]));
    run.until("a  started");
    stand.gadugi(&["clean"]).expect(4).says(&["goes on", "gadugi stop"]);
    stand.gadugi(&["clean", "--all"]).expect(0);
    assert!(stand.worktrees().join("a").exists());
    std::fs::write(&gate, "").expect("the gate opens");
    run.end().expect(0);
}
