//! One connection to Redis, whatever kind of Redis it is, and how it is made.
//!
//! TLS is rustls with the process' provider of cryptography. A connection is made by the keeper only, never by a call.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisResult, TlsCertificates, TlsMode, Value,
};

use super::settings::{Password, RedisError, RedisPlace, RedisSettings};

/// How many calls a connection takes at once before it makes others wait, which their deadlines bound.
const CALLS_MAX: usize = 1024;

/// How often a call follows a Cluster that has moved a key. Deadlines bound it, too.
const REDIRECTIONS_MAX: u32 = 3;

/// An open connection. Cloning is cheap, and calls of all clones run at once.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To all masters of a Cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends one command. Dropping it half-way leaves the connection usable.
    pub async fn run(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Connection::One(one) => command.query_async(one).await,
            Connection::Cluster(cluster) => command.query_async(cluster).await,
        }
    }

    /// Whether one server's failure leaves it usable for others.
    pub fn mends_itself(&self) -> bool {
        matches!(self, Connection::Cluster(_))
    }
}

/// What makes connections.
pub struct Connector {
    kind: Kind,
    servers: usize,
    connect_timeout: Duration,
    calls: AsyncConnectionConfig,
}

enum Kind {
    Alone(Box<Client>),
    Sentinel {
        sentinels: Vec<ConnectionAddr>,
        settings: Box<RedisSettings>,
        tls: bool,
    },
    Cluster(Box<ClusterClient>),
}

impl Connector {
    /// Of settings; reads them all, and connects to nothing.
    pub fn new(settings: &RedisSettings) -> Result<Connector, RedisError> {
        let addresses = match &settings.place {
            RedisPlace::Alone(address) => std::slice::from_ref(address),
            RedisPlace::Sentinel { sentinels, .. } => sentinels,
            RedisPlace::Cluster(nodes) => nodes,
        };
        let infos = addresses
            .iter()
            .map(|address| info(address, settings))
            .collect::<Result<Vec<_>, _>>()?;
        let first = infos.first().ok_or(RedisError::NoAddress)?.clone();
        let tls = is_tls(&first);
        if infos.iter().any(|info| is_tls(info) != tls) {
            return Err(RedisError::Mixed);
        }
        if settings.authorities.is_some() && !tls {
            let why = "the addresses do not begin with `rediss://`";
            return Err(RedisError::Authorities(why.to_owned()));
        }
        if tls {
            // The library asks for the process' provider. It fails only when there is one, which is this one.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let servers = infos.len();
        let kind = match &settings.place {
            RedisPlace::Alone(_) => Kind::Alone(Box::new(alone(first, settings)?)),
            RedisPlace::Sentinel { .. } => Kind::Sentinel {
                sentinels: infos.iter().map(|info| info.addr().clone()).collect(),
                settings: Box::new(settings.clone()),
                tls,
            },
            RedisPlace::Cluster(_) => Kind::Cluster(Box::new(cluster(infos, settings)?)),
        };
        Ok(Connector {
            kind,
            servers,
            connect_timeout: settings.connect_timeout,
            calls: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(settings.connect_timeout))
                // Each call has a shorter deadline of its own; this one frees what a lost answer holds.
                .set_response_timeout(Some(settings.connect_timeout))
                .set_pipeline_buffer_size(CALLS_MAX),
        })
    }

    /// The longest that [`connect`](Connector::connect) may take: any server on the way may hang.
    pub fn deadline(&self) -> Duration {
        let servers = u32::try_from(self.servers).unwrap_or(u32::MAX);
        self.connect_timeout
            .saturating_mul(servers.saturating_add(1))
    }

