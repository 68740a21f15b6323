//! The reports of a run, for people, for programs and for CI servers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gadugi_core::registry::RegistryError;
use gadugi_core::{AttemptRef, Phase, Report, TaskId};
use gadugi_registry::render;

use super::{Site, WrittenReports};

impl Site {
    /// Renders the report of a run in Markdown.
    pub(crate) fn markdown(&self, report: &Report) -> String {
        render::markdown(report, &self.log_path(report))
    }

    /// Renders what a report says of a task to those who review its branch elsewhere.
    pub(crate) fn review(&self, report: &Report, task: &TaskId) -> String {
        render::review(report, task).unwrap_or_default()
    }

    /// Renders the report of a run in JSON.
    pub(crate) fn json(&self, report: &Report) -> String {
        render::json(report, &self.log_path(report))
    }

    /// Writes the report of a run in JSON as it is rendered, since it can be long. Characters that must not reach a terminal are
    /// escaped.
    pub(crate) fn write_json(&self, report: &Report, to: &mut dyn io::Write) -> io::Result<()> {
        render::write_json(report, &self.log_path(report), to)
    }

    /// Renders the report of a run in JUnit XML.
    pub(crate) fn junit(&self, report: &Report) -> String {
        let path = self.log_path(report);
        render::junit(report, &|attempt, phase| render::tail(&path(attempt, phase)?).ok())
    }

    /// Writes the report in all three formats into the folder of the run.
    pub(crate) fn write_reports(&self, report: &Report) -> Result<WrittenReports, RegistryError> {
        render::write_reports(&self.registry.run_folder(&report.record.header.run), report)
    }

    fn log_path(&self, report: &Report) -> impl Fn(&AttemptRef, Phase) -> Option<PathBuf> {
        let (registry, run) = (Arc::clone(&self.registry), report.record.header.run.clone());
        move |attempt, phase| {
            Some(registry.attempt_folder(&run, attempt).join(phase.output_file())).filter(|path| path.exists())
        }
    }
}
