//! A stand-in for the API of a forge, over TLS, for the real `gh`.
//!
//! It is a proxy too, so that a host of any name is found: `gh` asks it to connect to the forge, and it answers as that.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Host of the forge.
pub(crate) const HOST: &str = "git.example";

/// The token that it takes.
pub(crate) const TOKEN: &str = "a-token-of-the-test";

/// The line of a test that is skipped since there is no `gh`.
const SKIPPED: &str = "skipped: gh is not installed (GADUGI_TEST_GH=required makes that a failure)";

/// What has been asked of it, and its pull requests.
#[derive(Default)]
pub(crate) struct State {
    /// Method and path of each request.
    pub(crate) calls: Vec<String>,
    pub(crate) pulls: Vec<Value>,
}

/// A forge with one repository, `o/r`.
pub(crate) struct Forge {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    authority: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Forge {
    /// Starts it, with the certificate of its authority in a folder; `None`, and a line that says so, without a `gh`.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        if Command::new("gh").arg("--version").output().is_err() {
            assert!(std::env::var("GADUGI_TEST_GH").as_deref() != Ok("required"), "gh is not installed");
            let mut stderr = std::io::stderr();
            writeln!(stderr, "{SKIPPED}").expect("standard error can be written");
            return None;
        }
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let authority = folder.join("authority.pem");
        std::fs::write(&authority, issuer.pem()).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let server = std::thread::spawn({
            let (state, config) = (Arc::clone(&state), Arc::new(config));
            move || serve(&listener, &config, &state)
        });
        Some(Self { state, address, authority, server: Some(server) })
    }

    /// Lets a command find it, with an account.
    pub(crate) fn known_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("HTTPS_PROXY", format!("http://{}", self.address)).env("SSL_CERT_FILE", &self.authority);
        command.env("GH_ENTERPRISE_TOKEN", TOKEN)
    }

    /// What it has now.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        // A connection without a request ends the server.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            server.join().ok();
        }
    }
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, state: &Mutex<State>) {
    while let Ok((stream, _)) = listener.accept() {
        let mut plain = BufReader::new(stream);
        let mut first = String::new();
        if plain.read_line(&mut first).is_err() || first.is_empty() {
            return;
        }
        assert_eq!(first.trim_end(), format!("CONNECT {HOST}:443 HTTP/1.1"));
        while first.trim_end() != "" {
            first.clear();
            plain.read_line(&mut first).expect("a header");
        }
        let mut stream = plain.into_inner();
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").expect("it is told");
        let connection = ServerConnection::new(Arc::clone(config)).expect("a connection");
        // Who hangs up hears no answer.
        answer(StreamOwned::new(connection, stream), state).ok();
    }
}

/// Answers one request.
fn answer(stream: StreamOwned<ServerConnection, TcpStream>, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut chunked, mut authorised) = (String::new(), false, false);
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = value == "chunked",
            "authorization" => authorised = value == format!("token {TOKEN}"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    // What `gh` reads from its standard input it sends in pieces.
    while chunked {
        line.clear();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut piece = vec![0; length + 2];
        reader.read_exact(&mut piece)?;
        body.extend(&piece[..length]);
        chunked = length > 0;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    state.calls.push(format!("{method} {path}"));
    let (status, answer) = match authorised {
        true => state.answer(&method, path, query, &body),
        false => ("401 Unauthorized", json!({ "message": "Bad credentials" })),
    };
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let stream = reader.get_mut();
    stream.write_all((head + &answer).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

impl State {
    fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (&'static str, Value) {
        let Some(rest) = path.strip_prefix("/api/v3/repos/o/r/pulls") else {
            return ("404 Not Found", json!({ "message": "Not Found" }));
        };
        match (method, rest) {
            ("GET", "") => {
                let head = query.split('&').find_map(|part| part.strip_prefix("head=o%3A")).unwrap_or_default();
                let head = head.replace("%2F", "/");
                let of_head = self.pulls.iter().filter(|pull| pull["head"]["ref"] == head.as_str()).cloned();
                ("200 OK", of_head.collect())
            }
            ("POST", "") if body["title"] == "Nothing new" => {
                let errors = json!([{ "message": "No commits between main and gadugi/refused" }]);
                ("422 Unprocessable Entity", json!({ "message": "Validation Failed", "errors": errors }))
            }
            ("POST", "") => {
                let number = self.pulls.len() + 1;
                let pull = json!({
                    "number": number, "html_url": format!("https://{HOST}/o/r/pull/{number}"), "title": body["title"],
                    "body": body["body"], "draft": body["draft"], "state": "open",
                    "head": { "ref": body["head"] }, "base": { "ref": body["base"] },
                });
                self.pulls.push(pull.clone());
                ("201 Created", pull)
            }
            ("PATCH", number) => {
                let number: usize = number.trim_start_matches('/').parse().expect("a number");
                let pull = &mut self.pulls[number - 1];
                for (key, value) in body.as_object().into_iter().flatten() {
                    pull[key] = value.clone();
                }
                ("200 OK", pull.clone())
            }
            _ => ("404 Not Found", json!({ "message": "Not Found" })),
        }
    }
}
