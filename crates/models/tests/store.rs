//! Tests of the store: states, verification, removal, names, paths, and concurrent pulls.

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use amanuensis_models::{Catalogue, Error, Fault, Progress, Purpose, SPEECH_DETECTOR, State, Store};
use support::{Response, Server, file, hub_catalogue, left_in, noise, quiet, store};
use tempfile::TempDir;

const CONFIG: &[u8] = b"{\"a\": 1}";

fn installed(weights: &[u8]) -> (TempDir, Store, Server) {
    let content = weights.to_vec();
    let hub = Server::start(move |request| {
        Response::ranged(if request.path.ends_with("config.json") { CONFIG } else { &content }, request)
    });
    let (dir, store) = store(&hub_catalogue(&[file("config.json", CONFIG), file("model.bin", weights)].join(",")));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    store.pull("m", &mut quiet).unwrap();
    (dir, store, hub)
}

#[test]
fn verification_names_each_bad_file() {
    let weights = noise(5000);
    let (_dir, store, _hub) = installed(&weights);
    let report = store.verify("m", &mut quiet).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.manifest.unwrap().size(), 5000 + CONFIG.len() as u64);

    let path = store.path("m").unwrap();
    let mut corrupt = weights.clone();
    corrupt[4000] ^= 1;
    fs::write(path.join("model.bin"), &corrupt).unwrap();
    fs::remove_file(path.join("config.json")).unwrap();
    let problems = store.verify("m", &mut quiet).unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!((problems[0].file.as_str(), &problems[0].fault), ("config.json", &Fault::Missing));
    assert_eq!(problems[1].file, "model.bin");
    assert!(matches!(problems[1].fault, Fault::Checksum { .. }));
}

#[test]
fn a_change_of_both_file_and_manifest_is_found() {
    let (_dir, store, _hub) = installed(b"abc");
    let path = store.path("m").unwrap();
    fs::write(path.join("model.bin"), b"abd").unwrap();
    let manifest = fs::read_to_string(path.join("manifest.json")).unwrap();
    let digest = |bytes| amanuensis_models::Sha256::of(bytes).to_string();
    fs::write(path.join("manifest.json"), manifest.replace(&digest(b"abc"), &digest(b"abd"))).unwrap();
    assert_eq!(store.verify("m", &mut quiet).unwrap().problems.len(), 1);
}

