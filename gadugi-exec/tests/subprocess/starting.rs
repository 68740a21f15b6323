//! Starts that are given up.

use std::fs::File;
use std::io::Read;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use gadugi_core::Executor;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_after_the_command_runs_leaves_nothing_running() {
    let scene = Scene::new();
    let line = scene.folder().join("line");
    assert!(Command::new("mkfifo").arg(&line).status().is_ok_and(|status| status.success()));
    let request = scene.script("exec 9> line; echo ready >&9; sleep 1000");

    let (ready, is_ready) = oneshot::channel();
    let reader = spawn_blocking(move || {
        let mut line = File::open(line).expect("the other end opens it too");
        let mut word = [0; 6];
        line.read_exact(&mut word).expect("the command is ready");
        ready.send(()).expect("the test waits for it");
        line.read_to_end(&mut Vec::new()).expect("all that held the line are gone")
    });
    {
        let mut start = pin!(scene.executor.start(&request));
        let polled = start.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "a start takes longer than one look");
        is_ready.await.expect("the command runs");
    }
    assert_eq!(reader.await.expect("the reader ends well"), 0);
}
