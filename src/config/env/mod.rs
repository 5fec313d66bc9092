//! Configuration from the environment: the `JAEGER_*` variables of all Jaeger clients.
//!
//! All values are read through one function from name to value, so that tests, and applications
//! that store such variables elsewhere, can replace the environment.
//!
//! The configuration is built once as a check: whatever a tracer would be refused for later is an
//! error here, under the name of the variable.

mod agent;
mod collector;
mod grammar;
mod names;
mod open_telemetry;
mod otlp;
mod sampler;
mod unread;
mod variable;

use std::ffi::OsString;

use self::names::{
    AUTH_TOKEN, DISABLED, ENDPOINT, FLUSH_INTERVAL, LOG_SPANS, MAX_QUEUE_BYTES, MAX_QUEUE_SIZE,
    OFTEN_SET, OTEL_TRACES_EXPORTER, PASSWORD, PROPAGATION, RECORD_BACKTRACES, RPC_METRICS,
    SERVICE_NAME, TAGS, TIMEOUT, TRACE_ID_128BIT, TRACES_EXPORTER, USER,
};
use self::variable::{Reader, is_unexpanded};
use super::exporter::{self, Exporter};
use super::{Configuration, ReporterConfig};
use crate::environment;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::propagation;
use crate::tracer::defaults;
use crate::transport::MAX_PACKET_BYTES;

impl Configuration {
    /// Reads the `JAEGER_*` variables of the environment over the defaults.
    ///
    /// An empty variable, or one of white space alone, is treated as unset; white space around a
    /// value is removed. If `JAEGER_DISABLED` is true, only `JAEGER_PROPAGATION` is read besides, and
    /// an invalid value of it is ignored.
    /// Unlike other clients, this one samples every trace if no variable configures sampling; if
    /// one does but none names the sampler, it is `remote`.
    ///
    /// If `JAEGER_TRACES_EXPORTER`, or else `OTEL_TRACES_EXPORTER`, names `otlp` (feature `otlp`),
    /// OpenTelemetry's variables are read too: those of the exporter, and those with a `JAEGER_*`
    /// counterpart that is not set. [`notes`](Configuration::notes) names them.
    ///
    /// Variables that are set but not read, such as misspelt ones and OpenTelemetry's, are named in
    /// [`warnings`](Configuration::warnings), which are logged once.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`] has the variable, the value, what is allowed and the usual origin
    /// of such a value; several of them are [`ConfigError::Several`]. A configuration that was read
    /// without an error can be built, except for a missing service name, which may still be given
    /// in code.
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

    /// Reads the variables of the environment over the existing configuration.
    ///
    /// # Errors
    ///
    /// As for [`Configuration::from_env`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Configuration;
    /// // JAEGER_SERVICE_NAME takes precedence over this name.
    /// let configuration = Configuration::new("checkout").with_env()?;
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn with_env(self) -> Result<Self, ConfigError> {
        // The environment's proxies are read where they are used, so that errors name the variable.
        self.read(&environment::variable, environment::names())
    }

