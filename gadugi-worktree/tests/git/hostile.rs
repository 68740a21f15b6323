//! Files that a task puts into its private git folder run nothing, lead nowhere, and move nothing but the task's own branch.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gadugi_core::worktrees::WorktreeFate;

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::attack::{Attack, pipe};
use crate::harness::{KEEP, branch, write};
use crate::isolated::kept;
use crate::untrusted::{make_executable, trap};

#[tokio::test]
async fn programs_in_its_configuration_are_not_run() {
    let attack = Attack::new().await;
    let program = &attack.program;
    let other = attack.harness.repo.root().join("other-config");
    fs::write(&other, format!("[core]\n\tfsmonitor = {program}\n")).expect("a file");
    let hooks = Path::new(program).parent().expect("a folder").join("hooks");
    fs::create_dir(&hooks).expect("a folder");
    for (key, value) in [
        ("core.hooksPath", hooks.to_string_lossy().as_ref()),
        ("core.fsmonitor", program),
        ("core.sshCommand", program),
        ("core.gitProxy", program),
        ("core.pager", program),
        ("core.editor", program),
        ("core.alternateRefsCommand", program),
        ("filter.trap.clean", program),
        ("filter.trap.smudge", program),
        ("filter.trap.process", program),
        ("filter.trap.required", "true"),
        ("diff.external", program),
        ("merge.trap.driver", program),
        ("gpg.program", program),
        ("credential.helper", program),
        ("uploadpack.packObjectsHook", program),
        ("alias.pack-objects", &format!("!{program}")),
        ("alias.rev-list", &format!("!{program}")),
        ("extensions.worktreeConfig", "true"),
        ("core.worktree", "/"),
        ("include.path", other.to_string_lossy().as_ref()),
    ] {
        fs::write(
            attack.task.git.join("config"),
            [
                fs::read(attack.task.git.join("config")).expect("a configuration"),
                format!("[{}]\n\t{} = \"{value}\"\n", section(key), key.rsplit('.').next().expect("a name")).into(),
            ]
            .concat(),
        )
        .expect("a configuration");
    }
    attack.task.write("config.worktree", format!("[core]\n\tfsmonitor = {program}\n"));
    write(&attack.task.lease, ".gitattributes", "* filter=trap diff=trap merge=trap\n");
    for folder in [hooks, attack.task.git.join("hooks")] {
        fs::create_dir_all(&folder).expect("a folder");
        for hook in ["post-index-change", "reference-transaction", "pre-auto-gc", "post-checkout", "pre-commit"] {
            fs::copy(program, folder.join(hook)).expect("a hook");
            make_executable(&folder.join(hook));
        }
    }
    attack.assert_arrives().await;
}

fn section(key: &str) -> String {
    let mut parts: Vec<&str> = key.split('.').collect();
    parts.pop();
    match parts[..] {
        [section, subsection] => format!("{section} \"{subsection}\""),
        _ => parts.concat(),
    }
}

#[tokio::test]
async fn another_repository_that_its_files_lead_to_is_not_used() {
    let attack = Attack::new().await;
    let elsewhere = attack.harness.repo.root().join("elsewhere");
    trap(&attack.harness, &elsewhere, &attack.program);
    fs::remove_file(&attack.trace).ok();
    let there = elsewhere.join(".git");
    attack.task.write("commondir", format!("{}\n", there.display()));
    attack.task.write("gitdir", format!("{}\n", there.display()));
    attack.task.write("worktrees/x/commondir", format!("{}\n", there.display()));
    attack.task.write("objects/info/alternates", format!("{}/objects\n", there.display()));
    attack.task.write("objects/info/http-alternates", "http://example.invalid/\n");
    attack.assert_arrives().await;
}

