//! The signals that a run listens to.

use std::io;

use gadugi_core::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::terminal::Terminal;

/// Listens until it is dropped.
pub(crate) struct Signals {
    listener: JoinHandle<()>,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Signals {
    /// The first SIGINT or SIGTERM stops the run with grace, a second one kills. SIGHUP, the loss of the
    /// terminal, is heard and stops nothing. SIGUSR1 says that somebody has left a request to stop:
    /// `requests` is called for it.
    ///
    /// # Errors
    /// When a signal cannot be listened to.
    pub(crate) fn listen(
        terminal: Terminal,
        control: Control,
        requests: impl Fn(&Control) + Send + 'static,
    ) -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut request = signal(SignalKind::user_defined1())?;
        let listener = tokio::spawn(async move {
            let mut asked = false;
            loop {
                tokio::select! {
                    () = heard(&mut interrupt) => {}
                    () = heard(&mut terminate) => {}
                    () = heard(&mut hangup) => continue,
                    () = heard(&mut request) => {
                        requests(&control);
                        continue;
                    }
                }
                terminal.say(if asked { "killing what still runs" } else { "stopping; once more to kill at once" });
                control.stop_all(asked);
                asked = true;
            }
        });
        Ok(Self { listener })
    }
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime is going down: nothing will be heard any more.
        std::future::pending::<()>().await;
    }
}
