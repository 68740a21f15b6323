//! The signals that a run obeys.

use std::time::Duration;

use gadugi_core::scheduler::Control;
use rustix::process::{self, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::failure::Failure;

/// Time for tasks to be suspended before this process is.
const SUSPENSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The effect of SIGHUP, the loss of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// It stops the run, as SIGTERM does.
    Stops,
    /// It is received and has no effect.
    Ignored,
}

/// Receives signals until it is dropped.
pub(crate) struct Signals {
    receivers: Vec<JoinHandle<()>>,
    interrupts: watch::Receiver<u32>,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.receivers.iter().for_each(JoinHandle::abort);
    }
}

impl Signals {
    /// Obeys signals: the first SIGINT or SIGTERM stops the run with grace, a second one kills. SIGUSR1 means that another process
    /// has left a request to stop: `requests` is called for it.
    ///
    /// Nothing is printed here, since a terminal that takes nothing must not keep a run from being stopped.
    pub(crate) fn receive(
        control: Control,
        hangup: Hangup,
        requests: impl Fn(&Control) + Send + 'static,
    ) -> Result<Self, Failure> {
        let mut interrupts = Interrupts::receive()?;
        let mut hung_up = listen(SignalKind::hangup())?;
        let mut request = listen(SignalKind::user_defined1())?;
        let (count, received_interrupts) = watch::channel(0);
        let receiver = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = interrupts.received() => {}
                    () = received(&mut hung_up) => if hangup == Hangup::Ignored {
                        continue;
                    },
                    () = received(&mut request) => {
                        requests(&control);
                        continue;
                    }
                }
                control.stop_all(*count.borrow() > 0);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { receivers: vec![receiver], interrupts: received_interrupts })
    }

    /// From now on Ctrl-Z (SIGTSTP) suspends the tasks, calls `clear` for the terminal, and then suspends this
    /// process; SIGCONT continues both. Until then Ctrl-Z has its usual effect.
    pub(crate) fn suspend_with(&mut self, control: Control, clear: impl Fn() + Send + 'static) -> Result<(), Failure> {
        let mut suspend = listen(SignalKind::from_raw(process::Signal::TSTP.as_raw()))?;
        self.receivers.push(tokio::spawn(async move {
            loop {
                received(&mut suspend).await;
                // Tasks that cannot be suspended in time must not keep the terminal from its user.
                let suspended = timeout(SUSPENSION_TIMEOUT, control.suspend()).await;
                drop(suspended);
                clear();
                // Received from before the stop on: the process runs on for a moment after it has sent the signal.
                let continued = signal(SignalKind::from_raw(process::Signal::CONT.as_raw()));
                if let Ok(mut continued) = continued
                    && kill_process(getpid(), process::Signal::STOP).is_ok()
                {
                    received(&mut continued).await;
                }
                control.resume();
            }
        }));
        Ok(())
    }

    /// Waits for the next SIGINT or SIGTERM.
    pub(crate) async fn interrupted(&self) {
        let mut interrupts = self.interrupts.clone();
        interrupts.mark_unchanged();
        if interrupts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the third SIGINT or SIGTERM, after which the user wants to leave at once.
    pub(crate) async fn third_interrupt(&self) {
        let mut interrupts = self.interrupts.clone();
        if interrupts.wait_for(|count| *count >= 3).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// SIGINT and SIGTERM.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Receives them from now on, in place of being ended by them.
    pub(crate) fn receive() -> Result<Self, Failure> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::environment(format!("cannot listen to signals: {error}")))
}

/// Waits for a signal.
async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime is going down: no signal will come any more.
        std::future::pending::<()>().await;
    }
}
