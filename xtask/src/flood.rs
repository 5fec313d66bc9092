//! `cargo xtask flood`: a load test at the maximum rate, which checks that each span is accounted for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{FlushReport, Tracer};

use crate::sink::Received;
use crate::{Outcome, process};

/// Sends spans to a sink at the maximum rate, and prints a report.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let mut sink = Sink::start()?;
    let flooded = flood(&options, &mut sink);
    // The sink is waited for in any case, as its process would disturb the next run.
    let received = sink.end();
    let flood = flooded?;
    let received = received?;
    println!("{}", flood.text(&options, received));
    let broken = flood.broken(received);
    broken.iter().for_each(|what| println!("BROKEN: {what}"));
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u64,
    producers: u64,
    /// The bounds of the client's queue, if they are not the defaults.
    queue_size: Option<usize>,
    queue_bytes: Option<usize>,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut options = Self { seconds: 5, producers: 2, queue_size: None, queue_bytes: None };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} wants a value", pair[0]).into());
            };
            let value: u64 = value.parse().map_err(|error| format!("{name} {value}: {error}"))?;
            match name.as_str() {
                "--seconds" => options.seconds = value.clamp(1, 600),
                "--producers" => options.producers = value.clamp(1, 64),
                "--queue-size" => options.queue_size = Some(usize::try_from(value)?),
                "--queue-bytes" => options.queue_bytes = Some(usize::try_from(value)?),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }
}

/// The client's report of a flood.
struct Flood {
    window: Duration,
    started_in_window: u64,
    delivered_in_window: u64,
    report: FlushReport,
    cpu_seconds: Option<f64>,
    peak_memory_kib: Option<u64>,
}

fn flood(options: &Options, sink: &mut Sink) -> Outcome<Flood> {
    let mut builder = Tracer::builder("flood")
        .sampler(ConstSampler::new(true))
        .agent(format!("127.0.0.1:{}", sink.port));
    if let Some(spans) = options.queue_size {
        builder = builder.queue_size(spans);
    }
    if let Some(bytes) = options.queue_bytes {
        builder = builder.queue_bytes(bytes);
    }
    let (tracer, closer) = builder.build()?;
    let stop = AtomicBool::new(false);
    let cpu = process::cpu_seconds();
    let begin = Instant::now();
    let (window, started_in_window, delivered) = thread::scope(|scope| {
        for _ in 0..options.producers {
            scope.spawn(|| produce(&tracer, &stop));
        }
        thread::sleep(Duration::from_secs(options.seconds));
        let delivered = sink.fetch();
        let started = tracer.stats().started;
        stop.store(true, Relaxed);
        (begin.elapsed(), started, delivered)
    });
    let report = tracer.flush(Duration::from_secs(30));
    if !report.complete {
        eprintln!("flush: {report}");
    }
    let report = closer.close(Duration::from_secs(30));
    let cpu_seconds = cpu.zip(process::cpu_seconds()).map(|(before, after)| after - before);
    Ok(Flood {
        window,
        started_in_window,
        delivered_in_window: delivered?.spans,
        report,
        cpu_seconds,
        peak_memory_kib: process::peak_memory_kib(),
    })
}

fn produce(tracer: &Tracer, stop: &AtomicBool) {
    let mut status = 200;
    while !stop.load(Relaxed) {
        let span = tracer.start_span("GET /orders");
        span.set_tag("http.method", "GET");
        span.set_tag("http.status_code", status);
        span.set_tag("error", false);
        status ^= 4;
    }
}

impl Flood {
    /// Returns how many of the spans that were counted as sent the sink did not receive; negative if it
    /// received more.
    fn uncounted(&self, received: Received) -> i128 {
        i128::from(self.report.stats.sent) - i128::from(received.spans)
    }

