//! The Dockerfile that `gadugi init --docker` writes, and the name of the image that is made of it.

/// Where it is, from the root of the repository.
pub(crate) const DOCKERFILE: &str = ".gadugi/Dockerfile";

/// An image in which scripts run and git works, and what an agent or a tool chain needs as comments.
pub(crate) const DOCKERFILE_TEMPLATE: &str = r#"# The image that the tasks of this repository run in. `gadugi image build` builds it, and `image` in gadugi.toml names it.
#
# What Gadugi expects of an image:
# - a POSIX sh. Scripts (`run:`) are run by bash where there is one. git, if tasks or agents use it.
# - It needs no USER: commands run as the owner of the worktree, by a number that /etc/passwd need not know.
#   It needs no CMD, ENTRYPOINT or WORKDIR: Gadugi sets what is run, in the task's worktree.
# - HOME is a folder of the task's that is empty at first. What you install belongs to /usr/local or /opt, and must be
#   readable by all users; what a RUN leaves in /root or another home is not seen by tasks.
# - Everything of the image is read-only but for the folders of `tmpfs` in gadugi.toml (/tmp, /run, /var/tmp).
# - No secrets: whoever has the image can read them. Variables are handed in by `env` of an agent, or `secrets:` of a task.
FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash ca-certificates git \
    && rm -rf /var/lib/apt/lists/*

# An agent, by npm. Name the version that you have tried, so that the image is the same when it is built again.
#
# COPY --from=node:22-bookworm-slim /usr/local /usr/local
# RUN npm install --global @anthropic-ai/claude-code
# RUN npm install --global @openai/codex

# Tool chains, as your project needs them: from Debian,
#
# RUN apt-get update \
#     && apt-get install --yes --no-install-recommends build-essential python3 python3-venv \
#     && rm -rf /var/lib/apt/lists/*
#
# or from the images of their makers, with the variables that say where they are:
#
# COPY --from=golang:1.25-bookworm /usr/local/go /usr/local/go
# ENV PATH=/usr/local/go/bin:$PATH
#
# COPY --from=rust:1.90-bookworm /usr/local/rustup /usr/local/rustup
# COPY --from=rust:1.90-bookworm /usr/local/cargo/bin /usr/local/cargo/bin
# ENV RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
"#;

/// The longest name of a folder that goes into the name of an image as a whole.
const MAX_NAME: usize = 100;

/// The name of the image for a repository, of whose folder it keeps what can stand in such a name: parts of `a-z` and
/// `0-9`, with `.`, `_`, `__` or any number of `-` between them.
pub(crate) fn image_name(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let (mut name, mut between) = (String::new(), String::new());
    for c in lower.chars() {
        if !c.is_ascii_lowercase() && !c.is_ascii_digit() {
            between.push(if matches!(c, '.' | '_') { c } else { '-' });
            continue;
        }
        if name.len() + between.len() >= MAX_NAME {
            break;
        }
        if !name.is_empty() {
            let can_stand = matches!(between.as_str(), "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-');
            name.push_str(if can_stand { &between } else { "-" });
        }
        between.clear();
        name.push(c);
    }
    format!("gadugi/{}:latest", if name.is_empty() { "repository" } else { &name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_after_the_folder_as_far_as_that_can_be() {
        for (folder, name) in [
            ("shop", "shop"),
            ("My Shop!", "my-shop"),
            ("a.b_c-d", "a.b_c-d"),
            ("a__b--c", "a__b--c"),
            ("a..b", "a-b"),
            ("a___b", "a-b"),
            ("a - b", "a---b"),
            ("_a.", "a"),
            ("-1-", "1"),
            ("Größe", "gr--e"),
            ("Ω", "repository"),
            ("", "repository"),
        ] {
            assert_eq!(image_name(folder), format!("gadugi/{name}:latest"), "{folder}");
        }
        assert_eq!(image_name(&"x".repeat(255)).len(), "gadugi/:latest".len() + MAX_NAME);
    }
}
