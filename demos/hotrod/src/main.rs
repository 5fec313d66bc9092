//! Runs rides on demand: `cargo run -p hotrod -- all`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program to look at")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hotrod::{Destination, Running, Settings, Which};
use tokio::runtime::Runtime;

/// Rides on demand: six services whose traces show how they work together.
///
/// Runs until Ctrl-C, and then says what became of every span.
#[derive(Debug, Parser)]
struct Args {
    /// Which services run in this process.
    #[arg(value_enum, default_value_t = Which::All)]
    which: Which,

    /// The frontend's port on loopback; 0 takes a free one, as with the other ports.
    #[arg(short = 'f', long, default_value_t = 8080)]
    frontend_port: u16,

    /// The customer service's port.
    #[arg(short = 'c', long, default_value_t = 8081)]
    customer_port: u16,

    /// The driver service's port.
    #[arg(short = 'd', long, default_value_t = 8082)]
    driver_port: u16,

    /// The route service's port.
    #[arg(short = 'r', long, default_value_t = 8083)]
    route_port: u16,

    /// How long a query of the database takes on average, such as 300ms or 1s; a bare number is
    /// milliseconds.
    #[arg(short = 'D', long, value_name = "TIME", default_value = "300ms", value_parser = delay)]
    fix_db_query_delay: Duration,

    /// Lets queries of the database run at the same time.
    #[arg(short = 'M', long)]
    fix_disable_db_conn_mutex: bool,

    /// How many routes are asked for at a time, of all rides together.
    #[arg(short = 'W', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    fix_route_worker_pool_size: u16,

    /// The user interface that the page links to; by default that of where spans go.
    #[arg(short = 'j', long, value_name = "URL")]
    jaeger_ui: Option<String>,

    /// How long the driver service may take: milliseconds, or with a unit.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = delay)]
    driver_timeout: Duration,

    /// The Jaeger agent to send spans to (its port for compact Thrift). By default they go to an
    /// agent in this process; without a frontend in it, to localhost:6831.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "zipkin")]
    agent: Option<String>,

    /// The Zipkin server to send spans to, such as http://localhost:9411.
    #[arg(long, value_name = "URL")]
    zipkin: Option<String>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hotrod: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let which = args.which;
    let settings = Settings::from(args);
    let runtime = Runtime::new()?;
    let mut running = runtime.block_on(hotrod::start(which, settings))?;
    for (service, address) in running.addresses() {
        println!("{service}: http://{address}");
    }
    println!("traces: {}", running.ui());
    println!("Ctrl-C stops it.");
    let failed = runtime.block_on(async {
        tokio::select! {
            why = running.failed() => Some(why),
            () = interrupted() => None,
        }
    });
    // What is under way ends here, so that its spans are sent as well.
    runtime.shutdown_timeout(PATIENCE);
    settle(running)?;
    failed.map_or(Ok(()), |why| Err(why.into()))
}

fn settle(running: Running) -> Result<(), Box<dyn Error>> {
    let mut whole = true;
    for (service, report) in running.close(PATIENCE) {
        println!("{service}: {report}");
        let stats = &report.stats;
        whole &= report.complete && stats.is_balanced() && stats.dropped.total() == 0;
    }
    if whole { Ok(()) } else { Err("spans were lost, see the reports".into()) }
}

/// Is done at Ctrl-C, or when the process is asked to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut requested) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = requested.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

impl From<Args> for Settings {
    fn from(args: Args) -> Self {
        let destination = match (args.agent, args.zipkin) {
            (Some(agent), _) => Destination::Agent(agent),
            (None, Some(url)) => Destination::Zipkin(url),
            (None, None) => Destination::Embedded,
        };
        Self {
            frontend_port: args.frontend_port,
            customer_port: args.customer_port,
            driver_port: args.driver_port,
            route_port: args.route_port,
            db_query_delay: args.fix_db_query_delay,
            db_mutex: !args.fix_disable_db_conn_mutex,
            driver_timeout: args.driver_timeout,
            route_workers: args.fix_route_worker_pool_size.into(),
            destination,
            ui: args.jaeger_ui,
        }
    }
}

/// A time of at most a minute.
fn delay(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ms" => 0.001,
        "s" => 1.0,
        other => return Err(format!("`{other}` is no unit; it may be ms or s")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{digits}` is no number"))?;
    let delay = Duration::try_from_secs_f64(number * unit).map_err(|why| why.to_string())?;
    if delay > LONGEST_DELAY {
        return Err(format!("{delay:?} is too long; {LONGEST_DELAY:?} is allowed"));
    }
    Ok(delay)
}

const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// How long ending may take, and sending.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_has_a_unit_or_is_in_milliseconds() {
        let millis = |text| delay(text).map(|delay| delay.as_millis());
        for (text, wanted) in
            [("0", 0), ("50", 50), ("300ms", 300), ("1.5s", 1500), ("60s", 60_000)]
        {
            assert_eq!(millis(text), Ok(wanted), "{text}");
        }
        for text in ["", "ms", "-1", "1h", "61s", "1e300", "inf", "NaN"] {
            assert!(delay(text).is_err(), "{text}");
        }
        assert_eq!(delay("3m").unwrap_err(), "`m` is no unit; it may be ms or s");
    }
}
