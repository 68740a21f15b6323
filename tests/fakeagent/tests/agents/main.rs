//! What the fake agents print, as Gadugi's own readers of agents' output understand it, and what they remember.

mod ending;
mod remembering;
mod scene;
mod speaking;
mod together;
