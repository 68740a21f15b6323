//! Activities of attempts, as executors report them: the start of a command may be missing in the journal.

use std::sync::Arc;
use std::time::Duration;

use gadugi_core::executor::{CommandRef, ExecIdentity};
use gadugi_core::run::{AttemptRecord, TaskRecord};
use gadugi_core::{AttemptRef, Executor, Phase, RunId, RunRecord, error_chain};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Site;

/// Time for an executor to say whether a command runs. One of another machine or of a daemon may never answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between questions to executors about what runs.
pub(crate) const ACTIVITY_INTERVAL: Duration = Duration::from_millis(500);

/// The activity of an attempt at this moment.
pub(crate) enum Activity {
    /// A command of the attempt runs.
    Runs {
        /// The command, as executors search for it.
        command: Box<CommandRef>,
        /// Its identity, recorded or not.
        identity: ExecIdentity,
    },
    /// No command runs.
    Still,
    /// No executor can tell whether a command runs.
    Unknown {
        /// The command in question.
        command: Box<CommandRef>,
        /// The reason.
        why: String,
    },
}

impl Activity {
    /// Whether a command runs, as far as executors can tell.
    pub(crate) fn may_run(&self) -> bool {
        !matches!(self, Self::Still)
    }
}

/// The answer of an executor about a command: its identity if it runs, or why the executor cannot tell.
type Answer = Result<Option<ExecIdentity>, String>;

/// A question to executors about the activity of an attempt. Answers to several questions come at the same time.
#[must_use = "the answer is what was asked for"]
pub(crate) struct Question {
    /// The commands that may run, each with the pending answers of executors.
    commands: Vec<(CommandRef, Vec<JoinHandle<Answer>>)>,
    /// Why there is no executor to ask.
    no_executor: Option<String>,
}

impl Question {
    /// Asks the recorded executor of an attempt about its commands that may run; without a record, all executors.
    fn ask(executors: &[Arc<dyn Executor>], commands: Vec<CommandRef>, recorded: Option<&str>) -> Self {
        let asked: Vec<_> =
            executors.iter().filter(|executor| recorded.is_none_or(|name| executor.name() == name)).collect();
        let no_executor =
            recorded.filter(|_| asked.is_empty()).map(|name| format!("this build has no executor `{name}`"));
        let ask = |command: CommandRef| {
            let answers =
                asked.iter().map(|executor| tokio::spawn(answer(Arc::clone(executor), command.clone()))).collect();
            (command, answers)
        };
        Self { commands: commands.into_iter().map(ask).collect(), no_executor }
    }

    /// Waits for the answers. An executor that cannot tell counts only if no other reports the command as running.
    pub(crate) async fn answer(self) -> Activity {
        let mut activity = Activity::Still;
        for (command, answers) in self.commands {
            let mut unknown = self.no_executor.clone();
            for answer in answers {
                match answer.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
                    Ok(Some(identity)) => {
                        let command = Box::new(CommandRef { identity: Some(identity.clone()), ..command });
                        return Activity::Runs { command, identity };
                    }
                    Ok(None) => {}
                    Err(why) => unknown = unknown.or(Some(why)),
                }
            }
            if let Some(why) = unknown {
                activity = Activity::Unknown { command: Box::new(command), why };
            }
        }
        activity
    }
}

async fn answer(executor: Arc<dyn Executor>, command: CommandRef) -> Answer {
    match timeout(ANSWER_TIMEOUT, executor.running(&command)).await {
        Ok(answer) => answer.map_err(|error| error_chain(&error)),
        Err(_) => {
            Err(format!("the executor `{}` has not answered for {} s", executor.name(), ANSWER_TIMEOUT.as_secs()))
        }
    }
}

impl Site {
    /// Asks for the activity of a task's last attempt.
    pub(crate) fn ask(&self, executors: &[Arc<dyn Executor>], run: &RunRecord, task: &TaskRecord) -> Question {
        match task.last().filter(|last| last.ended.is_none()) {
            Some(last) => {
                let attempt = AttemptRef { task: task.task.spec.id.clone(), number: last.number };
                self.ask_of(executors, &run.header.run, &attempt, Some(last))
            }
            None => Question { commands: Vec::new(), no_executor: None },
        }
    }

    fn ask_of(
        &self,
        executors: &[Arc<dyn Executor>],
        run: &RunId,
        attempt: &AttemptRef,
        recorded: Option<&AttemptRecord>,
    ) -> Question {
        let command = |phase| {
            let recorded = recorded.and_then(|recorded| recorded.commands.iter().rfind(|known| known.phase == phase));
            let over = recorded.is_some_and(|command| command.end.is_some());
            (!over).then(|| CommandRef {
                run: run.clone(),
                attempt: attempt.clone(),
                phase,
                files: self.registry.attempt_folder(run, attempt),
                identity: recorded.map(|command| command.identity.clone()),
            })
        };
        let commands = Phase::ALL.into_iter().filter_map(command).collect();
        Question::ask(executors, commands, recorded.map(|recorded| recorded.executor.as_str()))
    }

