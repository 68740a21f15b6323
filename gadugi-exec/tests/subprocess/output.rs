//! The output of commands.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use gadugi_core::ExitStatus;
use gadugi_exec::{OutputCap, SubprocessSettings};
use gadugi_test_support::small_disk::SmallDisk;

use crate::scene::{Scene, printed, settings};

#[tokio::test]
async fn of_output_over_the_cap_both_ends_are_kept() {
    let scene = Scene::with(SubprocessSettings { output_cap: OutputCap { head: 10, tail: 9 }, ..settings() });
    let end = scene.run(&scene.argv(&["seq", "1", "1000"])).await;
    let log = String::from_utf8(scene.log()).expect("text");
    assert_eq!(log, "1\n2\n3\n4\n5\n\n[gadugi: 3874 bytes of output left out here]\n999\n1000\n");
    assert_eq!((end.output.bytes, end.output.dropped), (3893, 3874));
    assert_eq!(fs::read_dir(scene.files()).expect("the folder").count(), 1);
}

#[tokio::test]
async fn the_log_is_appended_to_and_nobody_else_may_read_it() {
    let scene = Scene::new();
    scene.run(&scene.argv(&["echo", "one"])).await;
    scene.run(&scene.argv(&["echo", "two"])).await;
    assert_eq!(scene.log(), b"one\ntwo\n");
    let mode = fs::metadata(scene.files().join("output.log")).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_device_that_takes_nothing_drops_all_and_changes_no_result() {
    let scene = Scene::new();
    symlink("/dev/full", scene.files().join("output.log")).expect("a link");
    let end = scene.run(&scene.script("seq 1 100000; exit 3")).await;
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (588_895, 588_895));
}

#[tokio::test]
async fn a_log_folder_that_goes_away_changes_no_result() {
    let scene = Scene::with(SubprocessSettings { output_cap: OutputCap { head: 6, tail: 100 }, ..settings() });
    let task =
        scene.start(&scene.script("echo first; while ! [ -e go ]; do sleep 0.01; done; echo second; exit 3")).await;
    printed(&*task, 6).await;
    fs::remove_dir_all(scene.files()).expect("the folder is there");
    scene.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (13, 7));
}

#[tokio::test]
async fn a_disk_that_fills_up_changes_no_result_and_what_is_missing_is_counted() {
    let caps = [OutputCap { head: 1 << 20, tail: 0 }, OutputCap { head: 64 << 10, tail: 1 << 20 }];
    for output_cap in caps {
        let scene = Scene::with(SubprocessSettings { output_cap, ..settings() });
        let Some(_disk) = SmallDisk::over(&scene.files(), "size=256k") else { return };
        let end = scene.run(&scene.argv(&["seq", "1", "100000"])).await;
        assert!(end.status.success());
        assert_eq!(end.output.bytes, 588_895);
        let whole: Vec<u8> = (1..=100_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let log = scene.log();
        assert!(end.output.dropped > 0);
        assert_eq!(log.len() as u64, end.output.bytes - end.output.dropped);
        assert!(whole.starts_with(&log), "there is no gap that the log does not tell of");
    }
}
