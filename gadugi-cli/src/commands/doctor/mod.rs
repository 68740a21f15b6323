//! `gadugi doctor`: checks of what Gadugi needs, with a remedy for each that fails.

mod agents;
mod finding;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gadugi_core::plan::Program;
use gadugi_core::{Executor, TaskSpec};

use self::finding::{Finding, Health};
use crate::config::{Config, seed_line};
use crate::context::Context;
use crate::executors::{SUBPROCESS, TaskLifetime, executors, supervision};
use crate::failure::{Code, Failure};
use crate::prepare::{self, disk_space};
use crate::site::Site;

pub(super) async fn doctor(context: &Context) -> Result<Code, Failure> {
    let mut findings = vec![git(context)];
    match Site::open(&context.surroundings) {
        Ok(site) => {
            let path = site.work_tree().display().to_string();
            findings.push(Finding::good("repository", path));
            let config = prepare::config(context, &site, None);
            let config = config.unwrap_or_else(|failure| {
                findings.push(Finding::of_failure("config", Health::Bad, &failure));
                Config::default()
            });
            findings.extend(folders(context, &site, &config));
            let (of_executors, may_isolate) = check_executors(context, Some(&site), &config).await;
            findings.extend(of_executors);
            findings.extend(agents::check(context, &config, may_isolate).await);
        }
        Err(failure) => {
            findings.push(Finding::of_failure("repository", Health::Bad, &failure));
            findings.extend(check_executors(context, None, &Config::default()).await.0);
        }
    }
    finding::print(&context.terminal, &findings)?;
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { Code::Environment } else { Code::Success })
}

/// Checks git, which Gadugi needs beside its library gix, and tasks need too.
fn git(context: &Context) -> Finding {
    let remedy = "install git 2.34 or later";
    let output = Command::new("git").arg("--version").current_dir(&context.surroundings.folder).output();
    let version = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => {
            return Finding::new("git", Health::Bad, format!("git --version ended with {}", output.status), remedy);
        }
        Err(error) => return Finding::new("git", Health::Bad, format!("git cannot be started: {error}"), remedy),
    };
    let numbers = version.split(' ').nth(2).map(|number| number.split('.').map(|part| part.parse().unwrap_or(0)));
    let numbers: Vec<u32> = numbers.into_iter().flatten().take(2).collect();
    let enough = numbers.as_slice() >= [2, 34].as_slice();
    Finding::new("git", if enough { Health::Good } else { Health::Bad }, version, if enough { "" } else { remedy })
}

/// Checks the folders of worktrees and of the registry, and the branches.
fn folders(context: &Context, site: &Site, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match site.worktrees_folder(&context.surroundings, config) {
        Ok(folder) => {
            findings.push(Finding::good("worktrees", folder.display().to_string()));
            findings.push(disk(context, site, config));
            let (text, better) = site.sharing(&folder);
            let health = if better.is_empty() { Health::Good } else { Health::Limited };
            findings.push(Finding::new("seeding", health, text, better));
            let left_out = site.left_out_of_seeds(config);
            if !left_out.is_empty() {
                let remedy = seed_line(&[&config.seed[..], &left_out].concat());
                let text = "git ignores files that agents read, so tasks do not get them";
                findings.push(Finding::new("agent files", Health::Limited, text, format!("to copy them: {remedy}")));
            }
            findings.extend(deletion(site, &folder));
        }
        Err(failure) => {
            findings.push(Finding::of_failure("worktrees", Health::Bad, &failure));
        }
    }
    if let Err(failure) = site.check_branches(config) {
        findings.push(Finding::of_failure("branches", Health::Bad, &failure));
    }
    let state = site.state_folder();
    let existing = state.ancestors().find(|folder| folder.is_dir()).unwrap_or(&state);
    findings.push(match rustix::fs::access(existing, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Finding::good("registry", state.display().to_string()),
        Err(error) => {
            let text = format!("{} cannot be written: {error}", existing.display());
            Finding::new("registry", Health::Bad, text, "make it writable, or use a clone of your own")
        }
    });
    findings
}

