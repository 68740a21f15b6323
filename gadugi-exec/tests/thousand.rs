//! Many commands leave nothing behind in the process that runs them.
#![cfg(target_os = "linux")]

#[path = "subprocess/harness.rs"]
#[expect(dead_code, reason = "one test does not use all of it")]
mod harness;

use std::fs;
use std::sync::Arc;

use gadugi_core::Executor;
use gadugi_core::executor::ExecRequest;
use harness::Harness;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::task::JoinSet;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_commands_leave_no_file_open_and_no_child() {
    let harness = Arc::new(Harness::new());
    harness.run(&harness.argv(&["true"])).await;
    let before = open_files();
    let mut lanes = JoinSet::new();
    for _ in 0..8 {
        let harness = Arc::clone(&harness);
        lanes.spawn(async move {
            let request = ExecRequest { stdin: Some("unread".to_owned()), ..harness.argv(&["true"]) };
            for _ in 0..125 {
                let task = harness.executor.start(&request).await.expect("the command starts");
                assert!(task.wait().await.expect("its end is seen").status.success());
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("each lane ends well");
    }
    assert_eq!(open_files(), before);
    let children = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    assert_eq!(children.err(), Some(Errno::CHILD), "every child has been waited for");
}
