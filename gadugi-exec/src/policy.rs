//! The choice of an executor for tasks that name none.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gadugi_core::executor::Unusable;
use gadugi_core::{Executor, TaskSpec};
use thiserror::Error;

/// The executor of [`ExecutorPolicy::Auto`] when none that isolates can be used.
const UNISOLATED: &str = "subprocess";

/// The user's choice: `auto`, or an executor by its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExecutorPolicy {
    /// An executor that isolates, if one works, else `subprocess`.
    #[default]
    Auto,
    /// This executor or none.
    Named(String),
}

impl FromStr for ExecutorPolicy {
    type Err = Infallible;

    /// Takes every word but `auto` for a name; [`choose`] finds out whether there is such an executor.
    fn from_str(value: &str) -> Result<Self, Infallible> {
        Ok(if value == "auto" { Self::Auto } else { Self::Named(value.to_owned()) })
    }
}

impl fmt::Display for ExecutorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Named(name) => name,
        })
    }
}

/// The executor that was chosen, and why.
#[derive(Clone)]
pub struct Choice {
    /// The executor, which has answered its probe.
    pub executor: Arc<dyn Executor>,
    /// The reason for this one, in a few words for the user.
    pub reason: String,
    /// Whether an executor that isolates is registered and was passed over because it cannot be used. One that needs an image
    /// does not count when no task names one.
    pub fell_back: bool,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("executor", &self.executor.name())
            .field("reason", &self.reason)
            .field("fell_back", &self.fell_back)
            .finish()
    }
}

/// No executor could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No executor of that name is registered.
    #[error("this build has no executor `{name}`; it has: {}", .known.join(", "))]
    Unknown {
        /// The name in the user's choice.
        name: String,
        /// The names of the registered executors.
        known: Vec<String>,
    },
    /// The executor is registered and cannot be used now, or not for a task; see [`Unusable::remedy`].
    #[error("the executor `{name}` cannot be used")]
    Unusable {
        /// The name of the executor.
        name: String,
        /// The reason, with a remedy.
        #[source]
        source: Unusable,
    },
}

/// Chooses one of the `available` executors for these tasks, once, before the first task starts.
///
/// `auto` takes the first that isolates, answers its probe and accepts all of the tasks, in the order given, else
/// `subprocess`, and says in [`Choice::reason`] why no isolating one was taken. A name takes that executor or fails: a
/// task that should be isolated never runs without isolation because something was not there.
///
/// # Errors
/// [`PolicyError::Unknown`] when nothing of that name is registered, [`PolicyError::Unusable`] when its
/// probe fails or it does not accept a task.
pub async fn choose(
    policy: &ExecutorPolicy,
    available: &[Arc<dyn Executor>],
    tasks: &[&TaskSpec],
) -> Result<Choice, PolicyError> {
    match policy {
        ExecutorPolicy::Named(name) => {
            let executor = usable(name, available, tasks).await?;
            Ok(Choice { executor, reason: "asked for by name".to_owned(), fell_back: false })
        }
        ExecutorPolicy::Auto => automatic(available, tasks).await,
    }
}

async fn automatic(available: &[Arc<dyn Executor>], tasks: &[&TaskSpec]) -> Result<Choice, PolicyError> {
    let mut refusals = Vec::new();
    let mut fell_back = false;
    for executor in available.iter().filter(|executor| executor.capabilities().isolates) {
        // Without an image, no container was expected.
        let is_unwanted = executor.capabilities().images
            && !tasks.is_empty()
            && tasks.iter().all(|task| task.resources.image.is_none());
        if is_unwanted {
            refusals.push(format!("`{}` needs an image, and none is named", executor.name()));
            continue;
        }
        match fits(&**executor, tasks).await {
            Ok(()) => {
                let reason = "the first that isolates tasks and can be used".to_owned();
                return Ok(Choice { executor: Arc::clone(executor), reason, fell_back: false });
            }
            Err(refusal) => {
                fell_back = true;
                refusals.push(format!("`{}` cannot be used: {}", executor.name(), refusal.reason));
            }
        }
    }
    let executor = usable(UNISOLATED, available, tasks).await?;
    let nothing_refused = refusals.is_empty();
    let reason = if nothing_refused { "no container executor in this build".to_owned() } else { refusals.join("; ") };
    Ok(Choice { executor, reason, fell_back })
}

/// Refuses an executor that cannot be used now, or not for all of these tasks.
async fn fits(executor: &dyn Executor, tasks: &[&TaskSpec]) -> Result<(), Unusable> {
    for task in tasks {
        executor.accepts(task).await?;
    }
    executor.probe().await
}

async fn usable(
    name: &str,
    available: &[Arc<dyn Executor>],
    tasks: &[&TaskSpec],
) -> Result<Arc<dyn Executor>, PolicyError> {
    let Some(executor) = available.iter().find(|executor| executor.name() == name) else {
        let known = available.iter().map(|executor| executor.name().to_owned()).collect();
        return Err(PolicyError::Unknown { name: name.to_owned(), known });
    };
    let unusable = |source| PolicyError::Unusable { name: name.to_owned(), source };
    fits(&**executor, tasks).await.map_err(unusable)?;
    Ok(Arc::clone(executor))
}
