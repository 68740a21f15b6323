//! Errors of an agent and refusals of its vendor.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// The vendor answers no requests for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Why. Of [`AgentErrorClass::Authentication`] it does not pass by itself.
    pub class: AgentErrorClass,
    /// When it will again, where it says so.
    pub until: Option<Timestamp>,
    /// For how long the agent waits before it asks again, where it says so.
    pub pause: Option<Duration>,
    /// How often in a row the agent was refused.
    pub refusals: u32,
}

/// What kept an agent from its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentErrorClass {
    /// Too many requests, or too much used (HTTP 429).
    RateLimit,
    /// The vendor has too much to do (HTTP 503 and 529).
    Overloaded,
    /// The vendor cannot be reached, or fails by itself (HTTP 500, 502, 504 and other 5xx).
    Unavailable,
    /// No key, or a wrong one (HTTP 401 and 403).
    Authentication,
    /// The call has cost what it may.
    Budget,
    /// Something else.
    Other,
}

impl AgentErrorClass {
    /// The class of a status of HTTP.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            401 | 403 => Self::Authentication,
            408 | 500..=599 => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// Whether the vendor did not answer for it, so that it would not answer others either.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        self.passes() || self == Self::Authentication
    }

    /// Whether it passes by itself.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::RateLimit | Self::Overloaded | Self::Unavailable)
    }
}

impl fmt::Display for AgentErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimit => "rate limit",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Authentication => "authentication",
            Self::Budget => "budget",
            Self::Other => "agent error",
        })
    }
}

/// Why an agent says that it has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentError {
    /// What kind of failure.
    pub class: AgentErrorClass,
    /// In the agent's words.
    pub message: String,
}
