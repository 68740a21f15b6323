//! `gadugi pr`: pushes the branches of tasks, and opens a pull request for each.

mod body;
mod candidates;
mod forge;
mod proposal;
mod remote;

use std::collections::BTreeSet;
use std::fs;

use gadugi_core::{BranchName, Report};

use self::candidates::{Base, Candidate, Candidates};
use self::forge::{Forge, ForgeError, Opened};
use self::proposal::Proposal;
use self::remote::{PushEnd, Remote};
use crate::args::PrArgs;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::site::{LoadedRun, Site};
use crate::work::{Git, named};

pub(super) async fn pr(context: &Context, args: &PrArgs) -> Result<Code, Failure> {
    let site = Site::open(&context.surroundings)?;
    let run = site.load(&site.find(&args.run)?).await?;
    let tasks = named(&run, &args.tasks)?;
    let git = Git::new(context, &site, []);
    let Candidates { found, refused } = Candidates::find(context, &site, &tasks, !args.tasks.is_empty()).await?;
    let mut is_complete = refused == 0;
    if found.is_empty() {
        if is_complete {
            context.terminal.say(&format!("no task of run {} has anything to publish", run.record.header.run));
        }
        return Ok(if is_complete { Code::Success } else { Code::TaskFailed });
    }
    let remote = Remote::find(&git, args.remote.as_deref()).await?;
    let target = remote.target(args.base.as_deref(), run.record.header.base_name.as_deref())?;
    let forge = Forge::find(context, remote.repository.clone());
    let mut publisher =
        Publisher { context, args, site: &site, git: &git, report: report(&run), remote, target, forge };
    let bases = found.iter().flat_map(|candidate| candidates::bases(&run.record, candidate.task));
    let branches = found.iter().map(|candidate| full(&candidate.branch)).chain(bases.map(|base| base.tip.revision()));
    publisher.remote.note_landed(&git, &publisher.target, branches).await?;
    for candidate in &found {
        match publisher.publish(candidate, &run).await {
            Ok(()) => {}
            Err(failure) => {
                failure.about(&candidate.task.task.spec.id).print(&context.terminal);
                is_complete = false;
            }
        }
    }
    Ok(if is_complete { Code::Success } else { Code::TaskFailed })
}

fn report(run: &LoadedRun) -> Report {
    Report::from(run.record.clone()).driven(run.driven)
}

/// Publishes tasks one after the other.
struct Publisher<'a> {
    context: &'a Context,
    args: &'a PrArgs,
    site: &'a Site,
    git: &'a Git<'a>,
    report: Report,
    remote: Remote,
    /// Branch of the remote that the work is meant for.
    target: String,
    /// What opens pull requests; the reason where nothing does.
    forge: Result<Forge, String>,
}

