//! The executors of a run.

use std::fmt;
use std::sync::Arc;

use crate::executor::Executor;

/// The executors of a run, by name, with the default for tasks that name none.
#[derive(Clone)]
pub struct Executors {
    default: Arc<dyn Executor>,
    others: Vec<Arc<dyn Executor>>,
}

impl Executors {
    /// A set with this default.
    #[must_use]
    pub fn new(default: Arc<dyn Executor>) -> Self {
        Self { default, others: Vec::new() }
    }

    /// Adds an executor that tasks can name.
    #[must_use]
    pub fn with(mut self, executor: Arc<dyn Executor>) -> Self {
        self.others.push(executor);
        self
    }

    /// The executor of this name, or the default for `None`.
    #[must_use]
    pub fn get(&self, name: Option<&str>) -> Option<&Arc<dyn Executor>> {
        match name {
            None => Some(&self.default),
            Some(name) => self.iter().find(|executor| executor.name() == name),
        }
    }

    /// All executors, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Executor>> {
        std::iter::once(&self.default).chain(&self.others)
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|executor| executor.name())).finish()
    }
}
