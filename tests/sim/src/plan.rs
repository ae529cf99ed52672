//! What a seed decides before the run begins: how large the cluster is, how bad the weather, how small the parts.

use std::time::Duration;

use registry::{Settings, SparseImages, StaleReads};

use crate::dice::Dice;
use crate::{clients, faults};

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many members begin.
    pub members: u64,
    /// How many gateways.
    pub gateways: u64,
    /// How many clients of each kind.
    pub clients: u64,
    /// Whether there is somebody who only operates the cluster.
    pub has_operator: bool,
    /// Whether rights are asked for.
    pub access: Access,
    /// How long there are faults.
    pub faults_for: Duration,
    /// Of a thousand messages and calls, so many meet each kind of trouble.
    pub network_trouble: u64,
    /// Of a thousand calls of the store, so many meet each kind of trouble.
    pub store_trouble: u64,
    /// A fault begins about so often.
    pub fault_every: Duration,
    /// How often each kind of fault is chosen: see [`crate::faults::WEIGHTS`].
    pub fault_weights: [u64; 15],
    /// How often a client does each thing that clients do: see [`crate::clients::WEIGHTS`].
    pub client_weights: [u64; 11],
    /// Members take a snapshot after so many entries.
    pub snapshot_after: u64,
    /// Sizes and times of the use-cases.
    pub settings: Settings,
}

/// Whether rights are asked for in a run, and what administrators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Never.
    Off,
    /// From its beginning on; so many administrators give and take them.
    On(u64),
    /// Now and then: nobody can say what is allowed at a moment.
    Turning,
}

impl Access {
    fn of(dice: &Dice) -> Access {
        match dice.within(0..20) {
            0 => Access::Turning,
            1..5 => Access::On(if dice.hits(100) { 2 } else { 1 }),
            _ => Access::Off,
        }
    }

    /// How many administrators there are.
    #[must_use]
    pub fn administrators(self) -> u64 {
        match self {
            Access::Off => 0,
            Access::On(administrators) => administrators,
            Access::Turning => 1,
        }
    }

    /// Whether it is switched on once and for all.
    #[must_use]
    pub fn is_always_on(self) -> bool {
        matches!(self, Access::On(_))
    }

    /// Whether it is switched off and on.
    #[must_use]
    pub fn turns(self) -> bool {
        self == Access::Turning
    }
}

impl Plan {
    /// Three members, two gateways, and nothing that goes wrong by itself: what happens is written down.
    #[must_use]
    pub fn calm() -> Plan {
        let mut plan = Plan::of(0);
        (plan.members, plan.gateways) = (3, 2);
        (plan.network_trouble, plan.store_trouble) = (0, 0);
        plan.snapshot_after = 1_000;
        plan.access = Access::Off;
        plan.settings.part_size = 64;
        plan.settings.blob_size_max = 64 * 60;
        plan.settings.hold = Duration::from_secs(10);
        plan.settings.upload_expiry = Duration::from_secs(600);
        plan
    }

    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Plan {
        let dice = Dice::of(seed, "plan");
        let part_size = *dice.pick(&[16u32, 64, 100]);
        Plan {
            seed,
            members: if dice.hits(250) { 5 } else { 3 },
            gateways: dice.within(1..4),
            clients: dice.within(1..3),
            has_operator: dice.hits(400),
            access: Access::of(&Dice::of(seed, "access")),
            faults_for: dice.ms(4_000..9_000),
            network_trouble: *dice.pick(&[0, 2, 10, 30]),
            store_trouble: *dice.pick(&[0, 5, 20, 60]),
            fault_every: dice.ms(150..1_500),
            fault_weights: dice.own_weights(faults::WEIGHTS),
            client_weights: dice.own_weights(clients::WEIGHTS),
            snapshot_after: dice.within(15..140),
            settings: Settings {
                part_size,
                blob_size_max: u64::from(part_size) * 60,
                checkpoint_every_parts: dice.within(1..4) as u32,
                grace: Duration::from_secs(dice.within(4..30)),
                sparse_images: SparseImages::Marked,
                stale_reads: StaleReads::All,
                body_idle_timeout: Duration::from_secs(2),
                hold: Duration::from_millis(*dice.pick(&[600, 1_500, 10_000])),
                upload_expiry: Duration::from_secs(dice.within(3..20)),
                retry_after: Duration::from_secs(1),
                sweep_interval: Duration::from_secs(2),
                sweep_batch: dice.within(1..50) as usize,
            },
        }
    }
}
