//! The report of an agent on its own work: tokens, cost, denials, its end; and the budgets that they count against.

use std::fmt;

use crate::agent::error::{AgentError, RateLimit};

/// A limit of use; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// Cost in US dollars, as reported by agents. An agent that reports no cost is not limited by it.
    pub cost_usd: Option<f64>,
    /// Tokens, input and output together.
    pub tokens: Option<u64>,
}

impl Budget {
    /// Returns a message about the limit that was reached, if one was.
    #[must_use]
    pub fn reached(self, used: Used) -> Option<String> {
        if let Some(most) = self.cost_usd.filter(|most| used.cost_usd >= *most) {
            return Some(format!("{} of {} US dollars are used", Dollars(used.cost_usd), Dollars(most)));
        }
        let most = self.tokens.filter(|most| used.tokens >= *most)?;
        Some(format!("{} of {most} tokens are used", used.tokens))
    }

    /// Returns a message about the limit that was exceeded, if one was.
    #[must_use]
    pub fn overrun(self, used: Used) -> Option<String> {
        let cost_usd = self.cost_usd.filter(|most| used.cost_usd > *most);
        Self { cost_usd, tokens: self.tokens.filter(|most| used.tokens > *most) }.reached(used)
    }
}

/// An amount in US dollars that displays without its unit: to the cent, and below one dollar to the hundredth of a cent
/// where it is not whole cents.
///
/// ```
/// let shown = [0.0024, 0.5, 1.2345].map(|cost| gadugi_core::agent::Dollars(cost).to_string());
/// assert_eq!(shown, ["0.0024", "0.50", "1.23"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dollars(pub f64);

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0 * 100.0;
        let has_parts = (cents - cents.round()).abs() > 1e-3;
        let digits = if self.0 < 1.0 && has_parts { 4 } else { 2 };
        write!(f, "{:.digits$}", self.0)
    }
}

/// The cost and tokens used, as far as agents have reported them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Used {
    /// Cost in US dollars.
    pub cost_usd: f64,
    /// Tokens, input and output together.
    pub tokens: u64,
}

impl Used {
    /// Returns the sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { cost_usd: self.cost_usd + other.cost_usd, tokens: self.tokens.saturating_add(other.tokens) }
    }
}

/// The report of an agent on its work so far. All fields but [`own`](Self::own) hold the agent's own words and figures;
/// `None` is a value that it did not report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentReport {
    /// Session id for resuming the conversation.
    pub session: Option<String>,
    /// Model that answered, or the first of several.
    pub model: Option<String>,
    /// Number of requests to the model.
    pub turns: Option<u64>,
    /// Tokens that it was charged for. An agent may count the whole conversation, with earlier calls.
    pub tokens: Option<Tokens>,
    /// Cost in US dollars, perhaps of the whole conversation, too.
    pub cost_usd: Option<f64>,
    /// The share of this call in the tokens and the cost. An [`OutputReader`](crate::agent::OutputReader) sets it only where
    /// the agent itself reports it.
    pub own: OwnPart,
    /// Last use of a tool, with its purpose, on one line.
    pub last_tool: Option<String>,
    /// Last message of the agent.
    pub last_message: Option<String>,
    /// Uses of tools that were denied.
    pub denials: Denials,
    /// The refusal of its last request; `None` once a request is answered.
    pub limit: Option<RateLimit>,
    /// The end that it reported. Its process may run on for a while.
    pub end: Option<Result<(), AgentError>>,
}

impl AgentReport {
    /// The last line of its last message, where that is a question.
    #[must_use]
    pub fn question(&self) -> Option<&str> {
        let line = self.last_message.as_deref()?.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        let ends = line.trim_end_matches(['*', '_', '`', '"', ')']).ends_with(['?', '？']);
        ends.then_some(line)
    }

