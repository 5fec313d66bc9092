mod go_defects;
mod otlp_requirements;
mod parity;
