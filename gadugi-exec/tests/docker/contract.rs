//! The promises of every executor, kept by this one with the image of the test.

use async_trait::async_trait;
use gadugi_core::Executor;
use gadugi_core::executor::{
    Capabilities, CommandRef, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask, Unusable,
};
use gadugi_exec::docker::DockerExecutor;
use gadugi_test_support::contract;

use crate::harness::Harness;

/// Gives every command the image.
pub(crate) struct WithImage {
    executor: DockerExecutor,
    image: String,
}

impl WithImage {
    pub(crate) fn of(harness: &Harness) -> Self {
        Self { executor: harness.executor.clone(), image: harness.image.name().to_owned() }
    }
}

#[async_trait]
impl Executor for WithImage {
    fn name(&self) -> &str {
        self.executor.name()
    }

    async fn probe(&self) -> Result<(), Unusable> {
        self.executor.probe().await
    }

    fn capabilities(&self) -> Capabilities {
        self.executor.capabilities()
    }

    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let mut request = request.clone();
        request.resources.image = Some(self.image.clone());
        self.executor.start(&request).await
    }

    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        self.executor.running(command).await
    }

    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        self.executor.reattach(command).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_promises_of_every_executor_and_leaves_no_container() {
    let Some(harness) = Harness::new() else { return };
    let (executor, scratch) = (WithImage::of(&harness), harness.scratch());
    contract::executor::holds(&executor, &scratch).await;
    contract::executor::finds_again(&executor, &scratch).await;
}
