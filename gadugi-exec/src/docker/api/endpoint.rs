//! The address of the daemon: `DOCKER_HOST`, a context of the Docker command line, or the usual socket.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Time for the head of an answer of the daemon.
const ANSWER_TIMEOUT_SECONDS: u64 = 120;

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    address: Address,
    /// The variable or context that names it, if one does.
    named_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Http(String),
    Tls {
        host: String,
        certificates: Certificates,
    },
    Ssh(String),
    /// The address is unknown, for this reason.
    Nowhere(String),
}

/// The files for TLS with client authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Certificates {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// The files of a folder, under the names that the Docker command line gives them.
    fn within(folder: &Path) -> Self {
        Self { ca: folder.join("ca.pem"), cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }
}

/// An unusable address of a daemon.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The address has no known scheme.
    #[error("`{address}`{} is no address of a Docker daemon: it begins with none of unix://, tcp://, ssh://", by(.named_by))]
    Address {
        /// The address.
        address: String,
        /// The variable or context that names it.
        named_by: Option<String>,
    },
    /// The Docker command line's own configuration cannot be read.
    #[error("cannot read {}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no context of that name.
    #[error("there is no Docker context `{name}`; `docker context ls` lists them")]
    NoContext {
        /// The name of the context.
        name: String,
    },
    /// The context has some of the files of TLS, and not all.
    #[error("the Docker context `{name}` needs ca.pem, cert.pem and key.pem in {}", .folder.display())]
    Certificates {
        /// The context.
        name: String,
        /// The folder that should hold them.
        folder: PathBuf,
    },
    /// The context leaves the daemon's certificate unchecked, which is not supported.
    #[error("the Docker context `{name}` does not check the daemon's certificate, and that is not done here")]
    Unchecked {
        /// The context.
        name: String,
    },
}

fn by(named_by: &Option<String>) -> String {
    named_by.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()
}

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

impl Endpoint {
    /// Returns the address that the Docker command line would use, with these variables and this home folder: `DOCKER_HOST` (with
    /// `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`), else the context that `DOCKER_CONTEXT` or its configuration names, else
    /// `/var/run/docker.sock`.
    ///
    /// # Errors
    /// [`EndpointError`] when the configured address or context does not exist or cannot be read.
    pub fn of_environment(
        environment: &BTreeMap<OsString, OsString>,
        home: Option<&Path>,
    ) -> Result<Self, EndpointError> {
        let variable = |name: &str| {
            let value = environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
            value.map(|value| value.to_string_lossy().into_owned())
        };
        let folder = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|home| home.join(".docker")));
        if let Some(host) = variable("DOCKER_HOST") {
            let is_checked = variable("DOCKER_TLS_VERIFY").is_some();
            let own = variable("DOCKER_CERT_PATH").map(PathBuf::from).or(folder);
            let certificates = own.filter(|_| is_checked).map(|folder| Certificates::within(&folder));
            return Self::parse(&host, certificates, Some("DOCKER_HOST".to_owned()));
        }
        let Some(folder) = folder else { return Ok(Self::default()) };
        let context = match variable("DOCKER_CONTEXT") {
            Some(name) => name,
            None => current_context(&folder.join("config.json"))?,
        };
        if context.is_empty() || context == "default" { Ok(Self::default()) } else { of_context(&folder, context) }
    }

    /// Returns the endpoint for an address that the user names, with the certificates that the environment names for a `tcp://` one.
    ///
    /// # Errors
    /// [`EndpointError::Address`].
    pub fn named(
        address: &str,
        environment: &BTreeMap<OsString, OsString>,
        home: Option<&Path>,
    ) -> Result<Self, EndpointError> {
        let mut environment = environment.clone();
        environment.insert("DOCKER_HOST".into(), address.into());
        let endpoint = Self::of_environment(&environment, home)?;
        Ok(Self { named_by: None, ..endpoint })
    }

    /// Parses an address: `unix:///path`, `tcp://host:port` (without TLS), `ssh://user@host`.
    ///
    /// # Errors
    /// [`EndpointError::Address`].
    pub fn at(address: &str) -> Result<Self, EndpointError> {
        Self::parse(address, None, None)
    }

    fn parse(
        address: &str,
        certificates: Option<Certificates>,
        named_by: Option<String>,
    ) -> Result<Self, EndpointError> {
        let rest = |scheme: &str| address.strip_prefix(scheme).filter(|rest| !rest.is_empty());
        let host = || rest("tcp://").or_else(|| rest("https://")).or_else(|| rest("http://"));
        let address = if let Some(path) = rest("unix://") {
            Address::Unix(path.into())
        } else if rest("ssh://").is_some() {
            Address::Ssh(address.to_owned())
        } else if let Some(host) = host() {
            match certificates {
                Some(certificates) => Address::Tls { host: host.to_owned(), certificates },
                None => Address::Http(host.to_owned()),
            }
        } else {
            return Err(EndpointError::Address { address: address.to_owned(), named_by });
        };
        Ok(Self { address, named_by })
    }

    /// An endpoint without a daemon: every use of it fails with this error.
    #[must_use]
    pub fn nowhere(error: &EndpointError) -> Self {
        Self { address: Address::Nowhere(gadugi_core::error_chain(error)), named_by: None }
    }

    /// Returns the reason why the address is unknown, if it is.
    pub(in crate::docker) fn unknown(&self) -> Option<&str> {
        match &self.address {
            Address::Nowhere(why) => Some(why),
            _ => None,
        }
    }

    /// Returns the path of its socket, if it has one on this machine.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.address {
            Address::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Prepares a connection. Only a socket is checked to exist; nothing is sent yet.
    pub(in crate::docker) fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        match &self.address {
            Address::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
            Address::Http(host) => {
                Docker::connect_with_http(&format!("http://{host}"), ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
            Address::Tls { host, certificates: Certificates { ca, cert, key } } => Docker::connect_with_ssl(
                &format!("https://{host}"),
                key,
                cert,
                ca,
                ANSWER_TIMEOUT_SECONDS,
                API_DEFAULT_VERSION,
            ),
            Address::Ssh(address) => {
                Docker::connect_with_ssh(address, ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION, None)
            }
            Address::Nowhere(_) => Err(bollard::errors::Error::UnsupportedURISchemeError { uri: self.to_string() }),
        }
    }
}

