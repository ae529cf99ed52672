//! 200 kills (`kill -9`) at random instants during concurrent pushes, deletes and mounts: after each restart what was
//! under way has happened or has not, and at the end everything ever acknowledged is there byte for byte.

use anyhow::Context as _;
use faults::Crew;
use faults::content::Dice;
use faults::crew::{Death, seed, times};
use harness::HoldfastServer;

const KILLS: usize = 200;

/// Sets another number of kills, for longer runs.
const KILLS_VARIABLE: &str = "FAULTS_KILLS";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_200_kills() {
    let seed = seed();
    kill_and_check(times(KILLS_VARIABLE, KILLS), seed)
        .await
        .with_context(|| format!("seed {seed}"))
        .unwrap();
}

async fn kill_and_check(kills: usize, seed: u64) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed);
    // Small snapshots and parts, so that the kills meet them often.
    let settings = HoldfastServer::with().env("HOLDFAST_METADATA_SNAPSHOT_AFTER", "1MiB");
    let mut server = settings.env("HOLDFAST_UPLOADS_PART_SIZE", "5MiB").start()?;
    let mut crew = Crew::new(&mut dice);
    for kill in 0..kills {
        let worked = crew.work(&mut server, &mut dice, Death::Killed).await;
        worked.with_context(|| format!("before kill {kill}"))?;
        server.restart()?;
        let client = server.client();
        let settled = crew.settle(&client).await;
        settled.with_context(|| format!("after kill {kill}"))?;
        // Everything is checked at the end, and now and then before, to learn early which kill did it.
        if kill % 25 == 24 || kill + 1 == kills {
            let verified = crew.verify(&client).await;
            verified.with_context(|| format!("after kill {kill}"))?;
        }
    }
    println!("{kills} kills, {} acknowledged facts checked", crew.known());
    Ok(())
}
