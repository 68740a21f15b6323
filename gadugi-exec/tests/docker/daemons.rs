//! Daemons that are killed, ended and begun again while commands run.

use std::fs;
use std::time::{Duration, Instant};

use gadugi_core::{ExecRequest, Executor, ExitStatus, Reattached};
use gadugi_exec::docker::{DockerExecutor, DockerSettings, Endpoint};
use gadugi_test_support::docker::PrivateDaemon;

use crate::relay::Relay;
use crate::scene::{Scene, command, log, printed, settings};

/// Moments of a start in which a daemon is killed.
const MOMENTS: u32 = 12;

fn endpoint(daemon: &PrivateDaemon) -> Endpoint {
    Endpoint::at(&format!("unix://{}", daemon.socket().display())).expect("an address")
}

fn scene_at(daemon: &PrivateDaemon) -> Scene {
    Scene::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(daemon);
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
async fn nobody_knows_how_a_command_ended_that_went_with_its_daemon() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = scene_at(&daemon);
    let request = scene.script("echo one; sleep 1000");
    let task = scene.start(&request).await;
    printed(&*task, 4).await;
    let left = scene.script("echo ready; sleep 1000");
    start_and_die(&daemon, &scene, &left);
    daemon.kill();
    daemon.kill_containers();
    daemon.begin();
    assert_eq!(task.wait().await.expect("it was seen to be over").status, ExitStatus::Unknown);
    assert_eq!(found_later(&daemon, &scene, &left).await, ExitStatus::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_may_wait_for_secrets_that_were_lost_with_a_daemon_is_ended() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = Scene::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(&daemon);
        settings.environment.insert("API_KEY".into(), "a".into());
    });
    let with_secret = |script: &str| ExecRequest { secrets: vec!["API_KEY".to_owned()], ..scene.script(script) };
    let talks = scene.start(&with_secret("echo one; while ! [ -e go ]; do sleep 0.01; done; exit 7")).await;
    printed(&*talks, 4).await;
    let silent = scene.start(&with_secret("sleep 1000")).await;
    daemon.kill();
    daemon.begin();
    let error = silent.wait().await.expect_err("nobody knows whether it has begun");
    assert!(crate::scene::chain(&error).contains("hand over the secrets"), "{}", crate::scene::chain(&error));
    fs::write(scene.folder().join("go"), "").expect("a file");
    assert_eq!(talks.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(scene.containers(), Vec::<String>::new());
}

