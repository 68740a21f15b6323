//! The promises of every executor, kept by this one.

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

#[cfg(target_os = "linux")]
mod with_a_shim {
    use gadugi_exec::ShimProgram;

    use super::*;

    fn shimmed() -> SubprocessExecutor {
        let shim = ShimProgram::at(env!("CARGO_BIN_EXE_gadugi-shim"));
        let settings = SubprocessSettings::new(std::env::vars_os());
        SubprocessExecutor::new(SubprocessSettings { shim: Some(shim), ..settings })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_subprocess_executor_keeps_the_promises_of_every_executor() {
        let scratch = tempfile::tempdir().expect("a folder");
        executor::holds(&shimmed(), scratch.path()).await;
    }

    #[tokio::test]
    async fn it_keeps_them_also_on_a_single_thread() {
        let scratch = tempfile::tempdir().expect("a folder");
        executor::holds(&shimmed(), scratch.path()).await;
    }

    #[tokio::test]
    async fn its_commands_are_found_again() {
        let scratch = tempfile::tempdir().expect("a folder");
        executor::finds_again(&shimmed(), scratch.path()).await;
    }
}
