//! The limits of a task, as they are checked before it starts and shown to people.

use gadugi_core::executor::Unusable;
use gadugi_core::{TaskSpec, error_chain};

use super::api::{Daemon, status};
use super::settings::{Confinement, HOME, Network, Seccomp, User};

/// Returns the image of the task, without asking the daemon.
pub(super) fn image(task: &TaskSpec) -> Result<&str, Unusable> {
    let Some(image) = &task.resources.image else {
        return Err(Unusable {
            reason: "no image is named for tasks".to_owned(),
            remedy: "name one by `image = \"…\"` in gadugi.toml or by --image; `gadugi init --docker` and `gadugi image build` make one"
                .to_owned(),
        });
    };
    Ok(image)
}

/// The smallest memory limit of a container (docker-run(1), `--memory`).
const MIN_MEMORY: u64 = 6 << 20;

/// The smallest share of a processor.
const MIN_CPUS: f64 = 0.01;

/// Refuses limits that every daemon would refuse, and a seccomp profile that does not exist.
pub(super) fn check_limits(confinement: &Confinement, task: &TaskSpec) -> Result<(), Unusable> {
    let refuse = |reason: String, remedy: &str| Err(Unusable { reason, remedy: remedy.to_owned() });
    if let Some(memory) = task.resources.memory.or(confinement.memory).filter(|memory| *memory < MIN_MEMORY) {
        let reason = format!("{}: no container can have as little memory as {memory} bytes", task.id);
        return refuse(reason, "give it 6 MiB or more by `memory`");
    }
    if let Some(cpus) = task.resources.cpus.or(confinement.cpus).filter(|cpus| *cpus < MIN_CPUS) {
        let reason = format!("{}: no container can have as little as {cpus} of a processor", task.id);
        return refuse(reason, "give it 0.01 or more by `cpus`");
    }
    match &confinement.seccomp {
        Seccomp::Profile(path) if !path.is_file() => {
            refuse(format!("there is no seccomp profile {}", path.display()), "correct `seccomp` in gadugi.toml")
        }
        _ => Ok(()),
    }
}

/// Refuses a task that this daemon cannot run: it lacks the image, or as many processors as the task asks for.
pub(super) async fn check(daemon: &Daemon, task: &TaskSpec, image: &str) -> Result<(), Unusable> {
    if task.resources.cpus.is_some() && !daemon.holds_cpus {
        return Err(Unusable {
            reason: format!("{}: it asks for `cpus`, and the daemon's kernel cannot limit them", task.id),
            remedy: "leave out `cpus`".to_owned(),
        });
    }
    if let Some(cpus) = task.resources.cpus.filter(|cpus| daemon.processors > 0.0 && *cpus > daemon.processors) {
        return Err(Unusable {
            reason: format!("{}: it asks for {cpus} processors, and the daemon has {}", task.id, daemon.processors),
            remedy: "ask for fewer by `cpus`".to_owned(),
        });
    }
    match daemon.client.inspect_image(image).await {
        Ok(_) => Ok(()),
        Err(error) if status(&error) == Some(404) => Err(Unusable {
            reason: format!("there is no image `{image}`"),
            remedy: format!(
                "build it: gadugi image build --tag {image}; or fetch it: gadugi image pull {image}, or run with --pull"
            ),
        }),
        Err(error) => Err(Unusable {
            reason: format!("cannot ask for the image `{image}`: {}", error_chain(&error)),
            remedy: "`docker info` says more".to_owned(),
        }),
    }
}

/// Returns the terms of a task in a container, as names and values for people.
pub(super) fn of(confinement: &Confinement, task: &TaskSpec) -> Vec<(String, String)> {
    let resources = &task.resources;
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "no limit".to_owned());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut kept = vec!["none".to_owned()];
    if !confinement.cap_add.is_empty() {
        kept = confinement.cap_add.clone();
    }
    let keeps_home = task.action.agent.as_ref().is_some_and(|call| call.resume.is_some());
    let in_memory = confinement.tmpfs.iter().map(String::as_str).chain((!keeps_home).then_some(HOME));
    let terms = [
        ("image", resources.image.clone().unwrap_or_else(|| "none".to_owned())),
        (
            "user",
            match confinement.user {
                User::Owner => "the owner of the worktree".to_owned(),
                User::Image => "as the image says".to_owned(),
                User::Ids { uid, gid } => format!("{uid}:{gid}"),
            },
        ),
        (
            "network",
            match confinement.network {
                Network::Bridge => "bridge".to_owned(),
                Network::None => "none".to_owned(),
            },
        ),
        ("memory", or_none(resources.memory.or(confinement.memory).map(mebibytes))),
        ("cpus", or_none(resources.cpus.or(confinement.cpus).map(|cpus| cpus.to_string()))),
        ("pids", or_none(confinement.pids.map(|pids| pids.to_string()))),
        ("capabilities", kept.join(", ")),
        ("new privileges", yes(!confinement.no_new_privileges)),
        (
            "seccomp",
            match &confinement.seccomp {
                Seccomp::Default => "the daemon's profile".to_owned(),
                Seccomp::Unconfined => "unconfined".to_owned(),
                Seccomp::Profile(path) => path.display().to_string(),
            },
        ),
        ("root file system", if confinement.read_only { "read-only" } else { "writable" }.to_owned()),
        ("in memory", in_memory.collect::<Vec<_>>().join(", ")),
        ("init", yes(confinement.init)),
        ("docker.sock", "never".to_owned()),
    ];
    let home = keeps_home.then(|| ("home folder", "of the agent, kept until the task is over".to_owned()));
    terms.into_iter().chain(home).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if bytes.is_multiple_of(1 << 30) { format!("{} GiB", bytes >> 30) } else { format!("{mebibytes:.0} MiB") }
}
