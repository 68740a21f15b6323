//! Real output of agents is read whole, cut short, damaged, and in pieces.

use std::time::Duration;

use gadugi_core::agent::{
    AgentError, AgentErrorClass, AgentReport, Denials, Figure, Lines, OutputReader, OwnPart, RateLimit, Tokens,
};
use gadugi_exec::agent_output::{TimeZones, formats};
use jiff::tz::{TimeZone, offset};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

const STREAMS: [(&str, &[u8]); 11] = [
    ("claude-stream-json", include_bytes!("streams/claude-ok.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-401.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-429.jsonl")),
    ("codex-json", include_bytes!("streams/codex-ok.jsonl")),
    ("codex-json", include_bytes!("streams/codex-401.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-denied.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-resume-1.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-resume-2.jsonl")),
    ("codex-json", include_bytes!("streams/codex-resume-1.jsonl")),
    ("codex-json", include_bytes!("streams/codex-resume-2.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-budget.jsonl")),
];

const LIMITED: [&[u8]; 4] = [
    include_bytes!("streams/claude-limit-5h.jsonl"),
    include_bytes!("streams/codex-429-retry-after.jsonl"),
    include_bytes!("streams/codex-usage-limit.jsonl"),
    include_bytes!("streams/codex-usage-limit-date.jsonl"),
];

const UNAVAILABLE: [(&str, &[u8]); 4] = [
    ("claude-stream-json", include_bytes!("streams/claude-500.jsonl")),
    ("claude-stream-json", include_bytes!("streams/claude-no-network.jsonl")),
    ("codex-json", include_bytes!("streams/codex-500.jsonl")),
    ("codex-json", include_bytes!("streams/codex-no-network.jsonl")),
];

/// The time of the output: 10:20 on the last of November.
fn read_at_1020(format: &str, stream: &[u8]) -> AgentReport {
    let (mut reader, mut lines) = (reader(format), Lines::default());
    reader.printed_by("2026-11-30T10:20:00Z".parse().expect("a time"));
    lines.feed(stream, |line| reader.read(line));
    reader.report().clone()
}

fn reader(format: &str) -> Box<dyn OutputReader> {
    formats(&TimeZones::default())[format].reader()
}

/// The report of output that comes in these pieces.
fn read<'a>(format: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> AgentReport {
    let (mut reader, mut lines) = (reader(format), Lines::default());
    for piece in pieces {
        lines.feed(piece, |line| reader.read(line));
    }
    lines.finish(|line| reader.read(line));
    reader.report().clone()
}

fn report(format: &str, output: &str) -> AgentReport {
    read(format, [output.as_bytes()])
}

#[test]
fn tools_that_claude_was_denied_are_counted_and_named() {
    let whole = read("claude-stream-json", [STREAMS[5].1]);
    let tool = r#"Bash: ls -a | tr "\n" " "; echo "setting=$FROM_LOCAL_SETTINGS"; echo x > look.txt; git add look.txt && git commit -qm look; git status --short"#;
    assert_eq!((whole.denials.count, &whole.denials.first[..]), (1, &[tool.to_owned()][..]));
    // What it told before its end says the same.
    let lines = String::from_utf8_lossy(STREAMS[5].1);
    let until_the_end: String =
        lines.lines().filter(|line| !line.contains("permission_denials")).collect::<Vec<_>>().join("\n");
    assert_eq!(report("claude-stream-json", &until_the_end).denials, whole.denials);
}

#[test]
fn commands_that_codex_declines_are_denied_tools() {
    let item = |kind: &str| {
        format!(
            r#"{{"type":"item.{kind}","item":{{"id":"i","type":"command_execution","command":"git push","status":"declined"}}}}"#
        )
    };
    let denials = report("codex-json", &[item("started"), item("completed")].join("\n")).denials;
    assert_eq!((denials.count, denials.first), (1, vec!["command_execution: git push".to_owned()]));
}

