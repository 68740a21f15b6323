//! The output of commands.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use gadugi_core::executor::ExitStatus;
use gadugi_exec::{OutputCap, SubprocessSettings};
use gadugi_test_support::contract::ending;
use gadugi_test_support::small_disk::SmallDisk;

use crate::harness::{Harness, settings};

#[tokio::test]
async fn of_output_over_the_cap_both_ends_are_kept() {
    let harness = Harness::with(SubprocessSettings { output_cap: OutputCap { head: 10, tail: 9 }, ..settings() });
    let (executor, scratch) = (&harness.executor, harness.scratch());
    let files = ending::of_output_over_the_cap_both_ends_are_kept(executor, &scratch, (10, 9), 1000).await;
    assert_eq!(fs::read_dir(files).expect("the folder").count(), 1);
}

#[tokio::test]
async fn the_log_is_appended_to_and_nobody_else_may_read_it() {
    let harness = Harness::new();
    harness.run(&harness.argv(&["echo", "one"])).await;
    harness.run(&harness.argv(&["echo", "two"])).await;
    assert_eq!(harness.log(), b"one\ntwo\n");
    let mode = fs::metadata(harness.files().join("output.log")).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_device_that_takes_nothing_drops_all_and_changes_no_result() {
    let harness = Harness::new();
    symlink("/dev/full", harness.files().join("output.log")).expect("a link");
    let end = harness.run(&harness.script("seq 1 100000; exit 3")).await;
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (588_895, 588_895));
}

#[tokio::test]
async fn a_log_folder_that_goes_away_changes_no_result() {
    let harness = Harness::with(SubprocessSettings { output_cap: OutputCap { head: 6, tail: 100 }, ..settings() });
    ending::a_folder_that_goes_away_changes_no_result(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_changes_no_result_and_what_is_missing_is_counted() {
    let caps = [OutputCap { head: 1 << 20, tail: 0 }, OutputCap { head: 64 << 10, tail: 1 << 20 }];
    for output_cap in caps {
        let harness = Harness::with(SubprocessSettings { output_cap, ..settings() });
        let Some(_disk) = SmallDisk::over(&harness.files(), "size=256k") else { return };
        let end = harness.run(&harness.argv(&["seq", "1", "100000"])).await;
        assert!(end.status.success());
        assert_eq!(end.output.bytes, 588_895);
        let whole: Vec<u8> = (1..=100_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let log = harness.log();
        assert!(end.output.dropped > 0);
        assert_eq!(log.len() as u64, end.output.bytes - end.output.dropped);
        assert!(whole.starts_with(&log), "there is no gap that the log does not tell of");
    }
}
