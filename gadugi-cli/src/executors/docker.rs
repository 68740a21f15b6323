//! The Docker executor with the configured settings, and its images.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use gadugi_core::{Executor, Plan, TaskSpec};
use gadugi_exec::docker::{
    BuildOptions, Confinement, DockerError, DockerExecutor, DockerSettings, Endpoint, Network, PullProgress, Seccomp,
    User,
};

use super::output_cap;
use crate::config::{Config, DockerConfig, DockerNetwork, DockerSeccomp, DockerUser};
use crate::context::Context;
use crate::failure::Failure;
use crate::site::Site;
use crate::surroundings::Surroundings;

/// Builds and fetches images, and runs tasks.
pub(crate) use gadugi_exec::docker::DockerExecutor as Docker;

/// The executor of this call.
pub(crate) fn executor(context: &Context, site: Option<&Site>, config: &Config) -> DockerExecutor {
    let repository = site.map_or_else(String::new, |site| repository(&context.surroundings, site.git_folder()));
    let endpoint = endpoint(&context.surroundings, &config.docker);
    let mut settings = DockerSettings::new(endpoint, repository, context.surroundings.env.clone());
    settings.passed.clone_from(&config.env);
    settings.output_cap = output_cap(config);
    settings.confinement = confinement(&config.docker);
    DockerExecutor::new(settings)
}

/// The endpoint of the daemon. A daemon that cannot be found is reported when it is needed.
fn endpoint(surroundings: &Surroundings, config: &DockerConfig) -> Endpoint {
    let home = surroundings.env.get(OsStr::new("HOME")).map(PathBuf::from);
    let found = match &config.host {
        Some(host) => Endpoint::named(host, &surroundings.env, home.as_deref()),
        None => Endpoint::of_environment(&surroundings.env, home.as_deref()),
    };
    found.unwrap_or_else(|error| Endpoint::nowhere(&error))
}

/// Identifies the repository among those of all machines that use a daemon.
fn repository(surroundings: &Surroundings, git_folder: &Path) -> String {
    format!("{}:{}", surroundings.machine(), git_folder.display())
}

fn confinement(config: &DockerConfig) -> Confinement {
    Confinement {
        network: match config.network {
            DockerNetwork::Bridge => Network::Bridge,
            DockerNetwork::None => Network::None,
        },
        memory: Some(config.memory),
        cpus: Some(config.cpus),
        pids: Some(config.pids.get()),
        user: match config.user {
            DockerUser::Owner => User::Owner,
            DockerUser::Image => User::Image,
            DockerUser::Ids { uid, gid } => User::Ids { uid, gid },
        },
        read_only: config.read_only,
        tmpfs: config.tmpfs.clone(),
        cap_add: config.cap_add.clone(),
        no_new_privileges: config.no_new_privileges,
        seccomp: match &config.seccomp {
            DockerSeccomp::Default => Seccomp::Default,
            DockerSeccomp::Unconfined => Seccomp::Unconfined,
            DockerSeccomp::Profile(path) => Seccomp::Profile(path.clone()),
        },
        init: config.init,
    }
}

/// Whether no daemon answers.
pub(crate) async fn is_absent(docker: &DockerExecutor) -> bool {
    docker.probe().await.is_err()
}

/// Lists the missing images of tasks that may run in containers, each once.
pub(crate) async fn missing_images(docker: &DockerExecutor, plan: &Plan) -> Result<Vec<String>, Failure> {
    let may_come = |task: &&TaskSpec| task.executor.as_deref().is_none_or(|name| matches!(name, "docker" | "auto"));
    let mut named: Vec<&String> = plan
        .tasks()
        .iter()
        .map(|task| &task.spec)
        .filter(may_come)
        .filter_map(|task| task.resources.image.as_ref())
        .collect();
    named.sort();
    named.dedup();
    let mut missing = Vec::new();
    for image in named {
        if !docker.has_image(image).await.map_err(failed)? {
            missing.push(image.clone());
        }
    }
    Ok(missing)
}

/// Fetches an image.
pub(crate) async fn pull(
    docker: &DockerExecutor,
    image: &str,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), Failure> {
    let pulled = docker.pull(image, |PullProgress { received, total }| progress(received, total)).await;
    pulled.map_err(|fault| failed(fault).about(format!("cannot fetch the image `{image}`")))
}

/// Builds an image from a Dockerfile and the folder that it lies in.
pub(crate) async fn build(
    docker: &DockerExecutor,
    dockerfile: &Path,
    tag: &str,
    pull: bool,
    line: impl FnMut(&str),
) -> Result<(), Failure> {
    let (Some(context), Some(name)) = (dockerfile.parent(), dockerfile.file_name()) else {
        return Err(Failure::usage(format!("{} is no file", dockerfile.display())));
    };
    let options = BuildOptions { context: context.to_owned(), dockerfile: name.into(), tag: tag.to_owned(), pull };
    docker.build(options, line).await.map_err(failed)
}

fn failed(fault: DockerError) -> Failure {
    match fault {
        DockerError::Daemon(unusable) => Failure::environment(unusable.reason).hint(unusable.remedy),
        fault => Failure::environment(gadugi_core::error_chain(&fault)),
    }
}
