//! Starts nginx on a free port of loopback, in a folder of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{INTERVAL, output};
use crate::opt_in::StepResult;

/// Checks that nginx with HTTP/2 is installed.
///
/// # Errors
///
/// A message with what is missing.
pub fn find() -> StepResult<()> {
    // nginx prints its version to stderr.
    let mut shell = Command::new("sh");
    let version = output(shell.args(["-c", "nginx -V 2>&1"]), Duration::from_secs(10))?;
    let speaks_http2 = version.contains("http_v2_module");
    speaks_http2.then_some(()).ok_or_else(|| "nginx has no http_v2_module".to_owned())
}

/// How many ports are tried.
const ATTEMPTS: usize = 5;

/// A running nginx, which is stopped when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    /// Its port.
    pub port: u16,
}

impl Nginx {
    /// Starts a server for `https://localhost:PORT/` with HTTP/2, whose responses are `hello`. It ends each
    /// connection after this many requests, by GOAWAY.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start(keepalive_requests: u32, certificate: &str, key: &str) -> Self {
        // Another process may take the port before nginx does, which then ends.
        let mut attempts =
            (0..ATTEMPTS).map(|_| Self::try_start(keepalive_requests, certificate, key));
        attempts.find_map(|nginx| nginx).expect("nginx starts, and one of the ports stays free")
    }

    /// Starts a server on a port that is free. Returns `None` if it ends.
    fn try_start(keepalive_requests: u32, certificate: &str, key: &str) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = free.local_addr().expect("a listener has an address").port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("nginx-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("there is room for a folder");
        let place = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {place}/pid; error_log stderr;
            events {{ worker_connections 4096; }}
            http {{
              access_log off;
              client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
              fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi;
              scgi_temp_path {place}/scgi;
              server {{
                listen 127.0.0.1:{port} ssl http2;
                ssl_certificate {place}/certificate.pem; ssl_certificate_key {place}/key.pem;
                keepalive_requests {keepalive_requests};
                location / {{ return 200 \"hello\"; }}
              }}
            }}"
        );
        for (name, text) in
            [("nginx.conf", &*config), ("certificate.pem", certificate), ("key.pem", key)]
        {
            fs::write(folder.join(name), text).expect("the folder can be written to");
        }
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self { child, folder, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        // Written once it listens. That somebody listens does not say who.
        while fs::read_to_string(nginx.folder.join("pid")).ok().is_none_or(|pid| pid.is_empty()) {
            if nginx.child.try_wait().expect("it is a child").is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "nginx does not listen on {port}");
            thread::sleep(INTERVAL);
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
