//! Redaction of secrets in errors, log lines and `Debug` output.
//!
//! A URL may contain a user and a password before its host, and a token in its query. The parameter
//! names of tokens are unknown, so every value of a query is hidden but for the few that this
//! client adds itself.

/// The replacement of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Redacts a configured value that is, or may be meant as, a URL or an address.
pub(crate) fn value(text: &str) -> String {
    if text.starts_with("unix:/") || text.starts_with("unix:@") {
        return text.to_owned();
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(is_of_scheme) => (Some(scheme), rest),
        _ => (None, text),
    };
    let mut shown = scheme.map_or_else(String::new, |scheme| format!("{scheme}://"));
    // A password may have any character in it, so nothing before the last '@' is safe to show.
    let tail = match rest.rfind('@') {
        Some(at) => {
            shown.push_str(HIDDEN);
            &rest[at..]
        }
        None => rest,
    };
    push_without_query_values(&mut shown, tail);
    shown
}

/// Redacts the URLs in a message.
#[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
pub(crate) fn message(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let start =
            rest[..at].trim_end_matches(|c: char| c.is_ascii() && is_of_scheme(c as u8)).len();
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>');
        let end = rest[at..].find(ends).map_or(rest.len(), |end| at + end);
        shown.push_str(&rest[..start]);
        shown.push_str(&value(&rest[start..end]));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Appends a URL from its path on.
fn push_without_query_values(shown: &mut String, text: &str) {
    let (text, fragment) = text.split_once('#').map_or((text, ""), |(text, after)| (text, after));
    let (path, query) = text.split_once('?').map_or((text, None), |(a, b)| (a, Some(b)));
    shown.push_str(path);
    for (number, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if number == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, value)) if value.is_empty() || is_public(name) => {
                shown.push_str(pair);
            }
            Some((name, _)) => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(HIDDEN);
            }
            None if pair.is_empty() => {}
            None => shown.push_str(HIDDEN),
        }
    }
    if !fragment.is_empty() {
        shown.push('#');
        shown.push_str(HIDDEN);
    }
}

/// Returns whether this client adds the parameter to URLs.
fn is_public(name: &str) -> bool {
    ["format", "service", "operations", "uuid"].contains(&name)
}

/// Secrets of a request, which the receiver may repeat in its response.
#[derive(Clone, Default)]
#[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
pub(crate) struct Secrets(Vec<String>);

#[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
impl Secrets {
    /// Returns the values of the URL's query.
    pub(crate) fn of_url(url: &str) -> Self {
        let (_, query) = url.split_once('?').unwrap_or_default();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)));
        let mut secrets = Self::default();
        pairs.filter(|(name, _)| !is_public(name)).for_each(|(_, value)| secrets.add(value));
        secrets
    }

    /// Adds a secret, unless it is so short that it would occur in any text.
    pub(crate) fn add(&mut self, secret: &str) {
        if secret.len() >= MIN_SECRET_BYTES {
            self.0.push(secret.to_owned());
            // The longest first: one secret may begin another.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// Redacts the secrets in a text from elsewhere.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
        message(&self.0.iter().fold(text.to_owned(), hide))
    }
}

#[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").finish()
    }
}

#[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
const MIN_SECRET_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn users_passwords_query_values_and_fragments_are_hidden() {
        for (text, shown) in [
            ("http://ann:hush@c:14268/api", "http://(hidden)@c:14268/api"),
            ("https://hush@c", "https://(hidden)@c"),
            ("ann:hush@c:1/x", "(hidden)@c:1/x"),
            ("http://ann:h/u?s#h@c/x", "http://(hidden)@c/x"),
            ("http://ann:hu@sh@c/x", "http://(hidden)@c/x"),
            ("http://ann:80/hush@c/x", "http://(hidden)@c/x"),
            ("http://a:hush@b,http://c:hush@d", "http://(hidden)@d"),
            ("http://c/?token=hush&format=x&k=", "http://c/?token=(hidden)&format=x&k="),
            ("http://c?hush", "http://c?(hidden)"),
            ("c:5778/sampling?key=hush&&hush", "c:5778/sampling?key=(hidden)&&(hidden)"),
            ("http://c/#hush", "http://c/#(hidden)"),
            ("http://c/x?to=hush@d", "http://(hidden)@d"),
            (
                "http://c:14268/api/traces?format=jaeger.thrift",
                "http://c:14268/api/traces?format=jaeger.thrift",
            ),
            ("agent:6831", "agent:6831"),
            ("unix:@agent", "unix:@agent"),
            ("unix:hush@c", "(hidden)@c"),
            ("why?", "why?"),
            ("0,5", "0,5"),
            ("", ""),
        ] {
            assert_eq!(value(text), shown, "{text}");
        }
    }

    #[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
    #[test]
    fn urls_in_messages_are_hidden_and_the_rest_is_unchanged() {
        let text =
            "cannot reach \"https://a:hush@c/x?t=hush\" (é://?hush), then http://d?hush=hush.";
        let shown = message(text);
        assert!(!shown.contains("hush@") && !shown.contains("t=hush"), "{shown}");
        assert!(shown.starts_with("cannot reach \"https://(hidden)@c/x?t=(hidden)\" ("), "{shown}");
        assert!(shown.contains("then http://d?hush=(hidden)"), "{shown}");
        assert_eq!(message("no URL: a@b?c"), "no URL: a@b?c");
    }

    #[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
    #[test]
    fn a_secret_that_a_response_repeats_is_hidden() {
        let mut secrets = Secrets::of_url("http://c/sampling?token=hush&service=checkout&k=a");
        secrets.add("hush-hush");
        let text =
            "Cannot GET /sampling?token=hush&service=checkout; authorization: Bearer hush-hush";
        let shown =
            "Cannot GET /sampling?token=(hidden)&service=checkout; authorization: Bearer (hidden)";
        assert_eq!(secrets.hide_in(text), shown);
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }

    proptest! {
        #[test]
        fn law_any_text_is_taken(text in "\\PC{0,30}|[a-z:/?#@&=é]{0,30}") {
            let _ = value(&text);
        }

        #[test]
        fn law_no_password_and_no_token_is_shown(
            url in "https?://[a-z]{0,3}:?HUSH[a-z/?#@:&=]{0,4}@[a-z]{1,5}(:[0-9]{1,4})?(/[a-z]{0,3})?(\\?[a-z]{0,3}=?HUSH[a-z]{0,3})?",
        ) {
            prop_assert!(!value(&url).contains("HUSH"), "{}", value(&url));
            #[cfg(any(feature = "remote-sampler", feature = "collector-http"))]
            {
                let text = message(&format!("for {url} no answer"));
                prop_assert!(!text.contains("HUSH") && text.ends_with(" no answer"), "{text}");
            }
        }
    }
}
