//! The forecast for programs.

use gadugi_core::RunRecord;
use gadugi_core::run::LineState;
use gadugi_core::worktrees::Verdict;
use serde::Serialize;

use crate::failure::Failure;
use crate::forecast::RunForecast;

#[derive(Serialize)]
struct ForecastForm<'a> {
    version: u32,
    run: &'a str,
    target: TargetForm<'a>,
    tasks: Vec<TaskForm<'a>>,
    pairs: Vec<PairForm<'a>>,
    left_out: Vec<LeftOutForm<'a>>,
    order: Vec<&'a str>,
}

#[derive(Serialize)]
struct TargetForm<'a> {
    name: &'a str,
    commit: &'a str,
}

#[derive(Serialize)]
struct TaskForm<'a> {
    id: &'a str,
    state: &'static str,
    branch: &'a str,
    tip: &'a str,
    uncommitted: bool,
    with_target: VerdictForm<'a>,
}

#[derive(Serialize)]
struct PairForm<'a> {
    tasks: [&'a str; 2],
    #[serde(flatten)]
    verdict: VerdictForm<'a>,
}

#[derive(Serialize)]
struct VerdictForm<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct LeftOutForm<'a> {
    id: &'a str,
    reason: &'static str,
}

/// Renders a forecast as JSON, with a newline at its end.
pub(super) fn json(record: &RunRecord, forecast: &RunForecast) -> Result<String, Failure> {
    let RunForecast { target, lines, forecast: verdicts, left_out, order } = forecast;
    let name = |place: usize| lines[place].side.name.as_str();
    let task = |place: usize| {
        let line = &lines[place];
        TaskForm {
            id: name(place),
            state: word(line.state),
            branch: line.branch.as_str(),
            tip: line.side.tip.as_str(),
            uncommitted: verdicts.is_beyond_tip(place),
            with_target: verdict_form(verdicts.verdict(place, lines.len())),
        }
    };
    let pairs = verdicts.pairs().filter(|(_, other, _)| *other < lines.len());
    let pairs = pairs.map(|(one, other, verdict)| PairForm {
        tasks: [name(one), name(other)],
        verdict: verdict_form(Some(verdict)),
    });
    let form = ForecastForm {
        version: 1,
        run: record.header.run.as_str(),
        target: TargetForm { name: &target.name, commit: target.commit.as_str() },
        tasks: (0..lines.len()).map(task).collect(),
        pairs: pairs.collect(),
        left_out: left_out.iter().map(|(id, why)| LeftOutForm { id: id.as_str(), reason: why.word() }).collect(),
        order: order.iter().map(|place| name(*place)).collect(),
    };
    let json = serde_json::to_string_pretty(&form).map_err(|error| Failure::registry(error.to_string()))?;
    Ok(json + "\n")
}

fn word(state: LineState) -> &'static str {
    match state {
        LineState::Succeeded => "succeeded",
        LineState::UnderWay => "under_way",
        _ => "left",
    }
}

fn verdict_form(verdict: Option<&Verdict>) -> VerdictForm<'_> {
    match verdict {
        Some(Verdict::MergesAsText) => VerdictForm { verdict: "merges_as_text", files: None, reason: None },
        Some(Verdict::Conflict { files }) => VerdictForm { verdict: "conflict", files: Some(files), reason: None },
        Some(Verdict::Unknown { reason }) => VerdictForm { verdict: "unknown", files: None, reason: Some(reason) },
        _ => VerdictForm { verdict: "unknown", files: None, reason: None },
    }
}
