//! Controls a browser by the WebDriver protocol.
//!
//! `chromedriver` starts Chromium; both come with the distribution's packages. Only
//! pages on loopback are opened.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command;
use crate::demo::Running;
use crate::opt_in::{self, StepResult};
use crate::span::from_base64;

/// A browser with a window and its own profile, which ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    /// The session's URL.
    session: String,
    http: ureq::Agent,
    /// The browser's process.
    pid: Option<u64>,
    profile: Profile,
    _driver: Running,
}

/// An element of a page.
#[derive(Clone, Debug)]
pub struct Element {
    id: String,
}

/// The folder of the browser's profile, which is removed when this is dropped.
#[derive(Debug)]
struct Profile {
    path: PathBuf,
}

impl Browser {
    /// Starts a browser with a window of this width and height.
    ///
    /// # Errors
    ///
    /// A message, if no browser is installed, or it does not start.
    pub fn start(width: u32, height: u32) -> StepResult<Self> {
        let (driver, chromium) =
            (find(&["chromedriver"])?, find(&["chromium", "chromium-browser"])?);
        let profile = Profile::new()?;
        let mut driver = Running::start(&driver, &["--port=0"])?;
        let port = driver.wait_for_line("ChromeDriver was started successfully on port ")?;
        let http: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(STEP_LIMIT))
            .http_status_as_error(false)
            .build()
            .into();
        let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.path.display()));
        args.push(format!("--window-size={width},{height}"));
        let options = json!({"binary": chromium, "args": args});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let base = format!("http://127.0.0.1:{}/session", port.trim_end_matches('.'));
        let session = call(&http, &base, Some(&wanted))?;
        let id = session["sessionId"].as_str().ok_or("chromedriver gave no session")?;
        let pid = session["capabilities"]["goog:processID"].as_u64();
        Ok(Self { session: format!("{base}/{id}"), http, pid, profile, _driver: driver })
    }

    /// Opens a page.
    ///
    /// # Errors
    ///
    /// A message, if the browser or its driver reports an error.
    pub fn open(&self, url: &str) -> StepResult<()> {
        self.post("/url", &json!({"url": url})).map(drop)
    }

    /// Returns the URL of the current page.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn url(&self) -> StepResult<String> {
        Ok(call(&self.http, &format!("{}/url", self.session), None)?.as_str().unwrap_or("").into())
    }

    /// Returns all elements of the page that match a CSS selector, or an XPath, which begins with `//`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn all(&self, selector: &str) -> StepResult<Vec<Element>> {
        let using = if selector.starts_with("//") { "xpath" } else { "css selector" };
        let by = json!({"using": using, "value": selector});
        let found = self.post("/elements", &by)?;
        let ids =
            found.as_array().into_iter().flatten().filter_map(|element| element[KEY].as_str());
        Ok(ids.map(|id| Element { id: id.into() }).collect())
    }

    /// Waits until at least `count` elements match a selector, and returns them.
    ///
    /// # Errors
    ///
    /// The text of the page, if that takes too long.
    pub fn wait(&self, selector: &str, count: usize) -> StepResult<Vec<Element>> {
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let found = self.all(selector)?;
            if found.len() >= count {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let text = self.run("return document.body.innerText")?;
                let found = found.len();
                return Err(format!("{found} of {count} `{selector}` in {}: {text}", self.url()?));
            }
            thread::sleep(command::INTERVAL);
        }
    }

    /// Clicks on an element, as a mouse does: it must be visible, with nothing above it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn click(&self, element: &Element) -> StepResult<()> {
        self.post(&format!("/element/{}/click", element.id), &json!({})).map(drop)
    }

    /// Returns the visible text of an element.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn text(&self, element: &Element) -> StepResult<String> {
        let url = format!("{}/element/{}/text", self.session, element.id);
        Ok(call(&self.http, &url, None)?.as_str().unwrap_or_default().into())
    }

    /// Runs a script in the page, and returns its result.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn run(&self, script: &str) -> StepResult<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits for a second window, and switches to it.
    ///
    /// # Errors
    ///
    /// A message, if none is opened in time.
    pub fn to_second_window(&self) -> StepResult<()> {
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let windows = call(&self.http, &format!("{}/window/handles", self.session), None)?;
            if let [_, second] = windows.as_array().map_or(&[][..], Vec::as_slice) {
                return self.post("/window", &json!({"handle": second})).map(drop);
            }
            if Instant::now() > deadline {
                return Err(format!("there are other windows than two: {windows}"));
            }
            thread::sleep(command::INTERVAL);
        }
    }

    /// Returns a screenshot of the window as PNG.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn picture(&self) -> StepResult<Vec<u8>> {
        let picture = call(&self.http, &format!("{}/screenshot", self.session), None)?;
        Ok(from_base64(picture.as_str().unwrap_or_default()))
    }

    fn post(&self, path: &str, body: &Value) -> StepResult<Value> {
        call(&self.http, &format!("{}{path}", self.session), Some(body))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let ended = self.http.delete(&self.session).call();
        if let Err(why) = ended {
            opt_in::print_line(&format!("the browser was not asked to end: {why}"));
        }
        // Another process may have the pid by now: only the browser has its profile's folder in its arguments.
        let Some(pid) = self.pid else { return };
        let ours = self.profile.path.display().to_string();
        let deadline = Instant::now() + END_LIMIT;
        let is_there = || {
            let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&args).contains(&ours)
        };
        while is_there() {
            if Instant::now() > deadline {
                let mut kill = Command::new("sh");
                kill.args(["-c", "kill -KILL $0", &pid.to_string()]);
                let killed = command::output(&mut kill, END_LIMIT);
                opt_in::print_line(&format!("the browser had to be killed: {killed:?}"));
                return;
            }
            thread::sleep(command::INTERVAL);
        }
    }
}

impl Profile {
    fn new() -> StepResult<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("jaeger-client-browser-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // A process of the browser may still be writing. What it leaves is in the system's temporary folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Returns the first of these programs that is in `PATH`.
fn find(names: &[&str]) -> StepResult<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| {
            env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>()
        })
        .find(|program| Path::is_file(program))
        .ok_or_else(|| format!("there is no {} on the path", names.join(" or ")))
}

/// Calls the driver, and returns the value in its response.
fn call(http: &ureq::Agent, url: &str, body: Option<&Value>) -> StepResult<Value> {
    let response = match body {
        Some(body) => {
            http.post(url).header("content-type", "application/json").send(body.to_string())
        }
        None => http.get(url).call(),
    };
    let mut response = response.map_err(|error| format!("{url}: {error}"))?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_string();
    let text = text.map_err(|error| format!("{url}: {error}"))?;
    let mut value: Value =
        serde_json::from_str(&text).map_err(|error| format!("{url}: {error}: {text}"))?;
    let value = value["value"].take();
    if status.is_success() {
        Ok(value)
    } else {
        Err(format!("{url}: {}: {}", value["error"], value["message"]))
    }
}

/// Without a screen, a sandbox (which root cannot have) and background requests.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // The browser ends once the pipe to its driver is closed.
    "--remote-debugging-pipe",
];

/// The key of an element's id in the protocol.
const KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The timeout of each step, the start included.
const STEP_LIMIT: Duration = Duration::from_secs(30);

const END_LIMIT: Duration = Duration::from_secs(5);

/// A screenshot has some hundred kB.
const MAX_RESPONSE_BYTES: u64 = 64 << 20;
