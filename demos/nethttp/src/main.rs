//! Runs the demo: `cargo run -p nethttp`.
//!
//! Without `--agent` and `--url` it has its own agent, in this process, and shows the trace that
//! reached it. Every way it ends with the report of each tracer: what became of every span.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program to look at")]

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{Closer, HttpConfig, Tracer};
use jaeger_client_embedded_agent::{EmbeddedAgent, WaterfallOptions};
use nethttp::client;
use nethttp::server::Server;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Traces an HTTP request that is redirected: the client's side, the server's side, one trace.
#[derive(Debug, Parser)]
struct Args {
    /// What to run. The server alone runs until Ctrl-C, or the end of its input if that is
    /// no terminal.
    #[arg(long, value_enum, default_value_t = Actor::Both)]
    actor: Actor,

    /// The server's port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,

    /// The Jaeger agent to send spans to (its port for compact Thrift). Without it, spans stay in
    /// this process and are shown.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "url")]
    agent: Option<String>,

    /// The server to post spans to, such as a Zipkin: http://localhost:9411/api/v1/spans.
    #[arg(long)]
    url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Actor {
    Client,
    Server,
    Both,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nethttp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let alone = args.agent.is_none() && args.url.is_none();
    let own = if alone { Some(EmbeddedAgent::start()?) } else { None };
    let build = |service| {
        let tracer = Tracer::builder(service).sampler(ConstSampler::new(true));
        match (&args.url, &args.agent, &own) {
            (Some(url), ..) => tracer.collector(HttpConfig::new(url)).build(),
            (None, Some(agent), _) => tracer.agent(agent).build(),
            (None, None, Some(own)) => tracer.agent(own.compact_addr().to_string()).build(),
            (None, None, None) => tracer.build(),
        }
    };
    // Each actor has its own tracer, as if it were alone: they are two services.
    let (client, client_closer) = build("client")?;
    let (server, server_closer) = build("server")?;

    let runtime = Runtime::new()?;
    let acted = runtime.block_on(act(args, client, server));
    // Not waited for: its thread that reads the standard input cannot be called back.
    runtime.shutdown_background();

    let closers = match args.actor {
        Actor::Client => vec![("client", client_closer)],
        Actor::Server => vec![("server", server_closer)],
        Actor::Both => vec![("client", client_closer), ("server", server_closer)],
    };
    let reported = settle(closers, own.as_ref());
    acted?;
    reported
}

async fn act(args: &Args, client: Tracer, server: Tracer) -> Result<(), Box<dyn Error>> {
    match args.actor {
        Actor::Client if args.port == 0 => Err("the client needs the server's --port".into()),
        Actor::Client => call(args, &client, args.port).await,
        Actor::Server => {
            let listening = bind(args.port).await?;
            println!("Serving http://localhost:{}/", listening.port());
            println!("Ctrl-C stops it.");
            listening.serve(server, stopped()).await;
            Ok(())
        }
        Actor::Both => {
            let listening = bind(args.port).await?;
            let port = listening.port();
            let (stop, stopped) = oneshot::channel::<()>();
            let serving = tokio::spawn(listening.serve(server, async {
                let _ = stopped.await;
            }));
            let called = call(args, &client, port).await;
            drop(stop);
            serving.await?;
            called
        }
    }
}

async fn bind(port: u16) -> Result<Server, String> {
    Server::bind(port).await.map_err(|error| {
        format!("cannot listen on port {port}: {error} (--port takes another, 0 a free one)")
    })
}

async fn call(args: &Args, tracer: &Tracer, port: u16) -> Result<(), Box<dyn Error>> {
    let called = client::call(tracer, port).await;
    if let Ok(result) = &called.result {
        println!("Received result: {result}");
    }
    // Here it is shown by itself; elsewhere it has to be found.
    if args.agent.is_some() || args.url.is_some() {
        println!("Trace: {}", called.trace_id);
    }
    if let Some(zipkin) = args.url.as_deref().and_then(zipkin) {
        println!("Shown at {zipkin}/zipkin/traces/{}", called.trace_id);
    }
    called.result?;
    Ok(())
}

/// The server's own address, if spans posted to `url` are for Zipkin.
fn zipkin(url: &str) -> Option<&str> {
    ["/api/v1/spans", "/api/v2/spans"].iter().find_map(|path| url.strip_suffix(path))
}

/// Is done at Ctrl-C, when the process is asked to end, or when its input ends.
async fn stopped() {
    // A terminal is not read: a shell would stop a job in the background for it.
    if io::stdin().is_terminal() {
        return interrupted().await;
    }
    let input = tokio::task::spawn_blocking(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
    });
    tokio::select! {
        () = interrupted() => {}
        _ = input => {}
    }
}

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

/// Has the tracers send what is left, shows what reached the agent of this process, and then the
/// reports. An error if a span is missing anywhere.
fn settle(
    closers: Vec<(&str, Closer)>,
    agent: Option<&EmbeddedAgent>,
) -> Result<(), Box<dyn Error>> {
    let reports: Vec<_> =
        closers.into_iter().map(|(service, closer)| (service, closer.close(PATIENCE))).collect();
    let sent = reports.iter().map(|(_, report)| report.stats.sent).sum();
    let mut arrived = true;
    if let Some(agent) = agent {
        arrived = agent.wait_for(PATIENCE, |store| store.stats().spans >= sent);
        let options = WaterfallOptions::default().tags(true).logs(true);
        for trace in agent.store().latest_traces(None, SHOWN) {
            println!("\n{}", trace.waterfall_with(options));
        }
    }
    let mut whole = true;
    for (service, report) in &reports {
        println!("{service}: {report}");
        let stats = &report.stats;
        let lost = stats.open + stats.queued + stats.dropped.total();
        whole &= report.complete && stats.is_balanced() && lost == 0;
    }
    match (whole, arrived) {
        (true, true) => Ok(()),
        (false, _) => Err("spans were lost, see the reports".into()),
        (true, false) => Err("spans were sent but did not arrive".into()),
    }
}

/// How long sending may take, and arriving.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many traces are shown at most: a server alone may have served many.
const SHOWN: usize = 10;