/// Checks for removed worktrees and homes of agents that still take disk space.
fn deletion(site: &Site, worktrees: &Path) -> Option<Finding> {
    Some(match site.left_to_delete(worktrees) {
        Ok((0, _)) => return None,
        Ok((left, is_going_on)) => {
            let text = match (left, is_going_on) {
                (1, true) => "1 removed folder is being deleted in the background".to_owned(),
                (_, true) => format!("{left} removed folders are being deleted in the background"),
                (1, false) => "1 removed folder is not deleted yet".to_owned(),
                (_, false) => format!("{left} removed folders are not deleted yet"),
            };
            let remedy = if is_going_on { "to wait for that: gadugi clean --wait" } else { "gadugi clean --wait" };
            Finding::new("deletion", Health::Limited, text, remedy)
        }
        Err(why) => Finding::new("deletion", Health::Limited, why, ""),
    })
}

/// Checks that as many worktrees of the base fit as there are jobs.
fn disk(context: &Context, site: &Site, config: &Config) -> Finding {
    let space = site.base(config).and_then(|base| site.disk_space(&context.surroundings, config, &base.commit));
    let space = match space {
        Ok(Ok(space)) => space,
        Ok(Err(unknown)) => return Finding::new("disk", Health::Limited, unknown, ""),
        Err(failure) => return Finding::of_failure("disk", Health::Limited, &failure),
    };
    let text = format!("{} free for worktrees, each {}", space.free(), space.each());
    match space.shortage(config.jobs.get() as u64) {
        None => Finding::good("disk", text),
        Some(shortage) => {
            Finding::new("disk", Health::Limited, format!("{text}: {shortage}"), disk_space::OTHER_FOLDER)
        }
    }
}

/// Checks the executors. Returns also whether tasks may run in one that does not use the programs of this machine.
async fn check_executors(context: &Context, site: Option<&Site>, config: &Config) -> (Vec<Finding>, bool) {
    let executors = executors(context, site, config, TaskLifetime::Own);
    let mut findings = Vec::new();
    let mut may_isolate = false;
    for executor in &executors {
        let subject = format!("executor {}", executor.name());
        let is_meant = config.executor == "auto" || config.executor == executor.name();
        findings.push(match executor.probe().await {
            Ok(()) => {
                may_isolate |= is_meant && executor.name() != SUBPROCESS;
                Finding::good(&subject, "can be used")
            }
            Err(unusable) => Finding::new(&subject, Health::Limited, unusable.reason, unusable.remedy),
        });
    }
    findings.extend(image(config, &executors).await);
    let (text, better) = supervision();
    let health = if better.is_some() { Health::Limited } else { Health::Good };
    findings.push(Finding::new("supervision", health, text, better.unwrap_or_default()));
    if !executors.iter().any(|executor| executor.capabilities().isolates) {
        let text = "this build has no executor that isolates tasks from this machine";
        findings.push(Finding::new("isolation", Health::Limited, text, "run only tasks that you would run yourself"));
    }
    (findings, may_isolate)
}

/// Checks that the configured image exists, if an executor can use it.
async fn image(config: &Config, executors: &[Arc<dyn Executor>]) -> Option<Finding> {
    let image = config.image.as_ref()?;
    let executor = executors.iter().find(|executor| executor.capabilities().images)?;
    executor.probe().await.ok()?;
    let mut task = TaskSpec::new("doctor".parse().ok()?, Program::Script(String::new()));
    task.resources.image = Some(image.clone());
    Some(match executor.accepts(&task).await {
        Ok(()) => Finding::good("image", format!("{image} is there")),
        Err(unusable) => Finding::new("image", Health::Limited, unusable.reason, unusable.remedy),
    })
}
