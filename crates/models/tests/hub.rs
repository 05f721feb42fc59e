//! Tests of pulling from a hub. A local server replaces the hub.

mod support;

use std::fs;
use std::ops::ControlFlow;

use amanuensis_models::{Error, Progress, State};
use support::{Response, Server, file, hub_catalogue, left_in, noise, quiet, store};

#[test]
fn a_pull_follows_redirects_and_leaves_a_complete_model() {
    let weights = noise(700_000);
    let content = weights.clone();
    let storage = Server::start(move |request| Response::ranged(&content, request));
    let target = format!("{}/blob", storage.address);
    let hub = Server::start(move |request| match request.path.as_str() {
        "/org/m/resolve/r1/config.json" => Response::new("307 Temporary Redirect", b"").header("location", "/moved"),
        "/moved" => Response::new("200 OK", b"{}"),
        "/org/m/resolve/r1/model.bin" => Response::new("302 Found", b"").header("location", target.clone()),
        _ => Response::new("404 Not Found", b""),
    });
    let catalogue = hub_catalogue(&[file("config.json", b"{}"), file("model.bin", &weights)].join(","));
    let (_dir, store) = store(&catalogue);
    let store = store.with_hub_endpoint(&hub.address).unwrap().with_hub_token(Some("secret".into()));

    let mut last = 0;
    let path = store
        .pull("m", &mut |step| {
            if let Progress::Advanced { bytes } = step {
                last = bytes;
            }
            ControlFlow::Continue(())
        })
        .unwrap();

    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
    assert_eq!(fs::read(path.join("config.json")).unwrap(), b"{}");
    assert_eq!(last, weights.len() as u64 + 2);
    assert_eq!(left_in(&store), ["m"]);
    let State::Installed(manifest) = &store.list()[0].state else { panic!("not installed") };
    assert_eq!(manifest.source, "hub:org/m@r1");
    // The token is sent to the hub, but not to the server that the hub redirects to.
    assert!(hub.requests().iter().all(|request| request.authorization.as_deref() == Some("Bearer secret")));
    assert!(storage.requests().iter().all(|request| request.authorization.is_none()));
    // A second pull downloads nothing; it only verifies the files.
    let requests = hub.requests().len();
    store.pull("m", &mut quiet).unwrap();
    assert_eq!(hub.requests().len(), requests);
}

#[test]
fn a_missing_file_fails_the_source_and_leaves_no_files() {
    let hub = Server::start(|_| Response::new("404 Not Found", b"no"));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("model.bin: 404 Not Found"), "{error}");
    assert_eq!(left_in(&store), [""; 0]);
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn an_access_error_names_the_token() {
    let hub = Server::start(|_| Response::new("401 Unauthorized", b""));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let error = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");
}

#[test]
fn wrong_content_is_refused_and_deleted() {
    let hub = Server::start(|_| Response::new("200 OK", b"abd"));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("wrong content"), "{error}");
    assert_eq!(left_in(&store), [""; 0]);
}

#[test]
fn a_wrong_size_is_refused_before_the_download() {
    let hub = Server::start(|_| Response::new("200 OK", &[0; 1000]));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let error = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("1000 bytes, should have 3"), "{error}");
}

#[test]
fn the_checksum_of_the_hub_is_used_if_the_catalogue_has_none() {
    let right = amanuensis_models::Sha256::of(b"abc").to_string();
    let hub = Server::start(move |request| match request.path.as_str() {
        "/blob" => Response::new("200 OK", b"abd"),
        _ => {
            Response::new("302 Found", b"").header("location", "/blob").header("x-linked-etag", format!("\"{right}\""))
        }
    });
    let (_dir, store) = store(&hub_catalogue(r#"{"name": "model.bin"}"#));
    let error = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("wrong content"), "{error}");
}

#[test]
fn the_size_is_verified_if_no_checksum_is_known() {
    let answer = |body| Response::new("200 OK", body);
    for response in [answer(b"ab"), answer(b"abcd"), answer(b"abcd").without_length()] {
        let hub = Server::start(move |_| response.clone());
        let (_dir, store) = store(&hub_catalogue(r#"{"name": "model.bin", "size": 3}"#));
        let error = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap_err();
        assert!(matches!(error, Error::NoSource { .. }), "{error}");
    }
}

#[test]
fn a_file_without_checksum_and_size_is_refused() {
    let hub = Server::start(|_| Response::new("200 OK", b"abc").without_length());
    let (_dir, store) = store(&hub_catalogue(r#"{"name": "model.bin"}"#));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("neither its checksum nor its size"), "{error}");
    assert_eq!(left_in(&store), [""; 0]);
}

#[test]
fn a_lost_connection_is_resumed_in_the_same_pull() {
    let weights = noise(500_000);
    let content = weights.clone();
    let hub = Server::start(move |request| {
        let response = Response::ranged(&content, request);
        if request.range.is_none() { response.cut(200_000) } else { response }
    });
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", &weights)));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let path = store.pull("m", &mut quiet).unwrap();
    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
    let ranges: Vec<_> = hub.requests().iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some(200_000)]);
}

#[test]
fn a_cancelled_pull_is_resumed_by_the_next() {
    let weights = noise(3_000_000);
    let content = weights.clone();
    let hub = Server::start(move |request| Response::ranged(&content, request));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", &weights)));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let mut stop_half_way = |step: Progress<'_>| match step {
        Progress::Advanced { bytes } if bytes > 1_000_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(matches!(store.pull("m", &mut stop_half_way), Err(Error::Cancelled)));
    let State::Partial { bytes } = store.list()[0].state else { panic!("no partial files") };
    assert!(bytes > 1_000_000);
    assert!(matches!(store.path("m"), Err(Error::NotInstalled { .. })));

    let path = store.pull("m", &mut quiet).unwrap();
    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
    assert_eq!(hub.requests()[1].range, Some(bytes as usize));
    assert_eq!(left_in(&store), ["m"]);
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let weights = noise(400_000);
    let content = weights.clone();
    let hub = Server::start(move |request| {
        let response = Response::new("200 OK", &content);
        if request.range.is_none() { response.cut(100_000) } else { response }
    });
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", &weights)));
    let path = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap();
    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
}

#[test]
fn a_corrupt_partial_file_is_downloaded_again() {
    let weights = noise(300_000);
    let content = weights.clone();
    let hub = Server::start(move |request| Response::ranged(&content, request));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", &weights)));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let mut stop = |step: Progress<'_>| match step {
        Progress::Advanced { bytes } if bytes > 0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    store.pull("m", &mut stop).unwrap_err();
    let staging = fs::read_dir(store.root().join(".m.partial")).unwrap().next().unwrap().unwrap().path();
    fs::write(staging.join("model.bin.part"), [7; 1000]).unwrap();

    let path = store.pull("m", &mut quiet).unwrap();
    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
}

#[test]
fn endless_redirects_are_refused() {
    let hub = Server::start(|_| Response::new("302 Found", b"").header("location", "/again"));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let error = store.with_hub_endpoint(&hub.address).unwrap().pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("redirects without end"), "{error}");
}

#[test]
fn an_endpoint_that_is_not_an_http_address_is_refused() {
    for address in ["", "hub.example", "ftp://hub.example", "https://", "http:///x"] {
        let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
        assert!(matches!(store.with_hub_endpoint(address), Err(Error::BadEndpoint(_))), "{address}");
    }
}
