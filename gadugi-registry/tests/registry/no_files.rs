//! Pipes, devices, links, sockets and folders in place of a run's files: any program of the user can put them there. None of
//! them is waited for or read without end.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use gadugi_core::Registry;

use crate::resuming::Left;

/// The kinds of files that replace a regular one.
const KINDS: [&str; 6] = ["pipe", "endless", "loop", "socket", "folder", "huge"];

fn replace(path: &Path, kind: &str) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("it goes");
    } else {
        fs::remove_file(path).ok();
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo starts").success()),
        "endless" => symlink("/dev/zero", path).expect("a link"),
        "loop" => symlink(path, path).expect("a link"),
        "socket" => drop(UnixListener::bind(path).expect("a socket")),
        "folder" => {
            fs::create_dir(path).expect("a folder");
            fs::write(path.join("theirs"), "kept").expect("a file");
        }
        // Without taking any room.
        _ => fs::File::create(path).and_then(|file| file.set_len(6 << 30)).expect("a sparse file"),
    }
}

#[tokio::test]
async fn what_is_no_file_of_a_run_is_told_and_moved_aside_and_the_run_is_gone_on_with() {
    let left = Left::short().await;
    let files = [
        "run.json",
        "run.copy.json",
        "journal.jsonl",
        "lock",
        "owner.json",
        "ballast",
        "requests",
        "requests/1.json",
        "requests/next/1.json",
        "tasks",
        "tasks/b",
        "tasks/b/1",
        "tasks/b/1/intent.json",
        "tasks/c/1/intent.json",
    ];
    // What is said of those that others write in the place of, or that mean nothing, nobody needs.
    let silent = ["run.copy.json", "owner.json", "ballast", "requests", "requests/1.json", "requests/next/1.json"];
    for (file, kind) in files.iter().flat_map(|file| KINDS.map(|kind| (*file, kind))) {
        // An empty file of any size is a lock, and the end of a journal that was torn; a folder is a folder.
        let is_fine = match kind {
            "huge" => ["lock", "journal.jsonl"].contains(&file),
            "folder" => ["requests", "tasks", "tasks/b", "tasks/b/1"].contains(&file),
            _ => false,
        };
        if is_fine {
            continue;
        }
        let what = format!("{kind} in the place of {file}");
        let twin = left.twin();
        replace(&twin.file(file), kind);
        let run = &twin.header.run;
        assert_eq!(twin.registry.list().await.expect("runs").len(), 1, "{what}");
        assert!(!twin.registry.is_driven(run).expect("readable"), "{what}");
        assert_eq!(twin.registry.owner(run).expect("readable"), None, "{what}");
        twin.registry.earlier_durations(None).expect("runs");
        let loaded = twin.load().await;
        twin.assert_true(&loaded);
        let taken = [twin.registry.take_requests(run), twin.registry.take_requests_for_next(run)];
        let taken = taken.map(|taken| taken.expect("readable").damage.len()).iter().sum::<usize>();
        assert_eq!(taken > 0, file.starts_with("requests"), "{what}");
        let history = twin.resume_and_drive().await;
        twin.assert_true(&history);
        assert_eq!(history.damage.is_empty(), silent.contains(&file), "{what}: {:?}", history.damage);
        if file != "journal.jsonl" {
            assert_eq!(history.events, left.events, "{what}");
        }
        // It is mended for good.
        if !file.starts_with("requests") && file != "journal.jsonl" {
            assert_eq!(twin.resume_and_drive().await.damage, Vec::<String>::new(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file_is_kept() {
    let left = Left::short().await;
    for (file, aside) in [
        ("run.json", "run.damaged-1.json"),
        ("journal.jsonl", "journal.damaged-1.jsonl"),
        ("lock", "lock.damaged-1"),
        ("owner.json", "owner.damaged-1.json"),
        ("tasks/b/1/intent.json", "tasks/b/1/intent.damaged-1.json"),
    ] {
        let twin = left.twin();
        replace(&twin.file(file), "folder");
        twin.resume_and_drive().await;
        assert!(twin.file(file).is_file(), "{file}");
        assert_eq!(fs::read_to_string(twin.file(aside).join("theirs")).expect("it is kept"), "kept", "{file}");
    }
}
