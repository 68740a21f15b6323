//! A coding agent: its command, its prompt, and the report that its output gives.

mod call;
mod error;
mod lines;
mod output;
mod prompt;
mod report;

pub use self::call::{AgentCall, Argument, Piece};
pub use self::error::{AgentError, AgentErrorClass, RateLimit};
pub use self::lines::Lines;
pub use self::output::{OutputFormat, OutputFormats, OutputReader};
pub(crate) use self::prompt::why_stopped;
pub use self::prompt::{
    DEFAULT_FRAME, Earlier, MAX_ARGUMENT_BYTES, NeedDone, PromptParts, compose_argument, compose_prompt, failed_check,
};
pub use self::report::{AgentReport, Budget, Denials, Dollars, Figure, OwnPart, Tokens, Used};
