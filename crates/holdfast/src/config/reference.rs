//! The page that lists every setting, made from the list that the program itself uses.

use super::layers::variable_of;
use super::section::Setting;
use super::settings::Settings;

/// What stands before the first section.
const HEAD: &str = "\
# Settings

Every setting has a default; a node runs without any. A value comes from, the later winning:

1. the default,
2. a TOML file, named by `--config FILE` or the variable `HOLDFAST_CONFIG`,
3. the environment: `HOLDFAST_`, and the setting's name in capitals with `_` for each dot
   (`server.data` is `HOLDFAST_SERVER_DATA`). Lists are separated by commas. `HOLDFAST_LOG` is short for
   `HOLDFAST_LOG_LEVEL`, and `HOLDFAST_ADMIN_PASSWORD_FILE` for `HOLDFAST_ACCESS_ADMIN_PASSWORD_FILE`,
4. flags: `--listen`, `--data`, and `--set NAME=VALUE` for any setting.

`holdfast config show` prints what is in effect and where each value comes from, without secrets;
`holdfast config check` only says whether it is right. A value that is out of range, of the wrong kind or under a
misspelt name keeps the node from starting, with a line that names the setting, its source and what is allowed.
A variable that begins with `HOLDFAST_` and resembles no setting is left alone, as are those that Kubernetes makes for
services.

Sizes are written with B, KiB, MiB, GiB or TiB; durations with ms, s, m, h or days. What \"not set\" means is said
with each setting; an empty text is the same as not set.

This page is made by `holdfast config reference`.
";

/// The page in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for section in Settings::catalogue() {
        page.push_str(&format!("\n## [{}]\n\n{}\n", section.name, section.doc));
        for setting in &section.settings {
            page.push_str(&entry(setting));
        }
    }
    page
}

fn entry(setting: &Setting) -> String {
    let default = match setting.default {
        "" => "not set".to_owned(),
        text => format!("`{text}`"),
    };
    let range = setting.range.map_or(String::new(), |(low, high)| {
        format!("; from `{low}` to `{high}`")
    });
    let secret = if setting.secret { "; never shown" } else { "" };
    format!(
        "\n### {}\n\n{}\n\n- {}{range}{secret}\n- default: {default}\n- variable: `{}`\n",
        setting.key,
        setting.doc,
        setting.form,
        variable_of(&setting.key)
    )
}