#[test]
fn claude_that_succeeds_tells_everything() {
    assert_eq!(
        read("claude-stream-json", [STREAMS[0].1]),
        AgentReport {
            session: Some("405ef7ef-1339-49e3-98e2-4e087b71501c".to_owned()),
            model: Some("claude-opus-5-5".to_owned()),
            turns: Some(2),
            tokens: Some(Tokens { input: 200, cached: 0, output: 40 }),
            cost_usd: Some(0.0016),
            own: OwnPart {
                cost_usd: Some(Figure::reported(0.0016)),
                tokens: Some(Figure::reported(Tokens { input: 200, cached: 0, output: 40 })),
            },
            last_tool: Some("Bash: echo stdin-works > stdin.txt".to_owned()),
            last_message: Some("Task finished.".to_owned()),
            denials: Denials::default(),
            limit: None,
            end: Some(Ok(())),
        }
    );
}

/// The parts of the two calls of a conversation.
fn parts(format: &str, first: &[u8], second: &[u8]) -> [OwnPart; 2] {
    let first = read(format, [first]);
    let second = read(format, [second]);
    assert_eq!(first.session, second.session);
    [first.own_part([].into_iter()), second.own_part([&first].into_iter())]
}

#[test]
fn of_a_conversation_that_goes_on_each_call_has_its_own_part() {
    let tokens = Tokens { input: 200, cached: 0, output: 40 };
    let told = OwnPart { cost_usd: Some(Figure::reported(0.0016)), tokens: Some(Figure::reported(tokens)) };
    assert_eq!(parts("claude-stream-json", STREAMS[6].1, STREAMS[7].1), [told, told]);
    let first = OwnPart { cost_usd: None, tokens: Some(Figure::reported(tokens)) };
    let second = OwnPart { tokens: Some(Figure { value: tokens, is_reckoned: true }), ..first };
    assert_eq!(parts("codex-json", STREAMS[8].1, STREAMS[9].1), [first, second]);
}

#[test]
fn what_a_version_of_claude_does_not_tell_of_the_call_is_reckoned_from_the_conversation() {
    let result = |cost: f64| {
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"session_id":"s","total_cost_usd":{cost},"usage":{{"input_tokens":10,"output_tokens":5}}}}"#
        )
    };
    let costs = |first: f64, second: f64| {
        parts("claude-stream-json", result(first).as_bytes(), result(second).as_bytes()).map(|part| part.cost_usd)
    };
    assert_eq!(costs(0.5, 0.75), [Some(Figure::reported(0.5)), Some(Figure { value: 0.25, is_reckoned: true })]);
    // It cannot be that of the conversation.
    assert_eq!(costs(0.5, 0.25), [Some(Figure::reported(0.5)), Some(Figure::reported(0.25))]);
    // Its tokens are always those of the call.
    let [_, second] = parts("claude-stream-json", result(0.5).as_bytes(), result(0.75).as_bytes());
    assert_eq!(second.tokens, Some(Figure::reported(Tokens { input: 10, cached: 0, output: 5 })));
}

#[test]
fn what_several_results_of_a_call_tell_adds_up_and_models_do() {
    let result = |cost: f64| {
        format!(
            r#"{{"type":"result","is_error":false,"session_id":"s","total_cost_usd":9,"model_usage_since_last_result":{{"a":{{"inputTokens":1,"outputTokens":2,"cacheReadInputTokens":3,"cacheCreationInputTokens":4,"costUSD":{cost}}},"b":{{"inputTokens":10,"outputTokens":20,"costUSD":1}}}}}}"#
        )
    };
    let told = report("claude-stream-json", &[result(0.25), result(0.5)].join("\n"));
    let tokens = Tokens { input: 36, cached: 6, output: 44 };
    assert_eq!(told.own, OwnPart { cost_usd: Some(Figure::reported(2.75)), tokens: Some(Figure::reported(tokens)) });
}

#[test]
fn claude_that_has_reached_its_budget_tells_all_that_it_has_cost() {
    let told = read("claude-stream-json", [STREAMS[10].1]);
    let tokens = Tokens { input: 20_000, cached: 0, output: 4000 };
    assert_eq!(told.own, OwnPart { cost_usd: Some(Figure::reported(0.16)), tokens: Some(Figure::reported(tokens)) });
    let error = told.end.and_then(Result::err).expect("an error");
    assert_eq!(error.message, "Reached maximum budget ($0.1)");
}

