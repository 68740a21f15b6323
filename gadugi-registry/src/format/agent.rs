//! The JSON form of agent calls and agent reports.

use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::agent::{
    AgentCall, AgentError, AgentErrorClass, AgentReport, Argument, Budget, Denials, Figure, OwnPart, Piece, RateLimit,
    Tokens,
};
use gadugi_core::executor::{Mount, StopSignal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::scalar::{PathForm, Seconds};
use super::{FormatError, no_format};

/// The linger time for agents of the first versions: their output is not understood, so it never ends them.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs of the first versions have only the name of the agent.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum AgentForm {
    Name(String),
    Call(Box<CallForm>),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CallForm {
    name: String,
    command: Vec<Vec<PieceForm>>,
    resume: Option<Vec<Vec<PieceForm>>>,
    prompt: String,
    /// Left out where the task names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    frame: String,
    output: String,
    linger_seconds: Seconds,
    backoff_seconds: Seconds,
    #[serde(flatten)]
    budget: BudgetForm,
    /// Left out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shown: Vec<MountForm>,
    /// Left out where none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    /// Left out where it is the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_signal: Option<StopSignalForm>,
}

#[derive(Serialize, Deserialize)]
enum StopSignalForm {
    #[serde(rename = "SIGINT")]
    Interrupt,
}

#[derive(Serialize, Deserialize)]
struct MountForm {
    source: PathForm,
    target: PathForm,
    writable: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PieceForm {
    Text(String),
    Prompt,
    Session,
    MaxCost,
}

#[derive(Serialize, Deserialize, Default)]
pub(crate) struct BudgetForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_cost_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
}

impl From<Budget> for BudgetForm {
    fn from(budget: Budget) -> Self {
        Self { max_cost_usd: budget.cost_usd, max_tokens: budget.tokens }
    }
}

impl From<BudgetForm> for Budget {
    fn from(form: BudgetForm) -> Self {
        Self { cost_usd: form.max_cost_usd, tokens: form.max_tokens }
    }
}

impl TryFrom<&AgentCall> for AgentForm {
    type Error = FormatError;

    fn try_from(call: &AgentCall) -> Result<Self, FormatError> {
        Ok(Self::Call(Box::new(CallForm {
            name: call.name.clone(),
            command: arguments(&call.command)?,
            resume: call.resume.as_deref().map(arguments).transpose()?,
            prompt: call.prompt.clone(),
            model: call.model.clone(),
            frame: call.frame.clone(),
            output: call.output.clone(),
            linger_seconds: Seconds(call.linger),
            backoff_seconds: Seconds(call.backoff),
            budget: call.budget.into(),
            shown: call.shown.iter().map(MountForm::from).collect(),
            keys: call.keys.clone(),
            stop_signal: match call.stop_signal {
                StopSignal::Terminate => None,
                StopSignal::Interrupt => Some(StopSignalForm::Interrupt),
                _ => return no_format("this signal"),
            },
        })))
    }
}

impl AgentForm {
    /// `argv` and `stdin` are what a run of the first versions has of the call.
    pub(crate) fn into_call(self, argv: &[String], stdin: Option<&str>) -> AgentCall {
        match self {
            Self::Call(form) => AgentCall {
                name: form.name,
                command: from_arguments(form.command),
                resume: form.resume.map(from_arguments),
                prompt: form.prompt,
                model: form.model,
                frame: form.frame,
                output: form.output,
                linger: form.linger_seconds.0,
                backoff: form.backoff_seconds.0,
                budget: form.budget.into(),
                shown: form.shown.into_iter().map(Mount::from).collect(),
                keys: form.keys,
                stop_signal: form.stop_signal.map_or(StopSignal::Terminate, |_| StopSignal::Interrupt),
            },
            Self::Name(name) => AgentCall {
                name,
                command: argv.iter().map(Argument::text).collect(),
                resume: None,
                prompt: stdin.unwrap_or_default().to_owned(),
                model: None,
                frame: String::new(),
                output: "text".to_owned(),
                linger: NEVER,
                backoff: Duration::ZERO,
                budget: Budget::default(),
                shown: Vec::new(),
                keys: Vec::new(),
                stop_signal: StopSignal::default(),
            },
        }
    }
}

impl From<&Mount> for MountForm {
    fn from(mount: &Mount) -> Self {
        let path = |path: &PathBuf| PathForm(path.clone());
        Self { source: path(&mount.source), target: path(&mount.target), writable: mount.writable }
    }
}

impl From<MountForm> for Mount {
    fn from(form: MountForm) -> Self {
        Self { source: form.source.0, target: form.target.0, writable: form.writable }
    }
}

fn arguments(arguments: &[Argument]) -> Result<Vec<Vec<PieceForm>>, FormatError> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => Ok(PieceForm::Text(text.clone())),
        Piece::Prompt => Ok(PieceForm::Prompt),
        Piece::Session => Ok(PieceForm::Session),
        Piece::MaxCost => Ok(PieceForm::MaxCost),
        _ => no_format("this part of an argument"),
    };
    arguments.iter().map(|argument| argument.0.iter().map(piece).collect()).collect()
}