    /// Makes a connection. `turn` counts tries: sentinels are asked in another order each time, since one may hang.
    pub async fn connect(&self, turn: usize) -> RedisResult<Connection> {
        Ok(match &self.kind {
            Kind::Alone(client) => Connection::One(
                client
                    .get_multiplexed_async_connection_with_config(&self.calls)
                    .await?,
            ),
            Kind::Sentinel {
                sentinels,
                settings,
                tls,
            } => {
                let mut sentinels = sentinels.clone();
                sentinels.rotate_left(turn % self.servers);
                let mut sentinel = sentinel_builder(sentinels, settings, *tls)?.build()?;
                let master = sentinel.async_get_client().await?;
                Connection::One(
                    master
                        .get_multiplexed_async_connection_with_config(&self.calls)
                        .await?,
                )
            }
            Kind::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

/// Reads an address, and says who we are there.
fn info(address: &str, settings: &RedisSettings) -> Result<ConnectionInfo, RedisError> {
    let wrong = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
    let info = address.into_connection_info().map_err(wrong)?;
    if matches!(info.addr(), ConnectionAddr::Unix(_)) {
        return Err(RedisError::Address("it is a socket".to_owned()));
    }
    let login = match settings.place {
        RedisPlace::Sentinel { .. } => &settings.sentinel_login,
        _ => &settings.login,
    };
    let mut ours = info.redis_settings().clone();
    if let Some(user) = &login.user {
        ours = ours.set_username(user);
    }
    if let Some(password) = &login.password {
        ours = ours.set_password(password.reveal());
    }
    Ok(info.set_redis_settings(ours))
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn certificates(settings: &RedisSettings) -> Option<TlsCertificates> {
    settings.authorities.as_ref().map(|pem| TlsCertificates {
        client_tls: None,
        root_cert: Some(pem.clone()),
    })
}

/// An error of reading authorities, when there are any, else of an address.
fn unusable(settings: &RedisSettings) -> impl Fn(redis::RedisError) -> RedisError {
    let is_tls = settings.authorities.is_some();
    move |error| match is_tls {
        true => RedisError::Authorities(error.category().to_owned()),
        false => RedisError::Address(error.category().to_owned()),
    }
}

fn alone(info: ConnectionInfo, settings: &RedisSettings) -> Result<Client, RedisError> {
    let client = match certificates(settings) {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    };
    client.map_err(unusable(settings))
}

fn cluster(
    infos: Vec<ConnectionInfo>,
    settings: &RedisSettings,
) -> Result<ClusterClient, RedisError> {
    let mut builder = ClusterClientBuilder::new(infos)
        .retries(REDIRECTIONS_MAX)
        .min_retry_wait(1)
        .max_retry_wait(20)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.connect_timeout);
    if let Some(certificates) = certificates(settings) {
        builder = builder.certs(certificates);
    }
    builder.build().map_err(unusable(settings))
}

fn sentinel_builder(
    sentinels: Vec<ConnectionAddr>,
    settings: &RedisSettings,
    tls: bool,
) -> RedisResult<SentinelClientBuilder> {
    let RedisPlace::Sentinel { master, .. } = &settings.place else {
        unreachable!("a connector by Sentinel is made of such a place");
    };
    let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?;
    if let Some(user) = &settings.login.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.login.password.as_ref().map(Password::reveal) {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = &settings.sentinel_login.user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    let password = settings.sentinel_login.password.as_ref();
    if let Some(password) = password.map(Password::reveal) {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates(settings) {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(place: RedisPlace) -> String {
        let settings = RedisSettings::of(place);
        match Connector::new(&settings) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses_are_read_before_anything_is_connected() {
        let one = |text: &str| wrong(RedisPlace::Alone(text.to_owned()));
        assert_eq!(one("redis://127.0.0.1:1"), "nothing");
        assert!(one("http://127.0.0.1").contains("rediss://HOST:PORT"));
        assert!(one("redis+unix:///run/redis").contains("socket"));
        let mixed = ["redis://a:1", "rediss://b:1"].map(str::to_owned);
        assert!(wrong(RedisPlace::Cluster(mixed.into())).contains("either all"));
        assert!(wrong(RedisPlace::Cluster(Vec::new())).contains("no address"));
    }

    #[test]
    fn a_secret_in_a_wrong_address_does_not_show() {
        let address = "http://:planted-secret@127.0.0.1";
        assert!(!wrong(RedisPlace::Alone(address.to_owned())).contains("planted"));
        let mut settings = RedisSettings::of(RedisPlace::Cluster(Vec::new()));
        settings.login.password = Some(Password::new("planted-secret"));
        assert!(!format!("{settings:?}").contains("planted"));
    }

    #[test]
    fn authorities_are_for_tls_and_have_to_be_certificates() {
        let mut settings = RedisSettings::of(RedisPlace::Alone("redis://127.0.0.1".to_owned()));
        settings.authorities = Some(b"nonsense".to_vec());
        let error = Connector::new(&settings).err().unwrap().to_string();
        assert!(error.contains("do not begin"), "{error}");
    }
}