#[test]
fn a_refused_request_of_claude_is_no_success_though_its_subtype_says_so() {
    let report = read("claude-stream-json", [STREAMS[2].1]);
    let message = "API Error: Request rejected (429) · mock refuses with 429".to_owned();
    assert_eq!(report.end, Some(Err(AgentError { class: AgentErrorClass::RateLimit, message })));
    assert_eq!(
        report.limit,
        Some(RateLimit { class: AgentErrorClass::RateLimit, until: None, pause: None, refusals: 1 })
    );
    assert_eq!(report.cost_usd, Some(0.0));
}

#[test]
fn claude_without_a_key_that_works_says_so_from_the_first_request_on() {
    let report = read("claude-stream-json", [STREAMS[1].1]);
    let (class, pause) = (AgentErrorClass::Authentication, Some(Duration::from_millis(35_198)));
    assert_eq!(report.limit, Some(RateLimit { class, until: None, pause, refusals: 7 }));
    assert_eq!(report.end, None);
    assert_eq!(report.model.as_deref(), Some("claude-opus-5-5"));
}

#[test]
fn codex_that_succeeds_tells_tokens_and_no_cost() {
    assert_eq!(
        read("codex-json", [STREAMS[3].1]),
        AgentReport {
            session: Some("01a20259-b650-78b3-a3b7-9ee2cf720e04".to_owned()),
            turns: Some(1),
            tokens: Some(Tokens { input: 200, cached: 0, output: 40 }),
            last_tool: Some("command_execution: /bin/bash -lc 'echo stdin-works > stdin2.txt'".to_owned()),
            last_message: Some("Task finished.".to_owned()),
            end: Some(Ok(())),
            ..AgentReport::default()
        }
    );
}

#[test]
fn codex_without_a_key_says_so_and_its_warnings_are_none_of_its_messages() {
    let report = read("codex-json", [STREAMS[4].1]);
    let message =
        "unexpected status 401 Unauthorized: mock refuses with 401, url: http://127.0.0.1:8080/v1/responses".to_owned();
    assert_eq!(report.end, Some(Err(AgentError { class: AgentErrorClass::Authentication, message })));
    assert_eq!(report.limit.map(|limit| limit.class), Some(AgentErrorClass::Authentication));
    assert_eq!(report.last_message, None);
}

#[test]
fn refusals_in_a_row_are_counted_until_one_request_is_answered() {
    let retry = r#"{"type":"system","subtype":"api_retry","error_status":529,"retry_delay_ms":1500}"#;
    let answer =
        r#"{"type":"assistant","message":{"id":"m","content":[],"usage":{"input_tokens":1,"output_tokens":2}}}"#;
    let limited = report("claude-stream-json", &format!("{retry}\n{retry}"));
    let pause = Some(Duration::from_millis(1500));
    let class = AgentErrorClass::Overloaded;
    assert_eq!(limited.limit, Some(RateLimit { class, until: None, pause, refusals: 2 }));
    assert_eq!(report("claude-stream-json", &format!("{retry}\n{answer}\n")).limit, None);
    let error = r#"{"type":"error","message":"Reconnecting... 1/5 (unexpected status 429 Too Many Requests: slow)"}"#;
    let limited = report("codex-json", &format!("{error}\n{error}\n{error}\n"));
    assert_eq!(
        limited.limit,
        Some(RateLimit { class: AgentErrorClass::RateLimit, until: None, pause: None, refusals: 3 })
    );
    let item = r#"{"type":"item.completed","item":{"type":"agent_message","text":"Here."}}"#;
    assert_eq!(report("codex-json", &format!("{error}\n{item}\n")).limit, None);
}

#[test]
fn a_subscription_that_is_used_up_tells_until_when() {
    let line =
        r#"{"type":"result","subtype":"success","is_error":true,"result":"Claude AI usage limit reached|1763900000"}"#;
    let report = report("claude-stream-json", line);
    let until = report.limit.and_then(|limit| limit.until).expect("a time");
    assert_eq!(until.as_second(), 1_763_900_000);
    assert!(matches!(report.end, Some(Err(error)) if error.class == AgentErrorClass::RateLimit));
}

