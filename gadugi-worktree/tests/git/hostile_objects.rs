//! Objects in a private git folder that are not what git would have put there do not come into the repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::attack::{Attack, pipe};

#[tokio::test]
async fn an_object_of_another_repository_is_not_imported() {
    let attack = Attack::new().await;
    let elsewhere = attack.harness.repo.root().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    attack.harness.repo.git_in(&elsewhere, &["init", "-q"]);
    fs::write(elsewhere.join("secret"), "secret").expect("a file");
    let secret = attack.harness.repo.git_in(&elsewhere, &["hash-object", "-w", "secret"]);
    let own = fs::read_to_string(attack.task.git.join("objects/info/alternates")).expect("a list");
    let theirs = elsewhere.join(".git/objects");
    attack.task.write("objects/info/alternates", format!("{own}{}\n", theirs.display()));
    attack.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{secret},secret")]);
    attack.git(&["commit", "-q", "-m", "Borrow"]);
    let repo = attack.harness.repo.path().to_owned();
    let there = |attack: &Attack| attack.harness.repo.try_git_in(&repo, &["cat-file", "-e", &secret]).status.success();
    assert!(attack.import().await.is_err() && !there(&attack));
    attack.assert_refused().await;
}

#[tokio::test]
async fn an_object_that_is_not_what_its_name_says_is_not_imported() {
    for many in [0, 150] {
        let attack = Attack::with(many).await;
        attack.git(&["commit", "-q", "--allow-empty", "-m", "All"]);
        let (good, bad) = (attack.object("blob", b"a\n"), attack.object("blob", b"bad\n"));
        let (good, bad) = (attack.loose(&good), attack.loose(&bad));
        fs::remove_file(&good).expect("it goes");
        fs::copy(bad, &good).expect("a copy");
        attack.assert_refused().await;
    }
}

#[tokio::test]
async fn an_object_that_is_no_file_is_not_read() {
    for kind in ["link", "pipe", "folder", "nothing", "noise"] {
        let attack = Attack::new().await;
        let object = attack.loose(&attack.object("blob", b"a\n"));
        let outside = attack.harness.repo.root().join("outside");
        fs::rename(&object, &outside).expect("it moves");
        match kind {
            "link" => symlink(&outside, &object).expect("a link"),
            "pipe" => pipe(&object),
            "folder" => fs::create_dir(&object).expect("a folder"),
            "noise" => fs::write(&object, "noise").expect("noise"),
            _ => {}
        }
        attack.assert_refused().await;
    }
}

#[tokio::test]
async fn what_is_not_needed_may_be_anything() {
    let attack = Attack::new().await;
    let objects = attack.task.git.join("objects");
    fs::create_dir_all(objects.join("aa")).expect("a folder");
    pipe(&objects.join("aa").join("b".repeat(38)));
    symlink("/etc/passwd", objects.join("aa").join("c".repeat(38))).expect("a link");
    fs::write(objects.join("aa").join("d".repeat(38)), "noise").expect("noise");
    fs::write(objects.join("aa/tmp_obj_x"), "noise").expect("noise");
    symlink("/etc", objects.join("ab")).expect("a link");
    pipe(&objects.join("ac"));
    symlink("/etc/passwd", objects.join("pack").join(format!("pack-{}.pack", "a".repeat(40)))).expect("a link");
    attack.task.write("objects/pack/pack-x.pack", "noise");
    attack.task.write("objects/pack/tmp_pack_x", "noise");
    attack.assert_arrives().await;
}

#[tokio::test]
async fn a_pack_of_noise_is_refused() {
    let attack = Attack::new().await;
    attack.task.write(&format!("objects/pack/pack-{}.pack", "a".repeat(40)), b"PACK\0\0\0\x02\xff\xff\xff\xffnoise");
    assert!(attack.assert_refused().await.contains("git index-pack"));
}

#[tokio::test]
async fn more_than_is_taken_over_is_refused_before_it_is_copied() {
    for name in [format!("aa/{}", "b".repeat(38)), format!("pack/pack-{}.pack", "a".repeat(40))] {
        let attack = Attack::new().await;
        let path = attack.task.git.join("objects").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a large file");
        assert!(attack.assert_refused().await.contains("too much"));
    }
}

