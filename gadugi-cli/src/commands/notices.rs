//! Tells somebody who does not watch that a run is over, or needs somebody.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use gadugi_core::{Event, EventKind, EventSink, RunRecord, TaskState, WarningKind};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{Bell, Config};
use crate::failure::Code;
use crate::terminal::Terminal;

/// How long the configured command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A sentence, and how the run ended if it did.
struct Notice {
    text: String,
    exit: Option<Code>,
}

/// Gives notice of a run, one after the other, so that the run waits for nobody.
pub(super) struct Notices {
    run: String,
    sender: UnboundedSender<Notice>,
    teller: JoinHandle<()>,
}

impl Notices {
    /// Begins to give notice; `None` where nobody asks for it.
    pub(super) fn begin(config: &Config, terminal: &Terminal, run: String) -> Option<Self> {
        if config.notify.is_empty() && config.bell == Bell::Silent {
            return None;
        }
        let (sender, receiver) = unbounded_channel();
        let teller =
            Teller { command: config.notify.clone(), bell: config.bell, terminal: terminal.clone(), run: run.clone() };
        Some(Self { run, sender, teller: tokio::spawn(teller.tell(receiver)) })
    }

    /// Listens for what needs somebody: an agent whose requests are refused, one that is not let in, and a budget that is
    /// reached. Each is told once in a run.
    pub(super) fn sink(&self) -> Box<dyn EventSink> {
        let (sender, run, mut told) = (self.sender.clone(), self.run.clone(), HashSet::new());
        Box::new(move |event: &Event| {
            if let Some((need, message)) = Need::of(&event.kind)
                && told.insert(need)
            {
                let text = format!("run {run}: {message}");
                // Whoever has ended the run wants to know nothing more.
                drop(sender.send(Notice { text, exit: None }));
            }
            Ok(())
        })
    }

    /// Tells how the run has ended, and waits until all is told.
    pub(super) async fn end(self, record: &RunRecord, code: Code) {
        let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(outcome) if outcome.success());
        let good = record.tasks.iter().filter(|task| succeeded(&task.state)).count();
        let stopped = if code == Code::Interrupted { "stopped, " } else { "" };
        let text = format!("run {}: {stopped}{good} of {} tasks succeeded", self.run, record.tasks.len());
        drop(self.sender.send(Notice { text, exit: Some(code) }));
        drop(self.sender);
        // One that has panicked tells nothing more.
        drop(self.teller.await);
    }
}

/// What somebody is needed for.
#[derive(PartialEq, Eq, Hash)]
enum Need {
    Patience,
    Money,
    Login,
}

impl Need {
    /// With a sentence that says so.
    fn of(event: &EventKind) -> Option<(Self, String)> {
        match event {
            EventKind::Warning { kind: WarningKind::RateLimit, message, .. } => Some((Self::Patience, message.clone())),
            EventKind::Warning { kind: WarningKind::Budget, message, .. } => Some((Self::Money, message.clone())),
            EventKind::Warning { kind: WarningKind::Authentication, message, .. } => {
                Some((Self::Login, message.clone()))
            }
            _ => None,
        }
    }
}

struct Teller {
    command: Vec<String>,
    bell: Bell,
    terminal: Terminal,
    run: String,
}

impl Teller {
    async fn tell(self, mut notices: UnboundedReceiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            self.ring(&notice.text);
            if self.command.is_empty() {
                continue;
            }
            let failed = match timeout(PATIENCE, self.call(&notice)).await {
                Ok(result) => result.err(),
                Err(_) => Some(format!("it was not done after {} s, and was ended", PATIENCE.as_secs())),
            };
            if let Some(why) = failed {
                self.terminal.say(&format!("warning: `notify`: {}: {why}", self.command[0]));
            }
        }
    }

    async fn call(&self, notice: &Notice) -> Result<(), String> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).kill_on_drop(true);
        command.env("GADUGI_SUMMARY", &notice.text).env("GADUGI_RUN", &self.run);
        command.env("GADUGI_EXIT", notice.exit.map(|code| (code as u8).to_string()).unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it has the variables.
            drop(stdin.write_all(format!("{}\n", notice.text).as_bytes()).await);
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    fn ring(&self, text: &str) {
        match self.bell {
            Bell::Rings => self.terminal.ring(None),
            Bell::Osc9 => self.terminal.ring(Some(text)),
            Bell::Silent => {}
        }
    }
}
