//! `cargo xtask compare`: measures this client and its peers, which do the same work in programs of their own.

mod goals;
mod otlp_sink;
mod peers;
mod picture;
mod results;
mod weight;

use std::path::PathBuf;
use std::process::ExitCode;

use self::otlp_sink::OtlpSink;
use self::peers::{PEERS, Peer};
use self::results::Results;
use crate::flood::Sink;
use crate::{Outcome, callgrind};

/// Builds all peers, measures them in turn, and prints the tables.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let mut peers: Vec<&Peer> = PEERS.iter().filter(|peer| options.wants(peer)).collect();
    let mut results = Results::default();
    if !options.build {
        peers = peers::build(peers, &mut results)?;
        for case in CASES {
            for peer in &peers {
                results.count(case, peer, peer.count(case));
            }
        }
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}: load average {}", options.rounds, load_average());
        results.load_averages.push(load_average());
        if options.build {
            for peer in &peers {
                results.weight(peer, weight::of(peer, true));
            }
            continue;
        }
        for case in CASES {
            for peer in &peers {
                results.time(case, peer, peer.measure(&["time", case]));
            }
        }
        if options.load {
            for load in LOADS {
                for peer in &peers {
                    let loaded = load.run(peer, options.seconds);
                    results.load(load.name, peer, loaded);
                }
            }
        }
    }
    if options.weight && !options.build {
        for peer in &peers {
            results.weight(peer, weight::of(peer, false));
        }
    }
    print!("{}", results.text(&peers));
    if let Some(file) = &options.picture {
        std::fs::write(file, picture::svg(&results, &peers))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Work of one thread, by the names that peers know.
const CASES: &[&str] = &[
    "unsampled",
    "unsampled-context",
    "root",
    "root-tags",
    "child",
    "run-time-strings",
    "tree",
    "inject-jaeger",
    "inject-b3",
    "inject-w3c",
    "encode-100",
];

const LOADS: &[Load] = &[
    Load { name: "flood, 1 producer", otlp: false, kind: "flood", amount: "1" },
    Load { name: "flood, 2 producers", otlp: false, kind: "flood", amount: "2" },
    Load { name: "flood, 8 producers", otlp: false, kind: "flood", amount: "8" },
    Load { name: "paced, 20 k/s", otlp: false, kind: "paced", amount: "20000" },
    Load { name: "paced, 100 k/s", otlp: false, kind: "paced", amount: "100000" },
    Load { name: "paced, 1 M/s", otlp: false, kind: "paced", amount: "1000000" },
    Load { name: "OTLP flood, 2 producers", otlp: true, kind: "flood", amount: "2" },
    Load { name: "OTLP paced, 100 k/s", otlp: true, kind: "paced", amount: "100000" },
];

/// Root spans with three tags that go to a sink.
struct Load {
    name: &'static str,
    /// To a collector over HTTP instead of an agent over UDP.
    otlp: bool,
    kind: &'static str,
    /// Producers, or spans a second.
    amount: &'static str,
}

impl Load {
    fn run(&self, peer: &Peer, seconds: u64) -> peers::Measured {
        let seconds = seconds.to_string();
        let failed = |error: Box<dyn std::error::Error>| error.to_string();
        if self.otlp {
            let sink = OtlpSink::start().map_err(failed)?;
            let mut values = peer.measure(&[self.kind, &sink.url(), self.amount, &seconds])?;
            values.insert("delivered".to_owned(), sink.spans());
            return Ok(values);
        }
        let sink = Sink::start().map_err(failed)?;
        let target = format!("127.0.0.1:{}", sink.port);
        let measured = peer.measure(&[self.kind, &target, self.amount, &seconds]);
        // The sink is waited for in any case, as its process would disturb the next run.
        let received = sink.end().map_err(failed)?;
        let mut values = measured?;
        values.insert("delivered".to_owned(), peers::float(received.spans));
        values.insert("kernel_drops".to_owned(), peers::float(received.kernel_drops));
        Ok(values)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    names: Vec<String>,
    rounds: u32,
    seconds: u64,
    load: bool,
    weight: bool,
    /// Whether each peer is compiled anew in each round, to see how long that takes, and nothing else is done.
    build: bool,
    picture: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut options = Self {
            names: Vec::new(),
            rounds: 3,
            seconds: 3,
            load: true,
            weight: true,
            build: false,
            picture: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--quick" => (options.rounds, options.seconds) = (1, 1),
                "--rounds" => options.rounds = value()?.parse::<u32>()?.clamp(1, 20),
                "--seconds" => options.seconds = value()?.parse::<u64>()?.clamp(1, 60),
                "--no-load" => options.load = false,
                "--no-weight" => options.weight = false,
                "--build" => options.build = true,
                "--picture" => options.picture = Some(value()?.into()),
                name if name.starts_with("--") => {
                    return Err(format!("unknown option {name}").into());
                }
                name => options.names.push(name.to_owned()),
            }
        }
        if options.build && options.picture.is_some() {
            return Err("--build measures nothing that a picture shows".into());
        }
        if !options.build && !callgrind::is_there() {
            eprintln!("without valgrind no instructions are counted");
        }
        Ok(options)
    }

    /// The program without a client is always measured: the others are compared with it.
    fn wants(&self, peer: &Peer) -> bool {
        let is_named = || self.names.iter().any(|name| peer.name == name);
        self.names.is_empty() || peer.name == "nothing" || is_named()
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_one_round() {
        let arguments = ["--quick", "rustracing"].map(str::to_owned);
        let options = Options::parse(&arguments).unwrap();
        assert_eq!((options.rounds, options.seconds), (1, 1));
        assert_eq!(PEERS.iter().filter(|peer| options.wants(peer)).count(), 2);
        assert!(Options::parse(&["--build".to_owned()]).unwrap().build);
        let picture = ["--build", "--picture", "file.svg"].map(str::to_owned);
        assert!(Options::parse(&picture[1..]).unwrap().picture.is_some());
        assert!(Options::parse(&picture).is_err(), "it would be empty");
        assert!(Options::parse(&["--fast".to_owned()]).is_err());
        assert!(Options::parse(&["--rounds".to_owned()]).is_err());
    }
}