    /// Returns the invariants that did not hold.
    fn broken(&self, received: Received) -> Vec<String> {
        let stats = self.report.stats;
        let uncounted = self.uncounted(received);
        let of_kernel = match received.kernel_drops {
            0 => String::new(),
            drops => format!(
                " (the kernel dropped {drops} datagrams for want of room in the sink's socket: the \
                 sink was too slow, and this run says nothing about the client)"
            ),
        };
        [
            (uncounted != 0, format!("{uncounted} spans are sent and not received{of_kernel}")),
            (received.bad > 0, format!("{} datagrams were no good batch", received.bad)),
            (!stats.is_balanced(), format!("the accounting does not balance: {stats}")),
            (!self.report.complete, "closing ran out of time".to_owned()),
            (stats.open + stats.queued > 0, format!("spans are left over after close: {stats}")),
        ]
        .into_iter()
        .filter_map(|(broken, what)| broken.then_some(what))
        .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "rates are read by people")]
    fn text(&self, options: &Options, received: Received) -> String {
        let seconds = self.window.as_secs_f64();
        let rate = |spans: u64| format!("{:.3} M/s", spans as f64 / seconds / 1e6);
        let cpu = self.cpu_seconds.map_or_else(
            || "unknown".to_owned(),
            |cpu| {
                // Per million delivered, it would be a figure of the dropped spans.
                let stats = self.report.stats;
                let per = |spans: u64| cpu / (spans as f64 / 1e6);
                let dropped = 100.0 * stats.dropped.total() as f64 / stats.started.max(1) as f64;
                format!(
                    "{cpu:.2} s, {:.3} s per million started, {:.3} s per million delivered with \
                     {dropped:.1} % dropped",
                    per(stats.started),
                    per(received.spans),
                )
            },
        );
        let memory = self.peak_memory_kib.map_or(f64::NAN, |kib| kib as f64 / 1024.0);
        let uncounted = self.uncounted(received);
        let Received { spans, datagrams, bad, kernel_drops } = received;
        [
            format!("window      {seconds:.2} s, {} producers", options.producers),
            format!("started     {} in the window", rate(self.started_in_window)),
            format!("delivered   {} in the window", rate(self.delivered_in_window)),
            format!("accounting  {}", self.report),
            format!("sink        {spans} spans in {datagrams} datagrams, {bad} bad"),
            format!("uncounted   {uncounted} spans (kernel drops: {kernel_drops} datagrams)"),
            format!("client CPU  {cpu}"),
            format!("peak RSS    {memory:.1} MiB"),
        ]
        .join("\n")
    }
}

/// The sink's process, which is queried through its pipes.
pub(crate) struct Sink {
    child: Child,
    pub(crate) port: u16,
    fetch: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Sink {
    pub(crate) fn start() -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let fetch = child.stdin.take().ok_or("the sink has no input")?;
        let responses = child.stdout.take().ok_or("the sink has no output")?;
        let mut sink = Self { child, port: 0, fetch, responses: BufReader::new(responses) };
        sink.port = sink.line()?.trim().parse()?;
        Ok(sink)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.responses.read_line(&mut line)?;
        Ok(line)
    }

    fn fetch(&mut self) -> Outcome<Received> {
        writeln!(self.fetch)?;
        Ok(Received::parse(&self.line()?).ok_or("the sink did not answer")?)
    }

    /// Closes its input, and returns its counts after everything has arrived.
    pub(crate) fn end(mut self) -> Outcome<Received> {
        drop(self.fetch);
        let mut line = String::new();
        self.responses.read_line(&mut line)?;
        self.child.wait()?;
        Ok(Received::parse(&line).ok_or("the sink ended without its counts")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Outcome<Options> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn options_have_bounds() {
        let default = || Options { seconds: 5, producers: 2, queue_size: None, queue_bytes: None };
        assert_eq!(parse("").unwrap(), default());
        assert_eq!(
            parse("--producers 9999 --seconds 0").unwrap(),
            Options { seconds: 1, producers: 64, ..default() }
        );
        assert_eq!(
            parse("--queue-size 1000 --queue-bytes 70000").unwrap(),
            Options { queue_size: Some(1_000), queue_bytes: Some(70_000), ..default() }
        );
        assert!(parse("--seconds").is_err() && parse("--seconds x").is_err());
        assert!(parse("--minutes 1").is_err());
    }
}
