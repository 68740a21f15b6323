//! Pull requests, by the command `gh`.
//!
//! It is asked by `gh api`, whose answers do not depend on its version, and `gh` does what concerns accounts and hosts.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::body;
use super::proposal::{ForgeRepository, Proposal};
use crate::context::Context;
use crate::failure::Failure;

/// Exit code of `gh` where it has no account for a host.
const NOT_LOGGED_IN: i32 = 4;

/// A pull request that exists.
pub(super) struct Opened {
    pub(super) url: String,
    /// Whether it was opened now.
    pub(super) is_new: bool,
    pub(super) is_draft: bool,
    /// Whether its text has no part of gadugi's, and was left alone.
    pub(super) body_kept: bool,
}

/// The reason why a pull request could not be opened.
pub(super) enum ForgeError {
    NotLoggedIn { host: String },
    Failed(Failure),
}

impl From<Failure> for ForgeError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The `gh` of the user, for one repository.
pub(super) struct Forge {
    program: PathBuf,
    folder: PathBuf,
    repository: ForgeRepository,
}

impl Forge {
    /// Finds `gh` and the repository; the reason where one of them is missing.
    pub(super) fn find(context: &Context, repository: Option<ForgeRepository>) -> Result<Self, String> {
        let repository = repository.ok_or("the address of the remote names no repository on a forge")?;
        let program = context.surroundings.program("gh").ok_or("gh is not installed (https://cli.github.com)")?;
        Ok(Self { program, folder: context.surroundings.folder.clone(), repository })
    }

    /// Opens a pull request, or updates the text of the open one of the same branch.
    pub(super) async fn propose(&self, proposal: &Proposal) -> Result<Opened, ForgeError> {
        let Proposal { title, head, base, body, draft } = proposal;
        let ForgeRepository { owner, name, .. } = &self.repository;
        let pulls = format!("repos/{owner}/{name}/pulls");
        let (owned, state) = (format!("head={owner}:{head}"), "state=open");
        let found = self.call(&["--method", "GET", &pulls, "-f", &owned, "-f", state], None).await?;
        // A forge that does not know the filter lists others too.
        let of_branch = |pull: &&Value| pull["head"]["ref"].as_str() == Some(head);
        let Some(open) = found.as_array().into_iter().flatten().find(of_branch) else {
            let new = json!({ "title": title, "head": head, "base": base, "body": body, "draft": draft });
            let opened = self.call(&["--method", "POST", &pulls], Some(&new)).await?;
            return Ok(read(&opened, true, false)?);
        };
        let current = open["body"].as_str().unwrap_or_default();
        let Some(body) = body::replaced(current, body) else { return Ok(read(open, false, true)?) };
        if body == current {
            return Ok(read(open, false, false)?);
        }
        let number = open["number"].as_u64().ok_or_else(|| unread(open))?;
        let update = json!({ "body": body });
        let updated = self.call(&["--method", "PATCH", &format!("{pulls}/{number}")], Some(&update)).await?;
        Ok(read(&updated, false, false)?)
    }

    /// Calls the API of the forge.
    async fn call(&self, arguments: &[&str], input: Option<&Value>) -> Result<Value, ForgeError> {
        let host = &self.repository.host;
        let failed = |message: String| Failure::undone(format!("its pull request could not be opened: {message}"));
        let started = |error: std::io::Error| failed(format!("gh cannot be started: {error}"));
        let mut command = Command::new(&self.program);
        command.args(["api", "--hostname", host]).args(arguments).current_dir(&self.folder).kill_on_drop(true);
        command.env("GH_PROMPT_DISABLED", "1").env("GH_NO_UPDATE_NOTIFIER", "1").env("NO_COLOR", "1");
        command.env_remove("GH_FORCE_TTY").env_remove("CLICOLOR_FORCE").env_remove("GH_DEBUG");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        if input.is_some() {
            command.args(["--input", "-"]).stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(started)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            let written = stdin.write_all(input.to_string().as_bytes()).await;
            // One that has ended says why.
            drop(written);
        }
        let output = child.wait_with_output().await.map_err(started)?;
        if output.status.code() == Some(NOT_LOGGED_IN) {
            return Err(ForgeError::NotLoggedIn { host: host.clone() });
        }
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let errors = answer["errors"].as_array().into_iter().flatten();
            let details = errors.filter_map(|error| error["message"].as_str().or(error.as_str())).map(str::to_owned);
            let said: Vec<String> = said.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect();
            let new = details.filter(|detail| !said.iter().any(|line| line.contains(detail))).collect::<Vec<_>>();
            let text = [said, new].concat().join("; ");
            let hint = match text.to_ascii_lowercase().contains("draft") {
                true => "`--ready` opens it ready for review instead of as a draft",
                false => "the branch is pushed; `gadugi pr` again goes on from there",
            };
            return Err(failed(text).hint(hint).into());
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("gh has answered no JSON: {error}")).into())
    }
}

fn read(pull: &Value, is_new: bool, body_kept: bool) -> Result<Opened, Failure> {
    let url = pull["html_url"].as_str().ok_or_else(|| unread(pull))?.to_owned();
    Ok(Opened { url, is_new, is_draft: pull["draft"].as_bool().unwrap_or_default(), body_kept })
}

fn unread(pull: &Value) -> Failure {
    let text: String = pull.to_string().chars().take(200).collect();
    Failure::undone(format!("gh has answered no pull request: {text}"))
}
