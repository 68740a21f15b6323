//! Short texts for people, from the output of agents.

use gadugi_core::agent::AgentErrorClass;
use serde_json::Value;

/// Characters of a summary.
const MAX_LENGTH: usize = 200;

/// Returns the first line that is not empty, cut to [`MAX_LENGTH`].
pub(super) fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Describes the use of a tool by its name and its most telling argument.
pub(super) fn tool(name: &str, input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "query", "url", "prompt", "description"];
    match telling.iter().find_map(|key| input[key].as_str()) {
        Some(what) => one_line(&format!("{name}: {}", one_line(what))),
        None => one_line(name),
    }
}

/// Classifies a message about a request that was not answered, by its HTTP status or else by its words; `None` for other
/// messages.
pub(super) fn refusal(message: &str) -> Option<AgentErrorClass> {
    if let Some(status) = status(message) {
        return Some(AgentErrorClass::of_status(status));
    }
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&OF_LOGIN) {
        Some(AgentErrorClass::Authentication)
    } else if says(&["usage limit", "rate limit"]) {
        Some(AgentErrorClass::RateLimit)
    } else if says(&["high demand", "at capacity", "overloaded"]) {
        Some(AgentErrorClass::Overloaded)
    } else if says(&OF_NETWORK) {
        Some(AgentErrorClass::Unavailable)
    } else {
        None
    }
}

/// Words of messages about a missing or refused key or login.
const OF_LOGIN: [&str; 6] = [
    "not logged in",
    "run /login",
    "failed to authenticate",
    "invalid api key",
    "missing environment variable",
    "sign in again",
];

/// Words of messages about requests that did not reach the vendor.
const OF_NETWORK: [&str; 7] = [
    "waiting for network",
    "connection failed",
    "connection refused",
    "connection reset",
    "error sending request",
    "stream disconnected",
    "timed out",
];

/// Reads the HTTP status in a message such as `unexpected status 401 Unauthorized: …` or `…, last status: 429 Too Many Requests`.
fn status(message: &str) -> Option<u16> {
    message.match_indices("status").find_map(|(at, word)| {
        let rest = message[at + word.len()..].trim_start_matches(':').trim_start();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok().filter(|status| (100..600).contains(status))
    })
}
