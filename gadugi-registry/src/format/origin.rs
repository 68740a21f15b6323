//! The JSON form of a task's origin: its own base, and what it takes from an earlier run.

use gadugi_core::agent::NeedDone;
use gadugi_core::plan::{EarlierAttempt, EarlierConversation, FailedCheck, Origin};
use gadugi_core::worktrees::NeededTip;
use gadugi_core::{CommitId, Lease, RunId, TaskId};
use serde::{Deserialize, Serialize};

use super::agent::TokensForm;
use super::scalar::Text;
use super::worktree::LeaseForm;

#[derive(Serialize, Deserialize, Default)]
pub(crate) struct OriginForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Text<CommitId>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tips: Vec<TipForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<DoneForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Box<EarlierForm>>,
}

#[derive(Serialize, Deserialize)]
struct TipForm {
    task: Text<TaskId>,
    tip: Text<CommitId>,
}

#[derive(Serialize, Deserialize)]
struct DoneForm {
    task: Text<TaskId>,
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_message: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct EarlierForm {
    run: Text<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tip: Option<Text<CommitId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Text<CommitId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<CheckForm>,
}

#[derive(Serialize, Deserialize)]
struct ConversationForm {
    session: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<TokensForm>,
}

#[derive(Serialize, Deserialize)]
struct CheckForm {
    status: String,
    output: String,
}

impl OriginForm {
    pub(crate) fn is_default(&self) -> bool {
        self.base.is_none() && self.tips.is_empty() && self.done.is_empty() && self.earlier.is_none()
    }
}

impl From<&Origin> for OriginForm {
    fn from(origin: &Origin) -> Self {
        let tip = |tip: &NeededTip| TipForm { task: Text(tip.task.clone()), tip: Text(tip.tip.clone()) };
        let done = |done: &NeedDone| DoneForm {
            task: Text(done.task.clone()),
            title: done.title.clone(),
            last_message: done.last_message.clone(),
        };
        Self {
            base: origin.base.clone().map(Text),
            tips: origin.tips.iter().map(tip).collect(),
            done: origin.done.iter().map(done).collect(),
            earlier: origin.earlier.as_deref().map(|earlier| Box::new(earlier.into())),
        }
    }
}

impl From<OriginForm> for Origin {
    fn from(form: OriginForm) -> Self {
        let tip = |form: TipForm| NeededTip { task: form.task.0, tip: form.tip.0 };
        let done = |form: DoneForm| NeedDone { task: form.task.0, title: form.title, last_message: form.last_message };
        Self {
            base: form.base.map(|base| base.0),
            tips: form.tips.into_iter().map(tip).collect(),
            done: form.done.into_iter().map(done).collect(),
            earlier: form.earlier.map(|earlier| Box::new((*earlier).into())),
        }
    }
}

impl From<&EarlierAttempt> for EarlierForm {
    fn from(earlier: &EarlierAttempt) -> Self {
        let conversation = |conversation: &EarlierConversation| ConversationForm {
            session: conversation.session().to_owned(),
            message: conversation.message.clone(),
            cost_usd: conversation.report().cost_usd,
            tokens: conversation.report().tokens.map(TokensForm::from),
        };
        Self {
            run: Text(earlier.run.clone()),
            lease: earlier.lease.as_ref().map(LeaseForm::from),
            tip: earlier.tip.clone().map(Text),
            since: earlier.since.clone().map(Text),
            conversation: earlier.conversation.as_ref().map(conversation),
            check: earlier
                .check
                .as_ref()
                .map(|check| CheckForm { status: check.status.clone(), output: check.output.clone() }),
        }
    }
}

impl From<EarlierForm> for EarlierAttempt {
    fn from(form: EarlierForm) -> Self {
        let conversation = |form: ConversationForm| {
            EarlierConversation::new(form.session, form.message, form.cost_usd, form.tokens.map(Into::into))
        };
        Self {
            run: form.run.0,
            lease: form.lease.map(Lease::from),
            tip: form.tip.map(|tip| tip.0),
            since: form.since.map(|since| since.0),
            conversation: form.conversation.map(conversation),
            check: form.check.map(|form| FailedCheck { status: form.status, output: form.output }),
        }
    }
}
