//! The configuration as a whole: precedence, ranges, misspelt names, hidden secrets, and the reference page.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use super::layers::variable_of;
use blobs::Secret;

use super::value::{ByteSize, Span};
use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str, &str)],
) -> Result<Configuration, Vec<String>> {
    let mut on_disk = tempfile::Builder::new()
        .suffix(".toml")
        .tempfile()
        .expect("a temporary file");
    on_disk.write_all(file.as_bytes()).expect("write");
    let name = on_disk.path().display().to_string();
    let given = Given {
        file: Some(on_disk.path().to_owned()),
        flags: flags
            .iter()
            .map(|(flag, key, text)| (*flag, (*key).to_owned(), (*text).to_owned()))
            .collect(),
    };
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Configuration::load(&given, environment).map_err(|problems| {
        problems
            .0
            .into_iter()
            .map(|line| line.replace(&name, "FILE"))
            .collect()
    })
}

fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    load(file, environment, &[]).expect_err("it is wrong")
}

#[test]
fn every_default_and_bound_can_be_read_and_defaults_lie_in_their_ranges() {
    let configuration = load("", &[], &[]).expect("the defaults are right");
    assert_eq!(configuration.settings.uploads.part_size, ByteSize(8 << 20));
    assert_eq!(
        configuration.settings.server.hold_time,
        Span(Duration::from_secs(10))
    );
    assert!(!configuration.listen_was_chosen());
    for setting in Settings::catalogue()
        .iter()
        .flat_map(|section| &section.settings)
        .filter(|s| !s.secret)
    {
        let values = [
            Some(setting.default),
            setting.range.map(|range| range.0),
            setting.range.map(|range| range.1),
        ];
        for value in values.into_iter().flatten() {
            let problems = load("", &[], &[("--set", &setting.key, value)])
                .map(|_| ())
                .err()
                .unwrap_or_default();
            let of_its_own = |line: &&String| {
                line.starts_with(&format!("{} = ", setting.key)) && line.contains("--set")
            };
            assert_eq!(problems.iter().find(of_its_own), None, "{value}");
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[uploads]\npart_size = \"16MiB\"\ngrace = \"2h\"\ncheckpoint_every_parts = 7\n";
    let environment = [
        ("HOLDFAST_UPLOADS_GRACE", "3h"),
        ("HOLDFAST_UPLOADS_CHECKPOINT_EVERY_PARTS", "8"),
    ];
    let flags = [("--set", "uploads.checkpoint_every_parts", "9")];
    let uploads = load(file, &environment, &flags)
        .expect("all is right")
        .settings
        .uploads;
    assert_eq!(uploads.part_size, ByteSize(16 << 20));
    assert_eq!(uploads.grace, Span(Duration::from_secs(3 * 3600)));
    assert_eq!(uploads.checkpoint_every_parts, 9);
}

#[test]
fn a_value_out_of_range_is_told_with_its_source_and_the_range() {
    assert_eq!(
        problems(
            "[uploads]\npart_size = \"1KiB\"\n",
            &[("HOLDFAST_SERVER_HOLD_TIME", "0s")]
        ),
        [
            "server.hold_time = \"0s\" (HOLDFAST_SERVER_HOLD_TIME): must be between 1s and 5m",
            "uploads.part_size = \"1KiB\" (FILE line 2): must be between 5MiB and 64MiB",
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_would_be_right() {
    let file = "[server]\nhold_time = 10\ndata = [\"a\", \"b\"]\n[storage]\nkind = \"gcs\"\n[log]\nlevel = \"chatty\"\n";
    assert_eq!(
        problems(file, &[]),
        [
            "server.data = \"a,b\" (FILE line 3): must be a path, not a list",
            "server.hold_time = \"10\" (FILE line 2): must be a duration such as 500ms, 10s, 5m or 24h",
            "storage.kind = \"gcs\" (FILE line 5): must be `folder` or `s3`",
            "log.level = \"chatty\" (FILE line 7): must be `off`, `error`, `warn`, `info`, `debug` or `trace`, or levels by module such as `info,registry=debug`",
        ]
    );
}

#[test]
fn a_misspelt_name_names_the_nearest_setting() {
    assert_eq!(
        problems("[server]\nlisten_on = [\"127.0.0.1:0\"]\n", &[]),
        ["there is no setting server.listen_on (FILE line 2); the nearest is server.listen"]
    );
}

#[test]
fn contradictions_between_settings_are_told() {
    assert_eq!(
        problems(
            "[uploads]\nblob_size_max = \"100GiB\"\npart_size = \"8MiB\"\n",
            &[]
        ),
        [
            "uploads.blob_size_max = 100GiB is more than 9900 parts of uploads.part_size = 8MiB hold (79200MiB): lower the one or raise the other"
        ]
    );
    assert_eq!(
        problems(
            "[storage]\nkind = \"s3\"\n",
            &[("HOLDFAST_STORAGE_S3_ACCESS_KEY_ID", "k")]
        ),
        [
            "storage.s3.bucket must be set when storage.kind is \"s3\"",
            "storage.s3.access_key_id and secret_access_key belong together",
        ]
    );
    let found = problems(
        "[storage]\nkind = \"s3\"\n[storage.s3]\nbucket = \"b\"\nca_file = \"/nowhere/ca.pem\"\n",
        &[],
    );
    assert_eq!(
        found,
        [
            "storage.s3.ca_file: /nowhere/ca.pem cannot be read: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn contradictions_at_the_port_of_clients_are_told() {
    let file = "[server]\nproxy_protocol = \"required\"\n[tls]\nkey = \"/nowhere/key.pem\"\nclient_certificates = \"required\"\n";
    assert_eq!(
        problems(file, &[]),
        [
            "server.proxy_protocol needs server.trusted_proxies: a PROXY header is believed from those only",
            "tls.certificate and tls.key belong together, and to tls.mode = \"files\"",
            "tls.client_certificates needs TLS: set tls.certificate, or tls.mode = \"self-signed\"",
            "tls.client_certificates and tls.client_authorities belong together: whether certificates of clients are asked for, and who signs them",
            "tls.key: /nowhere/key.pem cannot be read: No such file or directory (os error 2)",
        ]
    );
    assert_eq!(
        problems("[tls]\nmode = \"files\"\n", &[]),
        ["tls.mode = \"files\" needs tls.certificate"]
    );
    let wrong = [("HOLDFAST_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.1/8")];
    assert_eq!(
        problems("", &wrong),
        [
            "server.trusted_proxies = \"10.0.0.0/8,10.0.0.1/8\" (HOLDFAST_SERVER_TRUSTED_PROXIES): names a wrong one: `10.0.0.1/8` is no network such as 10.0.0.0/8, 192.0.2.7 or fd00::/8"
        ]
    );
}

#[test]
fn contradictions_about_access_are_told() {
    let file = "[access]\nauto_create_projects = true\nservice = \"a b\"\n";
    assert_eq!(
        problems(file, &[("HOLDFAST_ADMIN_PASSWORD_FILE", "/nowhere")]),
        [
            "access.admin_password_file needs access.mode = \"on\": there is no administrator without",
            "access.auto_create_projects needs access.mode = \"on\": everybody may push to every project without",
            "access.service must be 1 to 255 letters, digits and signs of ASCII, without quotes, backslashes and spaces",
        ]
    );
    assert_eq!(
        problems("", &[("HOLDFAST_ADMIN_PASWORD_FILE", "/nowhere")]),
        [
            "there is no setting for the variable HOLDFAST_ADMIN_PASWORD_FILE; the nearest is HOLDFAST_ADMIN_PASSWORD_FILE"
        ]
    );
}

#[test]
fn a_password_file_has_a_short_variable_and_may_be_gone() {
    let environment = [
        ("HOLDFAST_ACCESS_MODE", "on"),
        ("HOLDFAST_ADMIN_PASSWORD_FILE", "/nowhere"),
    ];
    let access = load("", &environment, &[]).expect("all is right");
    let file = access.settings.access.admin_password_file;
    assert_eq!(file.as_deref(), Some(std::path::Path::new("/nowhere")));
}

#[test]
fn secrets_are_shown_nowhere() {
    let file = "[storage]\nkind = \"s3\"\n[storage.s3]\nbucket = \"b\"\naccess_key_id = \"id\"\nsecret_access_key = \"hunter2\"\n";
    let environment = [("HOLDFAST_STORAGE_S3_SESSION_TOKEN", "hunter3")];
    let configuration = load(file, &environment, &[]).expect("all is right");
    assert_eq!(
        configuration
            .settings
            .s3
            .secret_access_key
            .as_ref()
            .map(Secret::reveal),
        Some("hunter2")
    );
    for shown in [
        configuration.show(),
        format!("{:?}", configuration.settings),
    ] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    assert!(
        configuration
            .show()
            .contains("# session_token is hidden  # HOLDFAST_STORAGE_S3_SESSION_TOKEN\n")
    );
    let wrong = problems("[storage.s3]\nsecret_access_key = [\"hunter2\"]\n", &[]);
    assert_eq!(
        wrong,
        [
            "storage.s3.secret_access_key = \"(hidden)\" (FILE line 2): must be a secret text, not a list"
        ]
    );
}

#[test]
fn what_is_shown_can_be_given_again() {
    let file = "[server]\nlisten = [\"127.0.0.1:7\"]\ndata = 'C:\\odd \"path\"'\n[uploads]\ngrace = \"90m\"\n[storage.s3]\npath_style = true\n";
    let first = load(file, &[("HOLDFAST_LOG", "warn,api=debug")], &[]).expect("all is right");
    assert!(
        first
            .show()
            .contains("level = \"warn,api=debug\"  # HOLDFAST_LOG\n"),
        "{}",
        first.show()
    );
    let second = load(&first.show(), &[], &[]).expect("what is shown is right");
    assert_eq!(first.settings, second.settings);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let given = Given {
        file: Some("/nowhere/holdfast.toml".into()),
        flags: Vec::new(),
    };
    let problems = Configuration::load(&given, std::iter::empty())
        .expect_err("no file")
        .0;
    assert!(
        problems[0].starts_with("the configuration file /nowhere/holdfast.toml cannot be read: "),
        "{problems:?}"
    );
}

#[test]
fn no_two_settings_share_a_variable() {
    let keys: Vec<String> = Settings::catalogue()
        .iter()
        .flat_map(|section| &section.settings)
        .map(|setting| setting.key.clone())
        .collect();
    let variables: BTreeSet<String> = keys.iter().map(|key| variable_of(key)).collect();
    assert_eq!(variables.len(), keys.len());
}

#[test]
fn the_reference_page_is_what_the_program_says() {
    expect_test::expect_file!["../../../../docs/reference/settings.md"].assert_eq(&reference());
}
