//! Containers of runs that are over.

use std::collections::BTreeMap;

use gadugi_core::{Executor, RunId};

use crate::harness::{Harness, RUN};

#[tokio::test]
async fn containers_of_runs_that_are_over_go_and_others_stay() {
    let Some(harness) = Harness::new() else { return };
    let repository = harness.root.path().display().to_string();
    let container = |repository: &str, run: &str, command: &str| {
        let labels = [format!("gadugi.repo={repository}"), format!("gadugi.run={run}"), "gadugi.nonce=01".to_owned()];
        let [repo, run, nonce] = &labels;
        let created = [
            "create",
            "--network=none",
            "--label",
            repo,
            "--label",
            run,
            "--label",
            nonce,
            harness.image.name(),
            "sleep",
            command,
        ];
        let id = harness.docker.run(&created);
        harness.docker.run(&["start", &id]);
        id
    };
    let (open, unknown) = ("20261122-083356-k7q", "20261122-083357-k7q");
    let ended = container(&repository, RUN, "1000");
    let kept = [container(&repository, open, "1000"), container(&repository, unknown, "1000")];
    let foreign = container(&format!("{repository}-other"), RUN, "1000");
    let run = |name: &str| name.parse::<RunId>().expect("a run");
    let runs = BTreeMap::from([(run(RUN), true), (run(open), false)]);
    let removed = harness.executor.collect(&runs).await.expect("the daemon answers");
    assert_eq!(removed.len(), 1, "{removed:?}");
    let mut left = harness.containers();
    left.sort();
    let mut expected = kept.to_vec();
    expected.sort();
    assert_eq!(left, expected, "{ended} is gone");
    assert_eq!(harness.docker.containers(&format!("gadugi.repo={repository}-other")), std::slice::from_ref(&foreign));
    harness.docker.run(&["rm", "-f", &foreign]);
}