    /// Returns the share of this call in its figures, after `earlier` calls for the same task, in order. A share that
    /// the agent does not report is reckoned: its figure, less the one before in the same conversation, unless that was
    /// more, since such an agent counts each call by itself.
    #[must_use]
    pub fn own_part<'a>(&self, earlier: impl DoubleEndedIterator<Item = &'a Self> + Clone) -> OwnPart {
        let before = earlier.rev().filter(|earlier| self.session.is_some() && earlier.session == self.session);
        let less_cost = |now: f64, before: f64| (now >= before).then_some(now - before);
        OwnPart {
            cost_usd: self
                .own
                .cost_usd
                .or_else(|| reckon(self.cost_usd, before.clone().map(|before| before.cost_usd), less_cost)),
            tokens: self
                .own
                .tokens
                .or_else(|| reckon(self.tokens, before.map(|before| before.tokens), Tokens::checked_sub)),
        }
    }

    /// The cost of this call in US dollars. Reports of versions without [`own`](Self::own) are taken at their word.
    #[must_use]
    pub fn own_cost(&self) -> Option<Figure<f64>> {
        self.own.cost_usd.or(self.cost_usd.map(Figure::reported))
    }

    /// The tokens of this call, by the same rule.
    #[must_use]
    pub fn own_tokens(&self) -> Option<Figure<Tokens>> {
        self.own.tokens.or(self.tokens.map(Figure::reported))
    }

    /// The use of this call so far.
    #[must_use]
    pub fn used(&self) -> Used {
        OwnPart { cost_usd: self.own_cost(), tokens: self.own_tokens() }.used()
    }
}

/// The share of one call in a reported figure, which may include the figures `before` of the same conversation, the
/// last one first.
fn reckon<T: Copy>(
    told: Option<T>,
    mut before: impl Iterator<Item = Option<T>>,
    less: impl Fn(T, T) -> Option<T>,
) -> Option<Figure<T>> {
    let told = told?;
    let Some(last) = before.next() else { return Some(Figure::reported(told)) };
    match last.or_else(|| before.flatten().next()) {
        // It may include earlier calls, which have reported nothing.
        None => Some(Figure { value: told, is_reckoned: true }),
        Some(before) => Some(match less(told, before) {
            Some(value) => Figure { value, is_reckoned: true },
            None => Figure::reported(told),
        }),
    }
}

/// The share of one call in the figures of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OwnPart {
    /// Cost in US dollars.
    pub cost_usd: Option<Figure<f64>>,
    /// Tokens.
    pub tokens: Option<Figure<Tokens>>,
}

impl OwnPart {
    /// The same as a [`Used`].
    #[must_use]
    pub fn used(self) -> Used {
        let cost_usd = self.cost_usd.map(|cost| cost.value).unwrap_or_default();
        Used { cost_usd, tokens: self.tokens.map_or(0, |tokens| tokens.value.total()) }
    }
}

/// A figure of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure<T> {
    /// Its value.
    pub value: T,
    /// Whether it was reckoned from figures of the whole conversation instead of reported by the agent.
    pub is_reckoned: bool,
}

impl<T> Figure<T> {
    /// A figure that the agent reported.
    #[must_use]
    pub fn reported(value: T) -> Self {
        Self { value, is_reckoned: false }
    }
}

/// Uses of tools that were denied, since no user was there to allow them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denials {
    /// Number of denials.
    pub count: u64,
    /// The first few: each tool with its purpose, on one line.
    pub first: Vec<String>,
}

impl Denials {
    /// Number of denials that are kept by name.
    const NAMED: usize = 5;

    /// Counts one denial.
    pub fn add(&mut self, tool: String) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push(tool);
        }
    }
}

impl fmt::Display for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        write!(f, "its agent was denied a tool {times}: {}{more}", self.first.join(", "))
    }
}

impl FromIterator<String> for Denials {
    fn from_iter<T: IntoIterator<Item = String>>(tools: T) -> Self {
        let mut denials = Self::default();
        tools.into_iter().for_each(|tool| denials.add(tool));
        denials
    }
}

/// Token counts, as reported by the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Tokens sent to the model, cached ones included.
    pub input: u64,
    /// Part of [`input`](Self::input) that the vendor had cached.
    pub cached: u64,
    /// Tokens of the answers.
    pub output: u64,
}

impl Tokens {
    /// Returns input and output together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Returns the difference; `None` where `other` has more.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            input: self.input.checked_sub(other.input)?,
            cached: self.cached.checked_sub(other.cached)?,
            output: self.output.checked_sub(other.output)?,
        })
    }

    /// Returns the sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            output: self.output.saturating_add(other.output),
        }
    }
}
