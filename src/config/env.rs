//! Configuration from the environment: the `JAEGER_*` variables of all Jaeger clients.
//!
//! Everything goes through one function from name to value, so that tests, and whoever keeps such
//! variables elsewhere, can stand in for the environment.

use std::ffi::OsString;

use super::{Configuration, ReporterConfig, SamplerConfig, grammar};
use crate::environment;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::propagation;
use crate::tracer::defaults;
use crate::transport::{AgentSocketType, is_unix_socket};

impl Configuration {
    /// Reads the `JAEGER_*` variables of the environment over the defaults.
    ///
    /// An empty variable is none. Unlike other clients, this one samples every trace where no
    /// variable speaks of sampling; where one does but none names the sampler, it is `remote`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the variable, the value and what is allowed, for each that is wrong.
    /// Nothing panics, and no value is passed over because it cannot be read.
    ///
    /// # Source
    ///
    /// `FromEnv` in jaeger-client-go, `config/config_env.go`; `JAEGER_PROPAGATION` and
    /// `JAEGER_AUTH_TOKEN` are jaeger-client-java's, `JAEGER_REPORTER_TIMEOUT`,
    /// `JAEGER_AGENT_SOCKET_TYPE` and `JAEGER_SAMPLER_SAMPLING_PATH` jaeger-client-node's.
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
        // The environment's proxies are read where they are used, so that errors name the variable.
        let proxy = self.proxy.clone();
        Ok(Self { proxy, ..self.with_variables(environment::variable)? })
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
        mut self,
        lookup: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).map(Into::into);
        let mut variables = Variables { lookup: &lookup, errors: Vec::new() };
        variables.service(&mut self);
        variables.sampler(&mut self.sampler);
        variables.reporter(&mut self.reporter);
        if let Some(proxy) = ProxyConfig::from_variables(&lookup) {
            self.proxy = proxy;
        }
        let mut errors = variables.errors;
        match errors.pop() {
            None => Ok(self),
            Some(error) if errors.is_empty() => Err(error),
            Some(last) => {
                errors.push(last);
                Err(ConfigError::Several { errors })
            }
        }
    }
}

/// What is read from, and what was wrong with it so far.
struct Variables<'l> {
    lookup: &'l dyn Fn(&str) -> Option<OsString>,
    errors: Vec<ConfigError>,
}

