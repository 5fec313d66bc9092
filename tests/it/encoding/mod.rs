mod formats;
mod oracle;
mod otlp;
