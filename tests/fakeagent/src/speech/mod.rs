//! The formats that the agents print: JSON objects, one on each line.

mod claude;
mod codex;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command_line::Agent;
use crate::fault::Fault;

/// Charges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bill {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) usd: f64,
}

/// The charges that are reported at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Charged {
    /// In this call.
    pub(crate) call: Bill,
    /// In the whole conversation, with this call.
    pub(crate) conversation: Bill,
}

/// The result of a command.
pub(crate) struct Ran {
    /// `None` if a signal has killed it.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

/// The output format of an agent, by what happens.
pub(crate) trait Speech {
    /// The first thing that it says.
    fn started(&mut self) -> Vec<Value>;

    fn said(&mut self, text: &str, charged: Bill) -> Vec<Value>;

    fn tool_started(&mut self, command: &str, charged: Bill) -> Vec<Value>;

    /// Of the last tool that has begun.
    fn tool_ended(&mut self, command: &str, ran: &Ran) -> Vec<Value>;

    /// The model's API has answered with this status, for the n-th time, and it is asked again after a pause.
    fn asks_again(&mut self, nth: u32, status: u16, message: &str, pause: Duration) -> Vec<Value>;

    /// The model's API has answered with this status, and that is the end.
    fn failed(&mut self, status: u16, message: &str, charged: Charged) -> Vec<Value>;

    /// The plan is used up until this time, and that is the end.
    fn used_up(&mut self, resets: SystemTime, charged: Charged) -> Vec<Value>;

    /// The call has cost what it may, and that is the end.
    fn out_of_budget(&mut self, most: f64, charged: Charged) -> Vec<Value>;

    fn succeeded(&mut self, charged: Charged) -> Vec<Value>;
}

/// The output format of an agent in a session.
pub(crate) fn of(agent: Agent, session: &str, model: Option<&str>) -> Box<dyn Speech> {
    match agent {
        Agent::Claude => Box::new(claude::Claude::new(session, model)),
        Agent::Codex => Box::new(codex::Codex::new(session)),
    }
}

/// Prints an agent's refusal to resume an unknown session; returns its exit code.
pub(crate) fn refuse_to_resume(agent: Agent, session: &str) -> Result<u8, Fault> {
    match agent {
        Agent::Claude => print(&claude::no_such_session(session))?,
        // It says so where people look, and begins no stream.
        Agent::Codex => writeln!(io::stderr(), "{}", codex::no_such_session(session)).map_err(Fault::Print)?,
    }
    Ok(1)
}

/// Prints an event, whole.
pub(crate) fn print(event: &Value) -> Result<(), Fault> {
    print_bytes(format!("{event}\n").as_bytes())
}

pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Fault::Print)
}

impl Bill {
    pub(crate) fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.usd += other.usd;
    }
}

/// The words that belong to a status of HTTP.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}
