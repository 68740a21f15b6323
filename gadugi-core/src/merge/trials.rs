//! The trials of a merge: chains of commits, generated files on top of them, and checks.

use crate::crash_point::crash_point;
use crate::id::{CommitId, RunId};
use crate::merge::driver::{Halt, Merge, Onto, Prepared};
use crate::merge::event::{MergeEnd, MergeEventKind, Trial};
use crate::merge::integration::{AmendContent, AmendRequest, Amended, ChainRequest, LinkResult};
use crate::merge::record::TrialEnd;
use crate::merge::runner::{RunnerError, Work, WorkEnd};
use crate::merge::selection::Members;
use crate::merge::train::{Evidence, TrialResult};

impl Merge<'_> {
    /// Merges these tasks on top of the target, in memory; `None` when they conflict, which the train then knows.
    pub(super) async fn prepare(&mut self, onto: &mut Onto, members: &Members) -> Result<Option<Prepared>, Halt> {
        if let Some(prepared) = onto.prepared.get(members) {
            return Ok(Some(prepared.clone()));
        }
        let start = Prepared { tip: onto.target.tip.clone(), tree: onto.target.tree.clone() };
        let prepared = match members.is_empty() {
            true => Some(start),
            false => self.chain(onto, members).await?,
        };
        if let Some(prepared) = &prepared {
            onto.prepared.insert(members.clone(), prepared.clone());
        }
        Ok(prepared)
    }

    async fn chain(&mut self, onto: &mut Onto, members: &Members) -> Result<Option<Prepared>, Halt> {
        let positions: Vec<usize> = members.iter().copied().collect();
        let request = self.chain_request(&onto.target.tip, &positions);
        let chain = self.integration.chain(request).await?;
        crash_point("merge-chain-made");
        let mut conflicts = false;
        for (position, result) in positions.iter().zip(&chain.links) {
            if *result == LinkResult::Contained {
                let task = self.header().candidates[*position].task.clone();
                if !self.journal.record.contained.contains(&task) {
                    self.journal.emit(MergeEventKind::Contained { task })?;
                }
            }
            let LinkResult::Conflict { files, with } = result else { continue };
            conflicts = true;
            let candidates = &self.header().candidates;
            let with: Members = positions
                .iter()
                .copied()
                .filter(|at| with.iter().any(|name| *name == candidates[*at].link.name))
                .collect();
            onto.train.add_conflict(with.iter().copied().chain([*position]).collect());
            let (task, with) = (candidates[*position].task.clone(), self.tasks(&with));
            if !self.journal.record.set_aside.contains_key(&task) {
                self.journal.emit(MergeEventKind::ConflictFound { task, with, files: files.clone() })?;
            }
        }
        if conflicts {
            onto.train.learn(members.clone(), Evidence::Conflict);
            return Ok(None);
        }
        let prepared = Prepared { tip: chain.tip, tree: chain.tree };
        Ok(Some(self.regenerate(prepared, &chain.to_regenerate).await?))
    }

    pub(super) fn chain_request(&self, onto: &CommitId, positions: &[usize]) -> ChainRequest {
        let header = self.header();
        ChainRequest {
            merge: header.merge.clone(),
            onto: onto.clone(),
            links: positions.iter().map(|position| header.candidates[*position].link.clone()).collect(),
            strategy: header.settings.strategy,
            regenerate: header.settings.regenerate.iter().map(|generated| generated.pattern.clone()).collect(),
        }
    }

    /// Makes generated files anew on top of a chain that has left them out.
    pub(super) async fn regenerate(&mut self, chain: Prepared, files: &[String]) -> Result<Prepared, Halt> {
        if files.is_empty() {
            return Ok(chain);
        }
        let generated = &self.header().settings.regenerate;
        let (patterns, scripts) = generated.iter().map(|file| (file.pattern.clone(), file.script.clone())).unzip();
        let end = self.run_work(Work::Regenerate { onto: chain.tip.clone(), scripts }).await?;
        let Some(from) = end.tip else {
            let why = format!("{} could not be made anew: {}", files.join(", "), end.why);
            return Err(Halt::End(MergeEnd::Environment { why }));
        };
        let message = format!("Regenerate {}", files.join(", "));
        let content = AmendContent::Files { patterns, message };
        let request = AmendRequest { merge: self.id().clone(), onto: chain.tip.clone(), from, content };
        match self.integration.amend(request).await? {
            Amended::Added { tip, tree } => Ok(Prepared { tip, tree }),
            Amended::Refused { .. } => Ok(chain),
        }
    }

    /// Makes the next trials, and learns their results.
    pub(super) async fn run_trials(&mut self, onto: &mut Onto) -> Result<(), Halt> {
        let left = self.trials_left()?;
        let jobs = self.header().settings.jobs.get();
        let mut trials: Vec<Trial> = Vec::new();
        for members in onto.train.trials(jobs, left) {
            let Some(prepared) = self.prepare(onto, &members).await? else { continue };
            self.learn_kept(&prepared, &members)?;
            let known = self.evidence.get(&prepared.tree).copied();
            if known.is_some() && known != onto.train.evidence(&members) {
                continue;
            }
            if !trials.iter().any(|trial| trial.tree == prepared.tree) {
                trials.push(Trial { commit: prepared.tip, tree: prepared.tree, tasks: self.tasks(&members) });
            }
        }
        if !trials.is_empty() {
            self.check(trials).await?;
        }
        for (members, prepared) in &onto.prepared {
            if let Some(evidence) = self.evidence.get(&prepared.tree) {
                onto.train.learn(members.clone(), *evidence);
            }
        }
        Ok(())
    }

    /// Learns a result that an earlier merge has kept for the same files.
    fn learn_kept(&mut self, prepared: &Prepared, members: &Members) -> Result<(), Halt> {
        let Some(check) = &self.header().settings.check else { return Ok(()) };
        if self.evidence.contains_key(&prepared.tree) {
            return Ok(());
        }
        let Some(result) = self.journal.log.kept_check(&prepared.tree, &check.key) else { return Ok(()) };
        let trial = Trial { commit: prepared.tip.clone(), tree: prepared.tree.clone(), tasks: self.tasks(members) };
        let end = TrialEnd { result: Some(result), why: "kept from an earlier merge".to_owned(), took: None };
        self.end_trial(trial, end, None)
    }

    /// Runs checks, and records their ends.
    pub(super) async fn check(&mut self, trials: Vec<Trial>) -> Result<(), Halt> {
        let run = self.runner.begin_trials(&trials).await?;
        self.journal.emit(MergeEventKind::TrialsStarted { run: run.clone(), trials: trials.clone() })?;
        crash_point("merge-trials-started");
        self.finish_run(&run, trials).await
    }

    async fn finish_run(&mut self, run: &RunId, trials: Vec<Trial>) -> Result<(), Halt> {
        let ends = self.runner.finish_trials(run).await?;
        crash_point("merge-trials-finished");
        for (trial, end) in trials.into_iter().zip(ends) {
            self.end_trial(trial, end, Some(run.clone()))?;
        }
        Ok(())
    }

    fn end_trial(&mut self, trial: Trial, end: TrialEnd, run: Option<RunId>) -> Result<(), Halt> {
        let tree = trial.tree.clone();
        if let Some(result) = end.result {
            let evidence = Evidence::with(self.evidence.get(&tree).copied(), result);
            self.evidence.insert(tree.clone(), evidence);
        }
        let TrialEnd { result, why, took } = end;
        let is_news = run.is_some();
        self.journal.emit(MergeEventKind::TrialEnded { trial, result, why, took, run })?;
        if let (Some(TrialResult::Green), true, Some(check)) = (result, is_news, &self.header().settings.check) {
            let key = check.key.clone();
            if let Err(error) = self.journal.log.keep_check(&tree, &key) {
                // Without it, a later merge only asks again.
                tracing::warn!(%tree, "{}", crate::error_chain::error_chain(&error));
            }
        }
        Ok(())
    }

    /// Finishes the checks that an earlier driver had begun.
    pub(super) async fn finish_trials(&mut self) -> Result<(), Halt> {
        let mut runs: Vec<(RunId, Vec<Trial>)> = Vec::new();
        for trial in &self.journal.record.trials {
            let (Some(run), None) = (&trial.run, &trial.end) else { continue };
            match runs.last_mut().filter(|(last, _)| last == run) {
                Some((_, trials)) => trials.push(trial.trial.clone()),
                None => runs.push((run.clone(), vec![trial.trial.clone()])),
            }
        }
        for (run, open) in runs {
            // The ends of all of its trials are in the order in which it was begun.
            let all: Vec<Trial> = self
                .journal
                .record
                .trials
                .iter()
                .filter(|trial| trial.run.as_ref() == Some(&run))
                .map(|trial| trial.trial.clone())
                .collect();
            let ends = self.runner.finish_trials(&run).await?;
            for (trial, end) in all.into_iter().zip(ends).filter(|(trial, _)| open.contains(trial)) {
                self.end_trial(trial, end, Some(run.clone()))?;
            }
        }
        Ok(())
    }

    /// Runs work whose result is a commit, and records its end.
    pub(super) async fn run_work(&mut self, work: Work) -> Result<WorkEnd, Halt> {
        let run = match self.runner.begin_work(&work).await {
            Err(RunnerError::Impossible { why }) => return Ok(WorkEnd { tip: None, why }),
            run => run?,
        };
        let task = if let Work::Resolve { task, .. } = &work { Some(task.clone()) } else { None };
        self.journal.emit(MergeEventKind::WorkStarted { run: run.clone(), task: task.clone() })?;
        crash_point("merge-work-started");
        let end = self.runner.finish_work(&run).await?;
        let WorkEnd { tip, why } = end.clone();
        self.journal.emit(MergeEventKind::WorkEnded { run, task, tip, why })?;
        Ok(end)
    }

    /// Finishes the work that an earlier driver had begun.
    pub(super) async fn finish_work(&mut self) -> Result<(), Halt> {
        let open: Vec<_> = self.journal.record.work.iter().filter(|work| work.end.is_none()).cloned().collect();
        for work in open {
            let WorkEnd { tip, why } = self.runner.finish_work(&work.run).await?;
            self.journal.emit(MergeEventKind::WorkEnded { run: work.run, task: work.task, tip, why })?;
        }
        Ok(())
    }
}
