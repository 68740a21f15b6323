//! A home folder on the machine's disk, which one command after the other has.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gadugi_core::executor::{ExecRequest, Mount};
use gadugi_exec::docker::{DockerSettings, User};

use crate::harness::{Harness, log};

/// A script with this home.
fn at_home(harness: &Harness, home: &Path, script: &str) -> ExecRequest {
    ExecRequest { home: Some(home.to_owned()), ..harness.script(script) }
}

async fn said(harness: &Harness, request: &ExecRequest) -> String {
    let end = harness.end_of(request).await;
    let log = log(request);
    assert!(end.status.success(), "{end:?}: {log}");
    log
}

fn new_home(harness: &Harness) -> PathBuf {
    let home = harness.root.path().join("homes/a");
    fs::create_dir_all(&home).expect("a folder");
    home
}

fn login(harness: &Harness) -> Mount {
    let source = harness.root.path().join("login.json");
    fs::write(&source, "secret\n").expect("a file");
    Mount { source, target: PathBuf::from("/home/gadugi/.agent/login.json"), writable: false }
}

fn remove(path: &Path) {
    fs::remove_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[tokio::test]
async fn a_later_command_finds_what_an_earlier_one_has_left_at_home_and_others_do_not() {
    let Some(harness) = Harness::new() else { return };
    let home = new_home(&harness);
    let first = at_home(&harness, &home, "ls -A ~; echo $HOME; mkdir ~/.agent; echo s1 > ~/.agent/session");
    assert_eq!(said(&harness, &first).await, "/home/gadugi\n");
    let second = at_home(&harness, &home, "cat ~/.agent/session; stat -c %a ~");
    assert_eq!(said(&harness, &second).await, "s1\n700\n");
    assert_eq!(harness.said("ls -A ~; touch ~/x").await, "", "its home is empty, and in memory");
    let owner = fs::metadata(harness.folder()).expect("it is there").uid();
    assert_eq!(fs::metadata(home.join(".agent/session")).expect("it is there").uid(), owner);
    remove(&home);
}

#[tokio::test]
async fn a_login_that_is_shown_at_home_can_be_read_and_leaves_all_around_it_writable_and_kept() {
    let Some(harness) = Harness::new() else { return };
    let home = new_home(&harness);
    let shown = |script: &str| ExecRequest { mounts: vec![login(&harness)], ..at_home(&harness, &home, script) };
    let script = "cat ~/.agent/login.json; (echo no > ~/.agent/login.json) 2>&1 | grep -o 'Read-only file system'; echo s1 > ~/.agent/session";
    assert_eq!(said(&harness, &shown(script)).await, "secret\nRead-only file system\n");
    assert_eq!(said(&harness, &shown("cat ~/.agent/session ~/.agent/login.json")).await, "s1\nsecret\n");
    assert_eq!(fs::read_to_string(home.join(".agent/login.json")).expect("its place"), "", "nothing of it stays");
    let owner = fs::metadata(harness.folder()).expect("it is there").uid();
    for path in [".agent", ".agent/login.json"] {
        assert_eq!(fs::metadata(home.join(path)).expect("it is there").uid(), owner, "{path}");
    }
    remove(&home);
}

#[tokio::test]
async fn what_a_command_has_put_into_its_home_leads_nobody_elsewhere_and_holds_nobody_up() {
    let Some(harness) = Harness::new() else { return };
    let home = new_home(&harness);
    let outside = harness.root.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let shown = |script: &str| ExecRequest { mounts: vec![login(&harness)], ..at_home(&harness, &home, script) };
    // Links to folders and files of the machine, pipes, and closed folders, in the places of what is shown.
    symlink(&outside, home.join(".agent")).expect("a link");
    assert_eq!(
        said(&harness, &shown("cat ~/.agent/login.json; ls -Ad ~/.agent")).await,
        "secret\n/home/gadugi/.agent\n"
    );
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0, "nothing was made there");
    let traps = [
        format!("rm -rf ~/.agent; ln -s '{}' ~/.agent", outside.display()),
        format!("rm -rf ~/.agent; mkdir ~/.agent; ln -s '{}/made' ~/.agent/login.json", outside.display()),
        "rm -rf ~/.agent; mkfifo ~/.agent".to_owned(),
        "rm -rf ~/.agent; mkdir ~/.agent; mkfifo ~/.agent/login.json".to_owned(),
        "rm -rf ~/.agent; mkdir ~/.agent; chmod 000 ~/.agent; chmod 000 ~".to_owned(),
    ];
    for trap in traps {
        said(&harness, &at_home(&harness, &home, &trap)).await;
        assert_eq!(said(&harness, &shown("cat ~/.agent/login.json")).await, "secret\n", "{trap}");
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0, "{trap}");
    }
    remove(&home);
}

#[tokio::test]
async fn the_home_belongs_to_whoever_the_command_runs_as() {
    let other = |settings: &mut DockerSettings| settings.confinement.user = User::Ids { uid: 12_345, gid: 23_456 };
    let Some(harness) = Harness::with(other) else { return };
    let home = new_home(&harness);
    let request = ExecRequest {
        mounts: vec![login(&harness)],
        ..at_home(&harness, &home, "id -u; cat ~/.agent/login.json; echo s1 > ~/.agent/session; mkdir ~/made")
    };
    fs::set_permissions(harness.root.path().join("login.json"), fs::Permissions::from_mode(0o644))
        .expect("it can be read");
    assert_eq!(said(&harness, &request).await, "12345\nsecret\n");
    let found = fs::metadata(&home).expect("a folder");
    if rustix::process::geteuid().is_root() {
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (12_345, 23_456, 0o700));
    } else {
        assert_eq!(found.mode() & 0o777, 0o777, "nobody else comes as far");
    }
    remove(&home);
}

#[tokio::test]
async fn a_command_whose_user_only_the_image_knows_has_its_home_too() {
    let Some(harness) = Harness::with(|settings| settings.confinement.user = User::Image) else { return };
    let home = new_home(&harness);
    said(&harness, &at_home(&harness, &home, "echo s1 > ~/session")).await;
    assert_eq!(said(&harness, &at_home(&harness, &home, "cat ~/session")).await, "s1\n");
    remove(&home);
}

#[tokio::test]
async fn folders_that_are_in_memory_at_home_leave_their_places_to_its_owner() {
    let cache = |settings: &mut DockerSettings| settings.confinement.tmpfs.push("/home/gadugi/.cache/tool".to_owned());
    let Some(harness) = Harness::with(cache) else { return };
    let home = new_home(&harness);
    said(&harness, &at_home(&harness, &home, "echo x > ~/.cache/tool/x; echo y > ~/.cache/y")).await;
    assert_eq!(
        said(&harness, &at_home(&harness, &home, "ls ~/.cache ~/.cache/tool")).await,
        "/home/gadugi/.cache:\ntool\ny\n\n/home/gadugi/.cache/tool:\n"
    );
    remove(&home);
}
