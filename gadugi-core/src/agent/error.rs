//! Errors of an agent and refusals of its vendor.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A refusal of requests by the agent's vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Its class. A refusal of [`AgentErrorClass::Authentication`] does not pass by itself.
    pub class: AgentErrorClass,
    /// Time from which the vendor answers again, where it names one.
    pub until: Option<Timestamp>,
    /// Wait of the agent before its next request, where it reports one.
    pub pause: Option<Duration>,
    /// Number of refusals in a row.
    pub refusals: u32,
}

/// The class of an agent's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentErrorClass {
    /// Too many requests, or a quota that is used up (HTTP 429).
    RateLimit,
    /// The vendor is overloaded (HTTP 503 and 529).
    Overloaded,
    /// The vendor cannot be reached, or fails by itself (HTTP 500, 502, 504 and other 5xx).
    Unavailable,
    /// No key, or an invalid one (HTTP 401 and 403).
    Authentication,
    /// The call has reached its cost limit.
    Budget,
    /// Any other error.
    Other,
}

impl AgentErrorClass {
    /// Returns the class of an HTTP status.
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

    /// Whether the vendor refused the request for a reason that holds for other requests, too.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        self.passes() || self == Self::Authentication
    }

    /// Whether the reason passes by itself.
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

/// A failure that an agent reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentError {
    /// Its class.
    pub class: AgentErrorClass,
    /// Message of the agent.
    pub message: String,
}
