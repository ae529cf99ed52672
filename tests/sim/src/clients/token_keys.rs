//! The keys of tokens come and go, in whatever state the cluster is, and tokens of theirs are shown to every node. A token of a key
//! that counts is taken by every node in the end; one of a key that was dropped is taken by none.
//!
//! The keys and their tokens, of the first administrator, are a file: nobody signs here, and the private halves are nowhere.

use std::time::Duration;

use bytes::Bytes;
use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, Asker, RefusalSum, Settings, TokenKeyView,
};
use metadata::{Answer, PrincipalName, Query, answer};
use ports::MetadataStore;
use tokio::time::Instant;

use super::permit::admin;
use super::{Client, Told};
use crate::invariants::p8_tokens::{self, Shown};
use crate::log::Machine;
use registry::Error;

/// A key of tokens on each line, and a token that it has signed.
const TOKENS: &str = include_str!("tokens.txt");
/// No more keys than this are kept by the clients here.
const KEPT_MAX: usize = 3;

/// A key, and a token that it has signed.
pub struct Signed {
    /// The public half.
    pub public: Bytes,
    /// What is shown for the token.
    pub header: String,
}

/// All keys of the file.
#[must_use]
pub fn signed() -> Vec<Signed> {
    let byte = |text: &str| u8::from_str_radix(text, 16).expect("two digits");
    let lines = TOKENS.lines().filter_map(|line| line.split_once(' '));
    let signed = lines.map(|(public, token)| Signed {
        public: (0..public.len() / 2)
            .map(|at| byte(&public[2 * at..2 * at + 2]))
            .collect(),
        header: format!("Bearer {token}"),
    });
    signed.collect()
}

/// The keys that a state has.
#[must_use]
pub fn keys_of(state: &Machine) -> Vec<TokenKeyView> {
    let query = Query::Access(Box::new(AccessQuery::TokenKeys));
    match answer(&state.tables, &query) {
        Ok(Answer::Access(answer)) => match *answer {
            AccessAnswer::TokenKeys(keys) => keys,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

impl Client {
    /// The keys that count now, confirmed.
    async fn token_keys(&self) -> Option<Vec<TokenKeyView>> {
        let node = self.any_node()?;
        let log = self.world.node(node)?.alive()?.client;
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let query = Query::Access(Box::new(AccessQuery::TokenKeys));
        let Answer::Access(answer) = log.read(query, deadline).await.ok()?.answer else {
            return None;
        };
        match *answer {
            AccessAnswer::TokenKeys(keys) => Some(keys),
            _ => None,
        }
    }

    /// A key comes, its token is shown, and an old one is dropped.
    pub(super) async fn rotate_token_keys(&self) {
        let Some(keys) = self.token_keys().await else {
            return;
        };
        let signed = signed();
        // Each client has keys of its own, so that none comes twice.
        let own = signed.len() / 2;
        let from = (self.number as usize % 2) * own;
        let used = self.world.watch.tokens.used(from);
        if keys.len() < KEPT_MAX && used < own {
            let key = &signed[from + used];
            self.world.watch.tokens.use_another(from);
            // Two who add one at once add one, or both know of each other.
            let last = keys.last().map_or(0, |key| key.number);
            let command = AccessCommand::AddTokenKey {
                after: self.dice.hits(500).then_some(last),
                public: key.public.clone(),
                sealed: Bytes::from_static(b"sealed"),
            };
            if self.change(command, &[]).await {
                self.world.answered("token key added");
                self.show_somewhere(&signed[from + used]).await;
            }
        }
        for key in &signed {
            if keys.iter().any(|known| known.public == key.public) && self.dice.hits(500) {
                self.show_somewhere(key).await;
            }
        }
        let Some(dropped) = keys.first().filter(|_| self.dice.hits(600)) else {
            return;
        };
        // The one that signs is asked to go, too.
        let dropped = match self.dice.hits(350) {
            true => keys.last().unwrap_or(dropped),
            false => dropped,
        };
        let number = dropped.number;
        if self
            .change(AccessCommand::DropTokenKey { number }, &[])
            .await
        {
            self.world.watch.tokens.dropped(&dropped.public);
            self.world.answered("token key dropped");
        }
        if let Some(key) = signed.iter().find(|key| key.public == dropped.public) {
            self.show_somewhere(key).await;
        }
    }

    async fn show_somewhere(&self, key: &Signed) {
        if let Some(node) = self.any_node() {
            let began = Instant::now();
            let shown = self.show(node, key).await;
            p8_tokens::check_shown(&self.world, key, (node, began), shown);
        }
    }

    /// Shows a key's token to a node, as a request does, and asks for something with it.
    pub async fn show(&self, node: u64, key: &Signed) -> Shown {
        let Some(alive) = self.world.node(node).and_then(|node| node.alive()) else {
            return Shown::Unknown;
        };
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let doorkeeper = alive.doorkeeper();
        let admitted = tokio::select! {
            biased;
            () = alive.life.ends() => return Shown::Unknown,
            admitted = doorkeeper.admit(Some(&key.header), deadline) => admitted,
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(auth::NotAdmitted::Unknown(_)) => return Shown::Unknown,
            Err(_) => return Shown::Refused,
        };
        let asker = Asker {
            who: admitted.who.clone(),
            from: None,
        };
        // Only an administrator is told.
        let page = metadata::Page {
            after: None,
            limit: 1,
        };
        let asked = self
            .ask_node_as(&asker, node, "token", |registry, caller| async move {
                registry.ask_access(&caller, AccessQuery::Users(page)).await
            })
            .await;
        match asked {
            Told::Done(_) => Shown::Taken,
            Told::No(Error::Denied(_)) => {
                doorkeeper.forget(&admitted);
                Shown::Refused
            }
            Told::No(_) | Told::Unknown | Told::Unsent => Shown::Unknown,
        }
    }

    /// Shows a key's token to a node until it is taken, for a while. Whether it was.
    pub async fn show_until_taken(&self, node: u64, key: &Signed, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if self.show(node, key).await == Shown::Taken {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        false
    }

    /// What administrators and nodes say besides.
    pub(super) async fn administer_something(&self) {
        match self.dice.within(0..8) {
            0 => {
                let settings = Settings {
                    users_create_projects: self.dice.hits(500),
                    auto_create_projects: self.dice.hits(500),
                };
                self.change(AccessCommand::Settle(settings), &[]).await;
            }
            1 | 2 => self.note_login().await,
            3 | 4 => self.note_refusals().await,
            _ => self.ask_for_too_much().await,
        }
    }

    /// A node sums up what it refused: the one way in which refusals are recorded.
    async fn note_refusals(&self) {
        let begun = self.world.watch.changes.begin("refused");
        let sum = RefusalSum {
            by: PrincipalName("eve".into()),
            from: Some(begun.from()),
            action: "pull".into(),
            target: "team/app".into(),
            times: self.dice.within(1..100) as u32,
        };
        let note = AccessCommand::NoteRefusals(vec![sum]);
        let told = self.change_by(admin(), None, note, &[]).await;
        match told {
            Told::Done(_) => self.world.watch.changes.done(begun),
            Told::No(_) | Told::Unsent => self.world.watch.changes.had_no_effect(begun),
            Told::Unknown => {}
        }
    }
}