/// Commits a tree with one entry more.
fn commit_entry(attack: &Attack, mode: &str, name: &[u8], id: &str) {
    let id: Vec<u8> =
        (0..id.len() / 2).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("hex")).collect();
    let blob = attack.object("blob", b"a\n");
    let other: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).expect("hex")).collect();
    let tree = [mode.as_bytes(), b" ", name, b"\0", &id, b"100644 z.txt\0", &other].concat();
    let tree = attack.object("tree", &tree);
    let commit = attack.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "Bad"]);
    attack.task.write("refs/heads/gadugi/a", format!("{commit}\n"));
}

#[tokio::test]
async fn trees_that_git_would_not_make_are_refused_in_small_and_large_imports() {
    for many in [0, 150] {
        for name in ["..", ".", ".git", ".GiT", "git~1", "a/b", ""] {
            let attack = Attack::with(many).await;
            attack.git(&["commit", "-q", "--allow-empty", "-m", "All"]);
            let blob = attack.object("blob", b"bad\n");
            commit_entry(&attack, "100644", name.as_bytes(), &blob);
            let error = attack.assert_refused().await;
            let by = if many == 0 { "git unpack-objects" } else { "git index-pack" };
            let is_seen_before = name.is_empty() && error.contains("git pack-objects");
            assert!(error.contains(by) || is_seen_before, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn a_list_of_submodules_that_would_run_something_is_refused() {
    for many in [0, 150] {
        for text in [
            "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n",
            "[submodule \"../../x\"]\n\tpath = x\n\turl = ./x\n",
            "[submodule \"x\"]\n\tpath = x\n\turl = ./x\n\tupdate = !touch canary\n",
        ] {
            let attack = Attack::with(many).await;
            attack.git(&["commit", "-q", "--allow-empty", "-m", "All"]);
            let blob = attack.object("blob", text.as_bytes());
            commit_entry(&attack, "100644", b".gitmodules", &blob);
            let error = attack.assert_refused().await;
            assert!(error.to_lowercase().contains("fsck"), "{error}");
        }
        let attack = Attack::with(many).await;
        attack.git(&["commit", "-q", "--allow-empty", "-m", "All"]);
        let blob = attack.object("blob", b"/etc/passwd");
        commit_entry(&attack, "120000", b".gitmodules", &blob);
        attack.assert_refused().await;
    }
}

#[tokio::test]
async fn a_branch_that_leads_to_no_commit_is_refused() {
    for kind in ["blob", "tree", "nothing", "tag"] {
        let attack = Attack::new().await;
        let id = match kind {
            "blob" => attack.object("blob", b"a\n"),
            "tree" => attack.git(&["rev-parse", "HEAD^{tree}"]),
            "tag" => {
                attack.git(&["tag", "-a", "-m", "A tag", "x"]);
                attack.git(&["rev-parse", "x"])
            }
            _ => "e83c5163316f89bfbde7d9ab23ca2e25604af290".to_owned(),
        };
        attack.task.write("refs/heads/gadugi/a", format!("{id}\n"));
        attack.assert_refused().await;
    }
}

#[tokio::test]
async fn objects_that_cannot_be_read_are_refused() {
    if is_above_permissions() {
        return run_without_privileges("hostile_objects::objects_that_cannot_be_read_are_refused");
    }
    for closed in ["objects", "refs/heads", "HEAD"] {
        let attack = Attack::new().await;
        let close = |git: &Path, mode| fs::set_permissions(git.join(closed), fs::Permissions::from_mode(mode));
        close(&attack.task.git, 0o000).expect("permissions");
        attack.assert_refused().await;
        // It lies in the trash now, and the test has to get it out of there.
        for place in fs::read_dir(attack.harness.repo.path().join(".git/gadugi/trash")).expect("a folder") {
            close(&place.expect("an entry").path().join("git"), 0o700).expect("permissions");
        }
    }
}
