//! The command against its own server, from a file to what came in.

#![allow(clippy::disallowed_methods, reason = "a test starts threads and reads the environment")]

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jaeger_client::{HttpConfig, NullLogger, SavedBatchesConfig, Tracer};

/// Target, `authorization` and body of a request.
type Request = (String, String, Vec<u8>);

type Outcome = Result<(), Box<dyn Error>>;

const SOON: Duration = Duration::from_secs(60);

/// Where nobody listens: no system gives this port to a program that asks for a free one.
const NOBODY: &str = "http://127.0.0.1:1";

/// A file with spans that were not sent; its folder goes with it.
struct Saved(PathBuf);

impl Saved {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir();
        let folder = folder.join(format!("jaeger-client-replay-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let saved = Self(folder);
        let (tracer, closer) = Tracer::builder("svc")
            .logger(NullLogger)
            .collector(HttpConfig::new(format!("{NOBODY}/api/traces")))
            .save_unacknowledged(SavedBatchesConfig::new(saved.file()))
            .build()?;
        (0..10).for_each(|n| tracer.span(format!("op-{n}")).start().finish());
        assert_eq!(closer.close(SOON).stats.saved, 10);
        Ok(saved)
    }

    fn file(&self) -> PathBuf {
        self.0.join("spans")
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Answers each request with 202, and tells what it was.
fn collector() -> Result<(String, mpsc::Receiver<Request>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (sender, received) = mpsc::channel();
    let serve = move || -> Outcome {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream?);
            let (mut head, mut line) = (Vec::new(), String::new());
            while stream.read_line(&mut line)? > 2 {
                head.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            let header = |name: &str| {
                let line = head.iter().find(|line| line.to_ascii_lowercase().starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned()).unwrap_or_default()
            };
            let mut body = vec![0; header("content-length:").parse()?];
            stream.read_exact(&mut body)?;
            stream.get_mut().write_all(b"HTTP/1.1 202 x\r\ncontent-length: 0\r\n\r\n")?;
            sender.send((head[0].clone(), header("authorization:"), body))?;
        }
        Ok(())
    };
    thread::spawn(move || drop(serve()));
    Ok((format!("http://{address}"), received))
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jaeger-client-replay"));
    let is_ours = |name: &str| name.starts_with("JAEGER_") || name.starts_with("OTEL_");
    for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    Ok(command.args(arguments).envs(variables.iter().copied()).output()?)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[test]
fn spans_are_sent_where_the_options_say_and_the_file_is_gone() -> Outcome {
    for (option, target) in [("--collector", "/api/traces"), ("--otlp", "/v1/traces")] {
        let saved = Saved::new(&option[2..])?;
        let (url, received) = collector()?;
        let output = command(&[text(&saved.file()), option, &url], &[])?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, "sent 10, of which 10 acknowledged; dropped 0; left 0\n");
        assert!(output.status.success() && !saved.file().exists());
        let (line, _, body) = received.recv_timeout(SOON)?;
        assert!(line.contains(target), "{line}");
        assert!(body.windows(4).any(|bytes| bytes == b"op-9"), "{option}");
    }
    Ok(())
}

#[test]
fn without_options_the_environment_of_the_service_says_where() -> Outcome {
    let saved = Saved::new("environment")?;
    let (url, received) = collector()?;
    let endpoint = format!("{url}/api/traces");
    let variables = [("JAEGER_ENDPOINT", &*endpoint), ("JAEGER_AUTH_TOKEN", "hidden")];
    let output = command(&[text(&saved.file())], &variables)?;
    assert!(output.status.success(), "{output:?}");
    let (_, authorization, _) = received.recv_timeout(SOON)?;
    assert_eq!(authorization, "Bearer hidden");
    Ok(())
}

#[test]
fn what_cannot_be_sent_stays_and_the_status_says_so() -> Outcome {
    let saved = Saved::new("nobody")?;
    let variables = [
        ("JAEGER_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
    ];
    let output = command(&[text(&saved.file())], &variables)?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "sent 0, of which 0 acknowledged; dropped 0; left 10\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(saved.file().exists());
    Ok(())
}

#[test]
fn wrong_arguments_are_reported_and_nothing_is_sent() -> Outcome {
    let saved = Saved::new("mistakes")?;
    let file = saved.file();
    let file = text(&file);
    for (arguments, says) in [
        (&[][..], "usage: "),
        (&[file, file], "one file at a time"),
        (&[file, "--collector"], "--collector needs a value"),
        (&[file, "--to", "x"], "no option is called --to"),
        (&[file, "--agent", "a:1", "--otlp", "http://b:1"], "one destination at a time"),
        (&[file, "--agent", "nowhere"], "nowhere"),
        (&["/no/such/file", "--agent", "a:1"], "/no/such/file: No such file"),
    ] {
        let output = command(arguments, &[])?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = command(&["--help"], &[])?;
    assert!(output.status.success() && output.stdout.starts_with(b"usage: "));
    assert!(saved.file().exists());
    Ok(())
}
