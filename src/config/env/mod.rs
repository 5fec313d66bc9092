//! Configuration from the environment: the `JAEGER_*` variables of all Jaeger clients.
//!
//! The only file that reads the environment. Everything goes through one function from name to
//! value, so that tests, and whoever keeps such variables elsewhere, can stand in for it.

mod grammar;
mod names;
mod variable;

use std::ffi::OsString;

use self::names::{
    AGENT_HOST, AGENT_PORT, AGENT_SOCKET_TYPE, AUTH_TOKEN, DISABLED, ENDPOINT, FLUSH_INTERVAL,
    LOG_SPANS, MAX_QUEUE_SIZE, PASSWORD, PROPAGATION, RECONNECT_INTERVAL, RECONNECTING_DISABLED,
    RPC_METRICS, SAMPLER_MANAGER_HOST_PORT, SAMPLER_MAX_OPERATIONS, SAMPLER_PARAM,
    SAMPLER_REFRESH_INTERVAL, SAMPLER_TYPE, SAMPLING_ENDPOINT, SAMPLING_PATH, SERVICE_NAME, TAGS,
    TIMEOUT, TRACE_ID_128BIT, USER,
};
use self::variable::{Reader, is_unexpanded};
use super::{Configuration, ReporterConfig, SamplerConfig};
use crate::address::{HostPort, WebUrl};
use crate::error::ConfigError;
use crate::propagation;
use crate::tracer::defaults;
use crate::transport::{AgentSocketType, is_unix_socket};

