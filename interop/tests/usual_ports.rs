//! The commands in the documents of the demos, in a network namespace where all default ports are free.

#![expect(clippy::disallowed_methods, reason = "tests read clocks")]

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use interop::demo::{self, Programs, Running};
use interop::query::{self, Query};
use interop::{command, opt_in};
use serde_json::Value;

#[test]
fn the_demos_find_each_other_at_their_usual_ports() {
    let found = opt_in::set_up("usual ports", || Ok((Programs::build()?, env::current_exe())));
    let Some((_, Ok(program))) = found else { return };
    let alone = |program: &Path, args: &[&str]| {
        let mut unshare = Command::new("unshare");
        // With a pid namespace, whose processes all end with the first one.
        unshare.args(["--map-root-user", "--net", "--pid", "--fork", "--kill-child"]);
        unshare.args(["sh", "-c", "ip link set lo up && exec \"$@\""]);
        unshare.arg("sh").arg(program).args(args);
        command::output(&mut unshare, TIMEOUT)
    };
    if let Err(why) = alone(Path::new("true"), &[]) {
        opt_in::print_line(&format!(
            "skipped: usual ports: no network namespace of its own: {why}"
        ));
        return;
    }
    let test = "services_that_are_given_no_settings_make_one_trace";
    let reported = alone(&program, &["--ignored", "--exact", "--nocapture", test]).unwrap();
    assert!(reported.contains("1 passed"), "{reported}");
}

#[test]
#[ignore = "uses the default ports, so it is run in a network namespace of its own"]
fn services_that_are_given_no_settings_make_one_trace() {
    let Programs { hotrod, nethttp, .. } = Programs::build().unwrap();
    // The agent to which the others send is in the frontend.
    let services = ["frontend", "customer", "driver", "route"].map(|service| {
        let mut running = Running::start(&hotrod, &[service]).unwrap();
        running.wait_for_line("Ctrl-C stops it.").unwrap();
        running
    });
    let ride = query::get("http://localhost:8080/dispatch?customer=392", &[]).unwrap();
    let ride: Value = serde_json::from_str(&ride.body).unwrap();
    let agent = Query::new("localhost:16686");
    let until = Instant::now() + TIMEOUT;
    let spans = agent.wait(ride["TraceID"].as_str().unwrap(), 51, until).unwrap();
    assert_eq!(spans.len(), 51);

    let mut nethttp = Command::new(nethttp);
    let printed = command::output(nethttp.args(["--agent", "localhost:6831"]), TIMEOUT).unwrap();
    let trace = printed.lines().find_map(|line| line.strip_prefix("Trace: ")).unwrap();
    assert_eq!(agent.wait(trace, 6, until).unwrap().len(), 6, "{printed}");

    let [frontend, others @ ..] = services;
    let mut sent = Vec::new();
    for service in others.into_iter().chain([frontend]) {
        sent.extend(demo::sent(&service.end().unwrap()));
    }
    assert_eq!(sent.iter().map(|(_, spans)| spans).sum::<u64>(), 51, "{sent:?}");
}

const TIMEOUT: Duration = Duration::from_secs(60);
