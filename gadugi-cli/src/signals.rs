//! The signals that a run listens to.

use std::io;
use std::time::Duration;

use gadugi_core::Control;
use rustix::process::{self, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long it is waited for tasks to be suspended before this process is.
const LONGEST_SUSPENSION: Duration = Duration::from_secs(2);

/// Listens until it is dropped.
pub(crate) struct Signals {
    listeners: Vec<JoinHandle<()>>,
    interrupts: watch::Receiver<u32>,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

impl Signals {
    /// The first SIGINT or SIGTERM stops the run with grace, a second one kills. SIGHUP, the loss of the
    /// terminal, counts as one of them with `stop_on_hangup`; else it is heard and stops nothing. SIGUSR1
    /// says that somebody has left a request to stop: `requests` is called for it.
    ///
    /// Nothing is said here, since a terminal that takes nothing must not keep a run from being stopped.
    ///
    /// # Errors
    /// When a signal cannot be listened to.
    pub(crate) fn listen(
        control: Control,
        stop_on_hangup: bool,
        requests: impl Fn(&Control) + Send + 'static,
    ) -> io::Result<Self> {
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
                    () = heard(&mut hangup) => if !stop_on_hangup {
                        continue;
                    },
                    () = heard(&mut request) => {
                        requests(&control);
                        continue;
                    }
                }
                control.stop_all(*count.borrow() > 0);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { listeners: vec![listener], interrupts })
    }

    /// From now on Ctrl-Z (SIGTSTP) suspends the tasks, calls `clear` for the terminal, and then suspends this
    /// process; when it goes on (SIGCONT), so do the tasks. Until then Ctrl-Z does what it does to any program.
    ///
    /// # Errors
    /// When the signal cannot be listened to.
    pub(crate) fn suspend_with(&mut self, control: Control, clear: impl Fn() + Send + 'static) -> io::Result<()> {
        let mut suspend = signal(SignalKind::from_raw(process::Signal::TSTP.as_raw()))?;
        self.listeners.push(tokio::spawn(async move {
            loop {
                heard(&mut suspend).await;
                // Tasks that cannot be suspended in time must not keep the terminal from its user.
                let suspended = timeout(LONGEST_SUSPENSION, control.suspend()).await;
                drop(suspended);
                clear();
                // Heard from before the stop on: the process runs on for a moment after it has sent the signal.
                let continued = signal(SignalKind::from_raw(process::Signal::CONT.as_raw()));
                if let Ok(mut continued) = continued
                    && kill_process(getpid(), process::Signal::STOP).is_ok()
                {
                    heard(&mut continued).await;
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

    /// Waits for the third SIGINT or SIGTERM: whoever sends that wants to be gone.
    pub(crate) async fn third_interrupt(&self) {
        let mut interrupts = self.interrupts.clone();
        if interrupts.wait_for(|count| *count >= 3).await.is_err() {
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
