//! The signals that a run listens to.

use std::io;

use gadugi_core::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Listens until it is dropped.
pub(crate) struct Signals {
    listener: JoinHandle<()>,
    interrupts: watch::Receiver<u32>,
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
    /// Nothing is said here, since a terminal that takes nothing must not keep a run from being stopped.
    ///
    /// # Errors
    /// When a signal cannot be listened to.
    pub(crate) fn listen(control: Control, requests: impl Fn(&Control) + Send + 'static) -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut request = signal(SignalKind::user_defined1())?;
        let (count, interrupts) = watch::channel(0);
        let listener = tokio::spawn(async move {
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
                control.stop_all(*count.borrow() > 0);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { listener, interrupts })
    }

    /// Waits for the next SIGINT or SIGTERM.
    pub(crate) async fn interrupted(&self) {
        let mut interrupts = self.interrupts.clone();
        interrupts.mark_unchanged();
        if interrupts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime is going down: nothing will be heard any more.
        std::future::pending::<()>().await;
    }
}
