#![doc = include_str!("../README.md")]

mod ids;
mod propagator;

pub use self::propagator::JaegerPropagator;
