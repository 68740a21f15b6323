//! Starts that are given up.

use gadugi_test_support::contract::ending;

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_after_the_command_runs_leaves_nothing_running() {
    let harness = Harness::new();
    ending::a_start_that_is_given_up_leaves_nothing_running(&harness.executor, &harness.scratch()).await;
}
