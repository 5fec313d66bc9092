//! Warnings about variables that are set but not read.

use super::names::{ALL, OTEL_TRACES_EXPORTER, WITH_OTLP};
use super::variable::OPEN_TELEMETRY;
use super::variable::is_service_link;

/// Returns warnings about these variables, given as names and values that are not empty.
/// `exports_otlp` is whether OpenTelemetry's are read.
pub(super) fn warnings<'v>(
    set: impl Iterator<Item = (&'v str, &'v str)>,
    exports_otlp: bool,
) -> Vec<String> {
    let mut open_telemetry = Vec::new();
    let mut warnings = Vec::new();
    for (name, value) in set {
        if name.starts_with(OPEN_TELEMETRY) {
            if !is_read(name, exports_otlp) {
                open_telemetry.push((name, value));
            }
        } else if let Some(warning) = about(name, value) {
            warnings.push(warning);
        }
    }
    warnings.sort_unstable();
    open_telemetry.sort_unstable();
    warnings.extend(about_open_telemetry(&open_telemetry, exports_otlp));
    warnings
}

/// Returns the warning about one variable.
fn about(name: &str, value: &str) -> Option<String> {
    let known = || ALL.iter().flat_map(|variable| [Some(variable.name), variable.older]).flatten();
    if known().any(|known| known == name) {
        return None;
    }
    let likely = known()
        .map(|known| (distance(&name.to_ascii_uppercase(), known), known))
        // Short names resemble many others.
        .filter(|(distance, known)| *distance <= if known.len() < LONG { 1 } else { MAX_TYPOS })
        .min();
    let is_ours = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    if !is_ours && likely.is_none() || is_of_others(name, value) {
        return None;
    }
    let suggestion = likely.map_or_else(String::new, |(_, likely)| format!(": is {likely} meant?"));
    Some(format!("{name} is set, but not read{suggestion}"))
}

