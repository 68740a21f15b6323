//! `gadugi doctor`: what works here, and how to mend what does not.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gadugi_core::{Executor, Program, TaskSpec};

use super::{agents, room};
use crate::compose::{self, Site};
use crate::config::{Config, seed_line};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::prepare;
use crate::terminal::{Tone, columns};

/// How a check turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// It works without; the remedy makes it better.
    Limited,
    /// `gadugi run` does not work without it.
    Bad,
}

pub(super) struct Finding {
    subject: String,
    health: Health,
    text: String,
    remedy: String,
}

pub(super) fn finding(subject: &str, health: Health, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject: subject.to_owned(), health, text: text.into(), remedy: remedy.into() }
}

pub(super) async fn doctor(context: &Context) -> Result<Code, Failure> {
    let mut findings = vec![git(context)];
    match Site::open(&context.surroundings) {
        Ok(site) => {
            let path = site.work_tree().display().to_string();
            findings.push(finding("repository", Health::Good, path, ""));
            let config = prepare::config(context, &site, None);
            let config = config.unwrap_or_else(|failure| {
                let (text, remedy) = failure.texts();
                findings.push(finding("config", Health::Bad, text, remedy));
                Config::default()
            });
            findings.extend(places(context, &site, &config));
            let (of_executors, may_isolate) = executors(context, Some(&site), &config).await;
            findings.extend(of_executors);
            findings.extend(agents::agents(context, &config, may_isolate).await);
        }
        Err(failure) => {
            let (text, remedy) = failure.texts();
            findings.push(finding("repository", Health::Bad, text, remedy));
            findings.extend(executors(context, None, &Config::default()).await.0);
        }
    }
    print(context, &findings)?;
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { Code::Environment } else { Code::Success })
}

/// Git itself is needed for what gix does not do, and by tasks.
fn git(context: &Context) -> Finding {
    let remedy = "install git 2.34 or later";
    let output = Command::new("git").arg("--version").current_dir(&context.surroundings.folder).output();
    let version = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => {
            return finding("git", Health::Bad, format!("git --version ended with {}", output.status), remedy);
        }
        Err(error) => return finding("git", Health::Bad, format!("git cannot be started: {error}"), remedy),
    };
    let numbers = version.split(' ').nth(2).map(|number| number.split('.').map(|part| part.parse().unwrap_or(0)));
    let numbers: Vec<u32> = numbers.into_iter().flatten().take(2).collect();
    let enough = numbers.as_slice() >= [2, 34].as_slice();
    finding("git", if enough { Health::Good } else { Health::Bad }, version, if enough { "" } else { remedy })
}

fn places(context: &Context, site: &Site, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match site.worktrees_folder(&context.surroundings, config) {
        Ok(folder) => {
            findings.push(finding("worktrees", Health::Good, folder.display().to_string(), ""));
            findings.push(disk(context, site, config));
            let (text, better) = site.sharing(&folder);
            let health = if better.is_empty() { Health::Good } else { Health::Limited };
            findings.push(finding("seeding", health, text, better));
            let left_out = site.left_out_of_seeds(config);
            if !left_out.is_empty() {
                let remedy = seed_line(&[&config.seed[..], &left_out].concat());
                let text = "git ignores files that agents read, so tasks do not get them";
                findings.push(finding("agent files", Health::Limited, text, format!("to copy them: {remedy}")));
            }
            findings.extend(deletion(site, &folder));
        }
        Err(failure) => {
            let (text, remedy) = failure.texts();
            findings.push(finding("worktrees", Health::Bad, text, remedy));
        }
    }
    if let Err(failure) = site.check_branches(config) {
        let (text, remedy) = failure.texts();
        findings.push(finding("branches", Health::Bad, text, remedy));
    }
    let state = site.state_folder();
    let existing = state.ancestors().find(|folder| folder.is_dir()).unwrap_or(&state);
    findings.push(match rustix::fs::access(existing, rustix::fs::Access::WRITE_OK) {
        Ok(()) => finding("registry", Health::Good, state.display().to_string(), ""),
        Err(error) => {
            let text = format!("{} cannot be written: {error}", existing.display());
            finding("registry", Health::Bad, text, "make it writable, or use a clone of your own")
        }
    });
    findings
}

