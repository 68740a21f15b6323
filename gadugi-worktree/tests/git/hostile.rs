//! What a task puts into its private git folder runs nothing, leads nowhere, and moves nothing but the task's own branch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gadugi_core::{WorktreeFate, Worktrees};

use crate::aside::{is_above_permissions, run_without_privileges};
use crate::ground::{DISCARD, Ground, KEEP, branch, chain, write};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::untrusted::{canary, make_executable, trap};

/// A task that has committed something good, and then gets a chance to do something bad.
struct Attack {
    ground: Ground,
    task: Isolated,
    /// The good commit.
    tip: String,
    before: Untouched,
    program: String,
    trace: PathBuf,
}

impl Attack {
    /// With enough objects for a pack, or with few.
    async fn with(objects: usize) -> Self {
        let ground = Ground::new();
        let (program, trace) = canary(&ground);
        let task = Isolated::new(&ground, "a").await;
        let before = Untouched::of(&ground, &task.lease);
        for number in 0..objects {
            write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
        }
        let tip = task.commit(&ground, "a.txt", "a\n");
        task.git(&ground, &["add", "."]);
        Self { ground, task, tip, before, program, trace }
    }

    async fn new() -> Self {
        Self::with(0).await
    }

    fn git(&self, args: &[&str]) -> String {
        self.task.git(&self.ground, args)
    }

    /// Writes an object as it is, whether git likes it or not, and gives its id.
    fn object(&self, kind: &str, content: &[u8]) -> String {
        let mut command = self.ground.repo.git_command(&self.task.lease.path);
        command.arg("--git-dir").arg(&self.task.git).args(["hash-object", "-w", "--literally", "--stdin", "-t", kind]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git can be started");
        std::io::Write::write_all(&mut child.stdin.take().expect("an input"), content).expect("it is read");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("an id").trim().to_owned()
    }

    /// The file of an object that is not packed.
    fn loose(&self, id: &str) -> PathBuf {
        self.task.git.join("objects").join(&id[..2]).join(&id[2..])
    }

    /// Imports, goes through everything that follows, and looks at what must not have happened.
    async fn import(&self) -> Result<(), String> {
        let Self { ground, task, .. } = self;
        let imported = task.import(ground).await.map_err(|error| chain(&error));
        task.assert_nothing_begun_but_a_failed_import(imported.is_err());
        assert!(!self.trace.exists(), "the canary was run");
        assert_eq!(Untouched::of(ground, &task.lease), self.before);
        ground.assert_sound();
        imported
    }

    /// That the good commit is there, whatever else the task has done.
    async fn assert_arrives(&self) {
        self.import().await.expect("an import");
        assert_eq!(self.task.tip(&self.ground), self.tip);
        self.ground.commit(&self.task.lease).await;
        self.discard(true).await;
    }

    /// That nothing is there; gives the reason.
    async fn assert_refused(&self) -> String {
        let Self { ground, task, .. } = self;
        let mut errors = Vec::new();
        for _ in 0..2 {
            errors.push(self.import().await.expect_err("it is refused"));
            assert_eq!(task.tip(ground), task.base());
            assert_eq!(kept(ground), Vec::<String>::new());
        }
        ground.worktrees.release(&task.lease, KEEP).await.expect_err("it is not imported");
        assert!(task.lease.path.exists());
        self.discard(false).await;
        errors.pop().expect("an error")
    }

    async fn discard(&self, is_whole: bool) {
        let Self { ground, task, .. } = self;
        let release = ground.release(&task.lease, DISCARD).await;
        assert_eq!((release.worktree, release.dropped.is_empty()), (WorktreeFate::Removed, is_whole));
        assert!(!all_private(ground.repo.path()).exists());
        assert!(!self.trace.exists(), "the canary was run");
        // The branch of the task goes with what is discarded.
        assert_eq!(ground.branches(), ["main"]);
        ground.assert_sound();
    }
}

fn pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).expect("a pipe");
}

