//! The command line.

use std::time::Duration;

use clap::Parser;

use crate::query::{Query, QueryError};
use crate::sample::{Options, Servers};
use crate::span::{Ignored, PROCESS_TAG};

/// Compares spans that a Jaeger server has received both as Thrift and as OTLP, and reports whether it is safe
/// to stop sending Thrift.
///
/// A service has to send both for a while (JAEGER_TRACES_EXPORTER=jaeger,otlp). The server then has two copies
/// of each span, which have to be the same.
///
/// The exit code is 0 if Thrift can be stopped, 1 if it cannot, and 2 if there is no result.
#[derive(Debug, Parser)]
#[command(name = "jaeger-client-compare", version)]
pub(crate) struct Args {
    /// The server's query API, such as http://localhost:16686. If it is given twice, the first one's
    /// spans are those sent by Thrift, and the second one's those sent by OTLP.
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) query: Vec<String>,

    /// A service to compare; may be repeated. Default: all services of the server.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Vec<String>,

    /// How far back to look: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    lookback: Duration,

    /// Maximum number of traces to read for each service, beside a few for each operation.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    traces: u32,

    /// Minimum number of spans that a service must have by both protocols for a result.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) min_spans: u64,

    /// How long to wait for copies that may not be stored yet: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    wait: Duration,

    /// A difference to ignore; may be repeated: `tag KEY`, `process tag KEY`, or one of
    /// start, duration, flags, logs, references, warnings.
    #[arg(long, value_name = "FIELD", value_parser = parse_ignored)]
    ignore: Vec<String>,

    /// A header to send with each request, `NAME: VALUE`; may be repeated.
    #[arg(long, value_name = "HEADER", value_parser = parse_header)]
    header: Vec<Header>,

    /// Maximum size of a response, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u64).range(1..=4096))]
    max_response: u64,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// Returns the servers to query.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for an invalid URL, and for more than two.
    pub(crate) fn servers(&self) -> Result<Servers, QueryError> {
        let query = |url: &String| {
            let headers =
                self.header.iter().map(|header| (header.name.clone(), header.value.clone()));
            Query::new(url, headers.collect(), self.max_response << 20)
        };
        match &*self.query {
            [one] => Ok(Servers::One(query(one)?)),
            [thrift, otlp] => Ok(Servers::Two { thrift: query(thrift)?, otlp: query(otlp)? }),
            more => Err(QueryError::TooManyServers { given: more.len() }),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            services: self.service.clone(),
            lookback: self.lookback,
            traces: self.traces,
            wait: self.wait,
            ignored: Ignored::new(self.ignore.clone()),
        }
    }
}

/// A header, which may be a secret.
#[derive(Clone)]
struct Header {
    name: String,
    value: String,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: (hidden)", self.name)
    }
}

fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("it must have a name, a colon and a value")?;
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    if ureq::http::HeaderName::try_from(&*name).is_err() {
        return Err("its name is none that HTTP takes".to_owned());
    }
    if ureq::http::HeaderValue::try_from(&*value).is_err() {
        return Err("its value is none that HTTP takes".to_owned());
    }
    Ok(Header { name, value })
}

fn parse_ignored(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_key = ["tag ", PROCESS_TAG].iter().any(|field| text.starts_with(field));
    let fields = ["start", "duration", "flags", "logs", "references", "warnings"];
    if is_key || fields.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("`tag KEY`, `process tag KEY`, or one of {}", fields.join(", ")))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "a whole number and one of s, m, h, d, such as 30m; 365d at most".to_owned();
    let text = text.trim();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number).ok_or_else(wrong)?;
    let time = number.checked_mul(seconds).filter(|time| *time <= 365 * 86_400);
    Ok(Duration::from_secs(time.ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("30m", 1800), (" 1h ", 3600), ("7d", 604_800)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "h", "1", "1.5h", "-1s", "+1s", "1 h", "366d", "99999999999999999999d", "1µ"]
        {
            assert!(parse_time(text).unwrap_err().contains("such as 30m"), "{text}");
        }
    }

    #[test]
    fn a_header_is_never_shown_with_its_value() {
        let header = parse_header("Authorization: Bearer hush").unwrap();
        assert_eq!((&*header.name, &*header.value), ("Authorization", "Bearer hush"));
        assert!(!format!("{header:?}").contains("hush"));
        for text in ["Authorization Bearer hush", "a b: hush", "a: hush\r\nb: c", ": hush"] {
            let error = parse_header(text).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn only_fields_that_there_are_can_be_ignored() {
        for text in ["tag http.status_code", "process tag ip", "duration"] {
            assert_eq!(parse_ignored(text).as_deref(), Ok(text));
        }
        assert!(parse_ignored("tags").unwrap_err().contains("process tag KEY"));
    }
}
