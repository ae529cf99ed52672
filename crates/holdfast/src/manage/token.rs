//! `holdfast token …`: personal access tokens, which are printed once.

use clap::Subcommand;
use http::Method;
use management::{Grant, NewToken, Token, TokenList, TokenSecret};

use super::input::End;
use super::user::or_me;
use super::{Asked, Place, input, print};
use crate::failure::Failure;

/// What is done with personal access tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Lists your tokens
    List {
        /// Those of this user, for administrators
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes a token, and prints it this once
    Create {
        /// What you call it.
        label: String,
        /// What it is limited to, of what you may, as in `team/*:pull,push`; may be repeated. A limited token rules over nothing
        #[arg(long, value_name = "PATTERN:RIGHTS", value_parser = input::grant)]
        limit: Vec<Grant>,
        /// Until when: a time, a span such as 90d, or `never`
        #[arg(long, value_name = "WHEN", value_parser = input::end, default_value = "never")]
        expires: End,
        /// For this user, for administrators
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Ends a token
    Delete {
        /// Its id, as `list` shows it.
        id: String,
        /// Of this user, for administrators
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::List { user, asked } => {
            let client = asked.place.client()?;
            let user = or_me(&client, user.as_ref())?;
            let TokenList { tokens } = client.get(&["users", &user, "tokens"], &[])?;
            print::either(asked.json, &tokens, || table(&tokens))
        }
        TokenCommand::Create {
            label,
            limit,
            expires,
            user,
            asked,
        } => {
            let client = asked.place.client()?;
            let user = or_me(&client, user.as_ref())?;
            let new = NewToken {
                label: label.clone(),
                limits: (!limit.is_empty()).then(|| limit.clone()),
                expires: expires.0,
            };
            let made: TokenSecret =
                client.send(Method::POST, &["users", &user, "tokens"], Some(&new))?;
            print::either(asked.json, &made, || {
                let TokenSecret { id, secret } = &made;
                format!(
                    "Write the token down, it is shown this once:\n  {secret}\n\nIt is the password of a login as {user}; its id is {id}.\n"
                )
            })
        }
        TokenCommand::Delete { id, user, place } => {
            let client = place.client()?;
            let user = or_me(&client, user.as_ref())?;
            client.remove(&["users", &user, "tokens", id])?;
            print::done(false, &format!("token {id} counts no more"))
        }
    }
}

fn table(tokens: &[Token]) -> String {
    let rows = tokens.iter().map(|token| {
        let limits = token.limits.as_deref();
        [
            token.id.clone(),
            token.label.clone(),
            limits.map_or_else(|| "everything".to_owned(), print::grants),
            print::expiry(token.expires),
            token.created.to_string(),
        ]
    });
    print::table(["id", "label", "limited to", "expires", "created"], rows)
}