impl Default for Endpoint {
    /// The socket `/var/run/docker.sock`.
    fn default() -> Self {
        Self { address: Address::Unix(DEFAULT_SOCKET.into()), named_by: None }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Http(host) | Address::Tls { host, .. } => write!(f, "tcp://{host}"),
            Address::Ssh(address) => f.write_str(address),
            Address::Nowhere(_) => f.write_str("nowhere"),
        }?;
        f.write_str(&by(&self.named_by))
    }
}

fn current_context(config: &Path) -> Result<String, EndpointError> {
    let unreadable = |source| EndpointError::Config { path: config.to_owned(), source };
    match fs::read(config) {
        Ok(json) => {
            let config: Result<ClientConfig, _> = serde_json::from_slice(&json);
            config.map(|config| config.current_context).map_err(|error| unreadable(error.into()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unreadable(error)),
    }
}

/// Reads the endpoint of a context: its folders are named by the SHA-256 of its name (`docker context inspect` shows them).
fn of_context(folder: &Path, name: String) -> Result<Endpoint, EndpointError> {
    let id: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(EndpointError::NoContext { name }),
        Err(source) => return Err(EndpointError::Config { path, source }),
    };
    let meta: Result<ContextMeta, _> = serde_json::from_slice(&json);
    let mut meta = meta.map_err(|error| EndpointError::Config { path, source: error.into() })?;
    let Some(endpoint) = meta.endpoints.remove("docker") else { return Err(EndpointError::NoContext { name }) };
    let tls = folder.join("contexts/tls").join(&id).join("docker");
    if endpoint.skip_tls_verify {
        return Err(EndpointError::Unchecked { name });
    }
    // With some of them only, it would be talked to without any.
    let is_there = |name: &str| tls.join(name).is_file();
    let certificates = match ["ca.pem", "cert.pem", "key.pem"].map(is_there) {
        [true, true, true] => Some(Certificates::within(&tls)),
        [false, false, false] => None,
        _ => return Err(EndpointError::Certificates { name, folder: tls }),
    };
    Endpoint::parse(&endpoint.host, certificates, Some(format!("context {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], home: Option<&Path>) -> Result<String, String> {
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let endpoint = Endpoint::of_environment(&environment, home);
        endpoint.map(|endpoint| endpoint.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_daemon_is_where_the_docker_command_line_looks() {
        assert_eq!(found(&[], None).as_deref(), Ok("unix:///var/run/docker.sock"));
        assert_eq!(found(&[("DOCKER_HOST", "unix:///x.sock")], None).as_deref(), Ok("unix:///x.sock (DOCKER_HOST)"));
        assert_eq!(found(&[("DOCKER_HOST", "tcp://h:2375")], None).as_deref(), Ok("tcp://h:2375 (DOCKER_HOST)"));
        assert_eq!(found(&[("DOCKER_HOST", "ssh://u@h")], None).as_deref(), Ok("ssh://u@h (DOCKER_HOST)"));
        assert_eq!(found(&[("DOCKER_HOST", "")], None).as_deref(), Ok("unix:///var/run/docker.sock"));
        let wrong = found(&[("DOCKER_HOST", "localhost")], None).expect_err("it has no scheme");
        assert!(wrong.contains("`localhost` (DOCKER_HOST)"), "{wrong}");
    }

    #[test]
    fn certificates_are_those_that_the_variables_name() {
        let variables = [("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs")];
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let endpoint = Endpoint::of_environment(&environment, None).expect("an address");
        let certificates = Certificates::within(Path::new("/certs"));
        assert_eq!(endpoint.address, Address::Tls { host: "h:2376".to_owned(), certificates });
    }

    #[test]
    fn a_context_is_found_by_its_name_and_missing_ones_are_named() {
        let home = tempfile::tempdir().expect("a folder");
        let docker = home.path().join(".docker");
        // sha256("far")
        let id: String = Sha256::digest(b"far").iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = docker.join("contexts/meta").join(&id);
        fs::create_dir_all(&meta).expect("a folder");
        let json =
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://u@far","SkipTLSVerify":false}}}"#;
        fs::write(meta.join("meta.json"), json).expect("a file");
        fs::write(docker.join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).expect("a file");
        let home = Some(home.path());
        assert_eq!(found(&[], home).as_deref(), Ok("ssh://u@far (context far)"));
        assert_eq!(found(&[("DOCKER_CONTEXT", "default")], home).as_deref(), Ok("unix:///var/run/docker.sock"));
        let missing = found(&[("DOCKER_CONTEXT", "near")], home).expect_err("there is none");
        assert_eq!(missing, "there is no Docker context `near`; `docker context ls` lists them");
        fs::write(docker.join("config.json"), "{").expect("a file");
        assert!(found(&[], home).is_err(), "a broken configuration is not passed over");
    }
}
