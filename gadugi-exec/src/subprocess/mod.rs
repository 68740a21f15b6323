//! Runs commands as processes of this machine.

mod environment;
mod launch;
mod process_group;
mod program;
mod reattach;
mod settings;
#[cfg(target_os = "linux")]
mod shimmed;
mod start_error;
mod supervisor;
mod task;
mod token;

use std::ffi::OsStr;
use std::sync::Arc;

use async_trait::async_trait;
use gadugi_core::Executor;
use gadugi_core::executor::{
    Capabilities, CommandRef, ExecError, ExecIdentity, ExecRequest, Reattached, RunningTask, Unusable,
};
use gadugi_core::run::Moment;
use tokio::task::spawn_blocking;

use self::launch::launch;
pub use self::settings::{PASSED_VARIABLES, ShimProgram, SubprocessSettings};
#[cfg(target_os = "linux")]
use self::shimmed::{ShimToken, ShimmedTask};
use self::supervisor::supervise;
use self::task::SubprocessTask;
use self::token::Token;
use crate::events;
#[cfg(target_os = "linux")]
use crate::os::process_table;

/// The name of this executor in records.
const NAME: &str = "subprocess";

/// Runs each command as a process of this machine, the leader of a process group of its own.
///
/// What is promised beyond [`Executor`]:
/// - **Shim.** With [`SubprocessSettings::shim`], on Linux, a process of its own supervises each command and outlives this
///   one; see [`shim`](crate::shim). A command is then started once for each attempt and phase; a second start is refused.
///   The promises below on a stop and an end are those without a shim; with one, nothing of a command outlives it, and
///   its output is drained before that.
/// - **Environment.** A command sees the variables that [`SubprocessSettings::passed`] lets through, the secrets that its
///   task names, the task's own variables, and `GADUGI_RUN`, `GADUGI_TASK` and `GADUGI_ATTEMPT`; with a shim also
///   `GADUGI_NONCE`. It inherits its input, its output and its errors, and no other file that is closed on exec, as all are
///   that Rust opens; no blocked signals; and the default action for `SIGPIPE`.
/// - **Program.** It is looked for on the command's `PATH`; a relative path starts at [`ExecRequest::folder`]. A script
///   is written to `script.sh` (a check to `check.sh`) in [`ExecRequest::files`].
/// - **Output.** Both outputs go to the log in the order in which they were written, at most
///   [`SubprocessSettings::output_cap`] of them; a line in the log says how many bytes are missing where.
/// - **End.** When the command ends by itself, the rest of its process group is killed. Processes that have left the group,
///   such as daemons, live on; if one holds the output open, its output is taken for [`SubprocessSettings::drain`] and the
///   end is marked as [`leaked`](gadugi_core::executor::OutputSummary::leaked).
/// - **Stop.** [`ExecRequest::stop_signal`](gadugi_core::executor::ExecRequest::stop_signal), mostly `SIGTERM`, to the group, and
///   after the grace `SIGKILL`; a suspended command is resumed, so that the signal reaches it. When the leader ends within
///   the grace, its children have the rest of it, until they have closed the output.
///
/// It isolates nothing and holds no limits. Everything has to be called within a tokio runtime with I/O and time enabled;
/// without a shim, a command is supervised as long as the runtime lives that it was started in.
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
        let started = self.start_command(request).await;
        events::started(&started);
        started
    }

    async fn running(&self, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
        running(command)
    }

    /// Finds a command that another process has started. With a shim it is like one of this process: its output is counted, and
    /// its end is the one that the shim has recorded, also when no driver was running.
    ///
    /// A command that was started without a shim, as its identity shows, is found while it runs. It is no child
    /// of this process, so its end is [`ExitStatus::Unknown`](gadugi_core::executor::ExitStatus::Unknown), its output is not
    /// seen here, and its duration is computed from its start by a clock that also runs while the machine sleeps.
    ///
    /// Works on Linux only; on macOS it fails with [`ExecError::Watch`] for a command that still runs.
    async fn reattach(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let found = self.find(command).await;
        events::reattached(&found);
        found
    }
}

impl SubprocessExecutor {
    async fn start_command(&self, request: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        let name = program::name_of(request);
        let settings = Arc::clone(&self.settings);
        let request = request.clone();
        #[cfg(target_os = "linux")]
        if let Some(shim) = settings.shim.clone() {
            let launched = spawn_blocking(move || shimmed::start(&shim, &settings, request));
            let launched = launched
                .await
                .map_err(|source| ExecError::Start { program: name.clone(), source: Box::new(source) })??;
            return match launched {
                shimmed::Start::Launched(launched) => Ok(Box::new(ShimmedTask::supervise(launched.claim()))),
                shimmed::Start::Won(recovered) => recovered.into_started(&name),
            };
        }
        let stop_signal = request.stop_signal;
        let launched = spawn_blocking(move || launch(&settings, request));
        let launched =
            launched.await.map_err(|source| ExecError::Start { program: name, source: Box::new(source) })??;
        // Nothing is awaited from here on, so a dropped start cannot lose the command.
        let token = launched.token.clone();
        let identity = ExecIdentity { executor: NAME.to_owned(), token: token.to_string() };
        let handle = supervise(launched, self.settings.drain, stop_signal);
        Ok(Box::new(SubprocessTask::new(identity, &token, handle)))
    }

