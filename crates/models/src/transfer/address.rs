//! Parses web addresses and the `Content-Range` header.

/// The scheme, host and port of `url`, such as `https://host:8080`.
pub(super) fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url, |end| &url[..host + end])
}

/// The address that a response from `from` redirects to, given its header `location`. `None` if the redirect must not
/// be followed, because it leads from HTTPS to HTTP, or is neither absolute nor a path.
pub(super) fn redirected(from: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || (location.starts_with("http://") && from.starts_with("http://")) {
        return Some(location.to_owned());
    }
    let is_path = location.starts_with('/') && !location.starts_with("//");
    is_path.then(|| format!("{}{location}", origin(from)))
}

pub(super) fn is_loopback(endpoint: &str) -> bool {
    let host = origin(endpoint).split_once("://").map_or("", |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Parses `bytes FIRST-LAST/TOTAL` and returns the first position and the total size.
pub(super) fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    Some((first, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_ranges_are_parsed() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
        assert_eq!(content_range("5-9/10"), None);
    }

    #[test]
    fn redirects_never_lead_from_https_to_http() {
        let to = |location| redirected("https://hub.example/a/b?c", location);
        assert_eq!(to("https://cdn.example/x").as_deref(), Some("https://cdn.example/x"));
        assert_eq!(to("/api/x?y").as_deref(), Some("https://hub.example/api/x?y"));
        assert_eq!(to("http://cdn.example/x"), None);
        assert_eq!(to("//cdn.example/x"), None);
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to(""), None);
    }

    #[test]
    fn loopback_addresses_are_recognised() {
        for endpoint in ["http://127.0.0.1:80/x", "http://localhost", "http://[::1]:8080"] {
            assert!(is_loopback(endpoint), "{endpoint}");
        }
        for endpoint in ["https://huggingface.co", "http://10.0.0.1:80", "https://localhost.example"] {
            assert!(!is_loopback(endpoint), "{endpoint}");
        }
    }

    proptest! {
        #[test]
        fn hostile_headers_do_not_panic(text in "(bytes )?[0-9*/-]{0,30}|\\PC{0,40}") {
            let _ = content_range(&text);
            let _ = redirected(&text, &text);
            let _ = is_loopback(&text);
        }
    }
}
