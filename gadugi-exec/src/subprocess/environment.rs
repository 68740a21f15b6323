//! The variables that one command sees.

use std::collections::BTreeMap;
use std::ffi::OsString;

use gadugi_core::executor::ExecRequest;

use super::settings::SubprocessSettings;
use super::start_error::StartError;

/// Returns the variables that are let through of the caller's environment, the secrets and the variables of the task, and the
/// names of the run, the task and the attempt; later ones win.
pub(super) fn variables(
    settings: &SubprocessSettings,
    request: &ExecRequest,
) -> Result<BTreeMap<OsString, OsString>, StartError> {
    let passed = settings.environment.iter().filter(|(name, _)| settings.passes(name));
    let mut variables: BTreeMap<OsString, OsString> =
        passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    for name in &request.secrets {
        let secret = OsString::from(name);
        let Some(value) = settings.environment.get(&secret) else {
            return Err(StartError::MissingSecret { name: name.clone() });
        };
        variables.insert(secret, value.clone());
    }
    variables.extend(request.env.iter().map(|(name, value)| (name.into(), value.into())));
    variables.extend([
        ("GADUGI_RUN".into(), request.run.as_str().into()),
        ("GADUGI_TASK".into(), request.attempt.task.as_str().into()),
        ("GADUGI_ATTEMPT".into(), request.attempt.number.to_string().into()),
    ]);
    Ok(variables)
}
