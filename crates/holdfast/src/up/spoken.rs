//! The cluster told in lines, for programs and for a standard output that is no terminal.

use std::net::SocketAddr;
use std::pin::pin;

use super::lines::{self, Form};
use super::{Grants, Show};
use crate::failure::Failure;
use crate::serve::name_for_clients;

/// Starts the nodes and tells what happens to them until somebody ends it; then ends them.
///
/// # Errors
/// When a node does not start at the beginning.
pub async fn show(mut show: Show, form: Form) -> Result<(), Failure> {
    let ended = until_stopped(&mut show, form).await;
    show.crew.end().await;
    while let Ok(event) = show.events.try_recv() {
        say(&form.event(&event))?;
    }
    ended
}

async fn until_stopped(show: &mut Show, form: Form) -> Result<(), Failure> {
    let mut wishes = lines::wishes();
    let mut grants = Grants::default();
    let crew = show.crew.clone();
    let mut rising = pin!(crew.bring_up());
    let (mut is_rising, mut may_wish) = (true, true);
    loop {
        tokio::select! {
            biased;
            _ = show.signals.next() => return Ok(()),
            Some(event) = show.events.recv() => say(&form.event(&event))?,
            risen = rising.as_mut(), if is_rising => {
                is_rising = false;
                risen?;
                if let Some(admin) = show.admin_to_show()? {
                    say(&form.admin(admin.text()))?;
                }
                for address in &show.addresses {
                    say(&form.balancer(*address))?;
                }
                if form == Form::Words {
                    say(&greeting(&show.addresses, &show.folder))?;
                }
            }
            wish = wishes.recv(), if may_wish => match wish {
                Some(wish) => grants.grant(&show.crew, wish),
                None => may_wish = false,
            },
            failure = grants.refused() => say(&form.refused(&failure))?,
        }
    }
}

fn say(line: &str) -> Result<(), Failure> {
    crate::print(&format!("{line}\n"))
}

/// What to try.
fn greeting(addresses: &[SocketAddr], folder: &str) -> String {
    let name = addresses
        .first()
        .map_or(String::new(), |address| name_for_clients(*address));
    format!(
        "\nto try it:  docker tag IMAGE {name}/hello:v1 && docker push {name}/hello:v1\n\
         to hurt it: kill -9 any of the processes, and go on pushing\n\
         to mend it: write `start NAME` here\n\
         data in {folder}\n"
    )
}
