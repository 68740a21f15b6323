//! The choice of an executor, among fakes.

use std::sync::Arc;

use async_trait::async_trait;
use gadugi_core::executor::{Capabilities, CommandRef, ExecError, ExecRequest, Reattached, RunningTask, Unusable};
use gadugi_core::plan::Program;
use gadugi_core::{Executor, TaskSpec};
use gadugi_exec::{ExecutorPolicy, PolicyError, choose};

struct Fake {
    name: &'static str,
    isolates: bool,
    refusal: Option<&'static str>,
    /// Refuses this image.
    lacks: Option<&'static str>,
}

#[async_trait]
impl Executor for Fake {
    fn name(&self) -> &str {
        self.name
    }

    async fn probe(&self) -> Result<(), Unusable> {
        match self.refusal {
            None => Ok(()),
            Some(reason) => Err(Unusable { reason: reason.to_owned(), remedy: "mend it".to_owned() }),
        }
    }

    async fn accepts(&self, task: &TaskSpec) -> Result<(), Unusable> {
        match self.lacks.filter(|lacking| task.resources.image.as_deref() == Some(lacking)) {
            None => Ok(()),
            Some(image) => {
                Err(Unusable { reason: format!("there is no image {image}"), remedy: "build it".to_owned() })
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolates: self.isolates, images: self.lacks.is_some(), ..Capabilities::default() }
    }

    async fn start(&self, _: &ExecRequest) -> Result<Box<dyn RunningTask>, ExecError> {
        unreachable!("choosing starts nothing")
    }

    async fn reattach(&self, _: &CommandRef) -> Result<Reattached, ExecError> {
        unreachable!("choosing looks for nothing")
    }
}

fn fake(name: &'static str, isolates: bool, refusal: Option<&'static str>) -> Arc<dyn Executor> {
    Arc::new(Fake { name, isolates, refusal, lacks: None })
}

fn subprocess() -> Arc<dyn Executor> {
    fake("subprocess", false, None)
}

/// The name, the reason and whether it is a fallback; or the error with its sources.
async fn chosen(policy: &str, available: &[Arc<dyn Executor>]) -> Result<(String, String, bool), PolicyError> {
    let policy: ExecutorPolicy = policy.parse().expect("every word is a policy");
    let choice = choose(&policy, available, &[]).await?;
    Ok((choice.executor.name().to_owned(), choice.reason, choice.fell_back))
}

fn answer(name: &str, reason: &str, fell_back: bool) -> Result<(String, String, bool), PolicyError> {
    Ok((name.to_owned(), reason.to_owned(), fell_back))
}

#[tokio::test]
async fn auto_takes_the_first_that_isolates_and_works() {
    let broken = fake("docker", true, Some("the daemon does not answer"));
    let available = [subprocess(), broken, fake("podman", true, None), fake("vm", true, None)];
    let expected = answer("podman", "the first that isolates tasks and can be used", false);
    assert_eq!(chosen("auto", &available).await, expected);
}

#[tokio::test]
async fn auto_falls_back_to_subprocess_and_says_why() {
    let available = [fake("docker", true, Some("the daemon does not answer")), subprocess()];
    let expected = answer("subprocess", "`docker` cannot be used: the daemon does not answer", true);
    assert_eq!(chosen("auto", &available).await, expected);
}

#[tokio::test]
async fn auto_without_any_that_isolates_is_no_fallback_but_says_so() {
    let available = [fake("grid", false, None), subprocess()];
    assert_eq!(chosen("auto", &available).await, answer("subprocess", "no container executor in this build", false));
}

#[tokio::test]
async fn a_named_one_is_taken_or_is_an_error_and_never_replaced() {
    let available = [subprocess(), fake("vm", true, Some("no KVM"))];
    assert_eq!(chosen("subprocess", &available).await, answer("subprocess", "asked for by name", false));

    let unusable = chosen("vm", &available).await.expect_err("it cannot be used");
    let PolicyError::Unusable { name, source } = &unusable else { panic!("{unusable:?}") };
    assert_eq!((name.as_str(), source.reason.as_str(), source.remedy.as_str()), ("vm", "no KVM", "mend it"));

    let unknown = chosen("docker", &available).await.expect_err("there is none");
    assert_eq!(unknown.to_string(), "this build has no executor `docker`; it has: subprocess, vm");
}

#[tokio::test]
async fn one_that_does_not_accept_a_task_is_passed_over_by_auto_and_an_error_by_name() {
    let docker = Fake { name: "docker", isolates: true, refusal: None, lacks: Some("rust:1") };
    let available: [Arc<dyn Executor>; 2] = [Arc::new(docker), subprocess()];
    let task = |image: &str| {
        let mut task = TaskSpec::new("a".parse().expect("an id"), Program::Script("true".to_owned()));
        task.resources.image = Some(image.to_owned());
        task
    };
    let (there, missing) = (task("debian"), task("rust:1"));
    let choice = choose(&ExecutorPolicy::Auto, &available, &[&there]).await.expect("docker can be used");
    assert_eq!((choice.executor.name(), choice.fell_back), ("docker", false));
    let choice = choose(&ExecutorPolicy::Auto, &available, &[&there, &missing]).await.expect("there is another");
    assert_eq!((choice.executor.name(), choice.fell_back), ("subprocess", true));
    assert_eq!(choice.reason, "`docker` cannot be used: there is no image rust:1");
    let unnamed = TaskSpec::new("a".parse().expect("an id"), Program::Script("true".to_owned()));
    let choice = choose(&ExecutorPolicy::Auto, &available, &[&unnamed]).await.expect("there is another");
    assert_eq!((choice.executor.name(), choice.fell_back), ("subprocess", false), "no container was expected");
    assert_eq!(choice.reason, "`docker` needs an image, and none is named");
    let docker = ExecutorPolicy::Named("docker".to_owned());
    let error = choose(&docker, &available, &[&missing]).await.expect_err("it is never replaced");
    assert!(matches!(error, PolicyError::Unusable { source, .. } if source.remedy == "build it"));
}

#[tokio::test]
async fn auto_without_a_usable_subprocess_is_an_error() {
    let available = [fake("subprocess", false, Some("no shell"))];
    let unusable = chosen("auto", &available).await.expect_err("nothing can be used");
    assert_eq!(unusable.to_string(), "the executor `subprocess` cannot be used");
    assert!(matches!(chosen("auto", &[]).await, Err(PolicyError::Unknown { .. })));
}

#[test]
fn a_policy_is_written_as_it_is_read() {
    for text in ["auto", "docker", "subprocess", "my-grid"] {
        assert_eq!(text.parse::<ExecutorPolicy>().expect("every word is a policy").to_string(), text);
    }
    assert_eq!(ExecutorPolicy::default(), ExecutorPolicy::Auto);
}