#[tokio::test]
async fn what_its_indexes_grafts_and_replacements_say_is_not_believed() {
    for packed in [false, true] {
        let attack = Attack::with(150).await;
        attack.git(&["commit", "-q", "-m", "Many"]);
        let attack = Attack { tip: attack.git(&["rev-parse", "HEAD"]), ..attack };
        if packed {
            attack.git(&["gc", "-q"]);
            attack.git(&["multi-pack-index", "write"]);
            attack.git(&["commit-graph", "write", "--reachable"]);
            let packs = attack.task.git.join("objects/pack");
            for entry in fs::read_dir(&packs).expect("packs") {
                let path = entry.expect("an entry").path();
                if path.extension().is_none_or(|end| end != "pack") {
                    fs::remove_file(&path).expect("it goes");
                    fs::write(&path, b"\xfftOc\0\0\0\x02lies").expect("lies");
                }
            }
        }
        let base = attack.task.base().to_owned();
        attack.task.write("objects/info/commit-graph", "CGPHlies");
        attack.task.write("shallow", format!("{}\n{base}\n", attack.tip));
        attack.task.write("info/grafts", format!("{}\n", attack.tip));
        let other = attack.object("commit", b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nlie");
        attack.task.write(&format!("refs/replace/{}", attack.tip), format!("{other}\n"));
        attack.task.write("index", "DIRC lies");
        attack.task.write("ORIG_HEAD", "lies");
        attack.import().await.expect("an import");
        assert_eq!(attack.task.tip(&attack.harness), attack.tip);
        // Nobody knows what was staged.
        attack.discard(false).await;
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_in_nobodys_way() {
    let attack = Attack::new().await;
    fs::remove_file(attack.task.git.join("config")).expect("it goes");
    pipe(&attack.task.git.join("config"));
    fs::remove_file(attack.task.git.join("objects/info/alternates")).expect("it goes");
    pipe(&attack.task.git.join("objects/info/alternates"));
    attack.assert_arrives().await;
}

#[tokio::test]
async fn references_that_are_not_files_or_are_too_large_are_refused() {
    for reference in ["HEAD", "refs/heads/gadugi/a", "refs/heads/other", "refs/stash", "packed-refs"] {
        for kind in ["link", "pipe", "large", "noise"] {
            let attack = Attack::new().await;
            let path = attack.task.git.join(reference);
            fs::remove_file(&path).ok();
            match kind {
                "link" => symlink(attack.harness.repo.path().join(".git/HEAD"), &path).expect("a link"),
                "pipe" => pipe(&path),
                "large" => fs::File::create(&path).and_then(|file| file.set_len(100 << 20)).expect("a file"),
                _ => fs::write(&path, "noise").expect("noise"),
            }
            let error = attack.assert_refused().await;
            assert!(error.contains(reference), "{kind} {error}");
        }
    }
}

#[tokio::test]
async fn folders_that_are_links_are_not_followed() {
    for folder in ["refs", "refs/heads", "objects", ""] {
        let attack = Attack::new().await;
        let path = attack.task.git.join(folder);
        let moved = attack.harness.repo.root().join("moved");
        fs::rename(&path, &moved).expect("it moves");
        symlink(&moved, path.components().as_path()).expect("a link");
        let error = attack.assert_refused().await;
        assert!(error.contains("no folder"), "{error}");
        assert!(moved.exists(), "what the link leads to was removed");
    }
}

#[tokio::test]
async fn a_million_packed_references_are_refused() {
    let attack = Attack::new().await;
    let lines: String = (0..1_000_000).map(|number| format!("{} refs/heads/{number}\n", attack.tip)).collect();
    attack.task.write("packed-refs", lines);
    assert!(attack.assert_refused().await.contains("too much"));
}

#[tokio::test]
async fn names_that_lead_out_of_their_place_are_kept_within_it() {
    let attack = Attack::new().await;
    let tip = attack.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Other"]);
    let names =
        ["../../main", "../../../HEAD", "main", "gadugi/other", "a..b", ".lock", "a", "a/b", "a b", "-", "@", "HEAD"];
    let mut text = String::new();
    for (number, name) in names.iter().enumerate() {
        let parent = attack.git(&["commit-tree", "HEAD^{tree}", "-p", &tip, "-m", &number.to_string()]);
        text += &format!("{parent} refs/heads/{name}\n");
    }
    text += &format!("{tip} refs/heads/{}\n", "x".repeat(3000));
    text += &format!("{tip} refs/heads\n{tip} refs/tags/x\n{tip} refs/heads/\n{tip} HEAD\n{tip} refs/gadugi/x\n");
    attack.task.write("packed-refs", text);
    attack.import().await.expect("an import");
    let kept = kept(&attack.harness);
    assert_eq!(kept.len(), names.len() + 1, "{kept:?}");
    assert!(kept.iter().all(|name| name.starts_with(&attack.task.kept(""))), "{kept:?}");
    for name in ["main", "gadugi/other", "a", "HEAD", "renamed"] {
        assert!(kept.contains(&attack.task.kept(name)), "{name}: {kept:?}");
    }
    attack.assert_arrives().await;
}

#[tokio::test]
async fn references_in_a_circle_are_followed_to_no_end() {
    let attack = Attack::new().await;
    for (name, target) in [("x", "y"), ("y", "x"), ("z", "z"), ("w", "../../../config")] {
        attack.task.write(&format!("refs/heads/{name}"), format!("ref: refs/heads/{target}\n"));
    }
    attack.assert_arrives().await;
    let attack = Attack::new().await;
    attack.task.write("refs/heads/gadugi/a", "ref: refs/heads/x\n");
    attack.task.write("refs/heads/x", "ref: HEAD\n");
    attack.import().await.expect("there is nothing that it could import");
    assert_eq!(attack.task.tip(&attack.harness), attack.task.base());
}

#[tokio::test]
async fn a_nested_repository_that_is_committed_is_not_entered() {
    let attack = Attack::new().await;
    trap(&attack.harness, &attack.task.lease.path.join("nested"), &attack.program);
    attack.git(&["-c", "advice.addEmbeddedRepo=false", "add", "nested"]);
    attack.git(&["commit", "-q", "-m", "Nested"]);
    fs::remove_file(&attack.trace).ok();
    let tip = attack.git(&["rev-parse", "HEAD"]);
    attack.import().await.expect("an import");
    assert_eq!(attack.task.tip(&attack.harness), tip);
    attack.harness.count(&attack.task.lease).await;
    let fate = attack.harness.release(&attack.task.lease, KEEP).await.worktree;
    assert!(matches!(fate, WorktreeFate::Kept(_)), "{fate:?}");
    assert!(!attack.trace.exists(), "the canary was run");
}

#[tokio::test]
async fn what_the_user_has_configured_does_not_run_either() {
    let attack = Attack::with(150).await;
    attack.git(&["commit", "-q", "-m", "Many"]);
    let Attack { harness, task, program, trace, .. } = &attack;
    let tip = attack.git(&["rev-parse", "HEAD"]);
    for key in ["core.fsmonitor", "filter.trap.clean", "core.alternateRefsCommand", "uploadpack.packObjectsHook"] {
        harness.repo.git(&["config", key, program]);
    }
    let hooks = harness.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in ["reference-transaction", "post-index-change", "pre-auto-gc", "post-rewrite", "update", "post-receive"]
    {
        fs::copy(program, hooks.join(hook)).expect("a hook");
        make_executable(&hooks.join(hook));
    }
    task.import(harness).await.expect("an import");
    assert!(!trace.exists(), "the canary was run");
    fs::remove_dir_all(&hooks).expect("the hooks go");
    assert_eq!(harness.repo.git(&["rev-parse", branch(&task.lease)]), tip);
}

#[tokio::test]
async fn folders_that_cannot_be_looked_into_go_with_the_rest() {
    if is_above_permissions() {
        return run_without_privileges("hostile::folders_that_cannot_be_looked_into_go_with_the_rest");
    }
    let attack = Attack::new().await;
    let folder = attack.task.git.join("closed/deep/er");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("file"), "").expect("a file");
    for folder in ["closed/deep/er", "closed/deep", "closed"] {
        fs::set_permissions(attack.task.git.join(folder), fs::Permissions::from_mode(0o000)).expect("permissions");
    }
    attack.assert_arrives().await;
}
