//! The report of an agent on its own work: tokens, cost, denials, its end; and the budgets that they count against.

use std::fmt;

use crate::agent::error::{AgentError, RateLimit};

/// What may be used up. What is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// In US dollars, by what agents tell. Those that tell no cost are not held to it.
    pub cost_usd: Option<f64>,
    /// In tokens, sent and answered.
    pub tokens: Option<u64>,
}

impl Budget {
    /// Says what has been reached of it, if anything has.
    #[must_use]
    pub fn reached(self, used: Used) -> Option<String> {
        if let Some(most) = self.cost_usd.filter(|most| used.cost_usd >= *most) {
            return Some(format!("{} of {} US dollars are used", Dollars(used.cost_usd), Dollars(most)));
        }
        let most = self.tokens.filter(|most| used.tokens >= *most)?;
        Some(format!("{} of {most} tokens are used", used.tokens))
    }

    /// Says what more than that has been used, if anything has.
    #[must_use]
    pub fn overrun(self, used: Used) -> Option<String> {
        let cost_usd = self.cost_usd.filter(|most| used.cost_usd > *most);
        Self { cost_usd, tokens: self.tokens.filter(|most| used.tokens > *most) }.reached(used)
    }
}

/// An amount in US dollars as it is shown, without its unit: to the cent, and below one dollar to the hundredth of a cent
/// where it is not whole cents.
///
/// ```
/// let shown = [0.0024, 0.5, 1.2345].map(|cost| gadugi_core::Dollars(cost).to_string());
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

/// What has been used up, as far as agents have told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Used {
    /// In US dollars.
    pub cost_usd: f64,
    /// Tokens, sent and answered.
    pub tokens: u64,
}

impl Used {
    /// This and something else.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { cost_usd: self.cost_usd + other.cost_usd, tokens: self.tokens.saturating_add(other.tokens) }
    }
}

/// What an agent has told of its work so far. Everything but [`own`](Self::own) stands as the agent said it; what it did not say
/// is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentReport {
    /// By which the agent finds the conversation again.
    pub session: Option<String>,
    /// The model that answered it, or the first of several.
    pub model: Option<String>,
    /// How often the model was asked.
    pub turns: Option<u64>,
    /// What it was charged for. An agent may count the whole conversation, with earlier calls.
    pub tokens: Option<Tokens>,
    /// In US dollars, and perhaps of the whole conversation, too.
    pub cost_usd: Option<f64>,
    /// The part of this call in these two. Readers set what the agent itself says of it.
    pub own: OwnPart,
    /// The tool that it used last and for what, on one line.
    pub last_tool: Option<String>,
    /// What it said last.
    pub last_message: Option<String>,
    /// Uses of tools that it was denied.
    pub denials: Denials,
    /// That its requests are refused for now. Gone again as soon as one is answered.
    pub limit: Option<RateLimit>,
    /// How it ended, once it has said so. Its process may go on for a while.
    pub end: Option<Result<(), AgentError>>,
}

impl AgentReport {
    /// The question with which its last message ends, if that ends with one: the last line of it.
    #[must_use]
    pub fn question(&self) -> Option<&str> {
        let line = self.last_message.as_deref()?.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        let ends = line.trim_end_matches(['*', '_', '`', '"', ')']).ends_with(['?', '？']);
        ends.then_some(line)
    }

    /// The part of this call in what it has told, after `earlier` calls for the same task, in order. What the agent does not say
    /// itself is reckoned: what it told, less what it had told before in the same conversation, unless that was more, so that it
    /// counts each call by itself.
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

    /// What this call has cost, in US dollars. Reports of versions that did not tell its part are taken at their word.
    #[must_use]
    pub fn own_cost(&self) -> Option<Figure<f64>> {
        self.own.cost_usd.or(self.cost_usd.map(Figure::told))
    }

    /// The tokens of this call, likewise.
    #[must_use]
    pub fn own_tokens(&self) -> Option<Figure<Tokens>> {
        self.own.tokens.or(self.tokens.map(Figure::told))
    }

    /// What this call has used up so far.
    #[must_use]
    pub fn used(&self) -> Used {
        OwnPart { cost_usd: self.own_cost(), tokens: self.own_tokens() }.used()
    }
}

/// The part of a call in a figure that was told, where figures of the conversation before may be in it, the last one first.
fn reckon<T: Copy>(
    told: Option<T>,
    mut before: impl Iterator<Item = Option<T>>,
    less: impl Fn(T, T) -> Option<T>,
) -> Option<Figure<T>> {
    let told = told?;
    let Some(last) = before.next() else { return Some(Figure::told(told)) };
    match last.or_else(|| before.flatten().next()) {
        // What earlier calls have used may be in it, and they have told nothing.
        None => Some(Figure { value: told, is_reckoned: true }),
        Some(before) => Some(match less(told, before) {
            Some(value) => Figure { value, is_reckoned: true },
            None => Figure::told(told),
        }),
    }
}

/// The part of one call in what an agent has told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OwnPart {
    /// In US dollars.
    pub cost_usd: Option<Figure<f64>>,
    /// The tokens.
    pub tokens: Option<Figure<Tokens>>,
}

impl OwnPart {
    /// What is used up by that.
    #[must_use]
    pub fn used(self) -> Used {
        let cost_usd = self.cost_usd.map(|cost| cost.value).unwrap_or_default();
        Used { cost_usd, tokens: self.tokens.map_or(0, |tokens| tokens.value.total()) }
    }
}

/// A figure of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure<T> {
    /// The figure.
    pub value: T,
    /// Whether it was reckoned from figures of the whole conversation. Else the agent told it.
    pub is_reckoned: bool,
}

impl<T> Figure<T> {
    /// One that the agent told.
    #[must_use]
    pub fn told(value: T) -> Self {
        Self { value, is_reckoned: false }
    }
}

/// Uses of tools that an agent asked for and was denied, since nobody was there to allow them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denials {
    /// How many.
    pub count: u64,
    /// The first few: each tool and what for, on one line.
    pub first: Vec<String>,
}

impl Denials {
    /// How many are named.
    const NAMED: usize = 5;

    /// Counts one more.
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

/// Tokens, as the agent counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// That were sent to the model, whether it had them cached or not.
    pub input: u64,
    /// Those of [`input`](Self::input) that it had cached.
    pub cached: u64,
    /// That it answered with.
    pub output: u64,
}

impl Tokens {
    /// All that were sent and answered.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// These without others; `None` where those are more.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            input: self.input.checked_sub(other.input)?,
            cached: self.cached.checked_sub(other.cached)?,
            output: self.output.checked_sub(other.output)?,
        })
    }

    /// These and others.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            output: self.output.saturating_add(other.output),
        }
    }
}
