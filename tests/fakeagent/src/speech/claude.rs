//! `claude -p --output-format stream-json --verbose`, version 2.1.330.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::{Bill, Charged, Ran, Speech};
use crate::state::unique_id;

const MODEL: &str = "claude-opus-5-5";

pub(super) struct Claude {
    session: String,
    model: String,
    begun: Instant,
    messages: u64,
    last_text: String,
}

impl Claude {
    pub(super) fn new(session: &str, model: Option<&str>) -> Self {
        let model = model.unwrap_or(MODEL).to_owned();
        Self { session: session.to_owned(), model, begun: Instant::now(), messages: 0, last_text: String::new() }
    }

    fn message(&mut self, content: &Value, charged: Bill) -> Value {
        self.messages += 1;
        json!({
            "type": "assistant",
            "message": {
                "id": format!("msg_{:02}", self.messages), "type": "message", "role": "assistant", "model": self.model,
                "content": [content], "stop_reason": null, "stop_sequence": null, "usage": usage(charged),
                "context_management": null,
            },
            "parent_tool_use_id": null, "session_id": self.session, "uuid": unique_id(),
        })
    }

    /// The last line, but for what says how it went. The cost is that of the conversation, the usage that of the call.
    fn result(&self, charged: Charged) -> Value {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let models = |charged: Bill| {
            let mut models = json!({});
            if charged != Bill::default() {
                models[&self.model] = json!({
                    "inputTokens": charged.input, "outputTokens": charged.output, "cacheReadInputTokens": 0,
                    "cacheCreationInputTokens": 0, "webSearchRequests": 0, "costUSD": charged.usd, "provider": "firstParty",
                });
            }
            models
        };
        json!({
            "type": "result", "subtype": "success", "duration_ms": millis, "duration_api_ms": millis,
            "num_turns": self.messages, "session_id": self.session, "total_cost_usd": charged.conversation.usd,
            "usage": usage(charged.call), "modelUsage": models(charged.conversation), "permission_denials": [],
            "uuid": unique_id(), "queued_turn_count": 0, "result_index": 0,
            "model_usage_since_last_result": models(charged.call),
        })
    }
}

impl Speech for Claude {
    fn started(&mut self) -> Vec<Value> {
        let cwd = std::env::current_dir().unwrap_or_default();
        vec![json!({
            "type": "system", "subtype": "init", "cwd": cwd, "session_id": self.session, "tools": ["Bash"],
            "mcp_servers": [], "model": self.model, "permissionMode": "bypassPermissions", "slash_commands": [],
            "apiKeySource": "none", "claude_code_version": "2.1.330", "output_style": "default", "agents": [],
            "uuid": unique_id(),
        })]
    }

    fn said(&mut self, text: &str, charged: Bill) -> Vec<Value> {
        text.clone_into(&mut self.last_text);
        vec![self.message(&json!({"type": "text", "text": text}), charged)]
    }

    fn tool_started(&mut self, command: &str, charged: Bill) -> Vec<Value> {
        let id = format!("toolu_{:02}", self.messages + 1);
        let tool = json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": command}});
        vec![self.message(&tool, charged)]
    }

    fn tool_ended(&mut self, _: &str, ran: &Ran) -> Vec<Value> {
        let content = if ran.output.is_empty() { "(Bash completed with no output)" } else { &ran.output };
        let tool = format!("toolu_{:02}", self.messages);
        vec![json!({
            "type": "user",
            "message": {"role": "user", "content": [{
                "tool_use_id": tool, "type": "tool_result", "content": content, "is_error": ran.code != Some(0),
            }]},
            "parent_tool_use_id": null, "session_id": self.session, "uuid": unique_id(),
        })]
    }

    fn asks_again(&mut self, nth: u32, status: u16, _: &str, pause: Duration) -> Vec<Value> {
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        vec![json!({
            "type": "system", "subtype": "api_retry", "attempt": nth, "max_retries": 10, "retry_delay_ms": millis,
            "error_status": Some(status).filter(|status| *status != 0), "error": error(status), "session_id": self.session, "uuid": unique_id(),
        })]
    }

    fn failed(&mut self, status: u16, message: &str, charged: Charged) -> Vec<Value> {
        let text = match status {
            429 => format!("API Error: Request rejected (429) · {message}"),
            _ => format!("API Error: {status} {message}"),
        };
        // It says it in the model's place.
        let mut said = self.message(&json!({"type": "text", "text": text}), Bill::default());
        said["message"]["model"] = json!("<synthetic>");
        said["error"] = json!(error(status));
        said["is_api_error_message"] = json!(true);
        said["api_error_status"] = json!(status);
        let mut result = self.result(charged);
        result["is_error"] = json!(true);
        result["result"] = json!(text);
        result["stop_reason"] = json!("stop_sequence");
        result["terminal_reason"] = json!("api_error");
        result["api_error_status"] = json!(status);
        vec![said, result]
    }

    fn out_of_budget(&mut self, most: f64, charged: Charged) -> Vec<Value> {
        let mut result = self.result(charged);
        result["subtype"] = json!("error_max_budget_usd");
        result["is_error"] = json!(true);
        result["errors"] = json!([format!("Reached maximum budget (${most})")]);
        result["stop_reason"] = json!("tool_use");
        result["terminal_reason"] = json!("budget_exhausted");
        vec![result]
    }

    fn used_up(&mut self, resets: SystemTime, charged: Charged) -> Vec<Value> {
        let resets = resets.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let info = json!({
            "status": "rejected", "resetsAt": resets, "rateLimitType": "five_hour", "overageStatus": "rejected",
            "overageDisabledReason": "org_level_disabled", "isUsingOverage": false,
        });
        let event = json!({
            "type": "rate_limit_event", "rate_limit_info": info, "uuid": unique_id(), "session_id": self.session,
        });
        let mut events = self.failed(429, "", charged);
        let text = json!("You've hit your 5-hour limit · resets 11:19am (UTC)");
        events[0]["message"]["content"][0]["text"] = text.clone();
        events[0]["api_error_params"] = json!({"rate_limit_info": info});
        events[1]["result"] = text;
        [vec![event], events].concat()
    }

    fn succeeded(&mut self, charged: Charged) -> Vec<Value> {
        let mut result = self.result(charged);
        result["is_error"] = json!(false);
        result["result"] = json!(self.last_text);
        result["stop_reason"] = json!("end_turn");
        result["terminal_reason"] = json!("completed");
        result["api_error_status"] = json!(null);
        vec![result]
    }
}

/// The only line of a call that is to resume a session that is not there.
pub(super) fn no_such_session(session: &str) -> Value {
    json!({
        "type": "result", "subtype": "error_during_execution", "is_error": true, "duration_ms": 0, "duration_api_ms": 0,
        "num_turns": 0, "session_id": session, "total_cost_usd": 0, "usage": usage(Bill::default()), "modelUsage": {},
        "permission_denials": [], "uuid": unique_id(),
        "errors": [format!("No conversation found with session ID: {session}")],
    })
}

fn usage(charged: Bill) -> Value {
    json!({
        "input_tokens": charged.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": charged.output,
    })
}

fn error(status: u16) -> &'static str {
    match status {
        401 => "authentication_failed",
        429 => "rate_limit",
        _ => "unknown",
    }
}
