//! The flags of `run` and `plan` as a source of settings.

use std::num::NonZeroU64;

use gadugi_core::plan::Changes;
use gadugi_core::run::KeepPolicy;

use crate::args::{Keep, TaskArgs};
use crate::config::ConfigLayer;
use crate::failure::Failure;
use crate::parse::{QuantityError, TimeLimit};

/// The settings that flags make.
pub(super) fn layer(args: &TaskArgs) -> Result<ConfigLayer, Failure> {
    let limit = |flag: &str, text: &Option<String>| -> Result<Option<TimeLimit>, Failure> {
        let parse = |text: &String| {
            let wrong = |error: QuantityError| Failure::usage(format!("--{flag}: {error}")).hint(error.hint());
            text.parse::<TimeLimit>().map_err(wrong)
        };
        text.as_ref().map(parse).transpose()
    };
    if let Some(cost) = args.max_cost.filter(|cost| !cost.is_finite() || *cost <= 0.0) {
        let wrong = Failure::usage(format!("--max-cost: `{cost}` is not a number above 0"));
        return Err(wrong.hint("write US dollars, such as 2.5, or leave it out for no limit"));
    }
    Ok(ConfigLayer {
        run_max_cost: args.max_cost,
        run_max_tokens: args.max_tokens.map(NonZeroU64::get),
        jobs: args.jobs,
        executor: args.executor.clone(),
        agent: args.agent.clone(),
        image: args.image.clone(),
        base: args.base.clone(),
        timeout: limit("timeout", &args.timeout)?,
        idle_timeout: limit("idle-timeout", &args.idle_timeout)?,
        retries: args.retries,
        changes: args.require_changes.then_some(Changes::Required),
        strict: args.strict.then_some(true),
        fail_fast: args.fail_fast.then_some(true),
        keep: args.keep.map(|keep| match keep {
            Keep::Failed => KeepPolicy::Failed,
            Keep::Always => KeepPolicy::Always,
            Keep::Never => KeepPolicy::Never,
        }),
        ..ConfigLayer::default()
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::{Cli, Command};
    use crate::config::{CONFIG_KEYS, Config, ConfigSources, Environment};

    fn load(environment: &Environment, flags: ConfigLayer) -> Config {
        Config::load(ConfigSources { files: &[], environment, flags }).expect("valid settings")
    }

    #[test]
    fn the_flag_of_a_setting_means_what_its_variable_does() {
        let run = Cli::command().find_subcommand("run").expect("a command").clone();
        for setting in CONFIG_KEYS {
            let value = setting.example.replace(['"', '[', ']'], "");
            let environment = Environment::from([(setting.variable().into(), value.clone().into())]);
            let by_variable = load(&environment, ConfigLayer::default());
            assert_ne!(by_variable, Config::default(), "{} is not read", setting.variable());
            let Some(flag) = setting.flag else { continue };
            let argument = run.get_arguments().find(|argument| argument.get_long() == flag.strip_prefix("--"));
            let takes_value = argument.unwrap_or_else(|| panic!("there is no {flag}")).get_action().takes_values();
            let words = ["gadugi", "run", flag].into_iter().chain(takes_value.then_some(value.as_str()));
            let cli = Cli::try_parse_from(words).expect("valid flags");
            let Command::Run(args) = cli.command else { panic!("it is `run`") };
            assert_eq!(load(&Environment::new(), layer(&args.tasks).unwrap()), by_variable, "{flag}");
        }
    }
}
