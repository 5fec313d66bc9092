//! The variables of an agent.

use super::names::{
    AGENT_HOST, AGENT_PORT, AGENT_SOCKET_TYPE, AUTH_TOKEN, PASSWORD, RECONNECT_INTERVAL,
    RECONNECTING_DISABLED, SERVICE_NAME, TAGS, TIMEOUT, USER,
};
use super::variable::{Found, Reader};
use super::{grammar, set};
use crate::address::HostPort;
use crate::config::{Configuration, ReporterConfig};
use crate::error::ConfigError;
use crate::tracer::{self, defaults};
use crate::transport::{self, AgentSocketType, is_unix_socket};

/// The agent that `JAEGER_AGENT_HOST` names.
pub(super) enum Agent {
    Host(Found, HostPort),
    /// A Unix socket.
    Socket(Found),
}

/// Reads `JAEGER_AGENT_HOST`.
pub(super) fn find(reader: &mut Reader<'_>) -> Option<Agent> {
    let found = reader.find(&AGENT_HOST)?;
    if is_unix_socket(&found.text) {
        return Some(Agent::Socket(found));
    }
    match HostPort::parse_host(&found.text) {
        Some(host) => Some(Agent::Host(found, host)),
        None => {
            let allowed =
                "a host name or an IP address, perhaps with a port, or unix:/path/to/socket";
            if found.text.starts_with("http") && found.text.contains("://") {
                let hint = "a collector's URL belongs in JAEGER_ENDPOINT";
                reader.refuse_with(&found, allowed, Some(hint));
            } else {
                reader.refuse(&found, allowed);
            }
            None
        }
    }
}

/// Reads the variables that count where spans go to an agent.
pub(super) fn read(reader: &mut Reader<'_>, configuration: &mut Configuration) {
    let reporter = &mut configuration.reporter;
    match find(reader) {
        Some(Agent::Socket(found)) => socket(reader, found, reporter),
        agent => host_and_port(reader, agent, reporter),
    }
    let socket_type = reader.read(&AGENT_SOCKET_TYPE, socket_type, "udp, udp4 or udp6");
    set(&mut reporter.agent_socket_type, socket_type);
    set(&mut reporter.disable_attempt_reconnecting, reader.boolean(&RECONNECTING_DISABLED));
    if !reporter.disable_attempt_reconnecting {
        let interval = reader.duration(&RECONNECT_INTERVAL, defaults::RECONNECT_INTERVAL);
        set(&mut reporter.attempt_reconnect_interval, interval);
    }
    for variable in [USER, PASSWORD, AUTH_TOKEN, TIMEOUT] {
        if reader.is_set(&variable) {
            let name = variable.name;
            reader.warn(format!(
                "{name} is set, but not read: it is a collector's, and JAEGER_ENDPOINT is not set"
            ));
        }
    }
    check_process(reader, configuration);
}

fn socket(reader: &mut Reader<'_>, found: Found, reporter: &mut ReporterConfig) {
    let made =
        transport::agent(found.text.clone(), reporter.agent_socket_type, None, reporter.pacing);
    if let Err(ConfigError::Invalid { allowed, .. }) = made {
        reader.refuse(&found, allowed);
    }
    reporter.local_agent_host_port = found.text;
}

fn host_and_port(reader: &mut Reader<'_>, agent: Option<Agent>, reporter: &mut ReporterConfig) {
    let port_found = reader.find(&AGENT_PORT);
    let port = port_found.as_ref().and_then(|found| {
        let port = grammar::integer(&found.text).and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0);
        if port.is_none() {
            reader.refuse(found, PORTS);
        }
        port
    });
    let host = match agent {
        Some(Agent::Host(_, host)) => host,
        _ if port.is_some() => HostPort { host: DEFAULT_HOST.to_owned(), port: None },
        _ => return,
    };
    if let (Some(found), Some(port), Some(own)) = (&port_found, port, host.port)
        && port != own
    {
        reader.refuse(found, format!("left out, or {own} as in JAEGER_AGENT_HOST"));
    }
    let port = host.port.or(port).or(Some(DEFAULT_PORT));
    reporter.local_agent_host_port = HostPort { port, ..host }.to_string();
}

/// Refuses names and tags that leave no room for spans in a datagram.
fn check_process(reader: &mut Reader<'_>, configuration: &Configuration) {
    if ![TAGS, SERVICE_NAME].iter().any(|variable| reader.is_set(variable)) {
        // What is configured in code is checked where the tracer is built, once.
        return;
    }
    let Configuration { service_name, tags, spans, .. } = configuration;
    let largest = configuration.reporter.max_packet_size;
    if tracer::leaves_room_for_spans(service_name, tags, spans, largest) {
        return;
    }
    for variable in [TAGS, SERVICE_NAME] {
        if let Some(found) = reader.find(&variable) {
            let text = format!("{} bytes", found.text.len());
            let allowed = format!("small enough to be sent in each datagram, of {largest} bytes");
            return reader.refuse(&found.with_text(text), allowed);
        }
    }
}

fn socket_type(text: &str) -> Option<AgentSocketType> {
    match text {
        "udp" => Some(AgentSocketType::Udp),
        "udp4" => Some(AgentSocketType::Udp4),
        "udp6" => Some(AgentSocketType::Udp6),
        _ => None,
    }
}

pub(super) const PORTS: &str = "a port from 1 to 65535";
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6831;
