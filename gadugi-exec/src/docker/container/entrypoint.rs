//! The entrypoint of a container: the command itself or, with a script, an input or a secret, a few lines of shell that
//! lead to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gadugi_core::executor::ExecRequest;
use gadugi_core::plan::Program;

use crate::docker::api::error::DockerError;
use crate::docker::files::{INPUT, INSIDE, SCRIPT};
use crate::docker::settings::DockerSettings;

/// The entrypoint of a container.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::docker) struct Entry {
    /// The program and its arguments.
    pub(in crate::docker) argv: Vec<String>,
    /// The values of secrets, as shell text, for its standard input, which is closed after them. They stand in no file and in
    /// no description of the container.
    pub(in crate::docker) secrets: Option<String>,
}

impl Entry {
    /// Builds the entrypoint; `nonce` marks the end of the secrets.
    pub(in crate::docker) fn of(
        settings: &DockerSettings,
        request: &ExecRequest,
        nonce: &str,
    ) -> Result<Self, DockerError> {
        let secrets = secrets(settings, request)?;
        let argv = match &request.program {
            Program::Argv(argv) if argv.is_empty() => return Err(DockerError::NoCommand),
            Program::Argv(argv) => argv.as_slice(),
            Program::Script(_) => &[],
            _ => return Err(DockerError::NoCommand),
        };
        if secrets.is_empty() && request.stdin.is_none() && !argv.is_empty() {
            return Ok(Self { argv: argv.to_vec(), secrets: None });
        }
        // Both outputs by one pipe, so that they stay in the order in which they are written.
        let mut shell = String::new();
        if !secrets.is_empty() {
            shell += &read_secrets(nonce);
        }
        let input = if request.stdin.is_some() { format!("{INSIDE}/{INPUT}") } else { "/dev/null".to_owned() };
        writeln!(shell, "exec <{input} 2>&1").unwrap_or_else(|_| unreachable!("cannot fail because it is memory"));
        shell += &match argv {
            [] => format!("{BASH} && exec bash -e {INSIDE}/{SCRIPT}\nexec sh -e {INSIDE}/{SCRIPT}\n"),
            _ => "exec \"$@\"\n".to_owned(),
        };
        let begin = ["sh", "-c", &shell, "gadugi"].map(str::to_owned);
        let secrets = (!secrets.is_empty()).then(|| write_secrets(&secrets, nonce));
        Ok(Self { argv: begin.into_iter().chain(argv.iter().cloned()).collect(), secrets })
    }
}

/// Shell text that succeeds when there is a bash.
const BASH: &str = "command -v bash >/dev/null 2>&1";

/// Collects the secrets of the task, and the variables that the configuration lets through, which are treated as secrets.
fn secrets(settings: &DockerSettings, request: &ExecRequest) -> Result<BTreeMap<String, String>, DockerError> {
    let mut secrets = BTreeMap::new();
    for (name, value) in settings.let_through(&settings.passed) {
        // A shell can set no others, and the rules do not ask for a certain one.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && is_name(name)
            && !request.env.contains_key(name)
        {
            secrets.insert(name.to_owned(), value.to_owned());
        }
    }
    for name in &request.secrets {
        if !is_name(name) {
            return Err(DockerError::VariableName { name: name.clone() });
        }
        let value = settings.environment.get(std::ffi::OsStr::new(name));
        let value = value.ok_or_else(|| DockerError::MissingSecret { name: name.clone() })?;
        let value = value.to_str().ok_or_else(|| DockerError::SecretNotText { name: name.clone() })?;
        secrets.insert(name.clone(), value.to_owned());
    }
    Ok(secrets)
}

/// Whether a shell can set a variable of this name (POSIX, 3.216 Name).
fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic();
    name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Returns the shell text that reads assignments up to the line that ends them. Without that line the input has ended early,
/// since its writer has died: the command is not executed then.
fn read_secrets(nonce: &str) -> String {
    format!(
        "gadugi_v= gadugi_e=\n\
         while IFS= read -r gadugi_l; do\n\
         [ \"$gadugi_l\" = '# {nonce}' ] && gadugi_e=1 && break; gadugi_v=\"$gadugi_v$gadugi_l\n\"; done\n\
         [ \"$gadugi_e\" ] || {{ echo 'gadugi: the secrets have not arrived' >&2; exit 125; }}\n\
         eval \"$gadugi_v\"; unset gadugi_v gadugi_e gadugi_l\n"
    )
}

/// Returns the assignments, with the line that ends them.
fn write_secrets(secrets: &BTreeMap<String, String>, nonce: &str) -> String {
    let mut text = String::new();
    for (name, value) in secrets {
        let value = value.replace('\'', r"'\''");
        text += &format!("export {name}='{value}'\n");
    }
    text + &format!("# {nonce}\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::{Command, Output, Stdio};

    use gadugi_test_support::commands;

    use super::*;
    use crate::docker::Endpoint;

    const VALUE: &str = "it's \"quoted\" $HOME `id` \\ # 0123\n\n# end\n ";

    fn entry(program: Program, secrets: &[&str]) -> Result<Entry, DockerError> {
        let environment = [("API_KEY".into(), VALUE.into()), ("PASSED".into(), "too".into())];
        let mut settings = DockerSettings::new(Endpoint::default(), "here", environment);
        settings.passed = vec!["PASS*".to_owned()];
        let mut request = commands::request("a", program, PathBuf::from("/"), PathBuf::from("/nowhere"));
        request.secrets = secrets.iter().map(|&name| name.to_owned()).collect();
        Entry::of(&settings, &request, "0123")
    }

    fn run(argv: &[String], input: &[u8]) -> Output {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        // One that has given up does not read on.
        child.stdin.take().expect("it is piped").write_all(input).ok();
        child.wait_with_output().expect("it ends")
    }

    #[test]
    fn a_command_begins_with_its_secrets_as_they_are_or_not_at_all() {
        let shell =
            Program::Argv(vec!["sh".into(), "-c".into(), "printf '%s|%s' \"$API_KEY\" \"$PASSED\"; cat".into()]);
        let Entry { argv, secrets } = entry(shell, &["API_KEY"]).expect("it can be begun");
        assert!(argv.iter().all(|argument| !argument.contains("quoted")), "{argv:?}");
        let secrets = secrets.expect("there are some");
        let whole = run(&argv, secrets.as_bytes());
        assert_eq!(String::from_utf8_lossy(&whole.stdout), format!("{VALUE}|too"));
        // The last byte is the end of the line that ends them.
        for length in 0..secrets.len() - 1 {
            let cut = run(&argv, &secrets.as_bytes()[..length]);
            assert_eq!((cut.status.code(), cut.stdout.as_slice()), (Some(125), &b""[..]), "cut at {length}");
        }
    }

    #[test]
    fn a_script_begins_with_a_shell_and_nothing_with_nothing() {
        let Entry { argv, .. } = entry(Program::Script("true".to_owned()), &[]).expect("it can be begun");
        assert_eq!(argv[0], "sh");
        assert!(matches!(entry(Program::Argv(Vec::new()), &[]), Err(DockerError::NoCommand)));
        assert!(matches!(entry(Program::Script("true".to_owned()), &["NONE"]), Err(DockerError::MissingSecret { .. })));
    }
}
