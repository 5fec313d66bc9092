//! A variable of the environment: its names, its value, and its errors.
//!
//! The only place that makes errors about variables, so that each of them names the variable, shows
//! its value without secrets, and says what is allowed and the usual origin of such a value.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::grammar;
use crate::error::ConfigError;
use crate::redact::{self, HIDDEN};

/// A variable that is read.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// The older name, of jaeger-client-node.
    pub(super) older: Option<&'static str>,
    is_secret: bool,
    /// Whether the value is separated by commas, and perhaps several lines long.
    is_list: bool,
}

impl Variable {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, older: None, is_secret: false, is_list: false }
    }

    pub(super) const fn older(self, older: &'static str) -> Self {
        Self { older: Some(older), ..self }
    }

    pub(super) const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

/// A value that is set, and the name of its variable.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: &'static str,
    pub(super) text: String,
    is_secret: bool,
}

impl Found {
    pub(super) fn copy(&self) -> Self {
        Self { text: self.text.clone(), ..*self }
    }

    /// Replaces the text: by an entry of a list, or a description of the value.
    pub(super) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }
}

/// Reads variables, and collects errors and warnings.
pub(super) struct Reader<'l> {
    lookup: &'l dyn Fn(&str) -> Option<OsString>,
    errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
    /// OpenTelemetry's variables with a valid value.
    taken: Vec<&'static str>,
    notes: Vec<String>,
}

