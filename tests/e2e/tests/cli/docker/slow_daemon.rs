//! A daemon between which and gadugi a test stands, to hold back an answer.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

const DAEMON: &str = "/var/run/docker.sock";

/// Answers to the start of a container are kept back until [`let_go`](SlowDaemon::let_go).
pub(super) struct SlowDaemon {
    pub(super) socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Whether a start was asked for.
    asked: AtomicBool,
    goes_on: (Mutex<bool>, Condvar),
}

impl SlowDaemon {
    pub(super) fn at(socket: PathBuf) -> Self {
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        // The threads end with the process of the tests.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(daemon) = UnixStream::connect(DAEMON) else { return };
                pass_on(&of_thread, client, daemon);
            }
        });
        Self { socket, shared }
    }

    /// Whether the daemon was asked to start a container, which it has done by then or is about to do.
    pub(super) fn is_asked(&self) -> bool {
        self.shared.asked.load(Ordering::SeqCst)
    }

    pub(super) fn let_go(&self) {
        *self.shared.goes_on.0.lock().expect("no thread panics") = true;
        self.shared.goes_on.1.notify_all();
    }
}

impl Drop for SlowDaemon {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Copies both ways. Requests come in whole, one after the other, on a connection.
fn pass_on(shared: &Arc<Shared>, client: UnixStream, daemon: UnixStream) {
    let is_start = Arc::new(AtomicBool::new(false));
    let (from, mut to) = (client.try_clone().expect("a socket"), daemon.try_clone().expect("a socket"));
    let (shared_out, is_start_out) = (Arc::clone(shared), Arc::clone(&is_start));
    std::thread::spawn(move || {
        each_chunk(from, |chunk| {
            let text = String::from_utf8_lossy(chunk);
            let starts = text.starts_with("POST ") && text.lines().next().is_some_and(|line| line.contains("/start"));
            is_start_out.store(starts, Ordering::SeqCst);
            let passed = to.write_all(chunk);
            shared_out.asked.fetch_or(starts, Ordering::SeqCst);
            passed
        });
        to.shutdown(std::net::Shutdown::Write).ok();
    });
    let (shared, mut back) = (Arc::clone(shared), client);
    std::thread::spawn(move || {
        each_chunk(daemon, |chunk| {
            if is_start.load(Ordering::SeqCst) {
                let (lock, signal) = &shared.goes_on;
                let goes_on = lock.lock().expect("no thread panics");
                drop(signal.wait_while(goes_on, |goes_on| !*goes_on).expect("no thread panics"));
            }
            back.write_all(chunk)
        });
        back.shutdown(std::net::Shutdown::Write).ok();
    });
}

fn each_chunk(mut from: UnixStream, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if take(&buffer[..read]).is_err() {
            return;
        }
    }
}
