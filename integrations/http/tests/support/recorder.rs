//! The events of a [`ClientTrace`], in the form of the file with Go's recorded ones.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, StatusCode};
use jaeger_client_http::{ClientTrace, GotConn, PutIdleError, TlsInfo};
use parking_lot::Mutex;

/// Takes down every callback that Go's httptrace has.
#[derive(Default)]
pub struct Recorder {
    reported: Mutex<String>,
}

impl Recorder {
    /// Returns the events so far; the ports are replaced by those of `port`.
    pub fn reported(&self, port: u16) -> String {
        self.reported.lock().replace(&format!(":{port}"), ":PORT").trim_end().to_owned()
    }

    fn line(&self, line: &str) {
        writeln!(self.reported.lock(), "{line}").unwrap();
    }
}

/// Returns whether something failed: the words are each client's own.
fn failed(failed: bool) -> &'static str {
    if failed { " error" } else { "" }
}

impl ClientTrace for Recorder {
    fn get_conn(&self, host_port: &str) {
        self.line(&format!("GetConn {host_port}"));
    }

    fn dns_start(&self, host: &str) {
        self.line(&format!("DNSStart {host}"));
    }

    fn dns_done(&self, addresses: Result<&[IpAddr], &io::Error>) {
        let mut line = "DNSDone".to_owned();
        for address in addresses.unwrap_or_default() {
            write!(line, " {address}").unwrap();
        }
        self.line(&(line + failed(addresses.is_err())));
    }

    fn connect_start(&self, network: &str, address: SocketAddr) {
        self.line(&format!("ConnectStart {network} {address}"));
    }

    fn connect_done(&self, network: &str, address: SocketAddr, error: Option<&io::Error>) {
        self.line(&format!("ConnectDone {network} {address}{}", failed(error.is_some())));
    }

    fn tls_handshake_start(&self) {
        self.line("TLSHandshakeStart");
    }

    fn tls_handshake_done(&self, result: Result<&TlsInfo, &io::Error>) {
        self.line(&format!("TLSHandshakeDone{}", failed(result.is_err())));
    }

    fn got_conn(&self, conn: &GotConn) {
        self.line(&format!("GotConn reused={} was_idle={}", conn.reused, conn.was_idle));
    }

    fn wrote_headers(&self) {
        self.line("WroteHeaders");
    }

    fn wait_100_continue(&self) {
        self.line("Wait100Continue");
    }

    fn wrote_request(&self, error: Option<&(dyn Error + 'static)>) {
        self.line(&format!("WroteRequest{}", failed(error.is_some())));
    }

    fn got_first_response_byte(&self) {
        self.line("GotFirstResponseByte");
    }

    fn got_100_continue(&self) {
        self.line("Got100Continue");
    }

    fn got_1xx_response(&self, status: StatusCode, _headers: &HeaderMap) {
        self.line(&format!("Got1xxResponse {}", status.as_u16()));
    }

    fn put_idle_conn(&self, error: Option<PutIdleError>) {
        self.line(&format!("PutIdleConn{}", failed(error.is_some())));
    }
}
