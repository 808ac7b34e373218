//! Bad and unusual input: each is named where people look, stops nothing else, and is over when its cause is.

mod agenttiers_loop;
mod change;
mod classes;
mod limits;
mod names;
mod overrides;
mod past;
mod told;