impl Publisher<'_> {
    /// Pushes the branch of a task, and opens or updates its pull request.
    async fn publish(&mut self, candidate: &Candidate<'_>, run: &LoadedRun) -> Result<(), Failure> {
        let id = &candidate.task.task.spec.id;
        let branch = &candidate.branch;
        if self.remote.has_landed(&full(branch)) {
            let (remote, target) = (&self.remote.name, &self.target);
            self.context.terminal.say(&format!("{id} is passed over: {target} of {remote} has its commits already"));
            return Ok(());
        }
        let base = self.base(candidate, run);
        let proposal = Proposal {
            title: candidate.task.task.spec.title.clone(),
            head: branch.to_string(),
            base: base.clone(),
            body: body::text(&self.site.review(&self.report, id)),
            draft: !self.args.ready,
        };
        if self.args.dry_run {
            self.remote.plan(branch);
            let push = self.remote.push_command(branch);
            let what = if proposal.draft { "a draft" } else { "ready for review" };
            self.context.terminal.line(&format!("{id}: {push}"))?;
            let title = &proposal.title;
            self.context.terminal.line(&format!("{id}: pull request into {base}, {what}: {title}"))?;
            return Ok(());
        }
        let pushed = self.remote.push(self.git, branch).await?;
        let pushed = match pushed {
            PushEnd::New | PushEnd::Moved => format!("pushed {branch} to {}", self.remote.name),
            PushEnd::UpToDate => format!("{branch} is up to date on {}", self.remote.name),
        };
        self.context.terminal.say(&format!("{id}: {pushed}"));
        let opened = match &self.forge {
            Ok(forge) => forge.propose(&proposal).await,
            Err(reason) => return self.leave_to_user(candidate, &proposal, reason),
        };
        match opened {
            Ok(opened) => self.say(candidate, &proposal, &opened),
            Err(ForgeError::NotLoggedIn { host }) => {
                let reason = format!("gh is not logged in to {host} (`gh auth login --hostname {host}`)");
                self.leave_to_user(candidate, &proposal, &reason)?;
                // It is the same for all others.
                self.forge = Err(reason);
                Ok(())
            }
            Err(ForgeError::Failed(failure)) => Err(failure),
        }
    }

    /// The branch that a pull request is opened against: that of the one need which is not in the target yet, else the target.
    fn base(&self, candidate: &Candidate<'_>, run: &LoadedRun) -> String {
        let id = &candidate.task.task.spec.id;
        let bases = candidates::bases(&run.record, candidate.task);
        let open: Vec<&Base> = bases.iter().filter(|base| !self.remote.has_landed(&base.tip.revision())).collect();
        let names =
            || open.iter().map(|base| base.task.as_str()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        match &open[..] {
            [] => self.target.clone(),
            [base] => {
                if let Some(branch) = self.remote.branch_of(&base.tip) {
                    return branch.to_owned();
                }
                let (need, remote, target) = (&base.task, &self.remote.name, &self.target);
                self.context.terminal.say(&format!(
                    "{id} needs {need}, whose branch is not on {remote}: its pull request is opened against {target}, and \
                     shows the commits of both; publish {need} first for a stack"
                ));
                self.target.clone()
            }
            _ => {
                let names = names().join(" and ");
                let text = format!(
                    "{id} needs {names}: its pull request is opened against {}, and shows their commits too until they are merged",
                    self.target
                );
                self.context.terminal.say(&text);
                self.target.clone()
            }
        }
    }

    fn say(&self, candidate: &Candidate<'_>, proposal: &Proposal, opened: &Opened) -> Result<(), Failure> {
        let id = &candidate.task.task.spec.id;
        let Opened { url, is_new, is_draft, body_kept, .. } = opened;
        let what = match (is_new, body_kept) {
            (true, _) => format!("opened against {}", proposal.base),
            (false, true) => "up to date; its text is not gadugi's, and stays".to_owned(),
            (false, false) => "updated".to_owned(),
        };
        let draft = if *is_draft { ", a draft" } else { "" };
        self.context.terminal.line(&format!("{id}: {url} ({what}{draft})"))?;
        if self.args.ready && *is_draft {
            self.context.terminal.say(&format!("{id}: `gh pr ready {url}` takes it out of draft"));
        }
        Ok(())
    }

    /// Prints the commands that open a pull request, with its text in a file of the run.
    fn leave_to_user(&self, candidate: &Candidate<'_>, proposal: &Proposal, reason: &str) -> Result<(), Failure> {
        let id = &candidate.task.task.spec.id;
        self.context.terminal.say(&format!("{id}: no pull request is opened: {reason}"));
        let folder = self.site.run_folder(&self.report.record.header.run).join("pull-requests");
        let file = folder.join(format!("{id}.md"));
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &proposal.body));
        written.map_err(|error| Failure::environment(format!("cannot write {}: {error}", file.display())))?;
        self.context.terminal.line(&proposal.command(self.remote.repository.as_ref(), &file))?;
        if let Some(repository) = &self.remote.repository {
            let page = proposal.compare_page(repository);
            self.context.terminal.line(&format!("# or in a browser: {page}"))?;
        }
        Ok(())
    }
}

/// The full name of a branch.
fn full(branch: &BranchName) -> String {
    format!("refs/heads/{branch}")
}