#[test]
fn a_plan_that_is_used_up_tells_when_it_can_be_used_again() {
    let until = |format, stream| read_at_1020(format, stream).limit.and_then(|limit| limit.until).expect("a time");
    // By the number, and not by the minute that stands in the words.
    assert_eq!(until("claude-stream-json", LIMITED[0]).as_second(), 1_796_037_560);
    assert_eq!(until("codex-json", LIMITED[2]).to_string(), "2026-11-30T11:10:00Z");
    assert_eq!(until("codex-json", LIMITED[3]).to_string(), "2026-12-03T16:23:00Z");
    for (format, stream) in [("claude-stream-json", LIMITED[0]), ("codex-json", LIMITED[2]), ("codex-json", LIMITED[3])]
    {
        let class = read_at_1020(format, stream).end.expect("an end").expect_err("a failure").class;
        assert_eq!(class, AgentErrorClass::RateLimit);
    }
}

#[test]
fn codex_names_the_time_by_the_clock_of_where_it_runs() {
    let zones = TimeZones { here: TimeZone::fixed(offset(-5)), isolated: TimeZone::UTC };
    let format = &formats(&zones)["codex-json"];
    let until = |mut reader: Box<dyn OutputReader>| {
        reader.printed_by("2026-11-30T10:20:00Z".parse().expect("a time"));
        LIMITED[2].split(|byte| *byte == b'\n').for_each(|line| reader.read(line));
        reader.report().limit.as_ref().and_then(|limit| limit.until).expect("a time")
    };
    assert_eq!(until(format.reader()).to_string(), "2026-11-30T16:10:00Z");
    assert_eq!(until(format.isolated_reader()).to_string(), "2026-11-30T11:10:00Z");
    let now = Timestamp::now();
    let mut reader = format.isolated_reader();
    LIMITED[2].split(|byte| *byte == b'\n').for_each(|line| reader.read(line));
    let until = reader.report().limit.as_ref().and_then(|limit| limit.until).expect("a time");
    assert!(until > now - 1.hours() && until < now + 25.hours(), "{until}");
}

#[test]
fn codex_that_is_refused_too_often_or_at_once_says_so_in_other_words() {
    let at_once = read("codex-json", [LIMITED[1]]);
    let message = "exceeded retry limit, last status: 429 Too Many Requests".to_owned();
    assert_eq!(at_once.end, Some(Err(AgentError { class: AgentErrorClass::RateLimit, message })));
    assert_eq!(at_once.limit.map(|limit| limit.until), Some(None));
    // It asked again twice and went on.
    let stream: &[u8] = include_bytes!("streams/codex-429.jsonl");
    let refused: Vec<&[u8]> = stream.split_inclusive(|byte| *byte == b'\n').take(6).collect();
    let limit = read("codex-json", refused).limit.expect("it is refused");
    assert_eq!((limit.class, limit.refusals), (AgentErrorClass::RateLimit, 2));
    let whole = read("codex-json", [stream]);
    assert_eq!((whole.limit, whole.end), (None, Some(Ok(()))));
}

#[test]
fn vendors_that_fail_or_cannot_be_reached_are_unavailable_and_that_passes() {
    for (at, (format, stream)) in UNAVAILABLE.into_iter().enumerate() {
        let report = read(format, [stream]);
        let class = report.limit.expect("it is refused").class;
        assert!(class.passes() && class != AgentErrorClass::RateLimit, "{at}: {class}");
        // Codex goes on asking for ever where there is no network.
        match report.end {
            Some(end) => assert_eq!(end.expect_err("a failure").class, class, "{at}"),
            None => assert_eq!(at, 3),
        }
    }
}

#[test]
fn an_agent_that_has_no_login_says_so_in_words() {
    let report = read("claude-stream-json", [&include_bytes!("streams/claude-not-logged-in.jsonl")[..]]);
    let message = "Not logged in · Please run /login".to_owned();
    assert_eq!(report.end, Some(Err(AgentError { class: AgentErrorClass::Authentication, message })));
    let line = r#"{"type":"turn.failed","error":{"message":"Missing environment variable: `OPENAI_API_KEY`."}}"#;
    let end = report_end("codex-json", line);
    assert_eq!(end, AgentErrorClass::Authentication);
}

fn report_end(format: &str, line: &str) -> AgentErrorClass {
    report(format, line).end.expect("an end").expect_err("a failure").class
}