#[tokio::test]
async fn programs_in_its_configuration_are_not_run() {
    let attack = Attack::new().await;
    let program = &attack.program;
    let other = attack.ground.repo.root().join("other-config");
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
    let elsewhere = attack.ground.repo.root().join("elsewhere");
    trap(&attack.ground, &elsewhere, &attack.program);
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
        attack.assert_arrives().await;
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
async fn an_object_of_another_repository_is_not_imported() {
    let attack = Attack::new().await;
    let elsewhere = attack.ground.repo.root().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    attack.ground.repo.git_in(&elsewhere, &["init", "-q"]);
    fs::write(elsewhere.join("secret"), "secret").expect("a file");
    let secret = attack.ground.repo.git_in(&elsewhere, &["hash-object", "-w", "secret"]);
    let own = fs::read_to_string(attack.task.git.join("objects/info/alternates")).expect("a list");
    let theirs = elsewhere.join(".git/objects");
    attack.task.write("objects/info/alternates", format!("{own}{}\n", theirs.display()));
    attack.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{secret},secret")]);
    attack.git(&["commit", "-q", "-m", "Borrow"]);
    let repo = attack.ground.repo.path().to_owned();
    let there = |attack: &Attack| attack.ground.repo.try_git_in(&repo, &["cat-file", "-e", &secret]).status.success();
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
        let outside = attack.ground.repo.root().join("outside");
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

#[tokio::test]
async fn references_that_are_not_files_or_are_too_large_are_refused() {
    for reference in ["HEAD", "refs/heads/gadugi/a", "refs/heads/other", "refs/stash", "packed-refs"] {
        for kind in ["link", "pipe", "large", "noise"] {
            let attack = Attack::new().await;
            let path = attack.task.git.join(reference);
            fs::remove_file(&path).ok();
            match kind {
                "link" => symlink(attack.ground.repo.path().join(".git/HEAD"), &path).expect("a link"),
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
        let moved = attack.ground.repo.root().join("moved");
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
    let kept = kept(&attack.ground);
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
    assert_eq!(attack.task.tip(&attack.ground), attack.task.base());
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
async fn a_nested_repository_that_is_committed_is_not_entered() {
    let attack = Attack::new().await;
    trap(&attack.ground, &attack.task.lease.path.join("nested"), &attack.program);
    attack.git(&["-c", "advice.addEmbeddedRepo=false", "add", "nested"]);
    attack.git(&["commit", "-q", "-m", "Nested"]);
    fs::remove_file(&attack.trace).ok();
    let tip = attack.git(&["rev-parse", "HEAD"]);
    attack.import().await.expect("an import");
    assert_eq!(attack.task.tip(&attack.ground), tip);
    attack.ground.count(&attack.task.lease).await;
    let fate = attack.ground.release(&attack.task.lease, KEEP).await.worktree;
    assert!(matches!(fate, WorktreeFate::Kept(_)), "{fate:?}");
    assert!(!attack.trace.exists(), "the canary was run");
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
async fn what_the_user_has_configured_does_not_run_either() {
    let attack = Attack::with(150).await;
    attack.git(&["commit", "-q", "-m", "Many"]);
    let Attack { ground, task, program, trace, .. } = &attack;
    let tip = attack.git(&["rev-parse", "HEAD"]);
    for key in ["core.fsmonitor", "filter.trap.clean", "core.alternateRefsCommand", "uploadpack.packObjectsHook"] {
        ground.repo.git(&["config", key, program]);
    }
    let hooks = ground.repo.path().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in ["reference-transaction", "post-index-change", "pre-auto-gc", "post-rewrite", "update", "post-receive"]
    {
        fs::copy(program, hooks.join(hook)).expect("a hook");
        make_executable(&hooks.join(hook));
    }
    task.import(ground).await.expect("an import");
    assert!(!trace.exists(), "the canary was run");
    fs::remove_dir_all(&hooks).expect("the hooks go");
    assert_eq!(ground.repo.git(&["rev-parse", branch(&task.lease)]), tip);
}

#[tokio::test]
async fn folders_that_cannot_be_looked_into_go_with_the_rest() {
    use std::os::unix::fs::PermissionsExt;
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

#[tokio::test]
async fn objects_that_cannot_be_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    if is_above_permissions() {
        return run_without_privileges("hostile::objects_that_cannot_be_read_are_refused");
    }
    for closed in ["objects", "refs/heads", "HEAD"] {
        let attack = Attack::new().await;
        let closed = attack.task.git.join(closed);
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).expect("permissions");
        attack.assert_refused().await;
    }
}
