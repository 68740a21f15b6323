//! Daemons that do not answer as they should. They are sockets that a test listens to: only what is beyond the socket
//! is played.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_exec::docker::{DockerExecutor, Endpoint};
use tempfile::TempDir;

use crate::harness::settings;

/// Something that listens where a daemon should.
struct Impostor {
    folder: TempDir,
}

impl Impostor {
    fn new(answer: impl Fn(UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        // It ends with the process; nobody connects any more when the folder is gone.
        std::thread::spawn(move || listener.incoming().flatten().for_each(&answer));
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    async fn refusal(&self) -> String {
        refusal(&format!("unix://{}", self.socket().display())).await
    }
}

async fn refusal(address: &str) -> String {
    let mut settings = settings(&PathBuf::from("/nowhere"), &[]);
    settings.endpoint = Endpoint::at(address).expect("an address");
    let unusable = DockerExecutor::new(settings).probe().await.expect_err("no daemon is there");
    assert!(!unusable.remedy.is_empty());
    unusable.reason
}

#[tokio::test]
async fn where_no_socket_is_there_is_no_daemon() {
    assert_eq!(
        refusal("unix:///nonexistent/docker.sock").await,
        "there is no Docker daemon: /nonexistent/docker.sock does not exist"
    );
}

#[tokio::test]
async fn a_socket_that_nobody_listens_to_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let said = refusal(&format!("unix://{}", socket.display())).await;
    assert_eq!(said, format!("no Docker daemon answers at unix://{}", socket.display()));
    assert_eq!(refusal("tcp://127.0.0.1:9").await, "no Docker daemon answers at tcp://127.0.0.1:9");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_hangs_is_given_up() {
    let (keep, kept) = std::sync::mpsc::channel();
    let impostor = Impostor::new(move |stream| drop(keep.send(stream)));
    let said = impostor.refusal().await;
    assert!(said.contains("has not answered within 5 s"), "{said}");
    drop(kept);
}

#[tokio::test]
async fn a_daemon_that_closes_or_answers_with_an_error_or_nonsense_is_none() {
    let closing = Impostor::new(drop);
    assert!(closing.refusal().await.contains("does not answer as it should"));
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 19\r\n\r\n{\"message\":\"broken\"}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        "nonsense\r\n\r\n",
    ] {
        let impostor = Impostor::new(move |mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(answer.as_bytes()));
        });
        let said = impostor.refusal().await;
        assert!(said.contains("does not answer as it should"), "{answer}: {said}");
    }
}

#[tokio::test]
async fn a_daemon_of_an_old_version_is_refused() {
    let impostor = Impostor::new(|mut stream| {
        drop(stream.read(&mut [0; 4096]));
        let body = r#"{"Version":"18.09","ApiVersion":"1.39","MinAPIVersion":"1.12","Os":"linux"}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        drop(stream.write_all((head + body).as_bytes()));
    });
    let said = impostor.refusal().await;
    assert!(said.contains("speaks version 1.39 of the API, which is too old"), "{said}");
}
