//! Starts the services, and ends them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jaeger_client::{ConfigError, FlushReport};
use jaeger_client_embedded_agent::EmbeddedAgent;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::customer::{self, Mysql};
use crate::driver::{self, Redis};
use crate::frontend::{self, Clients, Places, Ui};
use crate::metrics::Metrics;
use crate::settings::{Destination, Settings, Which};
use crate::tracers::{Backend, Tracers};
use crate::{http_server, route};

/// Services that run. They end when this is dropped.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<(&'static str, SocketAddr)>,
    ui: String,
    agent: Option<EmbeddedAgent>,
    tracers: Tracers,
    serving: JoinSet<io::Result<()>>,
}

impl Running {
    /// Where the services of this process listen: name and address.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Where one of them listens, if it runs here.
    #[must_use]
    pub fn address(&self, service: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| *name == service).map(|(_, address)| *address)
    }

    /// The user interface that shows traces.
    #[must_use]
    pub fn ui(&self) -> &str {
        &self.ui
    }

    /// The agent of this process, if spans go there.
    #[must_use]
    pub fn agent(&self) -> Option<&EmbeddedAgent> {
        self.agent.as_ref()
    }

    /// Waits until a service ends, which none does unless something is wrong.
    pub async fn failed(&mut self) -> io::Error {
        match self.serving.join_next().await {
            Some(Ok(Err(why))) => why,
            _ => io::Error::other("a service ended"),
        }
    }

    /// Ends the services, sends what is left, and says what became of each one's spans.
    #[must_use]
    pub fn close(mut self, timeout: Duration) -> Vec<(&'static str, FlushReport)> {
        self.serving.abort_all();
        self.tracers.close(timeout)
    }
}

/// Starts services. They listen when this returns.
///
/// # Errors
///
/// [`StartError`] if a port is taken or an address cannot be used.
pub async fn start(which: Which, settings: Settings) -> Result<Running, StartError> {
    let (backend, agent) = backend(&settings.destination, which)?;
    let ui = ui(&settings, agent.as_ref());
    let mut starting = Starting {
        which,
        metrics: Metrics::new(),
        running: Running {
            addresses: Vec::new(),
            ui: ui.url.clone(),
            agent,
            tracers: Tracers::new(backend),
            serving: JoinSet::new(),
        },
    };
    // Those that are asked come first: with free ports, the frontend must know theirs.
    let places = Places {
        route: starting.route(&settings).await?,
        driver: starting.driver(&settings).await?,
        customer: starting.customer(&settings).await?,
    };
    starting.frontend(&settings, places, ui).await?;
    Ok(starting.running)
}

struct Starting {
    which: Which,
    metrics: Metrics,
    running: Running,
}

