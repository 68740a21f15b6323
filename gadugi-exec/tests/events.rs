//! The debug events of a command: they name its steps, and hold none of its secrets.
#![cfg(target_os = "linux")]

#[path = "subprocess/harness.rs"]
#[expect(dead_code, reason = "the tests of the executor use more of it")]
mod harness;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gadugi_core::executor::ExecRequest;
use gadugi_exec::{ShimProgram, SubprocessSettings};
use gadugi_test_support::commands::printed;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use self::harness::{Harness, settings};

/// The events so far, a line each.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("cannot fail because it is memory");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target().starts_with("gadugi_exec") {
            let mut lines = self.0.lock().expect("no panic holds it");
            event.record(&mut Line(&mut lines));
            lines.push('\n');
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn the_steps_of_a_command_are_reported_and_none_of_its_secrets() {
    for shim in [None, Some(ShimProgram::at(env!("CARGO_BIN_EXE_gadugi-shim")))] {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let harness = Harness::with(SubprocessSettings { shim, ..settings() });
        let mut request = harness.script("echo ready; sleep 1000");
        request.secrets.push("CANARY".to_owned());
        request.env.insert("COLOUR".to_owned(), "blue".to_owned());
        let request = ExecRequest { stdin: Some("the prompt".to_owned()), ..request };
        let task = harness.start(&request).await;
        printed(&*task, 6).await;
        task.stop(Duration::ZERO).await.expect("it can be stopped");
        task.wait().await.expect("its end is seen");
        let lines = lines.0.lock().expect("no panic holds it").clone();
        let token = &task.identity().token;
        assert!(lines.contains(&format!("message=command started identity={token:?}")), "{lines}");
        assert!(lines.contains("message=command asked to stop") && lines.contains("message=command ended"), "{lines}");
        assert!(lines.contains("status=Signal(9)") && lines.contains("bytes=6"), "{lines}");
        for secret in ["tweet", "blue", "the prompt", "sleep 1000"] {
            assert!(!lines.contains(secret), "{lines}");
        }
    }
}