fn from_arguments(form: Vec<Vec<PieceForm>>) -> Vec<Argument> {
    let piece = |piece| match piece {
        PieceForm::Text(text) => Piece::Text(text),
        PieceForm::Prompt => Piece::Prompt,
        PieceForm::Session => Piece::Session,
        PieceForm::MaxCost => Piece::MaxCost,
    };
    form.into_iter().map(|argument| Argument(argument.into_iter().map(piece).collect())).collect()
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AgentReportForm {
    session: Option<String>,
    model: Option<String>,
    turns: Option<u64>,
    tokens: Option<TokensForm>,
    cost_usd: Option<f64>,
    /// Left out by versions that took these two for the call's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<OwnForm>,
    last_tool: Option<String>,
    last_message: Option<String>,
    /// Left out where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denials: Option<DenialsForm>,
    limit: Option<LimitForm>,
    end: Option<EndForm>,
}

/// The part of a call.
#[derive(Serialize, Deserialize)]
struct OwnForm {
    tokens: Option<TokensForm>,
    cost_usd: Option<f64>,
    /// This and the next one are left out where they are false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tokens_reckoned: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cost_reckoned: bool,
}

impl OwnForm {
    /// `None` where nothing is known.
    fn of(own: OwnPart) -> Option<Self> {
        (own != OwnPart::default()).then(|| Self {
            tokens: own.tokens.map(|tokens| tokens.value.into()),
            cost_usd: own.cost_usd.map(|cost| cost.value),
            tokens_reckoned: own.tokens.is_some_and(|tokens| tokens.is_reckoned),
            cost_reckoned: own.cost_usd.is_some_and(|cost| cost.is_reckoned),
        })
    }
}

impl From<OwnForm> for OwnPart {
    fn from(form: OwnForm) -> Self {
        Self {
            tokens: form.tokens.map(|tokens| Figure { value: tokens.into(), is_reckoned: form.tokens_reckoned }),
            cost_usd: form.cost_usd.map(|value| Figure { value, is_reckoned: form.cost_reckoned }),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct DenialsForm {
    count: u64,
    first: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TokensForm {
    input: u64,
    cached: u64,
    output: u64,
}

impl From<Tokens> for TokensForm {
    fn from(Tokens { input, cached, output }: Tokens) -> Self {
        Self { input, cached, output }
    }
}

impl From<TokensForm> for Tokens {
    fn from(TokensForm { input, cached, output }: TokensForm) -> Self {
        Self { input, cached, output }
    }
}

#[derive(Serialize, Deserialize)]
struct LimitForm {
    /// Left out where it is a rate limit, as in runs of earlier versions.
    #[serde(default, skip_serializing_if = "ClassForm::is_rate_limit")]
    class: ClassForm,
    until: Option<Timestamp>,
    pause_seconds: Option<Seconds>,
    refusals: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum EndForm {
    Done,
    Failed {
        #[serde(flatten)]
        error: ErrorForm,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ErrorForm {
    class: ClassForm,
    message: String,
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ClassForm {
    #[default]
    RateLimit,
    Overloaded,
    Unavailable,
    Authentication,
    Budget,
    Other,
}

impl ClassForm {
    fn is_rate_limit(&self) -> bool {
        *self == Self::RateLimit
    }
}

impl TryFrom<AgentErrorClass> for ClassForm {
    type Error = FormatError;

    fn try_from(class: AgentErrorClass) -> Result<Self, FormatError> {
        Ok(match class {
            AgentErrorClass::RateLimit => Self::RateLimit,
            AgentErrorClass::Overloaded => Self::Overloaded,
            AgentErrorClass::Unavailable => Self::Unavailable,
            AgentErrorClass::Authentication => Self::Authentication,
            AgentErrorClass::Budget => Self::Budget,
            AgentErrorClass::Other => Self::Other,
            _ => return no_format("this class of an agent's errors"),
        })
    }
}

impl From<ClassForm> for AgentErrorClass {
    fn from(form: ClassForm) -> Self {
        match form {
            ClassForm::RateLimit => Self::RateLimit,
            ClassForm::Overloaded => Self::Overloaded,
            ClassForm::Unavailable => Self::Unavailable,
            ClassForm::Authentication => Self::Authentication,
            ClassForm::Budget => Self::Budget,
            ClassForm::Other => Self::Other,
        }
    }
}

impl TryFrom<&AgentError> for ErrorForm {
    type Error = FormatError;

    fn try_from(error: &AgentError) -> Result<Self, FormatError> {
        Ok(Self { class: error.class.try_into()?, message: error.message.clone() })
    }
}

impl From<ErrorForm> for AgentError {
    fn from(form: ErrorForm) -> Self {
        Self { class: form.class.into(), message: form.message }
    }
}

impl TryFrom<&RateLimit> for LimitForm {
    type Error = FormatError;

    fn try_from(limit: &RateLimit) -> Result<Self, FormatError> {
        let (class, pause_seconds) = (limit.class.try_into()?, limit.pause.map(Seconds));
        Ok(Self { class, until: limit.until, pause_seconds, refusals: limit.refusals })
    }
}

impl TryFrom<&AgentReport> for AgentReportForm {
    type Error = FormatError;

    fn try_from(report: &AgentReport) -> Result<Self, FormatError> {
        Ok(Self {
            session: report.session.clone(),
            model: report.model.clone(),
            turns: report.turns,
            tokens: report.tokens.map(TokensForm::from),
            cost_usd: report.cost_usd,
            own: OwnForm::of(report.own),
            last_tool: report.last_tool.clone(),
            last_message: report.last_message.clone(),
            denials: (report.denials.count > 0)
                .then(|| DenialsForm { count: report.denials.count, first: report.denials.first.clone() }),
            limit: report.limit.as_ref().map(LimitForm::try_from).transpose()?,
            end: match &report.end {
                None => None,
                Some(Ok(())) => Some(EndForm::Done),
                Some(Err(error)) => Some(EndForm::Failed { error: error.try_into()? }),
            },
        })
    }
}

impl From<AgentReportForm> for AgentReport {
    fn from(form: AgentReportForm) -> Self {
        Self {
            session: form.session,
            model: form.model,
            turns: form.turns,
            tokens: form.tokens.map(Tokens::from),
            cost_usd: form.cost_usd,
            own: form.own.map(OwnPart::from).unwrap_or_default(),
            last_tool: form.last_tool,
            last_message: form.last_message,
            denials: form.denials.map(|form| Denials { count: form.count, first: form.first }).unwrap_or_default(),
            limit: form.limit.map(|limit| RateLimit {
                class: limit.class.into(),
                until: limit.until,
                pause: limit.pause_seconds.map(|pause| pause.0),
                refusals: limit.refusals,
            }),
            end: form.end.map(|end| match end {
                EndForm::Done => Ok(()),
                EndForm::Failed { error } => Err(error.into()),
            }),
        }
    }
}
