//! The spans and events of a run.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use gadugi_core::Outcome;
use gadugi_core::executor::ExitStatus;
use gadugi_test_support::fakes::Play;
use tracing::dispatcher::set_default;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use crate::harness::{Harness, SECOND, outcome, task};

/// The spans and events so far.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    /// The path of each span, from its outermost parent.
    spans: Vec<String>,
    /// The spans that are entered, by position.
    entered: Vec<usize>,
    /// Events, each with the path of its span.
    events: Vec<String>,
}

impl Trace {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().expect("no panic holds it")
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("cannot fail because it is memory");
    }
}

fn position(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("a position") - 1
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gadugi_core")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut lines = self.lines();
        let parent = span.parent().map(position).or_else(|| lines.entered.last().copied());
        let mut path = parent.map(|parent| format!("{} / ", lines.spans[parent])).unwrap_or_default();
        path.push_str(span.metadata().name());
        span.record(&mut Fields(&mut path));
        lines.spans.push(path);
        Id::from_u64(lines.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut lines = self.lines();
        let mut line = lines.entered.last().map(|span| lines.spans[*span].clone()).unwrap_or_default();
        line.push(':');
        event.record(&mut Fields(&mut line));
        lines.events.push(line);
    }

    fn enter(&self, id: &Id) {
        self.lines().entered.push(position(id));
    }

    fn exit(&self, id: &Id) {
        let mut lines = self.lines();
        let entered = lines.entered.iter().rposition(|entered| *entered == position(id));
        lines.entered.remove(entered.expect("it was entered"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_phase_is_traced_in_its_attempt_its_task_and_the_run() {
    let trace = Trace::default();
    // Two of them: with a single one, an event that another test reaches first would stay disabled for all.
    let (dispatch, _second) = (Dispatch::new(trace.clone()), Dispatch::new(trace.clone()));
    let _guard = set_default(&dispatch);
    let harness = Harness::new(vec![task("a", &[])]).spec("a", |spec| {
        spec.retries = 1;
        spec.check = Some("true".to_owned());
    });
    let harness = harness.plays("a", Play::Ends(SECOND, ExitStatus::Code(1)));
    assert_eq!(outcome(&harness.drive().await, "a"), Outcome::Succeeded);
    let lines = trace.lines();
    let run = "run id=20261122-083355-k7q";
    let expected = [
        run.to_owned(),
        format!("{run} / task id=a"),
        format!("{run} / task id=a / attempt number=1"),
        format!("{run} / task id=a / attempt number=1 / phase name=\"main\""),
        format!("{run} / task id=a"),
        format!("{run} / task id=a / attempt number=2"),
        format!("{run} / task id=a / attempt number=2 / phase name=\"main\""),
        format!("{run} / task id=a / attempt number=2 / phase name=\"check\""),
    ];
    assert_eq!(lines.spans, expected);
    let has = |event: &str| lines.events.iter().any(|line| line.starts_with(event));
    assert!(has(&format!("{run}: message=another attempt follows task=a delay=1s")), "{:#?}", lines.events);
    assert!(has(&format!("{run}: message=TaskFinished seq=")), "{:#?}", lines.events);
    assert!(has(&format!("{}: message=command started", expected[7])), "{:#?}", lines.events);
}
