//! Short texts for people, out of what agents print.

use gadugi_core::AgentErrorClass;
use serde_json::Value;

/// More of a tool's use is not shown.
const LONGEST: usize = 200;

/// The first line that says something, cut to a length that fits on one.
pub(super) fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A tool and what it is used for, by the argument that says most.
pub(super) fn tool(name: &str, input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "query", "url", "prompt", "description"];
    match telling.iter().find_map(|key| input[key].as_str()) {
        Some(what) => one_line(&format!("{name}: {}", one_line(what))),
        None => one_line(name),
    }
}

/// What a message tells of a request that was not answered, by its status of HTTP or else by its words; `None` where it is
/// about something else.
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

/// Words of messages about agents that have no key or login, or none that is good.
const OF_LOGIN: [&str; 6] = [
    "not logged in",
    "run /login",
    "failed to authenticate",
    "invalid api key",
    "missing environment variable",
    "sign in again",
];

/// Words of messages about requests that did not come through.
const OF_NETWORK: [&str; 7] = [
    "waiting for network",
    "connection failed",
    "connection refused",
    "connection reset",
    "error sending request",
    "stream disconnected",
    "timed out",
];

/// The status of HTTP in a message such as `unexpected status 401 Unauthorized: …` or `…, last status: 429 Too Many Requests`.
fn status(message: &str) -> Option<u16> {
    message.match_indices("status").find_map(|(at, word)| {
        let rest = message[at + word.len()..].trim_start_matches(':').trim_start();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok().filter(|status| (100..600).contains(status))
    })
}
