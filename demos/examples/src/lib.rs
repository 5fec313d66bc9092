//! Programs of one idea each, in `src/bin`; those that need the core alone are in the repository's
//! `examples`. `tests/examples.rs` runs them all and looks at what they print and send.