impl Configuration {
    /// Reads the `JAEGER_*` variables of the environment over the defaults.
    ///
    /// A variable that is empty, or has nothing but white space, is unset; white space around a
    /// value is no part of it. Where `JAEGER_DISABLED` says so, nothing else is looked at but
    /// `JAEGER_PROPAGATION`. Unlike other clients, this one samples every trace where no variable
    /// speaks of sampling; where one does but none names the sampler, it is `remote`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`] names the variable, the value, what is allowed and where such a
    /// value usually comes from; several of them are [`ConfigError::Several`].
    ///
    /// # Source
    ///
    /// `FromEnv` in jaeger-client-go, `config/config_env.go`; `JAEGER_PROPAGATION` and
    /// `JAEGER_AUTH_TOKEN` are jaeger-client-java's, `JAEGER_REPORTER_TIMEOUT`,
    /// `JAEGER_AGENT_SOCKET_TYPE` and `JAEGER_SAMPLER_SAMPLING_PATH` jaeger-client-node's, as are
    /// the older names of `configuration_env.js`. A bare number as a duration is milliseconds, as for
    /// those two.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use jaeger_client::Configuration;
    /// let (tracer, closer) = Configuration::from_env()?.new_tracer()?;
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::default().with_env()
    }

    /// Reads the variables of the environment over what is configured.
    ///
    /// # Errors
    ///
    /// As [`Configuration::from_env`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Configuration;
    /// // The name given holds unless JAEGER_SERVICE_NAME says another.
    /// let configuration = Configuration::new("checkout").with_env()?;
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn with_env(self) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "the place where the environment is read")]
        self.with_variables(|name| std::env::var_os(name))
    }

    /// Reads variables from elsewhere over what is configured: `lookup` gives a variable's value.
    ///
    /// # Errors
    ///
    /// As [`Configuration::from_env`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Configuration;
    /// let variables = |name: &str| match name {
    ///     "JAEGER_SERVICE_NAME" => Some("checkout"),
    ///     "JAEGER_DISABLED" => Some("maybe"),
    ///     _ => None,
    /// };
    /// let error = Configuration::default().with_variables(variables).unwrap_err();
    /// assert!(error.to_string().starts_with("JAEGER_DISABLED is \"maybe\", but must be"));
    /// ```
    pub fn with_variables<V: Into<OsString>>(
        self,
        lookup: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ConfigError> {
        self.read(&|name| lookup(name).map(Into::into))
    }

    fn read(mut self, lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        set(&mut self.disabled, reader.boolean(&DISABLED));
        if self.disabled && !reader.has_errors() {
            // A disabled tracer hands contexts on, in these formats.
            formats(&mut reader, &mut self);
            return Ok(self);
        }
        service(&mut reader, &mut self);
        sampler(&mut reader, &mut self.sampler);
        queue(&mut reader, &mut self.reporter);
        if reader.is_set(&ENDPOINT) {
            collector(&mut reader, &mut self.reporter);
        } else {
            agent(&mut reader, &mut self.reporter);
        }
        self.warnings = reader.finish()?;
        Ok(self)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn service(reader: &mut Reader<'_>, configuration: &mut Configuration) {
    if let Some(name) = reader.find(&SERVICE_NAME) {
        if is_unexpanded(&name.text) {
            reader.refuse(&name, "the service's name");
        }
        configuration.service_name = name.text;
    }
    set(&mut configuration.rpc_metrics, reader.boolean(&RPC_METRICS));
    set(&mut configuration.trace_id_128bit, reader.boolean(&TRACE_ID_128BIT));
    if let Some(found) = reader.find(&TAGS) {
        match grammar::tags(&found.text, |name| reader.any(name)) {
            Ok(tags) => {
                let tags = tags.into_iter().map(|(key, value)| (key, value.into()));
                configuration.tags = tags.collect();
            }
            Err(grammar::NoTag(entry)) => {
                let allowed = "key=value, or key=${VARIABLE:default}, separated by commas";
                reader.refuse(&found.with_text(entry), allowed);
            }
        }
    }
    formats(reader, configuration);
}

fn formats(reader: &mut Reader<'_>, configuration: &mut Configuration) {
    let Some(found) = reader.find(&PROPAGATION) else { return };
    let names = found.text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    match propagation::check_names(&names) {
        Ok(()) => configuration.propagation = names,
        Err(ConfigError::Unknown { value, allowed, .. }) => {
            let allowed = format!("names of {allowed}, separated by commas");
            reader.refuse(&found.with_text(value), allowed);
        }
        Err(_) => reader.refuse(&found, "names of formats, separated by commas"),
    }
}

fn queue(reader: &mut Reader<'_>, reporter: &mut ReporterConfig) {
    let size = reader.count(&MAX_QUEUE_SIZE, defaults::QUEUE_SIZE, defaults::MAX_QUEUE_SIZE);
    set(&mut reporter.queue_size, size);
    let interval = reader.duration(&FLUSH_INTERVAL, defaults::FLUSH_INTERVAL);
    set(&mut reporter.buffer_flush_interval, interval);
    set(&mut reporter.log_spans, reader.boolean(&LOG_SPANS));
}

fn sampler(reader: &mut Reader<'_>, sampler: &mut SamplerConfig) {
    let text = |found: Option<variable::Found>| found.map(|found| found.text);
    let kind = text(reader.find(&SAMPLER_TYPE));
    let param = reader.read(&SAMPLER_PARAM, grammar::float, "a number, such as 1 or 0.01");
    let endpoint = text(reader.find(&SAMPLING_ENDPOINT));
    let manager = text(reader.find(&SAMPLER_MANAGER_HOST_PORT));
    let path = reader.read(&SAMPLING_PATH, absolute_path, "a path that begins with '/'");
    let default = crate::sampler::DEFAULT_MAX_OPERATIONS;
    let max = reader.count(&SAMPLER_MAX_OPERATIONS, default, usize::MAX);
    let default = crate::sampler::DEFAULT_REFRESH_INTERVAL;
    let interval = reader.duration(&SAMPLER_REFRESH_INTERVAL, default);

    let spoken_of = param.is_some()
        || max.is_some()
        || interval.is_some()
        || [&endpoint, &manager, &path].into_iter().any(Option::is_some);
    let unchanged = *sampler == SamplerConfig::default();
    let kind = kind.or_else(|| (spoken_of && unchanged).then(|| "remote".to_owned()));
    if let Some(kind) = kind {
        if !kind.eq_ignore_ascii_case(&sampler.kind) {
            sampler.param = crate::sampler::default_param(&kind);
        }
        sampler.kind = kind;
    }
    set(&mut sampler.param, param);
    set(&mut sampler.max_operations, max);
    set(&mut sampler.sampling_refresh_interval, interval);

    let path_or_default = path.as_deref().unwrap_or("/sampling");
    let on_host = |host: &str| format!("http://{host}{path_or_default}");
    let agent = |host: String| on_host(&format!("{}:5778", bracketed(&host)));
    let url = endpoint
        .or_else(|| {
            // Go takes the variable's word for a URL; by its name it is none.
            let is_url = |manager: &String| manager.contains("://");
            manager.map(|text| if is_url(&text) { text } else { on_host(&text) })
        })
        .or_else(|| text(reader.find(&AGENT_HOST)).filter(|host| !is_unix_socket(host)).map(agent))
        .or_else(|| path.as_ref().map(|_| on_host("127.0.0.1:5778")));
    set(&mut sampler.sampling_server_url, url);
}

/// The variables of a collector, which count only where there is one.
fn collector(reader: &mut Reader<'_>, reporter: &mut ReporterConfig) {
    let allowed = "a URL such as http://collector:14268/api/traces";
    if let Some(endpoint) = reader.read(&ENDPOINT, endpoint, allowed) {
        reporter.collector_endpoint = Some(endpoint);
    }
    match (reader.find(&USER), reader.find(&PASSWORD)) {
        (None, None) => {}
        (Some(user), Some(password)) => {
            (reporter.user, reporter.password) = (Some(user.text), Some(password.text));
        }
        (Some(user), None) => reader.refuse(&user, "set together with JAEGER_PASSWORD"),
        (None, Some(password)) => reader.refuse(&password, "set together with JAEGER_USER"),
    }
    if let Some(token) = reader.find(&AUTH_TOKEN) {
        reporter.auth_token = Some(token.text);
    }
    set(&mut reporter.sender_timeout, reader.duration(&TIMEOUT, defaults::SENDER_TIMEOUT));
}

/// The variables of an agent, which are not even read where spans go to a collector.
fn agent(reader: &mut Reader<'_>, reporter: &mut ReporterConfig) {
    let host = reader.find(&AGENT_HOST).map(|found| found.text);
    let port = reader.read(&AGENT_PORT, grammar::integer, "a port's number in decimal digits");
    if let Some(socket) = host.as_ref().filter(|host| is_unix_socket(host)) {
        reporter.local_agent_host_port.clone_from(socket);
    } else if host.is_some() || port.is_some() {
        let host = host.map_or_else(|| "localhost".to_owned(), |host| bracketed(&host));
        reporter.local_agent_host_port = format!("{host}:{}", port.unwrap_or(6831));
    }
    let socket_type = reader.read(&AGENT_SOCKET_TYPE, socket_type, "udp, udp4 or udp6");
    set(&mut reporter.agent_socket_type, socket_type);
    set(&mut reporter.disable_attempt_reconnecting, reader.boolean(&RECONNECTING_DISABLED));
    if !reporter.disable_attempt_reconnecting {
        let interval = reader.duration(&RECONNECT_INTERVAL, defaults::RECONNECT_INTERVAL);
        set(&mut reporter.attempt_reconnect_interval, interval);
    }
}

/// A host as it stands before a port: IPv6 addresses get their brackets.
fn bracketed(host: &str) -> String {
    HostPort::parse_host(host).map_or_else(|| host.to_owned(), |host| host.to_string())
}

fn absolute_path(text: &str) -> Option<String> {
    text.starts_with('/').then(|| text.to_owned())
}

fn socket_type(text: &str) -> Option<AgentSocketType> {
    match text {
        "udp" => Some(AgentSocketType::Udp),
        "udp4" => Some(AgentSocketType::Udp4),
        "udp6" => Some(AgentSocketType::Udp6),
        _ => None,
    }
}

fn endpoint(text: &str) -> Option<String> {
    WebUrl::parse(text).ok().map(|url| url.to_string())
}
