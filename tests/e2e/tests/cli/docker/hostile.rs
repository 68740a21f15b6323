//! A task that tries from its container to get at the machine by way of git.

use std::os::unix::fs::PermissionsExt;

use super::dock::Dock;

/// Everything of its git folder and of its worktree that has made a git on the host run something, in some program or other.
const TRAPS: &str = r#"
set -eu
G=$(git rev-parse --absolute-git-dir)
W=$PWD
# The file that leads to the git folder cannot be taken away.
if rm -f .git 2>/dev/null || mv .git elsewhere 2>/dev/null || echo evil 2>/dev/null > .git; then exit 91; fi
# Nor can what is borrowed be written.
O=$(head -n 1 "$G/objects/info/alternates")
if : 2>/dev/null > "$O/evil" || rm -rf "$O/pack" 2>/dev/null && [ ! -d "$O/pack" ]; then exit 92; fi
# Attributes, a repository within this one, and a link to it as a commit.
printf '* filter=evil diff=evil merge=evil ident\n*.txt working-tree-encoding=UTF-16\n' > .gitattributes
printf 'text\n' > text.md
git init -q nested
cd nested
git config user.name n; git config user.email n@n
echo inner > inner.txt; echo '* filter=evil' > .gitattributes
git add .; git commit -q -m Inner
for key in filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.textconv diff.evil.command core.fsmonitor core.sshCommand core.pager; do git config $key "$TRAP"; done
cd "$W"
git add text.md .gitattributes nested 2>/dev/null
git commit -q -m 'With a repository in it'
git update-ref refs/heads/main HEAD
git tag evil
git update-ref refs/heads/gadugi/other HEAD
git checkout -q --detach
git commit -q --allow-empty -m 'On no branch'
git symbolic-ref HEAD refs/heads/gadugi/TASK
# A link where a folder is, and a folder where a file is.
ln -s /etc/passwd link.md
ln -s "$O" objects-of-others
# From here on git does not work in here any more.
for hook in post-checkout pre-commit post-commit commit-msg reference-transaction post-index-change pre-auto-gc post-merge fsmonitor-watchman; do
  printf '#!/bin/sh\nexec "%s"\n' "$TRAP" > "$G/hooks/$hook" 2>/dev/null || { mkdir -p "$G/hooks"; printf '#!/bin/sh\nexec "%s"\n' "$TRAP" > "$G/hooks/$hook"; }
  chmod 755 "$G/hooks/$hook"
done
{
  printf '[core]\n\tfsmonitor = %s\n\thooksPath = %s/hooks\n\tsshCommand = %s\n\tpager = %s\n\teditor = %s\n\tattributesFile = %s/.gitattributes\n' "$TRAP" "$G" "$TRAP" "$TRAP" "$TRAP" "$W"
  printf '[extensions]\n\tworktreeConfig = true\n[include]\n\tpath = %s/evil.config\n' "$W"
  printf '[filter "evil"]\n\tclean = %s\n\tsmudge = %s\n\tprocess = %s\n\trequired = true\n' "$TRAP" "$TRAP" "$TRAP"
  printf '[diff]\n\texternal = %s\n[diff "evil"]\n\ttextconv = %s\n[merge "evil"]\n\tdriver = %s\n[gpg]\n\tprogram = %s\n[commit]\n\tgpgSign = true\n[uploadpack]\n\tpackObjectsHook = %s\n' "$TRAP" "$TRAP" "$TRAP" "$TRAP" "$TRAP"
} >> "$G/config"
cp "$G/config" "$G/config.worktree"
cp "$G/config" evil.config
mkdir -p "$G/info" "$G/evil/objects/info"
printf '* filter=evil\n' > "$G/info/attributes"
printf '%s/evil/objects\n' "$G" >> "$G/objects/info/alternates"
printf '%s\n' "$W/nested/.git/objects" > "$G/evil/objects/info/alternates"
printf '%s/nested/.git\n' "$W" > "$G/commondir"
printf '%s/.git\n' "$W" > "$G/gitdir"
printf 'x\n' > "$G/index.lock"
echo done
"#;

