//! Tests of the settings of `amanuensis serve`: flags, environment variables, the settings file, and errors at start.
#![cfg(unix)]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use common::Workspace;

#[test]
fn invalid_settings_are_rejected_at_start() {
    let workspace = Workspace::new();
    workspace.model("model");
    let assert_rejected = |arguments: &[&str], messages: &[&str]| {
        let start = ["serve", "--port", "0", "--default-model", "./model"];
        workspace.run(&[&start, arguments].concat()).ended(2, messages);
    };
    assert_rejected(&["--cors-origin", "https://x/"], &["cors_origin", "https://x/"]);
    assert_rejected(&["--job-folder", "nowhere"], &["job_folder", "nowhere"]);
    assert_rejected(&["--model-memory", "0"], &["model_memory"]);
    assert_rejected(&["--host", "a.example"], &["localhost"]);
    fs::write(workspace.path("server.toml"), "print_config = true\n").unwrap();
    assert_rejected(&["--config", "server.toml", "--print-config"], &["print_config"]);
}

#[test]
fn start_errors_name_the_directory_model_or_port() {
    let workspace = Workspace::new();
    workspace.model("model");
    fs::write(workspace.path("file"), "").unwrap();
    let assert_fails = |arguments: &[&str], variables: &[(&str, &str)], messages: &[&str]| {
        let mut command = workspace.amanuensis(&["serve", "--offline"]);
        command.env("AMANUENSIS_PORT", "0").env("AMANUENSIS_DATA_DIR", workspace.path("data"));
        let output = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
        common::Run::of(&output).ended(1, messages);
    };
    let model = ["--default-model", "./model"];
    assert_fails(
        &[&model[..], &["--data-dir", "file/data"]].concat(),
        &[],
        &["cannot keep jobs in file/data", "Not a directory"],
    );
    assert_fails(&model, &[("TMPDIR", "/nowhere")], &["cannot keep uploads in /nowhere", "TMPDIR"]);
    assert_fails(&[], &[], &["\"base\" is not installed", "models pull base"]);
    let file = workspace.path("file");
    assert_fails(
        &[],
        &[("AMANUENSIS_MODELS", file.to_str().unwrap())],
        &["cannot read", "file/base", "Not a directory"],
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let port = taken.port().to_string();
    assert_fails(&[&model[..], &["--port", &port]].concat(), &[], &[&format!("cannot listen at {taken}"), "in use"]);
}

#[test]
fn every_environment_variable_is_documented_and_used() {
    let workspace = Workspace::new();
    let help = workspace.run(&["serve", "--help"]).stdout;
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/server.md");
    let document = fs::read_to_string(document).unwrap();
    let names: Vec<&str> = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap()).collect();
    assert!(names.len() > 20, "{names:?}");
    let settings = |variable: Option<(&str, &str)>| {
        let mut command = workspace.amanuensis(&["serve", "--print-config"]);
        command.envs(variable);
        let run = common::Run::of(&command.output().unwrap());
        run.ended(0, &[]);
        run.stdout
    };
    let default = settings(None);
    fs::write(workspace.path("server.toml"), "port = 7").unwrap();
    for name in names {
        assert!(document.contains(&format!("`{name}`")), "docs/server.md does not mention {name}");
        let value = match name {
            // Skip this variable: the program does not print API keys, because they are secret. The tests in
            // `serve.rs` cover it.
            "AMANUENSIS_API_KEY" => continue,
            "AMANUENSIS_CORS_ORIGIN" => "https://chat.example.org",
            "AMANUENSIS_JOB_FOLDER" => ".",
            "AMANUENSIS_CONFIG" => "server.toml",
            "AMANUENSIS_HOST" => "::1",
            "AMANUENSIS_ALLOW_ANYONE" | "AMANUENSIS_OFFLINE" | "AMANUENSIS_ACCESS_LOG" => "true",
            "AMANUENSIS_COMPUTE_TYPE" => "f32",
            _ => "17",
        };
        assert_ne!(settings(Some((name, value))), default, "{name} changes nothing");
    }
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let workspace = Workspace::new();
    fs::write(workspace.path("server.toml"), "port = 1\nmax_queue = 1\nmax_active = 1\n").unwrap();
    let arguments = ["serve", "--print-config", "--config", "server.toml", "--port", "3"];
    let mut command = workspace.amanuensis(&arguments);
    command.env("AMANUENSIS_PORT", "2").env("AMANUENSIS_MAX_QUEUE", "2");
    let printed = common::Run::of(&command.output().unwrap()).stdout;
    for line in ["port = 3", "max_queue = 2", "max_active = 1", "max_uploads = 32"] {
        assert!(printed.lines().any(|printed| printed == line), "no {line} in {printed}");
    }
    fs::write(workspace.path("server.toml"), "prot = 1\n").unwrap();
    workspace.run(&arguments).ended(2, &["prot", "server.toml"]);
    workspace.run(&["serve", "--print-config", "--max-active", "0"]).ended(2, &["max_active"]);
}
