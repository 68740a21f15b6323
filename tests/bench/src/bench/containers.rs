//! A container for each task: beside `docker run --rm`, and where the time goes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use gadugi_core::executor::ExecRequest;
use gadugi_core::plan::{Program, Resources};
use gadugi_core::{AttemptNo, AttemptRef, Executor, Phase};
use gadugi_exec::docker::{Confinement, DockerExecutor, DockerSettings, Endpoint, Network};
use gadugi_test_support::docker::Docker as DockerCommand;
use tokio::task::JoinSet;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::process::{timed, xargs};
use crate::sample::Sample;
use crate::scratch;
use crate::table::Table;

const COMMAND: &str = "true";
const PARALLEL: [usize; 3] = [1, 4, 16];

pub(crate) fn measure(effort: &Effort, out: &mut dyn Write) -> Result<(), BenchError> {
    let containers = if effort.small { 2 } else { 32 };
    writeln!(out, "## containers: {containers} of `{COMMAND}`, {} rounds\n", effort.rounds)?;
    let Some(docker) = DockerCommand::of_machine() else {
        writeln!(out, "No Docker daemon answers here.\n")?;
        return Ok(());
    };
    let image = docker.tools();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut table = Table::new(["in parallel", "gadugi, ms a container", "`docker run --rm`, ms", "times as fast"]);
    for parallel in PARALLEL {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..effort.rounds {
            let temporary = scratch::temporary()?;
            let lines: Vec<String> = (1..=containers).map(|number| number.to_string()).collect();
            let mut command = xargs(parallel, &lines, temporary.path())?;
            command.args(["docker", "run", "--rm", "--network", "none", image.name(), COMMAND]);
            theirs.push(timed(command)?.wall * 1000.0 / containers as f64);
            let name = format!("bench-{}-{parallel}-{round}", std::process::id());
            let executed = execute(image.name(), &name, temporary.path(), containers, parallel);
            ours.push(runtime.block_on(executed)? * 1000.0 / containers as f64);
        }
        let faster: Sample = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        let sample = |figures: Vec<f64>| format!("{:.0}", figures.into_iter().collect::<Sample>());
        table.row([parallel.to_string(), sample(ours), sample(theirs), format!("{faster:.2}")]);
    }
    table.write(out)?;
    steps(&runtime, image.name(), containers, out)
}

/// Runs that many containers by the executor, from the first request to the last end. Gives seconds.
async fn execute(
    image: &str,
    repository: &str,
    folder: &Path,
    containers: usize,
    parallel: usize,
) -> Result<f64, BenchError> {
    let mut settings = DockerSettings::new(Endpoint::default(), repository, []);
    settings.confinement = Confinement { network: Network::None, ..Confinement::default() };
    let executor = Arc::new(DockerExecutor::new(settings));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..containers {
        if running.len() == parallel {
            ended(&mut running).await?;
        }
        let files = folder.join(number.to_string());
        std::fs::create_dir(&files).map_err(|source| BenchError::File { path: files.clone(), source })?;
        let request = ExecRequest {
            run: "20261122-083355-k7q".parse()?,
            attempt: AttemptRef { task: format!("t{number}").parse()?, number: AttemptNo::FIRST },
            phase: Phase::Main,
            program: Program::Argv(vec![COMMAND.to_owned()]),
            stdin: None,
            folder: folder.to_owned(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            files,
            resources: Resources { image: Some(image.to_owned()), ..Resources::default() },
            mounts: Vec::new(),
            home: None,
            stop_signal: gadugi_core::executor::StopSignal::default(),
        };
        let executor = Arc::clone(&executor);
        running.spawn(async move { executor.start(&request).await?.wait().await });
    }
    while !running.is_empty() {
        ended(&mut running).await?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn ended(
    running: &mut JoinSet<Result<gadugi_core::executor::ExecEnd, gadugi_core::executor::ExecError>>,
) -> Result<(), BenchError> {
    match running.join_next().await {
        Some(Ok(end)) if end.as_ref().is_ok_and(|end| end.status.success()) => Ok(()),
        Some(Ok(Err(error))) => Err(error.into()),
        _ => Err(BenchError::Unsuccessful { succeeded: 0, tasks: 1 }),
    }
}

/// The time of each request to the daemon, for minimal containers one after the other.
fn steps(
    runtime: &tokio::runtime::Runtime,
    image: &str,
    containers: usize,
    out: &mut dyn Write,
) -> Result<(), BenchError> {
    const STEPS: [&str; 5] = ["create", "attach", "start", "wait", "remove"];
    writeln!(out, "Where the time goes, one container after the other, by the same requests without gadugi:\n")?;
    let client = Docker::connect_with_unix_defaults()?;
    let mut took: [Vec<f64>; STEPS.len()] = Default::default();
    for _ in 0..containers {
        for (step, took) in runtime.block_on(once(&client, image))?.into_iter().zip(&mut took) {
            took.push(step);
        }
    }
    let mut table = Table::new(["request", "ms"]);
    for (step, took) in STEPS.into_iter().zip(took) {
        table.row([step.to_owned(), format!("{:.1}", took.into_iter().collect::<Sample>())]);
    }
    Ok(table.write(out)?)
}

/// In milliseconds, in order.
async fn once(client: &Docker, image: &str) -> Result<[f64; 5], BenchError> {
    let mut marks = vec![Instant::now()];
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![COMMAND.to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            init: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = client.create_container(None::<CreateContainerOptions>, body).await?.id;
    marks.push(Instant::now());
    let listen = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
    let _output = client.attach_container(&id, Some(listen)).await?.output;
    marks.push(Instant::now());
    client.start_container(&id, None).await?;
    marks.push(Instant::now());
    let ended = client.wait_container(&id, None::<WaitContainerOptions>).collect::<Vec<_>>().await;
    ended.into_iter().collect::<Result<Vec<_>, _>>()?;
    marks.push(Instant::now());
    client.remove_container(&id, None::<RemoveContainerOptions>).await?;
    marks.push(Instant::now());
    let took = |at: usize| (marks[at + 1] - marks[at]).as_secs_f64() * 1000.0;
    Ok(std::array::from_fn(took))
}