/// Returns whether the variable belongs to another component of Jaeger, or is set by Kubernetes or
/// Docker for a service whose name begins with `jaeger`.
fn is_of_others(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let of_component = |start: &&str| {
        rest.strip_prefix(*start).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let parts: Vec<&str> = rest.split('_').collect();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    // As in JAEGER_QUERY_SERVICE_HOST, JAEGER_SERVICE_PORT_HTTP, JAEGER_PORT_6831_UDP_ADDR.
    let is_link = parts.windows(2).any(|two| {
        matches!(two, ["SERVICE", "HOST" | "PORT"]) || (two[0] == "PORT" && is_number(&two[1]))
    });
    is_link || is_service_link(value) || COMPONENTS.iter().any(of_component)
}

/// Returns whether a variable of OpenTelemetry is read.
fn is_read(name: &str, exports_otlp: bool) -> bool {
    if name == OTEL_TRACES_EXPORTER.name {
        return cfg!(feature = "otlp");
    }
    exports_otlp && is_read_with_otlp(name)
}

fn is_read_with_otlp(name: &str) -> bool {
    WITH_OTLP.iter().flat_map(|variables| variables.iter()).any(|variable| variable.name == name)
}

fn about_open_telemetry(set: &[(&str, &str)], exports_otlp: bool) -> Option<String> {
    let mut names: Vec<&str> = set.iter().take(MAX_NAMED).map(|(name, _)| *name).collect();
    let more = set.len() - names.len();
    let more = format!("{more} more");
    if set.len() > names.len() {
        names.push(&more);
    }
    let verb = if set.len() == 1 { "is" } else { "are" };
    let hint = match set.iter().find(|(name, _)| *name == "OTEL_SDK_DISABLED") {
        Some((_, value)) if value.trim().eq_ignore_ascii_case("true") => {
            ", and JAEGER_DISABLED=true to record nothing"
        }
        _ => "",
    };
    let would_be = cfg!(feature = "otlp") && set.iter().any(|(name, _)| is_read_with_otlp(name));
    let switch = match exports_otlp {
        false if would_be => ", and some of these where JAEGER_TRACES_EXPORTER names otlp",
        _ => "",
    };
    let names = names.join(", ");
    (!set.is_empty()).then(|| {
        format!("{names} {verb} set, but not read: this client reads JAEGER_*{switch}{hint}")
    })
}

/// Returns the edit distance: how many letters have to be inserted, removed, changed or swapped
/// with the next; more than [`MAX_TYPOS`] if the texts are too different.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > MAX_TYPOS {
        return MAX_TYPOS + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = row[j] + usize::from(a != b);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

const PREFIX: &str = "JAEGER_";

/// The names after the prefix of variables of other components of Jaeger.
const COMPONENTS: &[&str] = &[
    "ALL_IN_ONE",
    "IMAGE",
    "INGESTER",
    "LISTEN_HOST",
    "OPERATOR",
    "QUERY",
    "STORAGE",
    "UI",
    "VERSION",
];

const MAX_TYPOS: usize = 2;
const LONG: usize = PREFIX.len() + 6;
const MAX_NAMED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings_of(set: &[(&str, &str)]) -> Vec<String> {
        warnings(set.iter().copied(), false)
    }

    #[test]
    fn misspelt_variables_are_named_with_what_is_likely_meant() {
        for (name, likely) in [
            ("JAEGER_AGENT_HSOT", "JAEGER_AGENT_HOST"),
            ("JAEGER_SERVICENAME", "JAEGER_SERVICE_NAME"),
            ("JAEGER_SAMPLE_TYPE", "JAEGER_SAMPLER_TYPE"),
            ("JEAGER_AGENT_HOST", "JAEGER_AGENT_HOST"),
            ("jaeger_agent_host", "JAEGER_AGENT_HOST"),
            ("JAEGER_TAG", "JAEGER_TAGS"),
        ] {
            let expected = format!("{name} is set, but not read: is {likely} meant?");
            assert_eq!(warnings_of(&[(name, "x")]), [expected]);
        }
        for name in
            ["JAEGER_SENDER_FACTORY", "JAEGER_GRPC_TARGET", "JAEGER_COLLECTOR_URL", "JAEGER_PORT"]
        {
            assert_eq!(warnings_of(&[(name, "x")]), [format!("{name} is set, but not read")]);
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        for (name, value) in [
            ("JAEGER_AGENT_HOST", "a"),
            ("JAEGER_REPORTER_AGENT_HOST", "a"),
            ("JAEGER_AGENT_SERVICE_HOST", "10.0.0.1"),
            ("JAEGER_AGENT_SERVICE_PORT", "6831"),
            ("JAEGER_SERVICE_HOST", "10.0.0.1"),
            ("JAEGER_QUERY_SERVICE_PORT_QUERY_HTTP", "16686"),
            ("JAEGER_PORT", "tcp://10.0.0.1:16686"),
            ("JAEGER_AGENT_PORT_6831_UDP", "udp://10.0.0.1:6831"),
            ("JAEGER_AGENT_PORT_6831_UDP_PROTO", "udp"),
            ("JAEGER_COLLECTOR_PORT_14268_TCP_ADDR", "10.0.0.1"),
            ("JAEGER_COLLECTOR_PORT", "tcp://10.0.0.1:14268"),
            ("JAEGER_LISTEN_HOST", "0.0.0.0"),
            ("JAEGER_UI", "http://ui"),
            ("JAEGER_QUERY_BASE_PATH", "/jaeger"),
            ("PATH", "/bin"),
            ("HOME", "/"),
        ] {
            assert_eq!(warnings_of(&[(name, value)]), [""; 0], "{name}");
        }
    }

    #[test]
    fn variables_of_open_telemetry_are_named_together_and_without_their_values() {
        let one = warnings_of(&[("OTEL_SERVICE_NAME", "secret")]);
        let expected = "OTEL_SERVICE_NAME is set, but not read: this client reads JAEGER_*";
        assert!(one.len() == 1 && one[0].starts_with(expected), "{one:?}");
        assert_eq!(one[0].contains("names otlp"), cfg!(feature = "otlp"), "{one:?}");
        let with_otlp = warnings([("OTEL_SERVICE_NAME", "a"), ("OTEL_X", "b")].into_iter(), true);
        assert_eq!(with_otlp, ["OTEL_X is set, but not read: this client reads JAEGER_*"]);
        let names: Vec<_> = (0..10).map(|n| format!("OTEL_{n}")).collect();
        let set: Vec<_> = names.iter().map(|name| (name.as_str(), "secret")).collect();
        let many = warnings_of(&set);
        assert!(
            many[0].starts_with("OTEL_0, OTEL_1,") && many[0].contains(", 2 more are set"),
            "{many:?}"
        );
        assert!(!many[0].contains("secret") && many.len() == 1, "{many:?}");
        let disabled = warnings_of(&[("OTEL_SDK_DISABLED", "true")]);
        assert!(disabled[0].contains("JAEGER_DISABLED=true"), "{disabled:?}");
        assert_eq!(warnings_of(&[]), [""; 0]);
    }

    #[test]
    fn a_swap_is_one_typo() {
        for (one, other, expected) in [
            ("HOST", "HOST", 0),
            ("HSOT", "HOST", 1),
            ("HOS", "HOST", 1),
            ("COST", "HOST", 1),
            ("", "HOST", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one}");
        }
    }
}
