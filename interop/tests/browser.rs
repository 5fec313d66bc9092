//! The web page of the demo `hotrod` in a browser.

use std::collections::BTreeSet;

use interop::browser::Browser;
use interop::demo::{self, Programs, Running};
use interop::opt_in;

#[test]
fn a_click_is_a_ride_whose_link_shows_its_trace_in_a_browser() {
    let found = opt_in::set_up("the page in a browser", || {
        Ok((Browser::start(1280, 900)?, Programs::build()?.hotrod))
    });
    let Some((browser, hotrod)) = found else { return };
    let ports = ["all", "-f", "0", "-c", "0", "-d", "0", "-r", "0", "-D", "50ms"];
    let mut hotrod = Running::start(&hotrod, &ports).unwrap();
    let page = hotrod.wait_for_line("frontend: ").unwrap();
    hotrod.wait_for_line("Ctrl-C stops it.").unwrap();

    browser.open(&page).unwrap();
    let buttons = browser.wait("button", 4).unwrap();
    assert_eq!(browser.text(&buttons[1]).unwrap(), "Old Mill Theatre");
    browser.click(&buttons[1]).unwrap();
    let row = &browser.wait("#rides li.done", 1).unwrap()[0];
    let reported = browser.text(row).unwrap();
    let session = browser.text(&browser.wait("#session", 1).unwrap()[0]).unwrap();
    assert!(reported.contains(" fetches Old Mill Theatre in "), "{reported}");
    assert!(reported.contains(&format!("[{session}-1, found in ")), "{reported}");

    // The ride's link opens a page of the agent with all spans of its trace, one a line.
    browser.click(&browser.wait("#rides li.done a.trace", 1).unwrap()[0]).unwrap();
    browser.to_second_window().unwrap();
    let agent = hotrod.wait_for_line("traces: ").unwrap();
    assert!(browser.url().unwrap().starts_with(&format!("{agent}/trace/")), "{agent}");
    let lines = browser.wait("button.row", 51).unwrap();
    assert_eq!(lines.len(), 51);
    let text = |selector: &str| browser.text(&browser.wait(selector, 1).unwrap()[0]).unwrap();
    assert_eq!(text("h2"), "frontend: HTTP GET /dispatch");
    let summary = browser.run("return document.querySelector('main').innerText").unwrap();
    let summary = summary.as_str().unwrap();
    assert!(summary.contains("51 spans · ") && summary.contains(" · 3 failed"), "{summary}");
    let names = browser.run("return [...document.querySelectorAll('.name')].map(n => n.innerText)");
    let names = names.unwrap();
    let names: Vec<_> =
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let services: BTreeSet<_> =
        names.iter().map(|name| name.trim_start_matches("✗ ").split(' ').next().unwrap()).collect();
    let six = ["customer", "driver", "frontend", "mysql", "redis", "route"];
    assert_eq!(services, BTreeSet::from(six), "{names:?}");
    let failed = names.iter().filter(|name| name.starts_with("✗ redis GetDriver"));
    assert_eq!(failed.count(), 3, "{names:?}");

    // A click on a line shows the tags and logs of its span.
    let query = names.iter().position(|name| *name == "mysql SQL SELECT").unwrap();
    browser.click(&lines[query]).unwrap();
    let details = text(".details");
    for wanted in [&format!("{session}-1"), "customer_id=392", "Acquired lock with 0"] {
        assert!(details.contains(wanted), "{wanted}: {details}");
    }

    drop(browser);
    let sent = demo::sent(&hotrod.end().unwrap());
    assert_eq!(sent.iter().map(|(_, spans)| spans).sum::<u64>(), 51, "{sent:?}");
}
