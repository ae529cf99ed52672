//! `holdfast login` and `logout`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use management::{Me, MeKind};
use url::{Host, Url};

use super::client::Client;
use super::credentials::{Credentials, Login};
use super::input;
use crate::failure::Failure;

/// How to sign in.
#[derive(Debug, Args)]
pub struct LoginArguments {
    /// The registry, such as `https://registry.example` [default: that of the last login]
    url: Option<String>,
    /// The name of a user, or of a robot, as in `robot$team+deploy`
    #[arg(long, short, value_name = "NAME")]
    user: String,
    /// Reads the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// The certificate (PEM) of the registry's authority, if this machine does not know it
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Sends the password to another machine without TLS, where everyone in between can read it
    #[arg(long)]
    plain_http: bool,
}

/// What is forgotten.
#[derive(Debug, Args)]
pub struct LogoutArguments {
    /// The registry [default: that of the last login]
    url: Option<String>,
    /// Forgets every registry
    #[arg(long, conflicts_with = "url")]
    all: bool,
}

/// The URL as it is kept: with its scheme, which is `http` on this machine when nothing is said, and `https` elsewhere.
///
/// # Errors
/// When it is none.
pub fn normal(text: &str) -> Result<String, Failure> {
    let bad = || {
        Failure::new(format!(
            "`{text}` is not like https://registry.example:5000"
        ))
    };
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => {
            let url = Url::parse(&format!("http://{text}")).map_err(|_| bad())?;
            let scheme = if is_this_machine(&url) {
                "http"
            } else {
                "https"
            };
            format!("{scheme}://{text}")
        }
    };
    let url = Url::parse(&with_scheme).map_err(|_| bad())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain || url.fragment().is_some() {
        return Err(bad());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Tries what was given, and keeps it.
///
/// # Errors
/// What the registry says.
pub fn login(arguments: &LoginArguments) -> Result<(), Failure> {
    let mut credentials = Credentials::load()?;
    let url = match (&arguments.url, &credentials.current) {
        (Some(url), _) => normal(url)?,
        (None, Some(current)) => current.clone(),
        (None, None) => {
            return Err(Failure::new(
                "which registry? `holdfast login URL --user NAME`",
            ));
        }
    };
    let is_shown =
        Url::parse(&url).is_ok_and(|url| url.scheme() == "http" && !is_this_machine(&url));
    if is_shown && !arguments.plain_http {
        let line = format!(
            "{url} is on another machine and without TLS: everyone in between could read the password"
        );
        return Err(Failure {
            lines: vec![
                line,
                "use https, or say --plain-http if that is meant".to_owned(),
            ],
            exit_code: 1,
        });
    }
    let authority = match &arguments.authority {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("{} cannot be read: {error}", path.display()))
        })?),
        None => credentials
            .registries
            .get(&url)
            .and_then(|login| login.authority.clone()),
    };
    let login = Login {
        user: arguments.user.clone(),
        password: input::password(arguments.password_stdin, "Password: ")?,
        authority,
    };
    let me: Me = Client::new(&url, Some(&login))?.get(&["me"], &[])?;
    if me.kind == MeKind::Anonymous {
        let line = format!("{url} does not ask who you are: access is not switched on there");
        return Err(Failure::new(line));
    }
    credentials.registries.insert(url.clone(), login);
    credentials.current = Some(url.clone());
    let path = credentials.save()?;
    let (name, path) = (me.name, path.display());
    crate::print(&format!(
        "signed in to {url} as {name}; the password is kept in {path}\n"
    ))
}

/// Forgets how to sign in.
///
/// # Errors
/// When the file cannot be written.
pub fn logout(arguments: &LogoutArguments) -> Result<(), Failure> {
    let mut credentials = Credentials::load()?;
    if arguments.all {
        Credentials::default().save()?;
        return crate::print("every registry is forgotten\n");
    }
    let url = match (&arguments.url, &credentials.current) {
        (Some(url), _) => normal(url)?,
        (None, Some(current)) => current.clone(),
        (None, None) => return crate::print("no registry is known\n"),
    };
    let was_known = credentials.registries.remove(&url).is_some();
    if credentials.current.as_deref() == Some(&*url) {
        credentials.current = None;
    }
    credentials.save()?;
    match was_known {
        true => crate::print(&format!("{url} is forgotten\n")),
        false => crate::print(&format!("{url} was not known\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_kept_with_its_scheme() {
        for (given, kept) in [
            ("registry.example", "https://registry.example"),
            ("registry.example:5000/", "https://registry.example:5000"),
            ("localhost:5000", "http://localhost:5000"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("http://registry.example", "http://registry.example"),
        ] {
            assert_eq!(normal(given).unwrap(), kept);
        }
        for bad in [
            "",
            "ftp://x",
            "https://user:pass@x",
            "https://x/?a=b",
            "a b",
        ] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }
}
