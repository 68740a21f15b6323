//! `codex exec --json`, version 0.163.0.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Bill, Charged, Ran, Speech, reason};

const MAX_RETRIES: u32 = 5;

pub(super) struct Codex {
    session: String,
    items: u64,
}

impl Codex {
    pub(super) fn new(session: &str) -> Self {
        Self { session: session.to_owned(), items: 0 }
    }

    fn next_item(&mut self) -> String {
        self.items += 1;
        format!("item_{}", self.items - 1)
    }
}

impl Speech for Codex {
    fn started(&mut self) -> Vec<Value> {
        vec![json!({"type": "thread.started", "thread_id": self.session}), json!({"type": "turn.started"})]
    }

    fn said(&mut self, text: &str, _: Bill) -> Vec<Value> {
        let item = json!({"id": self.next_item(), "type": "agent_message", "text": text});
        vec![json!({"type": "item.completed", "item": item})]
    }

    fn tool_started(&mut self, command: &str, _: Bill) -> Vec<Value> {
        let item = json!({
            "id": self.next_item(), "type": "command_execution", "command": in_a_shell(command), "aggregated_output": "",
            "exit_code": null, "status": "in_progress",
        });
        vec![json!({"type": "item.started", "item": item})]
    }

    fn tool_ended(&mut self, command: &str, ran: &Ran) -> Vec<Value> {
        let item = json!({
            "id": format!("item_{}", self.items.saturating_sub(1)), "type": "command_execution",
            "command": in_a_shell(command), "aggregated_output": ran.output, "exit_code": ran.code,
            "status": if ran.code == Some(0) { "completed" } else { "failed" },
        });
        vec![json!({"type": "item.completed", "item": item})]
    }

    fn asks_again(&mut self, nth: u32, status: u16, message: &str, _: Duration) -> Vec<Value> {
        let message = match status {
            0 => "Reconnecting... waiting for network (Connection failed: error sending request)".to_owned(),
            _ => format!("Reconnecting... {nth}/{MAX_RETRIES} ({})", refusal(status, message)),
        };
        vec![json!({"type": "error", "message": message})]
    }

    fn failed(&mut self, status: u16, message: &str, _: Charged) -> Vec<Value> {
        let message = refusal(status, message);
        vec![
            json!({"type": "error", "message": message}),
            json!({"type": "turn.failed", "error": {"message": message}}),
        ]
    }

    fn used_up(&mut self, resets: SystemTime, _: Charged) -> Vec<Value> {
        let left = resets.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
        let message = format!(
            "You’ve hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro) or try again in {left} seconds."
        );
        vec![
            json!({"type": "error", "message": message}),
            json!({"type": "turn.failed", "error": {"message": message}}),
        ]
    }

    /// It takes no such flag.
    fn out_of_budget(&mut self, _: f64, _: Charged) -> Vec<Value> {
        Vec::new()
    }

    /// The usage is that of the conversation.
    fn succeeded(&mut self, charged: Charged) -> Vec<Value> {
        let Bill { input, output, .. } = charged.conversation;
        let usage = json!({
            "input_tokens": input, "cached_input_tokens": 0, "cache_write_input_tokens": 0,
            "output_tokens": output, "reasoning_output_tokens": 0,
        });
        vec![json!({"type": "turn.completed", "usage": usage})]
    }
}

/// The standard error of a call that resumes an unknown session.
pub(super) fn no_such_session(session: &str) -> String {
    format!("Error: thread/resume: thread/resume failed: no rollout found for thread id {session} (code -32600)")
}

fn refusal(status: u16, message: &str) -> String {
    match status {
        429 => return "exceeded retry limit, last status: 429 Too Many Requests".to_owned(),
        500 => return "We’re currently experiencing high demand, which may cause temporary errors.".to_owned(),
        _ => {}
    }
    format!("unexpected status {status} {}: {message}, url: http://127.0.0.1:8080/v1/responses", reason(status))
}

fn in_a_shell(command: &str) -> String {
    format!("sh -c '{}'", command.replace('\'', r"'\''"))
}
