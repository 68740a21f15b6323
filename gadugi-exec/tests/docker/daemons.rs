//! Daemons that are killed, ended and begun again while commands run.

use std::fs;
use std::time::{Duration, Instant};

use gadugi_core::Executor;
use gadugi_core::executor::{ExecRequest, ExitStatus, Reattached};
use gadugi_exec::docker::{DockerExecutor, DockerSettings, Endpoint};
use gadugi_test_support::docker::PrivateDaemon;

use crate::harness::{Harness, command, log, printed, settings};
use crate::relay::Relay;

/// Moments of a start in which a daemon is killed.
const MOMENTS: u32 = 12;

fn endpoint(daemon: &PrivateDaemon) -> Endpoint {
    Endpoint::at(&format!("unix://{}", daemon.socket().display())).expect("an address")
}

fn harness_at(daemon: &PrivateDaemon) -> Harness {
    Harness::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(daemon);
        settings.reconnect_timeout = Duration::from_secs(60);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_outlives_its_daemon_and_is_followed_to_its_true_end() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let harness = harness_at(&daemon);
    let request = harness.script("echo one; while ! [ -e go ]; do sleep 0.01; done; echo two; exit 7");
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    daemon.begin();
    fs::write(harness.folder().join("go"), "").expect("a file");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(7), "one\ntwo\n"));
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_while_its_daemon_is_away_has_its_true_end() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let harness = harness_at(&daemon);
    let request = harness.script("echo one; while ! [ -e go ]; do sleep 0.01; done; touch done; exit 9");
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    fs::write(harness.folder().join("go"), "").expect("a file");
    while !harness.folder().join("done").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.begin();
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Code(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_knows_how_a_command_ended_that_went_with_its_daemon() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let harness = harness_at(&daemon);
    let request = harness.script("echo one; sleep 1000");
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    let left = harness.script("echo ready; sleep 1000");
    start_and_die(&daemon, &harness, &left);
    daemon.kill();
    daemon.kill_containers();
    daemon.begin();
    assert_eq!(task.wait().await.expect("it was seen to be over").status, ExitStatus::Unknown);
    assert_eq!(found_later(&daemon, &harness, &left).await, ExitStatus::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_may_wait_for_secrets_that_were_lost_with_a_daemon_is_ended() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let harness = Harness::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(&daemon);
        settings.environment.insert("API_KEY".into(), "a".into());
    });
    let with_secret = |script: &str| ExecRequest { secrets: vec!["API_KEY".to_owned()], ..harness.script(script) };
    let talks = harness.start(&with_secret("echo one; while ! [ -e go ]; do sleep 0.01; done; exit 7")).await;
    printed(&*talks, 4).await;
    let silent = harness.start(&with_secret("sleep 1000")).await;
    daemon.kill();
    daemon.begin();
    let error = silent.wait().await.expect_err("nobody knows whether it has begun");
    assert!(crate::harness::chain(&error).contains("hand over the secrets"), "{}", crate::harness::chain(&error));
    fs::write(harness.folder().join("go"), "").expect("a file");
    assert_eq!(talks.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
    assert_eq!(harness.containers(), Vec::<String>::new());
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
    let harness = harness_at(&daemon);
    let request = harness.script("echo ready; while :; do sleep 0.05; date +%s%N > alive; done");
    start_and_die(&daemon, &harness, &request);
    let containers = harness.containers();
    daemon.kill();
    forget_start(&daemon, &containers[0]);
    daemon.begin();
    assert_eq!(harness.docker.run(&["ps", "--all", "--format", "{{.State}}"]), "created");
    let alive = || fs::read_to_string(harness.folder().join("alive")).unwrap_or_default();
    let (begun, earlier) = (Instant::now(), alive());
    while alive() == earlier {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = executor(&daemon, &harness).reattach(&command(&request, None)).await;
    assert!(matches!(&found, Ok(Reattached::Gone { why }) if why.contains("did not know it")), "{found:?}");
    // It says every 50 ms that it lives.
    let last = alive();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(alive(), last, "it was ended");
    assert!(harness.executor.start(&request).await.is_err(), "it may have begun");
}

/// Finds a command by an executor that has not started it.
async fn found_later(daemon: &PrivateDaemon, harness: &Harness, request: &ExecRequest) -> ExitStatus {
    match executor(daemon, harness).reattach(&command(request, None)).await {
        Ok(Reattached::Gone { .. } | Reattached::NeverStarted) => ExitStatus::Unknown,
        Ok(Reattached::Found(found)) => found.wait().await.expect("its end is known").status,
        other => panic!("it was started, and not: {other:?}"),
    }
}

/// As another process has it, which knows nothing of what was started.
fn executor(daemon: &PrivateDaemon, harness: &Harness) -> DockerExecutor {
    let mut settings = settings(harness.root.path(), &[]);
    settings.endpoint = endpoint(daemon);
    DockerExecutor::new(settings)
}

/// Lets a daemon end commands that make the best of it, while one of each kind is followed and one is not.
async fn assert_that_nobody_knows(again: impl Fn(&mut PrivateDaemon)) {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let harness = harness_at(&daemon);
    let scripts = ["trap 'exit 0' TERM", "trap 'exit 3' TERM", "true"];
    let request = |trap: &str| harness.script(&format!("{trap}; echo ready; while :; do sleep 0.05 || :; done"));
    let followed: Vec<_> = scripts.iter().map(|trap| request(trap)).collect();
    let mut tasks = Vec::new();
    for request in &followed {
        tasks.push(harness.start(request).await);
        printed(&**tasks.last().expect("it was started"), 6).await;
    }
    let left = request("trap 'exit 0' TERM");
    start_and_die(&daemon, &harness, &left);
    again(&mut daemon);
    for (task, trap) in tasks.iter().zip(scripts) {
        let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await.expect("it ends");
        assert_eq!(end.expect("it was seen to end").status, ExitStatus::Unknown, "{trap}");
    }
    assert_eq!(found_later(&daemon, &harness, &left).await, ExitStatus::Unknown);
}

/// Starts a command by a process that has died meanwhile.
fn start_and_die(daemon: &PrivateDaemon, harness: &Harness, request: &ExecRequest) {
    start_by(executor(daemon, harness), request);
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
    let harness = harness_at(&daemon);
    let request = harness.script("echo ready; sleep 0.2; exit 143");
    start_and_die(&daemon, &harness, &request);
    // More than the daemon keeps in mind.
    let noise = harness.docker.run(&["create", "--network=none", harness.image.name(), "true"]);
    for number in 0..300 {
        harness.docker.run(&["rename", &noise, &format!("noise-{number}")]);
    }
    harness.docker.run(&["rm", &noise]);
    assert_eq!(found_later(&daemon, &harness, &request).await, ExitStatus::Code(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_come_back_loses_its_commands() {
    let Some(mut daemon) = PrivateDaemon::start(&[]) else { return };
    let harness = Harness::at(daemon.docker(), |settings| {
        settings.endpoint = endpoint(&daemon);
        settings.reconnect_timeout = Duration::from_millis(300);
    });
    let request = harness.script("echo one; sleep 1000");
    let task = harness.start(&request).await;
    printed(&*task, 4).await;
    daemon.kill();
    let error = task.wait().await.expect_err("nobody can see it");
    assert!(crate::harness::chain(&error).contains("went away"), "{}", crate::harness::chain(&error));
    let refused = harness.executor.start(&harness.script("true")).await;
    assert!(refused.is_err(), "nothing is started elsewhere");
    daemon.begin();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_gone_is_lost_though_its_daemon_says_that_it_runs() {
    let Some(daemon) = PrivateDaemon::start(&[]) else { return };
    let impatient = |settings: &mut DockerSettings| {
        settings.endpoint = endpoint(&daemon);
        // For so long the daemon may still tell of its end.
        settings.reconnect_timeout = Duration::from_secs(2);
    };
    let harness = Harness::at(daemon.docker(), impatient);
    // Whoever starts it, and dies when it is ready, has seen its process by then.
    let request = || harness.script("while ! [ -e seen ]; do sleep 0.01; done; echo ready; sleep 1000");
    let (followed, timed_out, left) = (request(), request(), request());
    let mut tasks = Vec::new();
    for request in [&followed, &timed_out] {
        tasks.push(harness.start(request).await);
    }
    std::thread::scope(|threads| {
        let starter = executor(&daemon, &harness);
        threads.spawn(|| start_by(starter, &left));
        [&followed, &timed_out, &left].into_iter().for_each(until_seen);
        fs::write(harness.folder().join("seen"), "").expect("a file");
    });
    daemon.kill_containerd();
    let containers = harness.containers();
    assert_eq!(containers.len(), 3);
    containers.iter().for_each(|container| daemon.kill_process(container));
    // A clock that runs out now does not make an end of it that it has not had.
    tasks[1].stop(Duration::from_secs(1)).await.expect("there is nothing to stop");
    let mut settings = settings(harness.root.path(), &[]);
    impatient(&mut settings);
    let found = match DockerExecutor::new(settings).reattach(&command(&left, None)).await {
        Ok(Reattached::Found(found)) => found,
        other => panic!("its daemon says that it runs, and not: {other:?}"),
    };
    for task in tasks.iter().chain([&found]) {
        let end = tokio::time::timeout(Duration::from_secs(60), task.wait()).await.expect("it is not waited for");
        let error = end.expect_err("nobody knows how it ended");
        assert!(
            crate::harness::chain(&error).contains("its processes have ended"),
            "{}",
            crate::harness::chain(&error)
        );
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
    let harness = Harness::at(daemon.docker(), |settings| {
        settings.endpoint = Endpoint::at(&format!("unix://{}", relay.socket.display())).expect("an address");
        settings.reconnect_timeout = Duration::from_secs(60);
    });
    for (ending, script) in [("goes on", "echo begun > begun; sleep 1000"), ("has ended", "echo begun > begun")] {
        let request = harness.script(script);
        let (starter, asked) = (harness.executor.clone(), request.clone());
        let starting = tokio::spawn(async move { starter.start(&asked).await });
        relay.until_started().await;
        let begun = Instant::now();
        while !harness.folder().join("begun").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fs::remove_file(harness.folder().join("begun")).expect("it is there");
        let container = harness.containers().remove(0);
        daemon.kill();
        forget_start(&daemon, &container);
        daemon.begin();
        relay.answer_nothing();
        let task = starting.await.expect("it does not panic").expect("it is no failed start");
        let error = task.wait().await.expect_err("nobody knows how it ended");
        let said = crate::harness::chain(&error);
        assert!(said.contains("nobody knows whether it had begun"), "{ending}: {said}");
        assert_eq!(harness.containers(), Vec::<String>::new(), "{ending}");
        let found = executor(&daemon, &harness).reattach(&command(&request, None)).await;
        assert!(matches!(found, Ok(Reattached::Gone { .. })), "{ending}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_at_any_moment_of_a_start_begins_nothing_twice_and_loses_nothing() {
    let Some(mut daemon) = PrivateDaemon::start(&["--live-restore"]) else { return };
    let harness = harness_at(&daemon);
    // Once, so that what is asked only once is known; then as a measure of how long it takes here.
    assert!(harness.end_of(&harness.script("true")).await.status.success());
    let began = Instant::now();
    assert!(harness.end_of(&harness.script("true")).await.status.success());
    let took = began.elapsed();
    for moment in 0..=MOMENTS {
        let mut request = harness.script("echo begun >> \"$COUNT\"; exit 5");
        let count = harness.folder().join(format!("count-{moment}"));
        request.env.insert("COUNT".to_owned(), count.display().to_string());
        let executor = harness.executor.clone();
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
                    let said = crate::harness::chain(&error);
                    assert!(said.contains("nobody knows whether it had begun"), "{moment}: {said}");
                    assert!(begun() <= 1, "{moment}");
                }
            },
            Err(_) => {
                assert_eq!(begun(), 0, "{moment}: what has begun is no failed start");
                let later = found_later(&daemon, &harness, &request).await;
                assert!(is_known(later), "{moment}: {later:?}");
                assert!(begun() <= 1, "{moment}");
            }
        }
    }
    // What was just removed is removed when the daemon is back; what is left was never started, and is collected by its labels.
    let label = format!("label=gadugi.repo={}", harness.root.path().display());
    let states = || harness.docker.run(&["ps", "--all", "--filter", &label, "--format", "{{.State}}"]);
    let back = Instant::now();
    while let Some(state) = states().lines().find(|state| *state != "created") {
        assert!(back.elapsed() < Duration::from_secs(60), "one is left that has {state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
