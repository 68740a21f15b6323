//! Traces: the spans and events of all crates of ours, printed on the standard error.

use std::ffi::OsStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::uptime;

use crate::failure::Failure;
use crate::terminal::Terminal;

/// Variable with the filter of traces.
pub(crate) const VARIABLE: &str = "GADUGI_LOG";

/// Filter of `-vv`.
const DEBUG: &str = "gadugi_cli=debug,gadugi_core=debug,gadugi_exec=debug,gadugi_registry=debug,gadugi_worktree=debug";

/// Number of `-v` from which on traces are printed.
const MIN_VERBOSITY: u8 = 2;

/// Returns the filter that the environment or else `-vv` asks for; `None` if it lets nothing pass.
pub(crate) fn filter(variable: Option<&OsStr>, verbosity: u8) -> Result<Option<EnvFilter>, Failure> {
    let text = match variable {
        Some(text) => text.to_string_lossy().into_owned(),
        None if verbosity >= MIN_VERBOSITY => DEBUG.to_owned(),
        None => return Ok(None),
    };
    let filter = EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::usage(format!("{VARIABLE}: `{text}` is no filter: {error}"))
            .hint(format!("write for example {VARIABLE}=gadugi_core=debug,gadugi_exec=trace, or unset it"))
    })?;
    Ok(Some(filter).filter(|filter| filter.max_level_hint() != Some(LevelFilter::OFF)))
}

/// Prints the traces that pass a filter, from now on. An embedding program that has a subscriber of its own keeps it.
pub(crate) fn print(filter: EnvFilter, terminal: &Terminal) {
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_timer(uptime()).with_ansi(false);
    subscriber.with_writer(terminal.clone()).try_init().ok();
}
