//! Ways to a daemon other than its socket.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use gadugi_core::Executor;
use gadugi_core::executor::ExitStatus;
use gadugi_exec::docker::{DockerExecutor, Endpoint};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::harness::{Harness, log, settings};

/// Somebody who signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// Writes what a client needs to a folder, under the names that Docker gives them.
fn certify(client_of: &Authority, server_of: &Authority, folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["client".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, client_of).expect("a certificate");
    fs::create_dir(folder).expect("a folder");
    for (name, text) in [("ca.pem", server_of.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
    {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// Starts a TLS relay before a daemon for clients that `authority` has certified. Returns its port.
async fn serve(authority: &Authority) -> u16 {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).expect("a root");
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder().with_client_cert_verifier(clients);
    let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who is not let in hears of it by their own side.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = UnixStream::connect("/var/run/docker.sock").await.expect("the daemon answers");
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok();
            });
        }
    });
    port
}

fn executor(harness: &Harness, port: u16, certificates: &Path) -> DockerExecutor {
    let variables = [
        ("DOCKER_HOST", format!("tcp://localhost:{port}")),
        ("DOCKER_TLS_VERIFY", "1".to_owned()),
        ("DOCKER_CERT_PATH", certificates.display().to_string()),
    ];
    let environment: BTreeMap<_, _> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut settings = settings(harness.root.path(), &[]);
    settings.endpoint = Endpoint::of_environment(&environment, None).expect("an address");
    settings.environment.insert("SECRET".into(), "value".into());
    DockerExecutor::new(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_behind_tls_is_used_and_neither_side_trusts_a_stranger() {
    let Some(harness) = Harness::new() else { return };
    let (ours, strangers) = (authority(), authority());
    let port = serve(&ours).await;
    let folder = |name: &str| harness.root.path().join(name);
    certify(&ours, &ours, &folder("good"));
    certify(&strangers, &ours, &folder("strange-client"));
    certify(&ours, &strangers, &folder("strange-server"));
    let good = executor(&harness, port, &folder("good"));
    good.probe().await.expect("they know each other");
    let mut request = harness.script("echo $SECRET; cat; exit 3");
    request.secrets = vec!["SECRET".to_owned()];
    request.stdin = Some("input\n".to_owned());
    let end = good.start(&request).await.expect("it starts").wait().await.expect("its end is seen");
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(3), "value\ninput\n"));
    for name in ["strange-client", "strange-server"] {
        let unusable = executor(&harness, port, &folder(name)).probe().await.expect_err("somebody is not known");
        assert!(unusable.reason.contains("does not answer as it should"), "{name}: {}", unusable.reason);
    }
}
