//! Notices to the user that a run is over, or needs attention.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use gadugi_core::registry::EventSink;
use gadugi_core::run::{TaskState, WarningKind};
use gadugi_core::{Event, EventKind, RunRecord};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{Bell, Config};
use crate::failure::Code;
use crate::terminal::Terminal;

/// Time for the configured command to end.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// A sentence, and the exit code of the run if it is over.
struct Notice {
    text: String,
    exit: Option<Code>,
}

/// Sends notices of a run, one after the other, beside the run, which never waits for them.
pub(super) struct Notices {
    run: String,
    sender: UnboundedSender<Notice>,
    sending: JoinHandle<()>,
}

impl Notices {
    /// Starts to send notices; `None` if the configuration asks for none.
    pub(super) fn start(config: &Config, terminal: &Terminal, run: String) -> Option<Self> {
        if config.notify.is_empty() && config.bell == Bell::Silent {
            return None;
        }
        let (sender, receiver) = unbounded_channel();
        let notifier = Notifier {
            command: config.notify.clone(),
            bell: config.bell,
            terminal: terminal.clone(),
            run: run.clone(),
        };
        Some(Self { run, sender, sending: tokio::spawn(notifier.send_all(receiver)) })
    }

    /// Returns a sink that notices what needs attention: an agent whose requests are refused, one whose login fails, and a budget that
    /// is reached. Each is sent once in a run.
    pub(super) fn sink(&self) -> Box<dyn EventSink> {
        let (sender, run, mut noticed) = (self.sender.clone(), self.run.clone(), HashSet::new());
        Box::new(move |event: &Event| {
            if let Some((need, message)) = Need::of(&event.kind)
                && noticed.insert(need)
            {
                let text = format!("run {run}: {message}");
                // After the end of the run nothing more is sent.
                drop(sender.send(Notice { text, exit: None }));
            }
            Ok(())
        })
    }

    /// Sends the end of the run, and waits until all notices are sent.
    pub(super) async fn finish(self, record: &RunRecord, code: Code) {
        let succeeded = |state: &TaskState| matches!(state, TaskState::Finished(outcome) if outcome.success());
        let good = record.tasks.iter().filter(|task| succeeded(&task.state)).count();
        let stopped = if code == Code::Interrupted { "stopped, " } else { "" };
        let text = format!("run {}: {stopped}{good} of {} tasks succeeded", self.run, record.tasks.len());
        drop(self.sender.send(Notice { text, exit: Some(code) }));
        drop(self.sender);
        // After a panic no more notices come.
        drop(self.sending.await);
    }
}

/// A reason why a run needs attention.
#[derive(PartialEq, Eq, Hash)]
enum Need {
    RateLimit,
    Budget,
    Login,
}

impl Need {
    /// The need in an event, with its sentence.
    fn of(event: &EventKind) -> Option<(Self, String)> {
        match event {
            EventKind::Warning { kind: WarningKind::RateLimit, message, .. } => {
                Some((Self::RateLimit, message.clone()))
            }
            EventKind::Warning { kind: WarningKind::Budget, message, .. } => Some((Self::Budget, message.clone())),
            EventKind::Warning { kind: WarningKind::Authentication, message, .. } => {
                Some((Self::Login, message.clone()))
            }
            _ => None,
        }
    }
}

/// Runs the configured command and rings the bell.
struct Notifier {
    command: Vec<String>,
    bell: Bell,
    terminal: Terminal,
    run: String,
}

impl Notifier {
    async fn send_all(self, mut notices: UnboundedReceiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            self.ring(&notice.text);
            if self.command.is_empty() {
                continue;
            }
            let failed = match timeout(COMMAND_TIMEOUT, self.call(&notice)).await {
                Ok(result) => result.err(),
                Err(_) => Some(format!("it was not done after {} s, and was ended", COMMAND_TIMEOUT.as_secs())),
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
            // A command that does not read it has the variables.
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
