//! The example of an embedding program works, is short, and is the one in the guide.

#[path = "../examples/own_executor.rs"]
mod own_executor;

const EXAMPLE: &str = include_str!("../examples/own_executor.rs");

#[test]
fn the_example_runs() {
    own_executor::main().expect("both tasks succeed");
}

#[test]
fn the_guide_shows_the_example_as_it_is() {
    let guide = include_str!("../../docs/embedding.md");
    assert!(guide.contains(EXAMPLE), "docs/embedding.md shows another program than examples/own_executor.rs");
}

#[test]
fn an_embedding_program_needs_less_than_60_lines() {
    assert!(EXAMPLE.lines().count() < 60);
}
