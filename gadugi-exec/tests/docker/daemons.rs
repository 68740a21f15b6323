//! Daemons that are killed, ended and begun again while commands run.

use std::fs;
use std::time::Duration;

use gadugi_core::{Executor, ExitStatus, Reattached};
use gadugi_exec::docker::{DockerExecutor, Endpoint};
use gadugi_test_support::docker::PrivateDaemon;

use crate::scene::{Scene, command, log, printed, settings};

fn scene_at(daemon: &PrivateDaemon) -> Scene {
    let endpoint = Endpoint::at(&format!("unix://{}", daemon.socket().display())).expect("an address");
    Scene::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint;
        settings.patience = Duration::from_secs(60);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_outlives_its_daemon_and_is_followed_to_its_true_end() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = scene_at(&daemon);
    let request = scene.script("echo one; while ! [ -e go ]; do sleep 0.01; done; echo two; exit 7");
    let task = scene.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    daemon.begin();
    fs::write(scene.folder().join("go"), "").expect("a file");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(7), "one\ntwo\n"));
    assert_eq!(scene.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_while_its_daemon_is_away_has_its_true_end() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = scene_at(&daemon);
    let request = scene.script("echo one; while ! [ -e go ]; do sleep 0.01; done; touch done; exit 9");
    let task = scene.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    fs::write(scene.folder().join("go"), "").expect("a file");
    while !scene.folder().join("done").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.begin();
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_ends_when_it_begins_again_is_unknown_and_no_failure_of_the_command() {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let scene = scene_at(&daemon);
    let (followed, left) = (scene.script("echo one; sleep 1000"), scene.script("echo one; sleep 1000"));
    let task = scene.start(&followed).await;
    printed(&*task, 4).await;
    let other = scene.start(&left).await;
    printed(&*other, 4).await;
    let identity = other.identity().clone();
    daemon.kill();
    daemon.begin();
    assert_eq!(task.wait().await.expect("it was seen to end").status, ExitStatus::Unknown);
    drop(other);
    // The other one as a process finds it that comes later: how it ended may have been kept by now, as unknown.
    let mut settings = settings(scene.root.path(), &[]);
    settings.endpoint = Endpoint::at(&format!("unix://{}", daemon.socket().display())).expect("an address");
    match DockerExecutor::new(settings).reattach(&command(&left, Some(&identity))).await {
        Ok(Reattached::Gone { .. }) => {}
        Ok(Reattached::Found(found)) => {
            assert_eq!(found.wait().await.expect("its end is known").status, ExitStatus::Unknown);
        }
        other => panic!("nobody knows how it ended, and not: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_come_back_loses_its_commands() {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let endpoint = Endpoint::at(&format!("unix://{}", daemon.socket().display())).expect("an address");
    let scene = Scene::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint;
        settings.patience = Duration::from_millis(300);
    });
    let request = scene.script("echo one; sleep 1000");
    let task = scene.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    let error = task.wait().await.expect_err("nobody can see it");
    assert!(crate::scene::chain(&error).contains("went away"), "{}", crate::scene::chain(&error));
    let refused = scene.executor.start(&scene.script("true")).await;
    assert!(refused.is_err(), "nothing is started elsewhere");
    daemon.begin();
}