#[test]
fn a_damaged_model_is_reported_and_repaired_by_a_pull() {
    let weights = noise(5000);
    let (_dir, store, _hub) = installed(&weights);
    let path = store.path("m").unwrap();
    fs::write(path.join("model.bin"), &weights[..10]).unwrap();
    let error = store.resolve("m", true, &mut quiet).unwrap_err().to_string();
    for part in ["\"m\"", "model.bin: 10 bytes, should be 5000", "amanuensis models pull m"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert!(matches!(store.list()[0].state, State::Damaged(_)));

    store.pull("m", &mut quiet).unwrap();
    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
    assert_eq!(left_in(&store), ["m"]);

    fs::write(path.join("manifest.json"), b"\xff").unwrap();
    assert!(store.path("m").unwrap_err().to_string().contains("manifest.json: unreadable"));
    store.pull("m", &mut quiet).unwrap();
    store.path("m").unwrap();
}

#[test]
fn an_installed_model_can_be_pulled_in_a_read_only_store() {
    let (_dir, store, _hub) = installed(b"abc");
    // A directory in place of the lock file makes locking fail, as in a read-only store. Removing the write
    // permission would have no effect for the superuser.
    fs::remove_file(store.root().join(".m.lock")).unwrap();
    fs::create_dir(store.root().join(".m.lock")).unwrap();
    assert_eq!(store.pull("m", &mut quiet).unwrap(), store.path("m").unwrap());
    fs::write(store.root().join("m/model.bin"), b"abd").unwrap();
    assert!(matches!(store.pull("m", &mut quiet), Err(Error::Io { .. })));
}

#[test]
fn a_failed_repair_leaves_the_damaged_model_unchanged() {
    let (_dir, store, _hub) = installed(b"abc");
    fs::remove_file(store.root().join("m/config.json")).unwrap();
    let store = store.with_hub_endpoint("http://127.0.0.1:1").unwrap();
    assert!(matches!(store.pull("m", &mut quiet), Err(Error::NoSource { .. })));
    assert_eq!(fs::read(store.root().join("m/model.bin")).unwrap(), b"abc");
}

#[test]
fn a_removed_model_leaves_no_files() {
    let (_dir, store, _hub) = installed(b"abc");
    assert!(store.remove("m").unwrap() > 3);
    assert_eq!(left_in(&store), [""; 0]);
    assert!(matches!(store.remove("m"), Err(Error::NotInstalled { .. })));
    assert!(matches!(store.verify("m", &mut quiet), Err(Error::NotInstalled { .. })));
    assert_eq!(store.list()[0].state, State::NotInstalled);
}

#[test]
fn an_interrupted_removal_is_listed_and_can_be_finished() {
    let (_dir, store, _hub) = installed(b"abc");
    let installed = store.root().join("m");
    fs::rename(&installed, store.root().join(".m.old")).unwrap();
    let State::Partial { bytes } = store.list()[0].state else { panic!("{:?}", store.list()[0].state) };
    assert!(bytes > 3);
    assert!(matches!(store.path("m"), Err(Error::NotInstalled { .. })));
    assert_eq!(store.remove("m").unwrap(), bytes);
    assert_eq!(left_in(&store), [""; 0]);

    // Files left over from a pull are removed together with the installed model.
    store.pull("m", &mut quiet).unwrap();
    fs::create_dir(store.root().join(".m.old")).unwrap();
    fs::write(store.root().join(".m.old/model.bin"), [0; 1000]).unwrap();
    assert_eq!(store.remove("m").unwrap(), bytes + 1000);
    assert_eq!(left_in(&store), [""; 0]);
}

#[test]
fn resolve_pulls_a_missing_model_unless_offline() {
    let hub = Server::start(|request| Response::ranged(b"abc", request));
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let error = store.resolve("m", true, &mut quiet).unwrap_err();
    assert!(error.to_string().contains("`amanuensis models pull m`"), "{error}");
    assert_eq!(hub.requests().len(), 0);
    assert!(!store.root().exists());

    let path = store.resolve("m", false, &mut quiet).unwrap();
    assert_eq!(store.resolve("m", true, &mut quiet).unwrap(), path);
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn resolve_accepts_directories_and_files() {
    let (dir, store) = store(&hub_catalogue(&file("model.bin", b"abc")));
    let own = dir.path().join("own.bin");
    fs::write(&own, b"x").unwrap();
    for path in [dir.path(), own.as_path()] {
        assert_eq!(store.resolve(path.to_str().unwrap(), true, &mut quiet).unwrap(), path);
    }
    let gone = dir.path().join("gone");
    assert!(
        matches!(store.resolve(gone.to_str().unwrap(), false, &mut quiet), Err(Error::NoSuchPath(path)) if path == gone)
    );
    assert!(matches!(store.resolve("gone", false, &mut quiet), Err(Error::UnknownModel { .. })));
    // `Cargo.toml` is a path without a separator. The file exists, because the tests run in the directory of this
    // crate.
    assert_eq!(store.resolve("Cargo.toml", true, &mut quiet).unwrap().to_str(), Some("Cargo.toml"));
}

#[test]
fn a_second_pull_waits_and_downloads_nothing() {
    let weights = noise(2_000_000);
    let content = weights.clone();
    let hub = Server::start(move |request| {
        thread::sleep(Duration::from_millis(300));
        Response::ranged(&content, request)
    });
    let (_dir, store) = store(&hub_catalogue(&file("model.bin", &weights)));
    let store = store.with_hub_endpoint(&hub.address).unwrap();
    let (started, waited) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            store.pull("m", &mut |step| {
                started.fetch_or(matches!(step, Progress::Source { .. }), Ordering::SeqCst);
                ControlFlow::Continue(())
            })
        });
        while !started.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(store.remove("m"), Err(Error::Busy { .. } | Error::NotInstalled { .. })));
        let second = store.pull("m", &mut |step| {
            waited.fetch_or(matches!(step, Progress::Waiting { model: "m" }), Ordering::SeqCst);
            ControlFlow::Continue(())
        });
        assert_eq!(first.join().unwrap().unwrap(), second.unwrap());
    });
    assert!(waited.load(Ordering::SeqCst));
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn the_built_in_catalogue_has_every_whisper_model() {
    let catalogue = Catalogue::builtin();
    let names = "tiny tiny.en base base.en small small.en medium medium.en large-v1 large-v2 large-v3 large-v3-turbo \
                 distil-small.en distil-medium.en distil-large-v2 distil-large-v3 distil-large-v3.5";
    for name in names.split_whitespace() {
        let model = catalogue.find(name).unwrap();
        assert_eq!(model.name(), name);
        assert_eq!(model.languages() == "English", name.contains(".en") || name.starts_with("distil-"), "{name}");
    }
    assert_eq!(catalogue.find("Large").unwrap().name(), "large-v3");
    assert_eq!(catalogue.find("turbo").unwrap().name(), "large-v3-turbo");
    assert_eq!(catalogue.find("base").unwrap().size(), Some(147_882_941));
}

#[test]
fn the_speech_detector_is_not_a_transcription_model() {
    let catalogue = Catalogue::builtin();
    let detector = catalogue.find(SPEECH_DETECTOR).unwrap();
    assert_eq!((detector.purpose(), detector.size()), (Purpose::SpeechDetection, Some(1_240_823)));
    let others = catalogue.models().iter().filter(|model| model.name() != SPEECH_DETECTOR);
    assert!(others.into_iter().all(|model| model.purpose() == Purpose::Transcription));

    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path());
    let error = store.resolve(SPEECH_DETECTOR, true, &mut quiet).unwrap_err();
    assert!(matches!(error, Error::DoesNotTranscribe { .. }), "{error}");
    let error = store.path_or_pull(SPEECH_DETECTOR, true, &mut quiet).unwrap_err();
    assert!(matches!(error, Error::NotInstalled { .. }), "{error}");
}

#[test]
fn the_error_for_an_unknown_name_suggests_the_nearest_and_lists_all() {
    let catalogue = Catalogue::builtin();
    for (wrong, right) in
        [("bse", "base"), ("bsae", "base"), ("Smal.EN", "small.en"), ("large-v3-trubo", "large-v3-turbo")]
    {
        let error = catalogue.find(wrong).unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean {right:?}")), "{error}");
        assert!(error.contains("tiny, tiny.en, base"), "{error}");
    }
    assert!(!catalogue.find("parakeet").unwrap_err().to_string().contains("did you mean"));
    catalogue.find("").unwrap_err();
}

#[test]
fn a_catalogue_with_invalid_names_is_refused() {
    for catalogue in [
        hub_catalogue(&file("../x", b"")),
        hub_catalogue(&file(".hidden", b"")),
        hub_catalogue(&file("manifest.json", b"")),
        hub_catalogue(""),
        hub_catalogue(&file("a", b"")).replace(r#""m""#, r#""..""#),
        "{".to_owned(),
    ] {
        assert!(matches!(Catalogue::from_json(&catalogue), Err(Error::BadCatalogue(_))), "{catalogue}");
    }
}