    /// Returns the activity of a task's last attempt.
    pub(crate) async fn activity(
        &self,
        executors: &[Arc<dyn Executor>],
        run: &RunRecord,
        task: &TaskRecord,
    ) -> Activity {
        self.ask(executors, run, task).answer().await
    }

    /// Returns the activity of an attempt with that record, if it has one.
    pub(crate) async fn activity_of(
        &self,
        executors: &[Arc<dyn Executor>],
        run: &RunId,
        attempt: &AttemptRef,
        recorded: Option<&AttemptRecord>,
    ) -> Activity {
        self.ask_of(executors, run, attempt, recorded).answer().await
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use gadugi_core::executor::{ExecError, ExecRequest, RunningTask};
    use tokio::time::Instant;

    use super::*;

    /// The answer of an executor about every command.
    #[derive(Clone, Copy)]
    enum Says {
        Runs,
        Still,
        CannotTell,
        Nothing,
    }

    struct Witness(&'static str, Says);

    #[async_trait]
    impl Executor for Witness {
        fn name(&self) -> &str {
            self.0
        }

        async fn start(&self, _: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
            Err(ExecError::NotFound { program: "nothing".to_owned() })
        }

        async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
            match self.1 {
                Says::Runs => {
                    Ok(Some(ExecIdentity { executor: self.0.to_owned(), token: command.attempt.to_string() }))
                }
                Says::Still => Ok(None),
                Says::CannotTell => {
                    Err(ExecError::Watch { identity: "it".to_owned(), source: "it is too dark".into() })
                }
                Says::Nothing => std::future::pending().await,
            }
        }
    }

    /// Asks those executors about both commands of an attempt. Returns which one runs it, or why none can tell.
    async fn ask(recorded: Option<&str>, witnesses: &[(&'static str, Says)]) -> String {
        let executors: Vec<Arc<dyn Executor>> =
            witnesses.iter().map(|(name, says)| Arc::new(Witness(name, *says)) as Arc<dyn Executor>).collect();
        let command = |phase| CommandRef {
            run: "20260102-030405-abc".parse().unwrap(),
            attempt: AttemptRef { task: "a".parse().unwrap(), number: gadugi_core::AttemptNo::FIRST },
            phase,
            files: "/nowhere".into(),
            identity: None,
        };
        let commands = vec![command(Phase::Main), command(Phase::Check)];
        match Question::ask(&executors, commands, recorded).answer().await {
            Activity::Runs { identity, command } => {
                assert_eq!((command.phase, command.identity), (Phase::Main, Some(identity.clone())));
                format!("runs by {}", identity.executor)
            }
            Activity::Still => "still".to_owned(),
            Activity::Unknown { why, .. } => why,
        }
    }

    #[tokio::test]
    async fn an_attempt_that_was_recorded_is_known_to_its_executor_alone() {
        assert_eq!(ask(Some("b"), &[("a", Says::Runs), ("b", Says::Still)]).await, "still");
        assert_eq!(ask(Some("b"), &[("a", Says::Still), ("b", Says::Runs)]).await, "runs by b");
        assert_eq!(
            ask(Some("b"), &[("a", Says::Runs), ("b", Says::CannotTell)]).await,
            "cannot follow it: it is too dark"
        );
        assert_eq!(ask(Some("c"), &[("a", Says::Still)]).await, "this build has no executor `c`");
    }

    #[tokio::test]
    async fn of_an_attempt_that_was_not_recorded_whoever_runs_it_counts_before_whoever_cannot_tell() {
        assert_eq!(ask(None, &[("a", Says::CannotTell), ("b", Says::Runs)]).await, "runs by b");
        assert_eq!(ask(None, &[("a", Says::Runs), ("b", Says::Runs)]).await, "runs by a");
        assert_eq!(ask(None, &[("a", Says::CannotTell), ("b", Says::Still)]).await, "cannot follow it: it is too dark");
        assert_eq!(ask(None, &[("a", Says::Still), ("b", Says::Still)]).await, "still");
    }

    #[tokio::test(start_paused = true)]
    async fn an_executor_that_says_nothing_is_waited_for_only_so_long_and_for_all_commands_at_once() {
        let begun = Instant::now();
        let answer = ask(None, &[("a", Says::Nothing), ("b", Says::Still), ("c", Says::Nothing)]).await;
        assert_eq!(answer, "the executor `a` has not answered for 5 s");
        assert_eq!(begun.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
        assert_eq!(ask(None, &[("a", Says::Nothing), ("b", Says::Runs)]).await, "runs by b");
    }
}
