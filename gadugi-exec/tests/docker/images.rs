//! Images that are there, are missing, and are built.

use std::fs;

use gadugi_core::plan::Program;
use gadugi_core::{Executor, TaskSpec};
use gadugi_exec::docker::BuildOptions;

use crate::harness::{Harness, chain};

fn task(image: Option<&str>) -> TaskSpec {
    let mut task = TaskSpec::new("a".parse().expect("an id"), Program::Script("true".to_owned()));
    task.resources.image = image.map(str::to_owned);
    task
}

#[tokio::test]
async fn a_task_is_accepted_if_its_image_is_there_and_nothing_is_fetched() {
    let Some(harness) = Harness::new() else { return };
    harness.executor.accepts(&task(Some(harness.image.name()))).await.expect("the image is there");
    let missing = harness.executor.accepts(&task(Some("gadugi-test/none:1"))).await.expect_err("it is not there");
    assert_eq!(missing.reason, "there is no image `gadugi-test/none:1`");
    assert!(missing.remedy.contains("gadugi image pull gadugi-test/none:1"), "{}", missing.remedy);
    let unnamed = harness.executor.accepts(&task(None)).await.expect_err("none is named");
    assert_eq!(unnamed.reason, "no image is named for tasks");
    let mut modest = task(Some(harness.image.name()));
    modest.resources.memory = Some(1 << 20);
    assert!(harness.executor.accepts(&modest).await.expect_err("it is too little").reason.contains("as little memory"));
    let mut greedy = task(Some(harness.image.name()));
    greedy.resources.cpus = Some(10_000.0);
    assert!(harness.executor.accepts(&greedy).await.expect_err("there are fewer").reason.contains("10000 processors"));
}

#[tokio::test]
async fn an_image_is_built_from_a_folder_and_errors_of_the_build_are_told() {
    let Some(harness) = Harness::new() else { return };
    let context = harness.root.path().join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("greeting"), "built\n").expect("a file");
    let dockerfile = |text: String| fs::write(context.join("Dockerfile"), text).expect("a file");
    dockerfile(format!("FROM {}\nCOPY greeting /greeting\nENV GREETING=hello\n", harness.image.name()));
    let tag = format!("gadugi-test/built:{}", std::process::id());
    let options =
        || BuildOptions { context: context.clone(), dockerfile: "Dockerfile".into(), tag: tag.clone(), pull: false };
    let mut said = String::new();
    harness.executor.build(options(), |line| said += line).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(said.contains("COPY greeting"), "{said}");
    assert!(harness.executor.has_image(&tag).await.expect("the daemon answers"));
    let mut request = harness.argv(&["cat", "/greeting"]);
    request.resources.image = Some(tag.clone());
    assert!(harness.end_of(&request).await.status.success());
    harness.docker.run(&["image", "rm", "-f", &tag]);
    assert!(!harness.executor.has_image(&tag).await.expect("the daemon answers"));
    dockerfile(format!("FROM {}\nCOPY missing /missing\n", harness.image.name()));
    let error = harness.executor.build(options(), |_| {}).await.expect_err("it cannot be built");
    assert!(chain(&error).contains("missing"), "{}", chain(&error));
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told() {
    let Some(harness) = Harness::new() else { return };
    // No registry answers at this port of the machine itself.
    let error = harness.executor.pull("127.0.0.1:9/none:1", |_| {}).await.expect_err("there is no registry");
    assert!(chain(&error).contains("cannot fetch the image"), "{}", chain(&error));
}
