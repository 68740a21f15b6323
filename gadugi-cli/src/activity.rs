//! What still runs of a run, as the processes themselves tell: the start of a command need not be in the journal.

use gadugi_core::{
    AttemptRef, CommandRecord, CommandRef, ExecIdentity, Phase, RunId, RunRecord, TaskRecord, error_chain,
};

use crate::compose::{self, Site};

/// What an attempt does at this moment.
pub(crate) enum Activity {
    /// A command of it runs.
    Runs {
        /// The command, as executors look for it.
        command: Box<CommandRef>,
        /// Names it, whether or not that was recorded.
        identity: ExecIdentity,
    },
    /// Nothing of it runs.
    Still,
    /// It cannot be told from here whether anything of it runs.
    Unknown {
        /// The command in question.
        command: Box<CommandRef>,
        /// Why it cannot be told.
        why: String,
    },
}

impl Activity {
    /// Whether something of it runs, as far as anybody can tell.
    pub(crate) fn may_run(&self) -> bool {
        !matches!(self, Self::Still)
    }
}

impl Site {
    /// What the last attempt of a task does.
    pub(crate) fn activity(&self, run: &RunRecord, task: &TaskRecord) -> Activity {
        let Some(last) = task.last().filter(|last| last.ended.is_none()) else { return Activity::Still };
        let attempt = AttemptRef { task: task.task.spec.id.clone(), number: last.number };
        self.activity_of(&run.header.run, &attempt, &last.commands)
    }

    /// What an attempt does of which these commands were recorded.
    pub(crate) fn activity_of(&self, run: &RunId, attempt: &AttemptRef, recorded: &[CommandRecord]) -> Activity {
        let mut activity = Activity::Still;
        for phase in [Phase::Main, Phase::Check] {
            let recorded = recorded.iter().rfind(|command| command.phase == phase);
            if recorded.is_some_and(|command| command.end.is_some()) {
                continue;
            }
            let command = CommandRef {
                run: run.clone(),
                attempt: attempt.clone(),
                phase,
                files: self.registry.attempt_folder(run, attempt),
                identity: recorded.map(|command| command.identity.clone()),
            };
            match compose::running(&command) {
                Ok(Some(identity)) => {
                    let command = Box::new(CommandRef { identity: Some(identity.clone()), ..command });
                    return Activity::Runs { command, identity };
                }
                Ok(None) => {}
                Err(error) => {
                    let why = error_chain(&error);
                    activity = Activity::Unknown { command: Box::new(command), why };
                }
            }
        }
        activity
    }
}