#[test]
fn nothing_that_a_task_leaves_in_its_git_folder_or_its_worktree_runs_on_the_host() {
    let Some(dock) = Dock::new() else { return };
    let (trap, canary) = (dock.repo.root().join("trap"), dock.repo.root().join("canary"));
    std::fs::write(&trap, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", canary.display())).expect("a trap");
    std::fs::set_permissions(&trap, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let env = format!("env:\n  TRAP: {}\n", trap.display());
    let traps = |task: &str| TRAPS.replace("TASK", task);
    // One whose work is taken over, and one from whose work another attempt begins.
    let once = dock.scripted("once", &env, &traps("once"));
    let twice = dock.scripted(
        "twice",
        &format!("{env}retries: 1\nretry_delay: 0s\nretry_from: previous\n"),
        &format!("[ \"$GADUGI_ATTEMPT\" = 1 ] || exit 8\n{}\nexit 7", traps("twice")),
    );
    // And one that begins with a merge by gadugi of what is trapped and something else.
    let other = dock.scripted("other", "", "echo other > other.md");
    let later = dock.scripted("later", "needs: [once, other]\n", "cat text.md other.md > both.md");
    let before = dock.repo.fingerprint();
    let answer = dock.gadugi(&["run", &once, &twice, &other, &later]);
    assert_eq!(answer.code, Some(1), "{}\n{}", answer.out, answer.err);
    let unharmed = |after: &str| {
        let sprung = std::fs::read_to_string(&canary).unwrap_or_default();
        assert_eq!(sprung, "", "a trap was sprung by {after}\n{}", answer.out);
    };
    unharmed("gadugi run");
    let attempts: Vec<_> =
        dock.report()["tasks"].as_array().expect("tasks").iter().map(|task| task["attempts"].clone()).collect();
    for (at, codes) in [(0, vec![0]), (1, vec![7, 8])] {
        let ends = attempts[at].as_array().expect("attempts").iter();
        let ends: Vec<_> = ends.map(|attempt| attempt["commands"][0]["end"]["status"]["code"].as_i64()).collect();
        assert_eq!(
            ends,
            codes.into_iter().map(Some).collect::<Vec<_>>(),
            "{}",
            dock.gadugi(&["logs", "--raw", "once"]).out
        );
    }
    dock.gadugi(&["report"]).expect(0);
    unharmed("gadugi report");
    for args in [&["clean", "--dry-run"][..], &["ps", "--all"], &["logs", "once"], &["plan", "README.md"]] {
        dock.gadugi(args);
        unharmed(&format!("gadugi {args:?}"));
    }
    for args in [&["status"][..], &["log", "--all", "-p"], &["diff"], &["worktree", "list"]] {
        dock.repo.git(args);
        unharmed(&format!("git {args:?}"));
    }
    assert_eq!(dock.repo.fingerprint(), before, "the user's repository has changed");
    let subjects = dock.repo.git(&["log", "--format=%s", "main..gadugi/once"]);
    assert!(subjects.contains("With a repository in it"), "{subjects}");
    assert_eq!(dock.repo.git(&["show", "gadugi/once:text.md"]), "text");
    assert_eq!(dock.repo.git(&["tag"]), "", "tags of a task stay with it");
    assert_eq!(dock.repo.git(&["show", "gadugi/later:both.md"]), "text\nother");
    // They are no blanks: a git that looks for a repository where the task has been does run them.
    let nested = dock.worktrees().join("twice/nested");
    dock.repo.try_git_in(&nested, &["status"]);
    assert!(canary.exists(), "the traps do not work");
    std::fs::remove_file(&canary).expect("it is there");
    dock.gadugi(&["clean", "--all"]);
    unharmed("gadugi clean");
    dock.gadugi(&["clean", "--all", "--discard"]);
    unharmed("gadugi clean --discard");
    assert_eq!(dock.repo.fingerprint(), before, "the user's repository has changed");
    dock.assert_clean();
    dock.repo.git(&["gc", "--quiet"]);
    unharmed("git gc");
}
