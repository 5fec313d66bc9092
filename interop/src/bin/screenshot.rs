//! Takes the screenshots in `docs/`: `cargo run -p interop --bin screenshot`, or with another folder.
//!
//! Needs Zipkin, which the script of the variable `BACKENDS` starts, and Chromium.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use interop::backend::{Backend, Kind};
use interop::browser::Browser;
use interop::demo::{Programs, Running};
use interop::{command, opt_in};

fn main() -> ExitCode {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    let folder = env::args().nth(1).unwrap_or_else(|| docs.into());
    match take(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            opt_in::print_line(&format!("screenshot: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn take(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let programs = Programs::build()?;
    keep(folder, "nethttp-in-zipkin.png", &in_zipkin(&programs)?)?;
    keep(folder, "hotrod.png", &rides(&programs)?)
}

fn keep(folder: &Path, name: &str, picture: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    opt_in::print_line(&format!("{}: {} bytes", path.display(), picture.len()));
    fs::write(&path, picture).map_err(|error| format!("{}: {error}", path.display()))
}

/// Takes a screenshot of the `nethttp` demo's trace in Zipkin, with the events of a new connection.
fn in_zipkin(programs: &Programs) -> Result<Vec<u8>, String> {
    let backend = Backend::start(Kind::Zipkin)?;
    let url = format!("http://{}/api/v1/spans", backend.address("zipkin"));
    let mut nethttp = Command::new(&programs.nethttp);
    nethttp.args(["--port", "0", "--url", &url]);
    let printed = command::output(&mut nethttp, TIMEOUT)?;
    let link = printed.lines().find_map(|line| line.strip_prefix("Shown at "));
    let link = link.ok_or_else(|| format!("the demo printed no link to Zipkin: {printed}"))?;
    // The server stores spans a moment after it has accepted them.
    let stored = link.replace("/zipkin/traces/", "/api/v2/trace/");
    let mut tries = 0..500;
    while !interop::query::get(&stored, &[])?.body.contains("ClosedBody") {
        tries.next().ok_or_else(|| format!("Zipkin does not have the trace: {stored}"))?;
        std::thread::sleep(command::INTERVAL);
    }

    let browser = Browser::start(1400, 2440)?;
    browser.open(link)?;
    let hops = browser.wait("//div[text()='client: http get']", 2)?;
    browser.click(&hops[0])?;
    browser.wait("//*[text()='ClosedBody']", 1)?;
    browser.picture()
}

/// Takes a screenshot of a ride's trace on the web page of the embedded agent.
fn rides(programs: &Programs) -> Result<Vec<u8>, String> {
    let mut hotrod =
        Running::start(&programs.hotrod, &["all", "-f", "0", "-c", "0", "-d", "0", "-r", "0"])?;
    let page = hotrod.wait_for_line("frontend: ")?;
    hotrod.wait_for_line("Ctrl-C stops it.")?;
    let browser = Browser::start(1400, 1730)?;
    browser.open(&page)?;
    browser.click(&browser.wait("button", 4)?[0])?;
    browser.click(&browser.wait("#rides li.done a.trace", 1)?[0])?;
    browser.to_second_window()?;
    browser.wait("button.row", 51)?;
    browser.picture()
}

const TIMEOUT: Duration = Duration::from_secs(30);
