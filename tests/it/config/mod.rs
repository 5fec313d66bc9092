mod errors;
mod otlp;
mod values;
mod warnings;