/// Removed worktrees, and homes of agents, that take up room for a while yet.
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
            finding("deletion", Health::Limited, text, remedy)
        }
        Err(why) => finding("deletion", Health::Limited, why, ""),
    })
}

/// Whether as many worktrees of the base fit as there are jobs.
fn disk(context: &Context, site: &Site, config: &Config) -> Finding {
    let room = site.base(config).and_then(|base| site.room(&context.surroundings, config, &base.commit));
    let room = match room {
        Ok(Ok(room)) => room,
        Ok(Err(unknown)) => return finding("disk", Health::Limited, unknown, ""),
        Err(failure) => {
            let (text, remedy) = failure.texts();
            return finding("disk", Health::Limited, text, remedy);
        }
    };
    let text = format!("{} free for worktrees, each {}", room.free(), room.each());
    match room.shortage(config.jobs.get() as u64) {
        None => finding("disk", Health::Good, text, ""),
        Some(shortage) => finding("disk", Health::Limited, format!("{text}: {shortage}"), room::OTHER_PLACE),
    }
}

/// What works of the executors, and whether tasks may come to one where what is installed here does not count.
async fn executors(context: &Context, site: Option<&Site>, config: &Config) -> (Vec<Finding>, bool) {
    let executors = compose::executors(context, site, config, false);
    let mut findings = Vec::new();
    let mut may_isolate = false;
    for executor in &executors {
        let subject = format!("executor {}", executor.name());
        let is_meant = config.executor == "auto" || config.executor == executor.name();
        findings.push(match executor.probe().await {
            Ok(()) => {
                may_isolate |= is_meant && executor.name() != compose::SUBPROCESS;
                finding(&subject, Health::Good, "can be used", "")
            }
            Err(unusable) => finding(&subject, Health::Limited, unusable.reason, unusable.remedy),
        });
    }
    findings.extend(image(config, &executors).await);
    let (supervision, better) = compose::supervision();
    let health = if better.is_some() { Health::Limited } else { Health::Good };
    findings.push(finding("supervision", health, supervision, better.unwrap_or_default()));
    if !executors.iter().any(|executor| executor.capabilities().isolates) {
        let text = "this build has no executor that isolates tasks from this machine";
        findings.push(finding("isolation", Health::Limited, text, "run only tasks that you would run yourself"));
    }
    (findings, may_isolate)
}

/// Whether the configured image is there, where it is of use.
async fn image(config: &Config, executors: &[Arc<dyn Executor>]) -> Option<Finding> {
    let image = config.image.as_ref()?;
    let executor = executors.iter().find(|executor| executor.capabilities().images)?;
    executor.probe().await.ok()?;
    let mut task = TaskSpec::new("doctor".parse().ok()?, Program::Script(String::new()));
    task.resources.image = Some(image.clone());
    Some(match executor.accepts(&task).await {
        Ok(()) => finding("image", Health::Good, format!("{image} is there"), ""),
        Err(unusable) => finding("image", Health::Limited, unusable.reason, unusable.remedy),
    })
}

fn print(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let tone = |health| match health {
        Health::Good => (Tone::Good, "ok"),
        Health::Limited => (Tone::Notice, "note"),
        Health::Bad => (Tone::Bad, "BAD"),
    };
    let row = |finding: &Finding| {
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!(" -> {}", finding.remedy) };
        vec![tone(finding.health).1.to_owned(), finding.subject.clone(), format!("{}{remedy}", finding.text)]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    let paint = |at: usize, column: usize, cell: &str| {
        let tone = if column == 0 { tone(findings[at].health).0 } else { Tone::Plain };
        context.terminal.toned(tone, cell)
    };
    Ok(context.terminal.result(&columns(&rows, paint))?)
}