#[test]
fn claude_that_is_interrupted_tells_what_it_has_cost() {
    let report = read("claude-stream-json", [&include_bytes!("streams/claude-interrupted.jsonl")[..]]);
    assert_eq!((report.cost_usd, report.tokens), (Some(0.016), Some(Tokens { input: 2000, cached: 0, output: 400 })));
}

#[test]
fn answers_are_counted() {
    for (format, stream, answers) in [
        ("claude-stream-json", STREAMS[0].1, 3),
        ("claude-stream-json", STREAMS[2].1, 0),
        ("codex-json", STREAMS[3].1, 4),
    ] {
        let mut reader = reader(format);
        stream.split(|byte| *byte == b'\n').for_each(|line| reader.read(line));
        assert_eq!(reader.answers(), answers, "{format}");
    }
}

#[test]
fn the_last_pause_of_an_agent_that_gave_up_is_known_and_so_is_an_error_without_a_text() {
    let retry = r#"{"type":"system","subtype":"api_retry","error_status":429,"retry_delay_ms":1500}"#;
    let end = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"Refused"}"#;
    let limited = report("claude-stream-json", &format!("{retry}\n{end}"));
    let (class, pause) = (AgentErrorClass::RateLimit, Some(Duration::from_millis(1500)));
    assert_eq!(limited.limit, Some(RateLimit { class, until: None, pause, refusals: 2 }));
    let line =
        r#"{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["No conversation found"]}"#;
    let end = report("claude-stream-json", line).end;
    assert!(matches!(end, Some(Err(error)) if error.message == "No conversation found"));
}

#[test]
fn a_message_that_comes_in_several_lines_is_charged_once() {
    let line = |id: &str, cached: u64| {
        format!(
            r#"{{"type":"assistant","message":{{"id":"{id}","content":[{{"type":"text","text":"{id}"}}],"usage":{{"input_tokens":10,"output_tokens":3,"cache_read_input_tokens":{cached},"cache_creation_input_tokens":5}}}}}}"#
        )
    };
    let report = report("claude-stream-json", &[line("a", 0), line("a", 0), line("b", 100)].join("\n"));
    assert_eq!(report.tokens, Some(Tokens { input: 130, cached: 100, output: 6 }));
    assert_eq!(report.tokens.map(Tokens::total), Some(136));
    assert_eq!(report.last_message.as_deref(), Some("b"));
}

#[test]
fn the_last_line_of_plain_text_is_the_last_message() {
    assert_eq!(report("text", "first\n\n  second \n\n").last_message.as_deref(), Some("second"));
    assert_eq!(report("text", "").last_message, None);
}

#[test]
fn a_line_that_never_ends_is_passed_over_and_the_next_one_read() {
    let (mut lines, mut seen) = (Lines::default(), Vec::new());
    for _ in 0..20 {
        lines.feed(&vec![b'x'; 1 << 20], |line| seen.push(line.to_vec()));
    }
    lines.feed(b"\nnext\nlast", |line| seen.push(line.to_vec()));
    lines.finish(|line| seen.push(line.to_vec()));
    assert_eq!(seen, [&b"next"[..], b"last"]);
}

#[test]
fn a_stream_that_is_cut_anywhere_tells_what_its_whole_lines_told() {
    for (format, stream) in STREAMS {
        let mut whole_lines = Vec::new();
        for end in 0..=stream.len() {
            if stream[..end].ends_with(b"\n") {
                whole_lines = stream[..end].to_vec();
            }
            // The rest of the line is no JSON, unless only its line break is missing.
            let is_whole = stream.get(end) == Some(&b'\n') || end == stream.len();
            if !is_whole {
                assert_eq!(read(format, [&stream[..end]]), read(format, [&whole_lines[..]]), "{format} at {end}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_in_which_pieces_output_comes(which in 0..STREAMS.len(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9)) {
        let (format, stream) = STREAMS[which];
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(read(format, pieces), read(format, [stream]));
    }

    #[test]
    fn no_damage_stops_a_reader(which in 0..STREAMS.len(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30)) {
        let (_, stream) = STREAMS[which];
        let mut stream = stream.to_vec();
        for (at, byte) in damage {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        for format in formats(&TimeZones::default()).keys() {
            read(format, [&stream[..]]);
        }
    }

    #[test]
    fn a_reader_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for format in formats(&TimeZones::default()).keys() {
            read(format, [&bytes[..]]);
        }
    }
}
