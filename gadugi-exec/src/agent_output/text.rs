//! Output without a format: the last line counts as the last message.

use gadugi_core::agent::{AgentReport, OutputReader};

use super::summary::one_line;

#[derive(Default)]
pub(super) struct Reader {
    report: AgentReport,
}

impl OutputReader for Reader {
    fn read(&mut self, line: &[u8]) {
        let line = one_line(&String::from_utf8_lossy(line));
        if !line.is_empty() {
            self.report.last_message = Some(line);
        }
    }

    fn report(&self) -> &AgentReport {
        &self.report
    }
}
