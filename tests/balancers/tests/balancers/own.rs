//! The balancer of `holdfast up`, in the process of the test.

use anyhow::Context as _;
use balancer::{Balancer, Condition, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::SOON;

/// It, on a free port, until it is dropped.
pub struct Own {
    address: String,
    _stop: DropGuard,
}

impl Own {
    /// Starts it, and returns when it has found every node ready.
    pub async fn start(addresses: &[&str]) -> anyhow::Result<Own> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let balancer = Balancer::new(Settings::default());
        for (number, address) in addresses.iter().enumerate() {
            let mut condition = balancer.put(&number.to_string(), address.parse()?);
            let is_ready = condition.wait_for(|condition| *condition == Condition::Ready);
            tokio::time::timeout(SOON, is_ready).await??;
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move { balancer.serve(vec![listener], stopped).await });
        Ok(Own {
            address,
            _stop: stop.drop_guard(),
        })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The most memory that this process ever had resident: the balancer is a part of it.
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
            .context("this process has no VmHWM")?;
        Ok(peak.parse::<u64>()? * 1024)
    }
}
