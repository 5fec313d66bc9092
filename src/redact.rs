//! Hides what is secret in whatever people may see: errors, log lines, `Debug`.
//!
//! A URL may hold a user with a password before its host, and a token in its query. Which names a
//! token goes by cannot be known, so every value of a query is hidden but for the few that this
//! client adds itself.

/// What stands in place of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// A configured value for people to see: one that is, or may be meant as, a URL or an address.
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

fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Adds a URL from its path on.
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

/// Whether it is a parameter that this client adds to URLs.
fn is_public(name: &str) -> bool {
    ["format", "service", "operations", "uuid"].contains(&name)
}

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
        }
    }
}
