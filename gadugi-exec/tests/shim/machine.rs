//! Shims on a full disk, and many at once.

use std::fs;
use std::sync::Arc;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecRequest, ExitStatus};
use gadugi_test_support::small_disk::SmallDisk;
use tokio::task::JoinSet;

use crate::supervised::{found, harness, names};

#[tokio::test]
async fn a_full_disk_keeps_no_end_from_being_recorded() {
    let harness = harness();
    let Some(_disk) = SmallDisk::over(&harness.files(), "size=64k") else { return };
    let request = harness.script("head -c 200000 /dev/zero; exit 3");
    let end = harness.run(&request).await;
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!(end.output.bytes, 200_000);
    let kept = fs::metadata(harness.files().join("output.log")).expect("the log").len();
    assert_eq!(end.output.dropped, 200_000 - kept);
    assert!(fs::write(harness.files().join("more"), [0; 8192]).is_err(), "the disk is full");
    fs::remove_file(harness.files().join("more")).ok();
    assert_eq!(names(&harness.files()), ["exit.json", "output.log", "proc.json", "script.sh"]);
    assert_eq!(found(&harness, &request).await.wait().await.expect("its end is known"), end);
}

#[tokio::test]
async fn on_a_disk_that_is_full_before_nothing_is_started() {
    let harness = harness();
    let Some(_disk) = SmallDisk::over(&harness.files(), "size=64k") else { return };
    let request = harness.argv(&["touch", "made"]);
    fs::write(harness.files().join("full"), vec![0; 1 << 20]).expect_err("it is larger than the disk");
    let error = harness.executor.start(&request).await.err().expect("its end could not be recorded");
    let source = std::error::Error::source(&error).expect("a reason").to_string();
    assert_eq!(source, "cannot set space aside for the record of its end");
    assert!(!harness.folder().join("made").exists());
    assert_eq!(names(&harness.files()), ["full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_commands_leave_no_file_open_and_no_child() {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let harness = Arc::new(harness());
    let request = |lane: usize, n: usize| {
        let files = harness.folder().join(format!("{lane}-{n}"));
        fs::create_dir(&files).expect("a folder");
        ExecRequest { files, stdin: Some("unread".to_owned()), ..harness.argv(&["sh", "-c", "exit 7"]) }
    };
    let mut lanes = JoinSet::new();
    for lane in 0..4 {
        let requests: Vec<ExecRequest> = (0..25).map(|n| request(lane, n)).collect();
        let harness = Arc::clone(&harness);
        lanes.spawn(async move {
            let mut shims = Vec::new();
            for request in requests {
                let task = harness.executor.start(&request).await.expect("the command starts");
                assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
                shims.push(crate::supervised::pids(&*task).1);
            }
            shims
        });
    }
    while let Some(lane) = lanes.join_next().await {
        for shim in lane.expect("each lane ends well") {
            let shim = shim.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            assert!(waitid(WaitId::Pid(shim), look).is_err(), "every shim has been waited for");
        }
    }
}