/// The result of reading, without errors.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl<'l> Reader<'l> {
    pub(super) fn new(lookup: &'l dyn Fn(&str) -> Option<OsString>) -> Self {
        Self {
            lookup,
            errors: Vec::new(),
            warnings: Vec::new(),
            taken: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Returns the findings, or all errors.
    pub(super) fn finish(self) -> Result<Findings, ConfigError> {
        let mut errors = self.errors;
        match errors.pop() {
            None => {
                let taken = self.taken.join(", ");
                let mut notes = self.notes;
                if !taken.is_empty() {
                    notes.insert(0, format!("read from the environment: {taken}"));
                }
                Ok(Findings { warnings: self.warnings, notes })
            }
            Some(error) if errors.is_empty() => Err(error),
            Some(last) => {
                errors.push(last);
                Err(ConfigError::Several { errors })
            }
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns any variable of the environment, for references to it.
    pub(super) fn any(&self, name: &str) -> Option<String> {
        Some((self.lookup)(name)?.to_string_lossy().into_owned())
    }

    /// Returns whether the variable is set, whatever its value.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        let is_set = |name| self.any(name).is_some_and(|value| !value.trim().is_empty());
        is_set(variable.name) || variable.older.is_some_and(is_set)
    }

    /// Returns the variable's value without white space around it; `None` if nothing is left, or if
    /// it cannot be the text of any variable.
    pub(super) fn find(&mut self, variable: &Variable) -> Option<Found> {
        let mut found = self.raw(variable, variable.name);
        if let Some(older) = variable.older {
            let name = variable.name;
            if found.is_none() {
                // A service that Kubernetes links to may have such a name by chance.
                let by_older = self.raw(variable, older);
                found = by_older.filter(|found| !is_service_link(&found.text));
                if found.is_some() {
                    self.warn(format!("{older} is an older name of {name}"));
                }
            } else if self.is_set(&Variable::new(older)) {
                self.warn(format!("{older} is set, but not read: {name} is set too"));
            }
        }
        let found = found?;
        if found.name.starts_with(OPEN_TELEMETRY) && !self.taken.contains(&found.name) {
            self.taken.push(found.name);
        }
        self.check(variable, &found).then_some(found)
    }

    /// Warns if a variable is set that is not read, because another is set too.
    pub(super) fn warn_of_unread(&mut self, unread: &Variable, other: &Variable) {
        if self.is_set(unread) {
            let (name, other) = (unread.name, other.name);
            self.warn(format!("{name} is set, but not read: {other} is set too"));
        }
    }

    fn raw(&mut self, variable: &Variable, name: &'static str) -> Option<Found> {
        let is_secret = variable.is_secret;
        let value = (self.lookup)(name)?;
        let text = match value.into_string() {
            // A password may end with a space, but its file's last line break is not part of it.
            Ok(text) if is_secret => text.trim_end_matches(['\r', '\n']).to_owned(),
            Ok(text) => text.trim().to_owned(),
            Err(value) => {
                let text = value.to_string_lossy().into_owned();
                self.refuse(&Found { name, text, is_secret }, "text in UTF-8");
                return None;
            }
        };
        if text.is_empty() { None } else { Some(Found { name, text, is_secret }) }
    }

    /// Refuses values that no variable can have.
    fn check(&mut self, variable: &Variable, found: &Found) -> bool {
        let is_break = |c: char| variable.is_list && matches!(c, '\n' | '\r' | '\t');
        let is_wrong = |c: char| (c.is_control() || is_invisible(c)) && !is_break(c);
        let allowed = if found.text.contains(is_wrong) {
            "one line, without control or invisible characters"
        } else if !found.is_secret && is_quoted(&found.text) {
            "given without quotes"
        } else {
            return true;
        };
        self.refuse(found, allowed);
        false
    }

    /// Returns the variable's value as `parse` reads it.
    pub(super) fn read<T>(
        &mut self,
        variable: &Variable,
        parse: impl Fn(&str) -> Option<T>,
        allowed: &'static str,
    ) -> Option<T> {
        let found = self.find(variable)?;
        let value = parse(&found.text);
        if value.is_none() {
            self.refuse(&found, allowed);
        }
        value
    }

    pub(super) fn boolean(&mut self, variable: &Variable) -> Option<bool> {
        let allowed = "one of 1, t, T, true, True, TRUE, 0, f, F, false, False, FALSE";
        self.read(variable, grammar::boolean, allowed)
    }

    /// Reads a duration; the default replaces zero and less.
    pub(super) fn duration(&mut self, variable: &Variable, default: Duration) -> Option<Duration> {
        let found = self.find(variable)?;
        self.duration_of(&found, default)
    }

    /// Reads the duration of a value; the default replaces zero and less.
    pub(super) fn duration_of(&mut self, found: &Found, default: Duration) -> Option<Duration> {
        let Some(duration) = grammar::duration(&found.text) else {
            let allowed = "a number of milliseconds, or a duration such as 500ms, 10s or 1m30s";
            self.refuse(found, allowed);
            return None;
        };
        let is_bare = found.text.bytes().all(|byte| byte.is_ascii_digit());
        if is_bare && !duration.is_zero() && duration < SHORT {
            let Found { name, text, .. } = found;
            self.warn(format!(
                "{name} is {duration:?}: a bare number such as {text} is milliseconds"
            ));
        }
        Some(if duration.is_zero() { default } else { duration })
    }

    /// Reads a number of a range; the default replaces zero and less.
    pub(super) fn count(
        &mut self,
        variable: &Variable,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let found = self.find(variable)?;
        let number = grammar::integer(&found.text).filter(|number| {
            *number <= 0 || usize::try_from(*number).is_ok_and(|number| range.contains(&number))
        });
        let Some(number) = number else {
            let mut allowed = "a whole number in decimal digits".to_owned();
            if *range.start() > 1 {
                let _ = write!(allowed, ", from {}", range.start());
            }
            if *range.end() < usize::MAX {
                let _ = write!(allowed, ", up to {}", range.end());
            }
            self.refuse(&found, allowed);
            return None;
        };
        Some(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(default))
    }

    /// Adds an error about the value. Each variable is reported once.
    pub(super) fn refuse(&mut self, found: &Found, allowed: impl Into<Cow<'static, str>>) {
        self.refuse_with(found, allowed, usual_origin(&found.text));
    }

    /// Adds an error with a hint about the origin of the value.
    pub(super) fn refuse_with(
        &mut self,
        found: &Found,
        allowed: impl Into<Cow<'static, str>>,
        hint: Option<&'static str>,
    ) {
        let name = found.name;
        let value = if found.is_secret { HIDDEN.to_owned() } else { shown(&found.text) };
        self.error(ConfigError::Variable { name, value, allowed: allowed.into(), hint });
    }

    /// Adds an error about a feature that the variable needs.
    pub(super) fn needs_feature(&mut self, found: &Found, feature: &'static str) {
        self.error(ConfigError::FeatureOff { field: found.name, feature });
    }

    fn error(&mut self, error: ConfigError) {
        let name = |error: &ConfigError| match error {
            ConfigError::Variable { name: field, .. } | ConfigError::FeatureOff { field, .. } => {
                Some(*field)
            }
            _ => None,
        };
        if !self.errors.iter().any(|known| name(known) == name(&error)) {
            self.errors.push(error);
        }
    }

    /// Adds information for the log.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds a warning for the log.
    pub(super) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// Returns a value for a message: without secrets, and not too long.
fn shown(text: &str) -> String {
    let text = redact::value(text);
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// Returns whether a character is invisible in editors, though it makes a name another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_quoted(text: &str) -> bool {
    ['"', '\'']
        .into_iter()
        .any(|quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote))
}

/// Returns whether Kubernetes has set the value for a service with the same name.
pub(super) fn is_service_link(text: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].into_iter().any(|scheme| text.starts_with(scheme))
}

/// Returns whether the value is a placeholder that was not expanded.
pub(super) fn is_unexpanded(text: &str) -> bool {
    ["$(", "${", "{{"].into_iter().any(|opening| text.contains(opening))
}

/// Returns the usual origin of an invalid value.
fn usual_origin(text: &str) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    if is_service_link(text) {
        return Some(
            "Kubernetes sets it so for a service of that name: `enableServiceLinks: false` in the \
             pod's specification prevents it",
        );
    }
    if has("$(") {
        return Some("Kubernetes leaves `$(NAME)` as it is where NAME is not defined above it");
    }
    if has("${") || text.starts_with('$') {
        return Some("nothing has expanded the variable in it: only a shell does that");
    }
    if has("{{") || has("<no value>") {
        return Some("it looks like a template that was not rendered");
    }
    if is_quoted(text) {
        return Some("quotes are part of the value in files given to `docker run --env-file`");
    }
    if has("\n") || has("\r") {
        return Some("a line break often comes from a block in YAML, or from a file");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some("before a port an IPv6 address stands in brackets, as in `[::1]:6831`");
    }
    if !text.is_ascii() {
        return Some("it has characters outside ASCII, which may be invisible");
    }
    None
}

const MAX_SHOWN_CHARS: usize = 100;

/// A bare number below this was perhaps meant as seconds.
const SHORT: Duration = Duration::from_millis(100);

/// The prefix of the names of OpenTelemetry's variables.
pub(super) const OPEN_TELEMETRY: &str = "OTEL_";
