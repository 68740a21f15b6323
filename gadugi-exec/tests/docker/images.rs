//! Images that are there, are missing, and are built.

use std::fs;

use gadugi_core::{Executor, Program, TaskSpec};
use gadugi_exec::docker::BuildOptions;

use crate::scene::{Scene, chain};

fn task(image: Option<&str>) -> TaskSpec {
    let mut task = TaskSpec::new("a".parse().expect("an id"), Program::Script("true".to_owned()));
    task.resources.image = image.map(str::to_owned);
    task
}

#[tokio::test]
async fn a_task_is_accepted_if_its_image_is_there_and_nothing_is_fetched() {
    let Some(scene) = Scene::new() else { return };
    scene.executor.accepts(&task(Some(scene.image.name()))).await.expect("the image is there");
    let missing = scene.executor.accepts(&task(Some("gadugi-test/none:1"))).await.expect_err("it is not there");
    assert_eq!(missing.reason, "there is no image `gadugi-test/none:1`");
    assert!(missing.remedy.contains("gadugi image pull gadugi-test/none:1"), "{}", missing.remedy);
    let unnamed = scene.executor.accepts(&task(None)).await.expect_err("none is named");
    assert_eq!(unnamed.reason, "no image is named for tasks");
    let mut modest = task(Some(scene.image.name()));
    modest.resources.memory = Some(1 << 20);
    assert!(scene.executor.accepts(&modest).await.expect_err("it is too little").reason.contains("as little memory"));
    let mut greedy = task(Some(scene.image.name()));
    greedy.resources.cpus = Some(10_000.0);
    assert!(scene.executor.accepts(&greedy).await.expect_err("there are fewer").reason.contains("10000 processors"));
}

#[tokio::test]
async fn an_image_is_built_from_a_folder_and_errors_of_the_build_are_told() {
    let Some(scene) = Scene::new() else { return };
    let context = scene.root.path().join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("greeting"), "built\n").expect("a file");
    let dockerfile = |text: String| fs::write(context.join("Dockerfile"), text).expect("a file");
    dockerfile(format!("FROM {}\nCOPY greeting /greeting\nENV GREETING=hello\n", scene.image.name()));
    let tag = format!("gadugi-test/built:{}", std::process::id());
    let options =
        || BuildOptions { context: context.clone(), dockerfile: "Dockerfile".into(), tag: tag.clone(), pull: false };
    let mut said = String::new();
    scene.executor.build(options(), |line| said += line).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(said.contains("COPY greeting"), "{said}");
    assert!(scene.executor.has_image(&tag).await.expect("the daemon answers"));
    let mut request = scene.argv(&["cat", "/greeting"]);
    request.resources.image = Some(tag.clone());
    assert!(scene.end_of(&request).await.status.success());
    scene.docker.run(&["image", "rm", "-f", &tag]);
    assert!(!scene.executor.has_image(&tag).await.expect("the daemon answers"));
    dockerfile(format!("FROM {}\nCOPY missing /missing\n", scene.image.name()));
    let error = scene.executor.build(options(), |_| {}).await.expect_err("it cannot be built");
    assert!(chain(&error).contains("missing"), "{}", chain(&error));
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told() {
    let Some(scene) = Scene::new() else { return };
    // No registry answers at this port of the machine itself.
    let error = scene.executor.pull("127.0.0.1:9/none:1", |_| {}).await.expect_err("there is no registry");
    assert!(chain(&error).contains("cannot fetch the image"), "{}", chain(&error));
}