/// Makes a daemon that was killed forget that it has started a container, as when it was killed before it could note that.
fn forget_start(daemon: &PrivateDaemon, container: &str) {
    let file = daemon.socket().with_file_name("data/containers").join(container).join("config.v2.json");
    let text = fs::read(&file).expect("the daemon keeps it");
    let mut kept: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let state = &mut kept["State"];
    // A short command may have ended before the daemon was killed.
    let never = serde_json::Value::from("0001-01-01T00:00:00Z");
    assert_ne!(state["StartedAt"], never);
    state["Running"] = false.into();
    state["Pid"] = 0.into();
    state["StartedAt"] = never.clone();
    state["FinishedAt"] = never;
    fs::write(&file, kept.to_string()).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_its_daemon_has_forgotten_is_ended_and_not_begun_again() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = scene_at(&daemon);
    let request = scene.script("echo ready; while :; do sleep 0.05; date +%s%N > alive; done");
    start_and_die(&daemon, &scene, &request);
    let containers = scene.containers();
    daemon.kill();
    forget_start(&daemon, &containers[0]);
    daemon.begin();
    assert_eq!(scene.docker.run(&["ps", "--all", "--format", "{{.State}}"]), "created");
    let alive = || fs::read_to_string(scene.folder().join("alive")).unwrap_or_default();
    let (begun, earlier) = (Instant::now(), alive());
    while alive() == earlier {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = executor(&daemon, &scene).reattach(&command(&request, None)).await;
    assert!(matches!(&found, Ok(Reattached::Gone { why }) if why.contains("did not know it")), "{found:?}");
    // It says every 50 ms that it lives.
    let last = alive();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(alive(), last, "it was ended");
    assert!(scene.executor.start(&request).await.is_err(), "it may have begun");
}

/// Finds a command by an executor that has not started it.
async fn found_later(daemon: &PrivateDaemon, scene: &Scene, request: &ExecRequest) -> ExitStatus {
    match executor(daemon, scene).reattach(&command(request, None)).await {
        Ok(Reattached::Gone { .. } | Reattached::NeverStarted) => ExitStatus::Unknown,
        Ok(Reattached::Found(found)) => found.wait().await.expect("its end is known").status,
        other => panic!("it was started, and not: {other:?}"),
    }
}

/// As another process has it, which knows nothing of what was started.
fn executor(daemon: &PrivateDaemon, scene: &Scene) -> DockerExecutor {
    let mut settings = settings(scene.root.path(), &[]);
    settings.endpoint = endpoint(daemon);
    DockerExecutor::new(settings)
}

/// Lets a daemon end commands that make the best of it, while one of each kind is followed and one is not.
async fn assert_that_nobody_knows(again: impl Fn(&mut PrivateDaemon)) {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let scene = scene_at(&daemon);
    let scripts = ["trap 'exit 0' TERM", "trap 'exit 3' TERM", "true"];
    let request = |trap: &str| scene.script(&format!("{trap}; echo ready; while :; do sleep 0.05 || :; done"));
    let followed: Vec<_> = scripts.iter().map(|trap| request(trap)).collect();
    let mut tasks = Vec::new();
    for request in &followed {
        tasks.push(scene.start(request).await);
        printed(&**tasks.last().expect("it was started"), 6).await;
    }
    let left = request("trap 'exit 0' TERM");
    start_and_die(&daemon, &scene, &left);
    again(&mut daemon);
    for (task, trap) in tasks.iter().zip(scripts) {
        let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await.expect("it ends");
        assert_eq!(end.expect("it was seen to end").status, ExitStatus::Unknown, "{trap}");
    }
    assert_eq!(found_later(&daemon, &scene, &left).await, ExitStatus::Unknown);
}

/// Starts a command by a process that has died meanwhile.
fn start_and_die(daemon: &PrivateDaemon, scene: &Scene, request: &ExecRequest) {
    start_by(executor(daemon, scene), request);
}

fn start_by(executor: DockerExecutor, request: &ExecRequest) {
    let request = request.clone();
    let driver = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let task = executor.start(&request).await.expect("it starts");
            printed(&*task, 6).await;
        });
        runtime.shutdown_background();
    });
    driver.join().expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_ends_when_it_begins_again_is_unknown_and_no_end_of_the_command() {
    assert_that_nobody_knows(|daemon| {
        daemon.kill();
        daemon.begin();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_ends_when_it_is_ended_is_unknown_and_no_end_of_the_command() {
    assert_that_nobody_knows(|daemon| {
        daemon.terminate();
        daemon.begin();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ended_while_nobody_looked_and_its_daemon_lived_has_its_true_end() {
    let Some(daemon) = PrivateDaemon::start(&[]) else { return };
    let scene = scene_at(&daemon);
    let request = scene.script("echo ready; sleep 0.2; exit 143");
    start_and_die(&daemon, &scene, &request);
    // More than the daemon keeps in mind.
    let noise = scene.docker.run(&["create", "--network=none", scene.image.name(), "true"]);
    for number in 0..300 {
        scene.docker.run(&["rename", &noise, &format!("noise-{number}")]);
    }
    scene.docker.run(&["rm", &noise]);
    assert_eq!(found_later(&daemon, &scene, &request).await, ExitStatus::Code(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_come_back_loses_its_commands() {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let scene = Scene::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(&daemon);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_gone_is_lost_though_its_daemon_says_that_it_runs() {
    let Some(daemon) = PrivateDaemon::start(&[]) else { return };
    let impatient = |settings: &mut DockerSettings| {
        settings.endpoint = endpoint(&daemon);
        // For so long the daemon may still tell of its end.
        settings.patience = Duration::from_secs(2);
    };
    let scene = Scene::at(daemon.docker(), impatient);
    // Whoever starts it, and dies when it is ready, has seen its process by then.
    let request = || scene.script("while ! [ -e seen ]; do sleep 0.01; done; echo ready; sleep 1000");
    let (followed, timed_out, left) = (request(), request(), request());
    let mut tasks = Vec::new();
    for request in [&followed, &timed_out] {
        tasks.push(scene.start(request).await);
    }
    std::thread::scope(|threads| {
        let starter = executor(&daemon, &scene);
        threads.spawn(|| start_by(starter, &left));
        [&followed, &timed_out, &left].into_iter().for_each(until_seen);
        fs::write(scene.folder().join("seen"), "").expect("a file");
    });
    daemon.kill_containerd();
    let containers = scene.containers();
    assert_eq!(containers.len(), 3);
    containers.iter().for_each(|container| daemon.kill_process(container));
    // A clock that runs out now does not make an end of it that it has not had.
    tasks[1].stop(Duration::from_secs(1)).await.expect("there is nothing to stop");
    let mut settings = settings(scene.root.path(), &[]);
    impatient(&mut settings);
    let found = match DockerExecutor::new(settings).reattach(&command(&left, None)).await {
        Ok(Reattached::Found(found)) => found,
        other => panic!("its daemon says that it runs, and not: {other:?}"),
    };
    for task in tasks.iter().chain([&found]) {
        let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await.expect("it is not waited for");
        let error = end.expect_err("nobody knows how it ended");
        assert!(crate::scene::chain(&error).contains("its processes have ended"), "{}", crate::scene::chain(&error));
    }
}

/// Waits until the first process of a container was seen on this machine.
fn until_seen(request: &ExecRequest) {
    let (noted, begun) = (request.files.join("process.json"), Instant::now());
    while !noted.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not seen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_may_have_begun_before_its_daemon_died_is_lost_and_no_failed_start() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let relay = Relay::before(&daemon);
    let scene = Scene::at(daemon.docker(), |settings| {
        settings.endpoint = Endpoint::at(&format!("unix://{}", relay.socket.display())).expect("an address");
        settings.patience = Duration::from_secs(60);
    });
    for (ending, script) in [("goes on", "echo begun > begun; sleep 1000"), ("has ended", "echo begun > begun")] {
        let request = scene.script(script);
        let (starter, asked) = (scene.executor.clone(), request.clone());
        let starting = tokio::spawn(async move { starter.start(&asked).await });
        relay.until_started().await;
        let begun = Instant::now();
        while !scene.folder().join("begun").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fs::remove_file(scene.folder().join("begun")).expect("it is there");
        let container = scene.containers().remove(0);
        daemon.kill();
        forget_start(&daemon, &container);
        daemon.begin();
        relay.answer_nothing();
        let task = starting.await.expect("it does not panic").expect("it is no failed start");
        let error = task.wait().await.expect_err("nobody knows how it ended");
        let said = crate::scene::chain(&error);
        assert!(said.contains("nobody knows whether it had begun"), "{ending}: {said}");
        assert_eq!(scene.containers(), Vec::<String>::new(), "{ending}");
        let found = executor(&daemon, &scene).reattach(&command(&request, None)).await;
        assert!(matches!(found, Ok(Reattached::Gone { .. })), "{ending}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_at_any_moment_of_a_start_begins_nothing_twice_and_loses_nothing() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let scene = scene_at(&daemon);
    // Once, so that what is asked only once is known; then as a measure of how long it takes here.
    assert!(scene.end_of(&scene.script("true")).await.status.success());
    let began = Instant::now();
    assert!(scene.end_of(&scene.script("true")).await.status.success());
    let took = began.elapsed();
    for moment in 0..=MOMENTS {
        let mut request = scene.script("echo begun >> \"$COUNT\"; exit 5");
        let count = scene.folder().join(format!("count-{moment}"));
        request.env.insert("COUNT".to_owned(), count.display().to_string());
        let executor = scene.executor.clone();
        let asked = request.clone();
        let starting = tokio::spawn(async move { executor.start(&asked).await });
        tokio::time::sleep(took * moment / MOMENTS).await;
        daemon.kill();
        daemon.begin();
        let begun = || fs::read_to_string(&count).unwrap_or_default().lines().count();
        let is_known = |status| matches!(status, ExitStatus::Code(5) | ExitStatus::Unknown);
        match starting.await.expect("it does not panic") {
            Ok(task) => match task.wait().await {
                Ok(end) => {
                    assert!(is_known(end.status), "{moment}: {end:?}");
                    assert_eq!(begun(), 1, "{moment}");
                }
                Err(error) => {
                    let said = crate::scene::chain(&error);
                    assert!(said.contains("nobody knows whether it had begun"), "{moment}: {said}");
                    assert!(begun() <= 1, "{moment}");
                }
            },
            Err(_) => {
                assert_eq!(begun(), 0, "{moment}: what has begun is no failed start");
                let later = found_later(&daemon, &scene, &request).await;
                assert!(is_known(later), "{moment}: {later:?}");
                assert!(begun() <= 1, "{moment}");
            }
        }
    }
    // What was just removed is removed when the daemon is back; what is left was never started, and is collected by its labels.
    let label = format!("label=gadugi.repo={}", scene.root.path().display());
    let states = || scene.docker.run(&["ps", "--all", "--filter", &label, "--format", "{{.State}}"]);
    let back = Instant::now();
    while let Some(state) = states().lines().find(|state| *state != "created") {
        assert!(back.elapsed() < Duration::from_secs(60), "one is left that has {state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