    async fn find(&self, command: &CommandRef) -> Result<Reattached, ExecError> {
        let token = command.identity.as_ref().map(token_of).transpose()?;
        let unseen = || Reattached::Gone { why: "nobody has seen how it ended".to_owned() };
        let (identity, token) = match (&command.identity, token) {
            (Some(identity), Some(AnyToken::Plain(token))) => (identity, token),
            #[cfg(target_os = "linux")]
            (_, Some(AnyToken::Shim(token))) => return find_shim(command, Some(token)).await,
            #[cfg(target_os = "linux")]
            _ if self.settings.shim.is_some() => return find_shim(command, None).await,
            _ => return Ok(unseen()),
        };
        let adopted = reattach::reattach(&token).map_err(|source| lost(identity, source))?;
        Ok(match adopted {
            Some(handle) => Reattached::Found(Box::new(SubprocessTask::new(identity.clone(), &token, handle))),
            None => unseen(),
        })
    }
}

/// Finds a command again by the records of its shim.
#[cfg(target_os = "linux")]
async fn find_shim(command: &CommandRef, token: Option<ShimToken>) -> Result<Reattached, ExecError> {
    let name = command.identity.as_ref().map_or_else(|| command.attempt.to_string(), |identity| identity.token.clone());
    let command = command.clone();
    let recovered = spawn_blocking(move || shimmed::recover(&command, token)).await;
    let watch = |source| ExecError::Watch { identity: name, source };
    match recovered {
        Ok(Ok(recovered)) => recovered.into_reattached(),
        Ok(Err(fault)) => Err(watch(Box::new(fault))),
        Err(panicked) => Err(watch(Box::new(panicked))),
    }
}

/// Whether the command of this identity still runs, whichever process has started it. It needs no runtime, and does not touch
/// the command.
///
/// # Errors
/// [`ExecError::Identity`] when the identity is not of a [`SubprocessExecutor`], [`ExecError::Watch`] when the system does not
/// answer.
pub fn is_alive(identity: &ExecIdentity) -> Result<bool, ExecError> {
    let running = match token_of(identity)? {
        AnyToken::Plain(token) => reattach::is_running(&token),
        #[cfg(target_os = "linux")]
        AnyToken::Shim(token) => shimmed::is_running(&token),
    };
    running.map_err(|source| lost(identity, source))
}

/// Returns the identity of a command that runs now, whichever process has started it, also when its identity was not recorded.
/// It needs no runtime, and changes nothing.
///
/// # Errors
/// [`ExecError::Identity`] when the identity is not of a [`SubprocessExecutor`], [`ExecError::Watch`] when it is unknown whether
/// the command runs.
pub fn running(command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
    let token = match &command.identity {
        Some(identity) => match token_of(identity)? {
            AnyToken::Plain(_) => return Ok(is_alive(identity)?.then(|| identity.clone())),
            #[cfg(target_os = "linux")]
            AnyToken::Shim(token) => Some(token),
        },
        None => None,
    };
    #[cfg(target_os = "linux")]
    return match shimmed::inspect(command, token) {
        Ok(token) => Ok(token.map(|token| ExecIdentity { executor: NAME.to_owned(), token: token.to_string() })),
        Err(fault) => Err(ExecError::Watch { identity: command.attempt.to_string(), source: Box::new(fault) }),
    };
    #[cfg(not(target_os = "linux"))]
    return Ok(None);
}

/// Returns this moment on the machine's own clock, which stands still while the machine sleeps; `None` where the system has no
/// ids for its boots.
#[must_use]
pub fn moment() -> Option<Moment> {
    #[cfg(target_os = "linux")]
    return Some(Moment { boot: process_table::boot_id()?.to_owned(), uptime: process_table::uptime() });
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// The token of an identity, which shows whether the command has a shim.
enum AnyToken {
    Plain(Token),
    #[cfg(target_os = "linux")]
    Shim(ShimToken),
}

fn token_of(identity: &ExecIdentity) -> Result<AnyToken, ExecError> {
    let text = Some(&identity.token).filter(|_| identity.executor == NAME);
    let token = text.and_then(|text| {
        #[cfg(target_os = "linux")]
        if let Ok(token) = text.parse() {
            return Some(AnyToken::Shim(token));
        }
        Token::parse(text).map(AnyToken::Plain)
    });
    token.ok_or_else(|| ExecError::Identity { executor: NAME.to_owned(), token: identity.token.clone() })
}

fn lost(identity: &ExecIdentity, source: std::io::Error) -> ExecError {
    ExecError::Watch { identity: identity.token.clone(), source: Box::new(source) }
}
