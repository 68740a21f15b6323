//! The output of the fake agents, as Gadugi's own readers understand it, and their memory.

mod ending;
mod harness;
mod remembering;
mod speaking;
mod together;
