//! Runs commands as processes of this machine.

mod adoption;
mod capped_log;
mod environment;
mod identity;
mod launch;
mod leader;
mod process_table;
mod program;
mod pump;
mod settings;
mod start_fault;
mod supervisor;
mod syscalls;
mod task;

use std::ffi::OsStr;
use std::sync::Arc;

use async_trait::async_trait;
use gadugi_core::{
    Capabilities, CommandRef, ExecError, ExecIdentity, ExecRequest, Executor, Reattached, RunningTask, Unusable,
};
use tokio::task::spawn_blocking;

use self::identity::Token;
use self::launch::launch;
pub use self::settings::{OutputCap, PASSED_VARIABLES, SubprocessSettings};
use self::supervisor::look_after;
use self::task::SubprocessTask;

/// Its name in the registry.
const NAME: &str = "subprocess";

/// Runs each command as a process of this machine, the leader of a process group of its own.
///
/// What is promised beyond [`Executor`]:
/// - **Environment.** A command sees the variables that [`SubprocessSettings::passed`] lets through, the
///   secrets that its task names, the task's own variables, and `GADUGI_RUN`, `GADUGI_TASK` and
///   `GADUGI_ATTEMPT`. It inherits its input, its output and its errors, and no other file that is closed
///   on exec, as all are that Rust opens; no blocked signals; and it is not deaf to `SIGPIPE`.
/// - **Program.** It is looked for on the command's `PATH`; a relative place is meant from
///   [`ExecRequest::folder`]. A script is written to `script.sh` (a check to `check.sh`) in
///   [`ExecRequest::files`].
/// - **Output.** Both outputs go to the log in the order in which they were written, at most
///   [`SubprocessSettings::output_cap`] of them; a line in the log says how many bytes are missing where.
/// - **End.** When the command ends by itself, what is left of its process group is killed. What has left
///   the group, such as a daemon, lives on; if it holds the output open, its output is taken for
///   [`SubprocessSettings::drain`] and the end is marked as
///   [`leaked`](gadugi_core::OutputSummary::leaked).
/// - **Stop.** `SIGTERM` to the group, and after the grace `SIGKILL`; a suspended command is woken to hear
///   it. When the leader ends within the grace, its children have the rest of it, until they have closed
///   the output.
///
/// It isolates nothing and holds no limits. Everything has to be called within a tokio runtime with I/O
/// and time enabled; a command is looked after as long as the runtime lives that it was started in.
#[derive(Debug, Clone)]
pub struct SubprocessExecutor {
    settings: Arc<SubprocessSettings>,
}

impl SubprocessExecutor {
    /// Commands get their environment and their limits from `settings`.
    #[must_use]
    pub fn new(settings: SubprocessSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

#[async_trait]
impl Executor for SubprocessExecutor {
    fn name(&self) -> &str {
        NAME
    }

    async fn probe(&self) -> Result<(), Unusable> {
        let settings = Arc::clone(&self.settings);
        let look =
            move || program::has_shell(settings.environment.get(OsStr::new("PATH")).map(|path| path.as_os_str()));
        if spawn_blocking(look).await.unwrap_or(false) {
            return Ok(());
        }
        Err(Unusable {
            reason: "there is no shell `sh` on the PATH".to_owned(),
            remedy: "put the folder that holds `sh`, usually /bin, on the PATH".to_owned(),
        })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// As promised by [`Executor::start`]; [`ExecError::Start`] also when a secret is not set.
    async fn start(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let name = program::name_of(request);
        let settings = Arc::clone(&self.settings);
        let request = request.clone();
        let launched = spawn_blocking(move || launch(&settings, request));
        let launched =
            launched.await.map_err(|source| ExecError::Start { program: name, source: Box::new(source) })??;
        // Nothing is awaited from here on, so whoever drops the start cannot lose the command.
        let token = launched.token.clone();
        let identity = ExecIdentity { executor: NAME.to_owned(), token: token.to_string() };
        let reins = look_after(launched, self.settings.drain);
        Ok(Box::new(SubprocessTask::new(identity, &token, reins)))
    }

    /// Finds a command that another process has started and that still runs. It is no child of this
    /// process, so its end comes as [`ExitStatus::Unknown`](gadugi_core::ExitStatus::Unknown), its output
    /// is not seen here, and the time that it took is reckoned from its start by a clock that also runs
    /// while the machine sleeps.
    ///
    /// Works on Linux only; elsewhere it fails with [`ExecError::Watch`] for a command that still runs.
    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let unseen = || Reattached::Gone { why: "nobody has seen how it ended".to_owned() };
        let Some(identity) = &command.identity else { return Ok(unseen()) };
        let token = token_of(identity)?;
        let adopted = adoption::adopt(&token).map_err(|source| lost(identity, source))?;
        Ok(match adopted {
            Some(reins) => Reattached::Found(Box::new(SubprocessTask::new(identity.clone(), &token, reins))),
            None => unseen(),
        })
    }
}

/// Whether the command that a [`SubprocessExecutor`] named so still runs, by whatever process it was
/// started. It needs no runtime, and does not touch the command.
///
/// # Errors
/// [`ExecError::Identity`] when no such executor made the identity, [`ExecError::Watch`] when the system
/// does not tell.
pub fn is_alive(identity: &ExecIdentity) -> Result<bool, ExecError> {
    let token = token_of(identity)?;
    adoption::is_running(&token).map_err(|source| lost(identity, source))
}

fn token_of(identity: &ExecIdentity) -> Result<Token, ExecError> {
    let token = if identity.executor == NAME { Token::parse(&identity.token) } else { None };
    token.ok_or_else(|| ExecError::Identity { executor: NAME.to_owned(), token: identity.token.clone() })
}

fn lost(identity: &ExecIdentity, source: std::io::Error) -> ExecError {
    ExecError::Watch { identity: identity.token.clone(), source: Box::new(source) }
}