impl Variables<'_> {
    /// The variable's value, unless it is empty.
    fn text(&mut self, name: &'static str) -> Option<String> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(value) => {
                let value = value.to_string_lossy().into_owned();
                self.wrong(name, shown(name, value), "text in UTF-8");
                None
            }
        }
    }

    /// The variable's value, read by `parse`.
    fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        allowed: &'static str,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.wrong(name, shown(name, text), allowed);
        }
        value
    }

    fn wrong(&mut self, field: &'static str, value: String, allowed: &'static str) {
        self.errors.push(ConfigError::OutOfRange { field, value, allowed });
    }

    fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.read(
            name,
            grammar::boolean,
            "one of 1, t, T, true, True, TRUE, 0, f, F, false, False, FALSE",
        )
    }

    /// A duration, or the default where it is zero or less.
    fn duration(
        &mut self,
        name: &'static str,
        default: std::time::Duration,
    ) -> Option<std::time::Duration> {
        let allowed = "a duration with a unit, such as 500ms, 10s or 1m30s";
        let duration = self.read(name, grammar::duration, allowed)?;
        Some(if duration.is_zero() { default } else { duration })
    }

    /// A number, or the default where it is zero or less.
    fn count(&mut self, name: &'static str, default: usize) -> Option<usize> {
        let number = self.read(name, grammar::integer, "a whole number in decimal digits")?;
        Some(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(default))
    }

    fn service(&mut self, configuration: &mut Configuration) {
        set(&mut configuration.service_name, self.text(SERVICE_NAME));
        set(&mut configuration.disabled, self.boolean(DISABLED));
        set(&mut configuration.rpc_metrics, self.boolean(RPC_METRICS));
        set(&mut configuration.trace_id_128bit, self.boolean(TRACE_ID_128BIT));
        if let Some(text) = self.text(TAGS) {
            let lookup = self.lookup;
            let variable = |name: &str| Some(lookup(name)?.to_string_lossy().into_owned());
            match grammar::tags(&text, variable) {
                Ok(tags) => {
                    let tags = tags.into_iter().map(|(key, value)| (key, value.into()));
                    configuration.tags = tags.collect();
                }
                Err(grammar::NoTag(entry)) => {
                    let allowed = "key=value, or key=${VARIABLE:default}, separated by commas";
                    self.wrong(TAGS, entry, allowed);
                }
            }
        }
        if let Some(text) = self.text(PROPAGATION) {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            let names: Vec<_> = names.map(str::to_owned).collect();
            match propagation::from_names(&names, &configuration.headers) {
                Ok(_) => configuration.propagation = names,
                Err(ConfigError::Unknown { value, allowed, .. }) => {
                    let error = ConfigError::Unknown { field: PROPAGATION, value, allowed };
                    self.errors.push(error);
                }
                Err(_) => self.wrong(PROPAGATION, text, "names separated by commas"),
            }
        }
    }

    fn sampler(&mut self, sampler: &mut SamplerConfig) {
        let kind = self.text(SAMPLER_TYPE);
        let param = self.read(SAMPLER_PARAM, grammar::float, "a number, such as 1 or 0.01");
        let endpoint = self.text(SAMPLING_ENDPOINT);
        let manager = self.text(SAMPLER_MANAGER_HOST_PORT);
        let path = self.read(SAMPLING_PATH, absolute_path, "a path that begins with '/'");
        let max = self.count(SAMPLER_MAX_OPERATIONS, crate::sampler::DEFAULT_MAX_OPERATIONS);
        let interval =
            self.duration(SAMPLER_REFRESH_INTERVAL, crate::sampler::DEFAULT_REFRESH_INTERVAL);

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
        let agent = |host: String| on_host(&format!("{}:5778", grammar::host(&host)));
        let url = endpoint
            .or_else(|| {
                // Go takes the variable's word for a URL; by its name it is none.
                let is_url = |manager: &String| manager.contains("://");
                manager.map(|text| if is_url(&text) { text } else { on_host(&text) })
            })
            .or_else(|| self.text(AGENT_HOST).filter(|host| !is_unix_socket(host)).map(agent))
            .or_else(|| path.as_ref().map(|_| on_host("127.0.0.1:5778")));
        set(&mut sampler.sampling_server_url, url);
    }

    fn reporter(&mut self, reporter: &mut ReporterConfig) {
        set(&mut reporter.queue_size, self.count(MAX_QUEUE_SIZE, defaults::QUEUE_SIZE));
        let interval = self.duration(FLUSH_INTERVAL, defaults::FLUSH_INTERVAL);
        set(&mut reporter.buffer_flush_interval, interval);
        set(&mut reporter.log_spans, self.boolean(LOG_SPANS));
        if self.text(ENDPOINT).is_some() {
            self.collector(reporter);
        } else {
            self.agent(reporter);
        }
    }

    /// The variables of a collector, which count only where there is one.
    fn collector(&mut self, reporter: &mut ReporterConfig) {
        let allowed = "a URL such as http://collector:14268/api/traces";
        if let Some(endpoint) = self.read(ENDPOINT, grammar::endpoint, allowed) {
            reporter.collector_endpoint = Some(endpoint);
        }
        match (self.text(USER), self.text(PASSWORD)) {
            (None, None) => {}
            (Some(user), Some(password)) => {
                (reporter.user, reporter.password) = (Some(user), Some(password));
            }
            (Some(user), None) => self.wrong(USER, user, "set together with JAEGER_PASSWORD"),
            (None, Some(_)) => {
                self.wrong(PASSWORD, HIDDEN.to_owned(), "set together with JAEGER_USER");
            }
        }
        if let Some(token) = self.text(AUTH_TOKEN) {
            reporter.auth_token = Some(token);
        }
        let allowed = "a duration with a unit, such as 5s, or a number of milliseconds";
        if let Some(timeout) = self.read(TIMEOUT, timeout, allowed) {
            reporter.sender_timeout =
                if timeout.is_zero() { defaults::SENDER_TIMEOUT } else { timeout };
        }
    }

    /// The variables of an agent, which are not even read where spans go to a collector.
    fn agent(&mut self, reporter: &mut ReporterConfig) {
        let host = self.text(AGENT_HOST);
        let port = self.read(AGENT_PORT, grammar::integer, "a port's number in decimal digits");
        if let Some(socket) = host.as_ref().filter(|host| is_unix_socket(host)) {
            reporter.local_agent_host_port.clone_from(socket);
        } else if host.is_some() || port.is_some() {
            let host = host.map_or_else(|| "localhost".to_owned(), |host| grammar::host(&host));
            reporter.local_agent_host_port = format!("{host}:{}", port.unwrap_or(6831));
        }
        let socket_type = self.read(AGENT_SOCKET_TYPE, socket_type, "udp, udp4 or udp6");
        set(&mut reporter.agent_socket_type, socket_type);
        set(&mut reporter.disable_attempt_reconnecting, self.boolean(RECONNECTING_DISABLED));
        if !reporter.disable_attempt_reconnecting {
            let interval = self.duration(RECONNECT_INTERVAL, defaults::RECONNECT_INTERVAL);
            set(&mut reporter.attempt_reconnect_interval, interval);
        }
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
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

/// A duration, or a bare number of milliseconds, as jaeger-client-node takes it.
fn timeout(text: &str) -> Option<std::time::Duration> {
    let millis = text.parse().ok().map(std::time::Duration::from_millis);
    millis.or_else(|| grammar::duration(text))
}

/// A value for a message: what is secret is nobody's business.
fn shown(name: &str, value: String) -> String {
    let secret =
        [PASSWORD, AUTH_TOKEN].contains(&name) || (name == ENDPOINT && value.contains('@'));
    if secret { HIDDEN.to_owned() } else { value }
}

const HIDDEN: &str = "(hidden)";

const SERVICE_NAME: &str = "JAEGER_SERVICE_NAME";
const DISABLED: &str = "JAEGER_DISABLED";
const RPC_METRICS: &str = "JAEGER_RPC_METRICS";
const TRACE_ID_128BIT: &str = "JAEGER_TRACEID_128BIT";
const TAGS: &str = "JAEGER_TAGS";
const PROPAGATION: &str = "JAEGER_PROPAGATION";
const SAMPLER_TYPE: &str = "JAEGER_SAMPLER_TYPE";
const SAMPLER_PARAM: &str = "JAEGER_SAMPLER_PARAM";
const SAMPLING_ENDPOINT: &str = "JAEGER_SAMPLING_ENDPOINT";
const SAMPLER_MANAGER_HOST_PORT: &str = "JAEGER_SAMPLER_MANAGER_HOST_PORT";
const SAMPLING_PATH: &str = "JAEGER_SAMPLER_SAMPLING_PATH";
const SAMPLER_MAX_OPERATIONS: &str = "JAEGER_SAMPLER_MAX_OPERATIONS";
const SAMPLER_REFRESH_INTERVAL: &str = "JAEGER_SAMPLER_REFRESH_INTERVAL";
const MAX_QUEUE_SIZE: &str = "JAEGER_REPORTER_MAX_QUEUE_SIZE";
const FLUSH_INTERVAL: &str = "JAEGER_REPORTER_FLUSH_INTERVAL";
const LOG_SPANS: &str = "JAEGER_REPORTER_LOG_SPANS";
const ENDPOINT: &str = "JAEGER_ENDPOINT";
const USER: &str = "JAEGER_USER";
const PASSWORD: &str = "JAEGER_PASSWORD";
const AUTH_TOKEN: &str = "JAEGER_AUTH_TOKEN";
const TIMEOUT: &str = "JAEGER_REPORTER_TIMEOUT";
const AGENT_HOST: &str = "JAEGER_AGENT_HOST";
const AGENT_PORT: &str = "JAEGER_AGENT_PORT";
const AGENT_SOCKET_TYPE: &str = "JAEGER_AGENT_SOCKET_TYPE";
const RECONNECTING_DISABLED: &str = "JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED";
const RECONNECT_INTERVAL: &str = "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL";
