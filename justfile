# The commands that everybody needs. `just` alone lists them.

_list:
    @just --list --unsorted

# Compile everything, without linking
check:
    cargo check --workspace --all-targets

# Run the tests; ARGS go to cargo test, as in `just test -p gadugi-exec`
test *ARGS="--workspace":
    cargo test {{ ARGS }}

# Run the tests that take long or need much room
heavy:
    cargo test --workspace -- --ignored heavy::

# Kill everything at every moment and check what is left; takes a quarter of an hour
crash *ARGS="long":
    cargo run -p gadugi-crash -- {{ ARGS }}

# What CI says about the code without running it
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Format the code
fmt:
    cargo fmt --all

# Measure; NAME is a benchmark of docs/benchmarks.md, and none means all
bench *NAME:
    cargo run --release -p gadugi-bench -- {{ NAME }}

# Make the picture of the README from a new run
picture:
    cargo build -p gadugi-cli
    docs/pictures/make

# Build the documentation of all crates
doc *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps {{ ARGS }}

# Check licences, versions, sources and known defects of the dependencies
deny:
    cargo deny --locked check --hide-inclusion-graph

# Everything that has to pass before a change lands
ci:
    bash .ci/run
