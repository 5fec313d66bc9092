//! Naming conventions of tags, and where they are configured.

use std::sync::OnceLock;

/// A naming convention of a span's tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagNames {
    /// The names of OpenTracing and Jaeger, such as `http.status_code`.
    #[default]
    Jaeger,
    /// The names of OpenTelemetry's stable conventions, such as `http.response.status_code`.
    OpenTelemetry,
    /// Both: for the time in which dashboards and alerts are migrated.
    Both,
}

impl TagNames {
    pub(crate) const fn has_jaeger(self) -> bool {
        !matches!(self, Self::OpenTelemetry)
    }

    pub(crate) const fn has_opentelemetry(self) -> bool {
        !matches!(self, Self::Jaeger)
    }
}

/// The names of tags for HTTP and for gRPC.
///
/// By default, [`TraceLayer`](crate::TraceLayer), [`ClientLayer`](crate::ClientLayer) and
/// [`TracedClient`](crate::TracedClient) use the result of [`from_env`](Self::from_env).
///
/// # Shape and units
///
/// `error` and `span.kind` are set whatever the names are, because Jaeger reads them. With names of
/// OpenTelemetry, alone or beside Jaeger's, `error` is also set by OpenTelemetry's rule: at a client
/// for statuses of 400 and more. Spans are named `GET` in place of `HTTP GET` only with
/// [`TagNames::OpenTelemetry`]. The table of all names is in the README.
///
/// # Source
///
/// HTTP spans and RPC spans in the OpenTelemetry semantic conventions 1.44.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::{SemanticConventions, TagNames, TraceLayer};
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let layer = TraceLayer::new(tracer)
///     .semantic_conventions(SemanticConventions::default().http(TagNames::Both));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SemanticConventions {
    pub(crate) http: TagNames,
    pub(crate) rpc: TagNames,
}

impl SemanticConventions {
    /// Reads the variable `OTEL_SEMCONV_STABILITY_OPT_IN`, a list separated by commas: `http` and
    /// `rpc` for OpenTelemetry's names, `http/dup` and `rpc/dup` for both. By default Jaeger's. It
    /// is read once in a process.
    #[must_use]
    pub fn from_env() -> Self {
        static OF_PROCESS: OnceLock<SemanticConventions> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        *OF_PROCESS.get_or_init(|| Self::parse(&std::env::var(VARIABLE).unwrap_or_default()))
    }

    fn parse(list: &str) -> Self {
        let has = |wanted: &str| list.split(',').any(|item| item.trim() == wanted);
        let names = |plain, both| {
            // The wider one counts where both are given, as the conventions say.
            match (has(plain), has(both)) {
                (_, true) => TagNames::Both,
                (true, false) => TagNames::OpenTelemetry,
                (false, false) => TagNames::Jaeger,
            }
        };
        Self { http: names("http", "http/dup"), rpc: names("rpc", "rpc/dup") }
    }

    /// Sets the names of tags of HTTP requests.
    #[must_use]
    pub const fn http(mut self, names: TagNames) -> Self {
        self.http = names;
        self
    }

    /// Sets the names of tags of gRPC calls.
    #[must_use]
    pub const fn rpc(mut self, names: TagNames) -> Self {
        self.rpc = names;
        self
    }
}

const VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_a_list_of_which_the_wider_item_counts() {
        use TagNames::{Both, Jaeger, OpenTelemetry};
        for (list, http, rpc) in [
            ("", Jaeger, Jaeger),
            ("http", OpenTelemetry, Jaeger),
            ("http/dup", Both, Jaeger),
            ("http,http/dup", Both, Jaeger),
            ("database, http ,rpc/dup", OpenTelemetry, Both),
            ("rpc", Jaeger, OpenTelemetry),
            ("https,HTTP", Jaeger, Jaeger),
        ] {
            let expected = SemanticConventions { http, rpc };
            assert_eq!(SemanticConventions::parse(list), expected, "{list:?}");
        }
    }
}
