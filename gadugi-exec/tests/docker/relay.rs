//! A relay before a daemon that swallows the answer to a start.

use std::path::PathBuf;
use std::sync::Arc;

use gadugi_test_support::docker::PrivateDaemon;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

pub(crate) struct Relay {
    pub(crate) socket: PathBuf,
    signs: Arc<Signs>,
    _folder: TempDir,
}

#[derive(Default)]
struct Signs {
    started: Notify,
    dropped: Notify,
}

impl Relay {
    pub(crate) fn before(daemon: &PrivateDaemon) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (socket, inner) = (folder.path().join("relay.sock"), daemon.socket());
        let listener = UnixListener::bind(&socket).expect("a socket");
        let signs = Arc::new(Signs::default());
        let shared = Arc::clone(&signs);
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                // Where the daemon is away, its end comes at once.
                let Ok(inside) = UnixStream::connect(&inner).await else { continue };
                tokio::spawn(relay(outside, inside, Arc::clone(&shared)));
            }
        });
        Self { socket, signs, _folder: folder }
    }

    /// Waits until the daemon has answered a start.
    pub(crate) async fn until_started(&self) {
        self.signs.started.notified().await;
    }

    /// Ends the connection on which that answer has come.
    pub(crate) fn answer_nothing(&self) {
        self.signs.dropped.notify_one();
    }
}

async fn relay(mut outside: UnixStream, mut inside: UnixStream, signs: Arc<Signs>) {
    let (mut sent, mut received) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut is_start = false;
    loop {
        tokio::select! {
            count = outside.read(&mut sent) => {
                let Ok(count @ 1..) = count else { return };
                let line = sent[..count].split(|&byte| byte == b'\n').next().unwrap_or_default();
                is_start |= String::from_utf8_lossy(line).contains("/start HTTP");
                if inside.write_all(&sent[..count]).await.is_err() {
                    return;
                }
            }
            count = inside.read(&mut received) => {
                let Ok(count @ 1..) = count else { return };
                if is_start {
                    signs.started.notify_one();
                    return signs.dropped.notified().await;
                }
                if outside.write_all(&received[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