impl Starting {
    /// Binds a service's port if it runs here; otherwise says where it is expected.
    async fn bind(
        &mut self,
        service: (Which, &'static str),
        port: u16,
    ) -> Result<(SocketAddr, Option<TcpListener>), StartError> {
        let (kind, name) = service;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !self.which.includes(kind) {
            return match (self.which, port) {
                (Which::Frontend, 0) => Err(StartError::Unknown { service: name }),
                _ => Ok((wanted, None)),
            };
        }
        let taken = |why| StartError::Port { service: name, port, why };
        let listener = TcpListener::bind(wanted).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        self.running.addresses.push((name, address));
        Ok((address, Some(listener)))
    }

    async fn route(&mut self, settings: &Settings) -> Result<SocketAddr, StartError> {
        let (at, listener) = self.bind((Which::Route, "route"), settings.route_port).await?;
        if let Some(listener) = listener {
            let (traced, plain) = (route::router(self.metrics.clone()), axum::Router::new());
            self.serve(listener, "route", traced, plain)?;
        }
        Ok(at)
    }

    async fn driver(&mut self, settings: &Settings) -> Result<SocketAddr, StartError> {
        let (at, listener) = self.bind((Which::Driver, "driver"), settings.driver_port).await?;
        if let Some(listener) = listener {
            let redis = Redis::new(self.running.tracers.tracer("redis")?);
            let tracer = self.running.tracers.tracer("driver")?;
            let metrics = self.metrics.clone();
            self.running.serving.spawn(driver::serve(listener, tracer, metrics, redis));
        }
        Ok(at)
    }

    async fn customer(&mut self, settings: &Settings) -> Result<SocketAddr, StartError> {
        let at = self.bind((Which::Customer, "customer"), settings.customer_port).await?;
        let (at, listener) = at;
        if let Some(listener) = listener {
            let tracer = self.running.tracers.tracer("mysql")?;
            let mysql = Mysql::new(tracer, settings.db_query_delay, settings.db_mutex);
            self.serve(listener, "customer", customer::router(mysql), axum::Router::new())?;
        }
        Ok(at)
    }

    async fn frontend(
        &mut self,
        settings: &Settings,
        places: Places,
        ui: Ui,
    ) -> Result<(), StartError> {
        let at = self.bind((Which::Frontend, "frontend"), settings.frontend_port).await?;
        if let (_, Some(listener)) = at {
            let tracer = self.running.tracers.tracer("frontend")?;
            let clients = Clients::new(tracer.clone(), places, settings.driver_timeout)
                .map_err(|why| StartError::Driver { at: places.driver, why: why.to_string() })?;
            let traced = frontend::traced(clients, settings.route_workers);
            let metrics = self.metrics.clone();
            let plain = frontend::plain(ui);
            let serving = http_server::serve(listener, "frontend", tracer, metrics, traced, plain);
            self.running.serving.spawn(serving);
        }
        Ok(())
    }

    /// Serves HTTP with a tracer of the service's own.
    fn serve(
        &mut self,
        listener: TcpListener,
        service: &'static str,
        traced: axum::Router,
        plain: axum::Router,
    ) -> Result<(), StartError> {
        let tracer = self.running.tracers.tracer(service)?;
        let metrics = self.metrics.clone();
        let serving = http_server::serve(listener, service, tracer, metrics, traced, plain);
        self.running.serving.spawn(serving);
        Ok(())
    }
}

/// Where tracers send, and the agent there if it is ours.
fn backend(
    destination: &Destination,
    which: Which,
) -> Result<(Backend, Option<EmbeddedAgent>), StartError> {
    let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match destination {
        Destination::Agent(agent) => Ok((Backend::Agent(agent.clone()), None)),
        Destination::Zipkin(url) => Ok((Backend::Zipkin(url.clone()), None)),
        // Alone, the frontend keeps an agent for the others too, where all expect one.
        Destination::Embedded if which == Which::Frontend => {
            let agent =
                EmbeddedAgent::builder().usual_ports().start().map_err(StartError::Agent)?;
            Ok((Backend::Agent(agent.compact_addr().to_string()), Some(agent)))
        }
        Destination::Embedded if which == Which::All => {
            let usual = EmbeddedAgent::builder().http_addr(loopback(UI_PORT)).start();
            let agent = usual
                .or_else(|_| EmbeddedAgent::builder().http_addr(loopback(0)).start())
                .map_err(StartError::Agent)?;
            Ok((Backend::Agent(agent.compact_addr().to_string()), Some(agent)))
        }
        Destination::Embedded => Ok((Backend::Agent(USUAL_AGENT.into()), None)),
    }
}

/// Returns the URL where traces are shown: by default, the usual port of the host to which spans are sent.
fn ui(settings: &Settings, agent: Option<&EmbeddedAgent>) -> Ui {
    let (usual, traces) = match &settings.destination {
        Destination::Zipkin(url) => (format!("{}/zipkin", origin(url)), "traces"),
        Destination::Agent(at) => {
            let host = at.rsplit_once(':').map_or(&**at, |(host, _)| host);
            (format!("http://{host}:{UI_PORT}"), "trace")
        }
        Destination::Embedded => (format!("http://localhost:{UI_PORT}"), "trace"),
    };
    let own = agent.and_then(EmbeddedAgent::http_addr).map(|at| format!("http://{at}"));
    let url = settings.ui.clone().or(own).unwrap_or(usual);
    let url = url.trim_end_matches('/').to_owned();
    Ui { trace: format!("{url}/{traces}/"), url }
}

/// A URL up to its path, without a password: what the page links to is seen by all.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}

/// Why services do not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A port cannot be listened on.
    Port {
        /// Whose port it is.
        service: &'static str,
        /// The port.
        port: u16,
        /// What the system says.
        why: io::Error,
    },
    /// A service that runs elsewhere has no port that could be known.
    Unknown {
        /// The service.
        service: &'static str,
    },
    /// The driver service cannot be asked.
    Driver {
        /// Where it is expected.
        at: SocketAddr,
        /// What is wrong.
        why: String,
    },
    /// The agent of this process does not start.
    Agent(io::Error),
    /// A tracer cannot be made.
    Tracer(ConfigError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { service, port, why } => {
                write!(f, "{service} cannot listen on port {port}: {why} (0 takes a free one)")
            }
            Self::Unknown { service } => {
                write!(f, "the port of {service} is 0, but it runs elsewhere; say which it has")
            }
            Self::Driver { at, why } => write!(f, "drivers cannot be asked for at {at}: {why}"),
            Self::Agent(why) => write!(f, "the agent does not start: {why} (--agent has another)"),
            Self::Tracer(why) => write!(f, "{why}"),
        }
    }
}

impl Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(why: ConfigError) -> Self {
        Self::Tracer(why)
    }
}

/// Where Jaeger has its user interface.
const UI_PORT: u16 = 16686;

/// Where an agent usually is.
const USUAL_AGENT: &str = "localhost:6831";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_shown_where_spans_go_unless_configured_otherwise() {
        let links = |destination: Destination, ui: Option<&str>| {
            let ui = ui.map(str::to_owned);
            super::ui(&Settings { destination, ui, ..Settings::default() }, None).trace
        };
        let agent = |at: &str| Destination::Agent(at.into());
        let zipkin = |url: &str| Destination::Zipkin(url.into());
        for (destination, wanted) in [
            (Destination::Embedded, "http://localhost:16686/trace/"),
            (agent("tracing:6831"), "http://tracing:16686/trace/"),
            (agent("[::1]:6831"), "http://[::1]:16686/trace/"),
            (zipkin("http://z:9411"), "http://z:9411/zipkin/traces/"),
            (zipkin("https://me:secret@z/api/v1/spans"), "https://z/zipkin/traces/"),
        ] {
            assert_eq!(links(destination, None), wanted);
        }
        assert_eq!(links(agent("a:1"), Some("http://ui:8/")), "http://ui:8/trace/");
        assert_eq!(links(zipkin("http://z"), Some("http://ui/z")), "http://ui/z/traces/");
    }
}
