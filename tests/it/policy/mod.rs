mod control;
mod throttling;
