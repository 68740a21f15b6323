//! Git within a container, and what of it comes out.

use super::dock::Dock;

#[test]
fn git_works_in_a_container_as_everywhere_and_all_of_it_comes_out() {
    let Some(dock) = Dock::new() else { return };
    dock.repo.commit_file("src/lib.rs", "one\n");
    let base = dock.repo.git(&["rev-parse", "main"]);
    let before = dock.repo.fingerprint();
    // Without the tricks of a hook or a pager: as an agent would.
    let script = format!(
        "set -eu\n\
         [ -z \"$(git status --porcelain)\" ]\n\
         [ \"$(git rev-parse HEAD)\" = {base} ]\n\
         [ \"$(git rev-parse --abbrev-ref HEAD)\" = gadugi/a ]\n\
         [ \"$(git rev-parse --show-toplevel)\" = \"$PWD\" ]\n\
         [ \"$(git log --format=%s | wc -l)\" = 2 ]\n\
         echo two >> src/lib.rs\n\
         [ \"$(git diff --numstat)\" = \"$(printf '1\\t0\\tsrc/lib.rs')\" ]\n\
         git add src/lib.rs\n\
         [ \"$(git diff --cached --name-only)\" = src/lib.rs ]\n\
         git commit -q -m 'First of the task'\n\
         git checkout -q -b side\n\
         echo aside > aside.txt\n\
         git add aside.txt\n\
         git commit -q -m 'On a branch of its own'\n\
         git checkout -q gadugi/a\n\
         [ ! -e aside.txt ]\n\
         echo later >> README.md\n\
         git stash push -q -m 'for later'\n\
         [ \"$(git stash list | wc -l)\" = 1 ]\n\
         [ -z \"$(git status --porcelain)\" ]\n\
         echo three >> src/lib.rs\n\
         git commit -q -a -m 'Second of the task'\n\
         [ \"$(git log --format=%s {base}.. | head -n 1)\" = 'Second of the task' ]\n\
         git fsck --no-progress\n\
         echo rest > rest.txt"
    );
    let check = "check: 'test \"$(git log --format=%s -n 1)\" = \"Second of the task\" && git cat-file -e side:aside.txt && test -e rest.txt'\n";
    let answer = dock.gadugi(&["run", &dock.scripted("a", check, &script)]).expect(0);
    let subjects = dock.repo.git(&["log", "--format=%s", "main..gadugi/a"]);
    let subjects: Vec<_> = subjects.lines().collect();
    assert_eq!(subjects[1..], ["Second of the task", "First of the task"], "and what was left uncommitted before them");
    assert_eq!(dock.repo.git(&["show", "gadugi/a:src/lib.rs"]), "one\ntwo\nthree");
    assert_eq!(dock.repo.git(&["show", "gadugi/a:rest.txt"]), "rest");
    let kept = dock.repo.git(&["for-each-ref", "--format=%(refname)", "refs/gadugi/kept"]);
    let run = dock.report()["run"].as_str().expect("a run").to_owned();
    assert_eq!(
        kept.lines().collect::<Vec<_>>(),
        ["side", "stash"].map(|name| format!("refs/gadugi/kept/{run}/a/1/{name}"))
    );
    assert_eq!(dock.repo.git(&["show", &format!("refs/gadugi/kept/{run}/a/1/side:aside.txt")]), "aside");
    let stashed = dock.repo.git(&["stash", "show", "-p", &format!("refs/gadugi/kept/{run}/a/1/stash")]);
    assert!(stashed.contains("+later"), "{stashed}");
    let report = dock.of_run("report.md");
    for reference in kept.lines() {
        let parts: Vec<_> = reference.split('/').collect();
        assert!(report.contains(reference), "{parts:?} is not in\n{report}");
    }
    assert!(answer.out.contains("/stash"), "{}", answer.out);
    assert_eq!(dock.repo.fingerprint(), before, "the user's repository has changed");
    dock.assert_clean();
}

#[test]
fn a_task_builds_upon_what_others_have_committed_in_their_containers() {
    let Some(dock) = Dock::new() else { return };
    let commit = |name: &str| format!("echo {name} > {name}.txt\ngit add .\ngit commit -q -m {name}");
    let (a, b) = (dock.scripted("a", "", &commit("a")), dock.scripted("b", "", &commit("b")));
    let c = dock.scripted(
        "c",
        "needs: [a, b]\n",
        "cat a.txt b.txt > c.txt\ngit log --format=%s | grep -x a\ngit add .\ngit commit -qm c",
    );
    dock.gadugi(&["run", &a, &b, &c]).expect(0);
    assert_eq!(dock.repo.git(&["show", "gadugi/c:c.txt"]), "a\nb");
    dock.assert_clean();
}
