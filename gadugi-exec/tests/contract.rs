//! The promises of every executor, kept by this one.
#![cfg(unix)]

use gadugi_exec::{SubprocessExecutor, SubprocessSettings};
use gadugi_test_support::contract::executor;

#[tokio::test(flavor = "multi_thread")]
async fn the_subprocess_executor_keeps_the_promises_of_every_executor() {
    let scratch = tempfile::tempdir().expect("a folder");
    let subprocess = SubprocessExecutor::new(SubprocessSettings::new(std::env::vars_os()));
    executor::holds(&subprocess, scratch.path()).await;
}

#[tokio::test]
async fn it_keeps_them_also_on_a_single_thread() {
    let scratch = tempfile::tempdir().expect("a folder");
    let subprocess = SubprocessExecutor::new(SubprocessSettings::new(std::env::vars_os()));
    executor::holds(&subprocess, scratch.path()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn its_commands_are_found_again() {
    let scratch = tempfile::tempdir().expect("a folder");
    let subprocess = SubprocessExecutor::new(SubprocessSettings::new(std::env::vars_os()));
    executor::finds_again(&subprocess, scratch.path()).await;
}
