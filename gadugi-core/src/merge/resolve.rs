//! What was set aside, handed to the agents of its authors.

use crate::id::{CommitId, TaskId};
use crate::merge::driver::{Halt, Merge, Prepared};
use crate::merge::event::Trial;
use crate::merge::integration::{AmendContent, AmendRequest, Amended, ChainRequest, ConflictRequest, LinkResult};
use crate::merge::runner::Work;
use crate::merge::selection::Members;
use crate::merge::train::Evidence;

/// Attempts of an agent at one task.
pub const MAX_RESOLUTIONS: usize = 2;

impl Merge<'_> {
    /// Adds tasks that were set aside, once the agents of their authors have resolved what kept them from landing. Only what
    /// is checked like everything else is added.
    pub(super) async fn resolve_rest(
        &mut self,
        mut members: Members,
        mut prepared: Prepared,
    ) -> Result<(Members, Prepared), Halt> {
        if self.header().settings.resolve.is_none() {
            return Ok((members, prepared));
        }
        for position in 0..self.header().candidates.len() {
            let needs = &self.header().candidates[position].needs;
            if members.contains(&position) || !needs.iter().all(|need| members.contains(need)) {
                continue;
            }
            if let Some(added) = self.resolve(position, &prepared).await? {
                members.insert(position);
                prepared = added;
            }
        }
        Ok((members, prepared))
    }

    /// Adds one task to a chain, by its agent where that is needed; `None` when it stays aside.
    async fn resolve(&mut self, position: usize, chain: &Prepared) -> Result<Option<Prepared>, Halt> {
        let task = self.header().candidates[position].task.clone();
        let earlier = self.journal.record.work.iter().filter(|work| work.task.as_ref() == Some(&task)).count();
        let (mut start, mut message) = match self.add_plainly(position, chain).await? {
            Plain::Sound(added) => return Ok(Some(added)),
            Plain::Conflict { marked, files } => (marked, conflict_message(&files)),
            Plain::Red { tip, output } => (tip, check_message(&output)),
        };
        for _ in earlier..MAX_RESOLUTIONS {
            let run = self.header().candidates[position].link.run.clone();
            let work = Work::Resolve { onto: start.clone(), task: task.clone(), run, message: message.clone() };
            let Some(from) = self.run_work(work).await?.tip else { continue };
            match self.accept(position, chain, &from).await? {
                Ok(added) => return Ok(Some(added)),
                Err(why) => (start, message) = (from, why),
            }
        }
        Ok(None)
    }

    /// Adds a task to a chain as it is, if what kept it from landing was something else that is not there.
    async fn add_plainly(&mut self, position: usize, chain: &Prepared) -> Result<Plain, Halt> {
        let request = self.chain_request(&chain.tip, &[position]);
        let added = self.integration.chain(request.clone()).await?;
        if let [LinkResult::Conflict { .. }] = &added.links[..] {
            let link = self.header().candidates[position].link.clone();
            let ChainRequest { merge, onto, strategy, regenerate, .. } = request;
            let request = ConflictRequest { merge, onto, link, strategy, regenerate };
            let marked = self.integration.mark_conflict(request).await?;
            return Ok(Plain::Conflict { marked: marked.commit, files: marked.files });
        }
        let prepared = Prepared { tip: added.tip, tree: added.tree };
        let prepared = self.regenerate(prepared, &added.to_regenerate).await?;
        let task = self.header().candidates[position].task.clone();
        Ok(match self.is_green(task, &prepared).await? {
            Ok(()) => Plain::Sound(prepared),
            Err(output) => Plain::Red { tip: prepared.tip, output },
        })
    }

    /// Accepts the result of an agent, or says in a message to it why not.
    async fn accept(
        &mut self,
        position: usize,
        chain: &Prepared,
        from: &CommitId,
    ) -> Result<Result<Prepared, String>, Halt> {
        let (link, strategy) = (self.header().candidates[position].link.clone(), self.header().settings.strategy);
        let task = self.header().candidates[position].task.clone();
        let content = AmendContent::Resolution { link, strategy };
        let (merge, onto) = (self.id().clone(), chain.tip.clone());
        let request = AmendRequest { merge, onto, from: from.clone(), content };
        let added = match self.integration.amend(request).await? {
            Amended::Added { tip, tree } => Prepared { tip, tree },
            Amended::Refused { markers, unrelated } => return Ok(Err(refusal_message(&markers, &unrelated))),
        };
        Ok(match self.is_green(task, &added).await? {
            Ok(()) => Ok(added),
            Err(output) => Err(check_message(&output)),
        })
    }

    /// Whether the check succeeds on these files; if not, with the end of what it printed.
    async fn is_green(&mut self, task: TaskId, prepared: &Prepared) -> Result<Result<(), String>, Halt> {
        if self.header().settings.check.is_none() {
            return Ok(Ok(()));
        }
        let trial = Trial { commit: prepared.tip.clone(), tree: prepared.tree.clone(), tasks: vec![task] };
        // One red is not blamed on the task before it was seen twice.
        while matches!(self.evidence.get(&prepared.tree), None | Some(Evidence::Red(1))) {
            self.trials_left()?;
            self.check(vec![trial.clone()]).await?;
        }
        match self.evidence.get(&prepared.tree) {
            Some(Evidence::Green | Evidence::Flaky) => Ok(Ok(())),
            _ => {
                let trials = self.journal.record.trials.iter().rev();
                let run = trials.filter(|known| known.trial.tree == prepared.tree).find_map(|known| known.run.clone());
                Ok(Err(match run {
                    Some(run) => self.runner.last_output(&run, &trial).await,
                    None => String::new(),
                }))
            }
        }
    }
}

/// A task that was added to a chain as it is.
enum Plain {
    Sound(Prepared),
    Conflict { marked: CommitId, files: Vec<String> },
    Red { tip: CommitId, output: String },
}

fn conflict_message(files: &[String]) -> String {
    let list: String = files.iter().map(|file| format!("- {file}\n")).collect();
    format!(
        "Your work conflicts with other work that lands before it. The files here are the merge of both, with conflict \
        markers in:\n\n{list}\nResolve the conflicts so that both intentions hold. Edit the files, remove all markers, and \
        change nothing that neither side has changed."
    )
}

fn check_message(output: &str) -> String {
    format!(
        "Your work is merged with other work that lands before it; the files here are the merge of both. The check of the \
        merged files fails. Repair it, and change nothing that neither side has changed. The end of what the check \
        printed:\n\n{output}"
    )
}

fn refusal_message(markers: &[String], unrelated: &[String]) -> String {
    let mut message = "The merged files are not accepted yet.".to_owned();
    if !markers.is_empty() {
        message.push_str(&format!(" There are still conflict markers in {}.", markers.join(", ")));
    }
    if !unrelated.is_empty() {
        message.push_str(&format!(" Neither side has changed {}: take your changes there back.", unrelated.join(", ")));
    }
    message
}