    /// Reads variables from elsewhere over the existing configuration: `lookup` returns a
    /// variable's value, also of those that name proxies. Misspelt names cannot be found this way.
    ///
    /// # Errors
    ///
    /// As for [`Configuration::from_env`].
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
        let names = OFTEN_SET.iter().map(|name| (*name).to_owned()).collect();
        let lookup = |name: &str| lookup(name).map(Into::into);
        let mut configuration = self.read(&lookup, names)?;
        if !configuration.disabled
            && let Some(proxy) = ProxyConfig::from_variables(&lookup)
        {
            configuration.proxy = proxy;
        }
        Ok(configuration)
    }

    /// Reads variables; `names` are those that may be set, of this client or not.
    fn read(
        mut self,
        lookup: &dyn Fn(&str) -> Option<OsString>,
        names: Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        set(&mut self.disabled, reader.boolean(&DISABLED));
        if self.disabled && !reader.has_errors() {
            // A disabled tracer forwards contexts in these formats.
            formats(&mut reader, &mut self);
            return Ok(self);
        }
        exporters(&mut reader, &mut self);
        let exports_otlp = self.exports_otlp() && cfg!(feature = "otlp");
        service(&mut reader, &mut self);
        if exports_otlp {
            open_telemetry::read(&mut reader, &mut self);
            otlp::read(&mut reader, &mut self.reporter.otlp);
        }
        let exports_jaeger = self.exports(Exporter::Jaeger);
        let has_collector = self.reporter.collector_endpoint.is_some() || reader.is_set(&ENDPOINT);
        if !(exports_otlp && open_telemetry::sampler(&mut reader, &mut self)) {
            let sends_elsewhere = has_collector || !exports_jaeger;
            sampler::read(&mut reader, &self.service_name, sends_elsewhere, &mut self.sampler);
        }
        queue(&mut reader, &mut self.reporter);
        match (exports_jaeger, has_collector) {
            (true, true) => collector::read(&mut reader, &mut self.reporter),
            (true, false) => agent::read(&mut reader, &mut self),
            (false, _) => warn_of_unused(&mut reader),
        }
        let values: Vec<_> =
            names.iter().filter_map(|name| Some((name.as_str(), reader.any(name)?))).collect();
        let values = values.iter().filter(|(_, value)| !value.trim().is_empty());
        unread::warnings(values.map(|(name, value)| (*name, value.as_str())), exports_otlp)
            .into_iter()
            .for_each(|warning| reader.warn(warning));
        let findings = reader.finish()?;
        (self.warnings, self.notes) = (findings.warnings, findings.notes);
        Ok(self)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Reads the exporters.
fn exporters(reader: &mut Reader<'_>, configuration: &mut Configuration) {
    let mut found = reader.find(&TRACES_EXPORTER);
    if cfg!(feature = "otlp") {
        if found.is_some() {
            reader.warn_of_unread(&OTEL_TRACES_EXPORTER, &TRACES_EXPORTER);
        } else {
            found = reader.find(&OTEL_TRACES_EXPORTER);
        }
    }
    let Some(found) = found else { return };
    let names = found.text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    match exporter::exporters(&names) {
        Ok(_) => configuration.exporters = names,
        Err(ConfigError::FeatureOff { feature, .. }) => reader.needs_feature(&found, feature),
        Err(ConfigError::Unknown { value, allowed, .. }) => {
            let allowed = format!("names of {allowed}, separated by commas");
            reader.refuse(&found.with_text(value), allowed);
        }
        Err(ConfigError::Invalid { allowed, .. }) => reader.refuse(&found, allowed),
        Err(_) => reader.refuse(&found, "names of exporters, separated by commas"),
    }
}

/// Warns of variables for an exporter that is not used.
fn warn_of_unused(reader: &mut Reader<'_>) {
    for variable in [ENDPOINT, USER, PASSWORD, AUTH_TOKEN, TIMEOUT] {
        if reader.is_set(&variable) {
            let name = variable.name;
            reader.warn(format!("{name} is set, but not read: no exporter is jaeger"));
        }
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
    set(&mut configuration.spans.record_backtraces, reader.boolean(&RECORD_BACKTRACES));
    let wide = reader.boolean(&TRACE_ID_128BIT);
    configuration.trace_id_128bit = wide.or(configuration.trace_id_128bit);
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
    let sizes = 1..=defaults::MAX_QUEUE_SIZE;
    set(&mut reporter.queue_size, reader.count(&MAX_QUEUE_SIZE, defaults::QUEUE_SIZE, sizes));
    if let Some(bytes) = reader.count(&MAX_QUEUE_BYTES, 0, MAX_PACKET_BYTES..=usize::MAX) {
        reporter.queue_bytes = Some(bytes).filter(|bytes| *bytes > 0);
    }
    let interval = reader.duration(&FLUSH_INTERVAL, defaults::FLUSH_INTERVAL);
    set(&mut reporter.buffer_flush_interval, interval);
    set(&mut reporter.log_spans, reader.boolean(&LOG_SPANS));
}
