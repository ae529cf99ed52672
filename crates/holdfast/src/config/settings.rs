//! Every setting: its name, kind, default and range, and what it is for. `docs/reference/settings.md` is made from it.
//!
//! A setting stands here once. The typed struct, the names in files and in the environment, the checks at the start,
//! `config show` and the reference all come from this list.

use std::net::SocketAddr;
use std::path::PathBuf;

use blobs::settings::{Checksums, CredentialsFrom, Encryption};
use blobs::{Secret, StorageKind};
use front::{ClientCertificates, ForwardedBy, Networks, ProxyProtocol, TlsVersion};
use identity::Role;
use registry::{SparseImages, StaleReads};

use super::section::sections;
use super::value::{ByteSize, LogFilter, Span, words};

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

words! { LogFormat { Auto = "auto", Text = "text", Json = "json", } form "`auto`, `text` or `json`" }

words! { StorageKind { Folder = "folder", S3 = "s3", } form "`folder` or `s3`" }

words! {
    Encryption { BucketDefault = "bucket-default", Aes256 = "AES256", Kms = "aws:kms", Customer = "customer", }
    form "`bucket-default`, `AES256`, `aws:kms` or `customer`"
}

words! {
    CredentialsFrom {
        Auto = "auto",
        Keys = "keys",
        Environment = "environment",
        Profile = "profile",
        File = "file",
        WebIdentity = "web-identity",
        Instance = "instance",
        Anonymous = "anonymous",
    }
    form "`auto`, `keys`, `environment`, `profile`, `file`, `web-identity`, `instance` or `anonymous`"
}

words! { Checksums { Auto = "auto", Always = "always", Never = "never", } form "`auto`, `always` or `never`" }

words! { StaleReads { All = "all", Digest = "digest", Never = "never", } form "`all`, `digest` or `never`" }

words! { Role { Member = "member", Gateway = "gateway", } form "`member` or `gateway`" }

/// What TLS is spoken with at the port of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// With files, if a certificate is set.
    Auto,
    /// There is none.
    Off,
    /// With the files that are set.
    Files,
    /// With a certificate that the node signs itself.
    SelfSigned,
}

impl TlsMode {
    /// What these settings come to: never [`TlsMode::Auto`].
    pub fn in_effect(settings: &Settings) -> TlsMode {
        match (settings.tls.mode, &settings.tls.certificate) {
            (TlsMode::Auto, Some(_)) => TlsMode::Files,
            (TlsMode::Auto, None) => TlsMode::Off,
            (mode, _) => mode,
        }
    }
}

words! {
    TlsMode { Auto = "auto", Off = "off", Files = "files", SelfSigned = "self-signed", }
    form "`auto`, `off`, `files` or `self-signed`"
}

words! {
    ClientCertificates { Off = "off", Optional = "optional", Required = "required", }
    form "`off`, `optional` or `required`"
}

words! { TlsVersion { Tls12 = "1.2", Tls13 = "1.3", } form "`1.2` or `1.3`" }

words! {
    ProxyProtocol { Off = "off", Optional = "optional", Required = "required", }
    form "`off`, `optional` or `required`"
}

words! {
    ForwardedBy { XForwarded = "x-forwarded", Forwarded = "forwarded", }
    form "`x-forwarded` or `forwarded`"
}

/// What kind of Redis there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// One server.
    Alone,
    /// A master that sentinels know.
    Sentinel,
    /// A Cluster.
    Cluster,
}

words! {
    RedisMode { Alone = "alone", Sentinel = "sentinel", Cluster = "cluster", }
    form "`alone`, `sentinel` or `cluster`"
}

/// Whether rights are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Not because of this node.
    Off,
    /// They are, once a member with this setting has started.
    On,
}

words! { AccessMode { Off = "off", On = "on", } form "`off` or `on`" }

words! { SparseImages { Marked = "marked", Refused = "refused", } form "`marked` or `refused`" }

sections! {
    /// The HTTP server and the node itself.
    server: Server as "server" {
        /// The addresses to listen on. Port 0 takes any free port; the one that was taken is printed. When the
        /// machine has no IPv6, the default goes on without `[::1]`.
        listen: Vec<SocketAddr> = "127.0.0.1:5000, [::1]:5000";
        /// The folder of everything that this node keeps: the metadata log, its tables, and the blobs unless they
        /// are kept elsewhere. It is made when it does not exist, and used by one process at a time.
        data: PathBuf = "holdfast-data";
        /// How much of the data folder's disk must be free for the node to start. When less than
        /// `metadata.free_space_min` is left while it runs, it refuses writes and goes on serving pulls.
        free_space_min: ByteSize = "256MiB" in "16MiB" ..= "1024TiB";
        /// How many connections are served at once. A few more are told to come back (429); the rest wait in the
        /// operating system's queue.
        connections_max: u32 = "4096" in "16" ..= "1000000";
        /// How many requests are worked on at once; more wait for `queue_wait`.
        requests_max: u32 = "2048" in "16" ..= "1000000";
        /// How long a request waits for its turn before it is told to come back (429).
        queue_wait: Span = "5s" in "0s" ..= "5m";
        /// How long a client may take to send the head of a request.
        header_timeout: Span = "30s" in "1s" ..= "5m";
        /// How long a connection may be idle between requests. Longer than clients and balancers keep theirs.
        idle_timeout: Span = "2m" in "1s" ..= "1h";
        /// How long the body of a request may bring nothing before the request is ended. An upload keeps what was
        /// acknowledged and can be resumed.
        body_idle_timeout: Span = "60s" in "1s" ..= "1h";
        /// How long the body of a manifest may take in all.
        manifest_timeout: Span = "60s" in "1s" ..= "1h";
        /// How long a client may take nothing of a reply before it is cut.
        write_timeout: Span = "2m" in "1s" ..= "1h";
        /// How long a request waits for the metadata log, through elections too, before it is answered 503.
        hold_time: Span = "10s" in "1s" ..= "5m";
        /// How long clients are told to wait before they repeat what was answered 503.
        retry_after: Span = "5s" in "1s" ..= "5m";
        /// Memory for manifests that are being received, all together.
        manifest_memory: ByteSize = "64MiB" in "8MiB" ..= "16GiB";
        /// The longest page of a list; clients that ask for more get so many.
        page_size_max: u32 = "10000" in "10" ..= "100000";
        /// Clients are asked to send chunks of at least so many bytes (`OCI-Chunk-Min-Length`); smaller ones are
        /// taken too. `0B` asks for nothing.
        chunk_bytes_min: ByteSize = "0B" in "0B" ..= "64MiB";
        /// Web origins, such as `https://ui.example.com`, whose scripts may write. Those of every origin may read.
        cors_write_origins: Vec<String> = "";
        /// After SIGTERM, how long connections are still accepted while `/readyz` fails, so that a balancer can
        /// notice: at least its check interval times the checks that must fail. Ctrl-C skips it.
        drain_delay: Span = "5s" in "0s" ..= "10m";
        /// After that, how long requests in flight may take before they are cut. Uploads that are cut can be resumed.
        drain_timeout: Span = "10m" in "0s" ..= "24h";
        /// Whether addresses that other machines reach may be listened on without TLS. `--allow-plain-http` sets it.
        allow_plain_http: bool = "false";
        /// The networks of the proxies in front, such as `10.0.0.0/8` or `192.0.2.7`. What they say of where a client
        /// comes from is believed; what anybody else says of it is not.
        trusted_proxies: Networks = "";
        /// Whether trusted proxies begin each connection with a PROXY header (version 1 or 2), which says for whom they
        /// connect. With `optional` a connection of theirs without one is theirs; with `required` it is ended. Others
        /// are never asked for one, and one that they send is not understood.
        proxy_protocol: ProxyProtocol = "off";
        /// Which headers the trusted proxies set: `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, or
        /// `Forwarded`. The other kind is what a client wrote, and is not read.
        forwarded_by: ForwardedBy = "x-forwarded";
    }

    /// TLS at the port of clients: [tls.md](../tls.md).
    tls: Tls as "tls" {
        /// With what TLS is spoken: `files` (`certificate` and `key`), `self-signed` (a certificate that the node signs
        /// and renews itself, whose authority clients have to trust), or `off`. `auto`: `files` when `certificate` is
        /// set, else `off`. `--tls` sets it.
        mode: TlsMode = "auto";
        /// The certificate with its chain, the server's own first, in PEM. The files of TLS are looked at every two
        /// seconds and upon SIGHUP; new connections get what is new, and files that cannot be used change nothing.
        certificate: Option<PathBuf> = "";
        /// The private key of the certificate, in PEM. Not set: it is in the certificate's file.
        key: Option<PathBuf> = "";
        /// What else the certificate of `self-signed` is for, beside the addresses that are listened on, the machine's
        /// name and `localhost`: names of hosts and addresses. `--tls-name` adds to it.
        names: Vec<String> = "";
        /// Whether clients are asked for certificates of their own. `optional` takes clients without one; one that is
        /// shown has to lead to one of `client_authorities`.
        client_certificates: ClientCertificates = "off";
        /// The authorities that certificates of clients have to lead to, in PEM.
        client_authorities: Option<PathBuf> = "";
        /// The earliest version of TLS that is spoken.
        min_version: TlsVersion = "1.2";
        /// How long a new connection may take for its PROXY header and its handshake.
        handshake_timeout: Span = "10s" in "1s" ..= "1m";
    }

    /// Where the bytes of blobs are kept.
    storage: Storage as "storage" {
        /// `folder` keeps them on this machine, `s3` in object storage. It must not change while the metadata names
        /// blobs in the other one.
        kind: StorageKind = "folder";
    }

    /// Blobs in a folder, when `storage.kind` is `folder`.
    folder: Folder as "storage.folder" {
        /// The folder. Not set: `blobs` in the data folder.
        path: Option<PathBuf> = "";
    }

    /// Blobs in S3-compatible object storage, when `storage.kind` is `s3`.
    s3: S3 as "storage.s3" {
        /// The bucket, which must exist.
        bucket: Option<String> = "";
        /// The address of the service, such as `https://s3.example.com`. Not set: AWS.
        endpoint: Option<String> = "";
        /// The region. Not set: as the AWS environment, the profile or the instance says, else `us-east-1`.
        region: Option<String> = "";
        /// What every key begins with, so that a bucket can be shared: segments with `/` between them.
        prefix: Option<String> = "";
        /// Whether the bucket's name goes into the path and not into the host's name. Not set: yes, when `endpoint`
        /// is set.
        path_style: Option<bool> = "";
        /// A PEM file with the certificates of the authorities to trust, instead of the system's.
        ca_file: Option<PathBuf> = "";
        /// A proxy such as `http://proxy:3128`. Not set: as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
        proxy: Option<String> = "";
        /// Hosts that are reached without the proxy, separated by commas.
        no_proxy: Option<String> = "";
        /// Server-side encryption. `customer` sends the key of `customer_key_file` with each request.
        encryption: Encryption = "bucket-default";
        /// The key for `aws:kms`. Not set: the account's default key.
        kms_key_id: Option<String> = "";
        /// For `customer`: a file with the 32 bytes of the key, in base64.
        customer_key_file: Option<PathBuf> = "";
        /// The storage class, such as `STANDARD_IA`. Not set: the bucket's default.
        storage_class: Option<String> = "";
        /// Where credentials come from. `auto`: from `access_key_id` and `secret_access_key` when they are set, else
        /// from the environment, profile, web identity, container and instance, in this order.
        credentials: CredentialsFrom = "auto";
        /// The id of the access key, for `keys`.
        access_key_id: Option<String> = "";
        /// The secret of the access key, for `keys`. Better set by its variable than in a file that others can read.
        secret_access_key: Option<Secret> = "";
        /// The session token of an access key that is temporary, for `keys`.
        session_token: Option<Secret> = "";
        /// For `file` and `profile`: a file in the format of `~/.aws/credentials`.
        credentials_file: Option<PathBuf> = "";
        /// For `file` and `profile`: which profile. Not set: `AWS_PROFILE`, else `default`.
        profile: Option<String> = "";
        /// For `web-identity`: the file of the token. Not set: `AWS_WEB_IDENTITY_TOKEN_FILE`.
        web_identity_token_file: Option<PathBuf> = "";
        /// For `web-identity`: the role. Not set: `AWS_ROLE_ARN`.
        role_arn: Option<String> = "";
        /// Whether requests carry checksums that the call does not need. `auto`: with AWS, not with an `endpoint`,
        /// since some services refuse them.
        checksums: Checksums = "auto";
        /// Memory for parts on their way, shared by all uploads; an upload waits for its share.
        memory: ByteSize = "96MiB" in "32MiB" ..= "64GiB";
        /// How long opening a connection may take.
        connect_timeout: Span = "3s" in "100ms" ..= "1m";
        /// How long one try of a call may take until its answer begins. A part must get through in this time.
        attempt_timeout: Span = "30s" in "1s" ..= "10m";
        /// The longest pause between two bytes of an answer.
        read_timeout: Span = "10s" in "500ms" ..= "10m";
        /// How long a call may take with all its tries.
        deadline: Span = "1m" in "1s" ..= "1h";
    }

    /// The other nodes, when this one belongs to a cluster or joins one.
    cluster: Cluster as "cluster" {
        /// What people call this node: up to 63 letters, digits, `.`, `_` and `-`. Not set: the machine's name.
        name: Option<String> = "";
        /// `host:port` where the other nodes reach this one. Not set: as it was before; at first, port 5050 of the
        /// address from which this machine reaches others. Port 0 takes any free port.
        peer_address: Option<String> = "";
        /// Where to listen for the other nodes, if that is not `peer_address`.
        peer_listen: Option<SocketAddr> = "";
        /// Where clients reach this node, to be shown. Not set: the first address of `server.listen`.
        client_address: Option<String> = "";
        /// `host:port` of members of the cluster to join, at the first start. It needs a token.
        join: Vec<String> = "";
        /// The join token, for the first start. Others can see it in a command line: better set it by its variable, or
        /// by `token_file`.
        token: Option<Secret> = "";
        /// A file with the join token.
        token_file: Option<PathBuf> = "";
        /// What a node becomes that joins by the bootstrap secret.
        role: Role = "member";
        /// For a start without an operator: how many members have to have found each other, by `join`, before one of
        /// them forms the cluster. The same for all of them; an odd number.
        bootstrap_expect: Option<u32> = "" in "1" ..= "9";
        /// By which nodes know each other that start without an operator, and by which later ones join: the same for
        /// all of them, at least 32 characters. Better in its variable or a file than where others can read it.
        bootstrap_secret: Option<Secret> = "";
        /// A file with the bootstrap secret.
        bootstrap_secret_file: Option<PathBuf> = "";
        /// How long a join token is good when nothing else is said.
        token_life: Span = "1h" in "1m" ..= "30d";
    }

    /// The metadata log and its tables.
    metadata: Metadata as "metadata" {
        /// Memory for pages of the tables. More makes large registries faster.
        cache: ByteSize = "48MiB" in "4MiB" ..= "1TiB";
        /// Memory for the log's latest entries.
        log_cache: ByteSize = "8MiB" in "1MiB" ..= "16GiB";
        /// How many bytes of log are written between two snapshots. Less makes restarts faster and writes more.
        snapshot_after: ByteSize = "64MiB" in "1MiB" ..= "16GiB";
        /// Writes are refused while less of the disk is free, so that nothing is torn when it fills.
        free_space_min: ByteSize = "64MiB" in "16MiB" ..= "1TiB";
    }

    /// Pushes of blobs.
    uploads: Uploads as "uploads" {
        /// The size of the parts in which blobs are stored; fixed for each upload when it starts.
        part_size: ByteSize = "8MiB" in "5MiB" ..= "64MiB";
        /// The largest blob that is taken. Not set: 9,900 parts, about as many as an object store puts together.
        blob_size_max: Option<ByteSize> = "" in "1MiB" ..= "625GiB";
        /// After how many parts a long request saves how far it has come.
        checkpoint_every_parts: u32 = "8" in "1" ..= "100";
        /// How long a blob that no manifest names is kept.
        grace: Span = "24h" in "1h" ..= "365days";
        /// How long an upload that nobody writes to is kept, so that it can be resumed.
        expiry: Span = "7days" in "1h" ..= "365days";
        /// How often the sweep looks for objects that nothing names any more, when it found none.
        sweep_interval: Span = "30s" in "1s" ..= "1h";
    }

    /// What may be pushed and pulled.
    registry: Registry as "registry" {
        /// What becomes of an image whose config and some of whose layers are in the repository, while other layers
        /// never were. `marked` stores it, and tells everyone who pushes or pulls it how many are missing
        /// (`Warning: 299`). `refused` refuses it, as every other manifest that names absent blobs is.
        sparse_images: SparseImages = "marked";
        /// Which pulls are answered from the last state that a node knows while no quorum of the cluster confirms it,
        /// each with `Warning: 299`: `all` (manifests, blobs, lists of tags and of referrers), those by `digest`, or
        /// `never`. A node does so after 5 s without a confirmation from anybody, and until there is one. What it does
        /// not know is 503 and never 404; nothing is written meanwhile.
        stale_reads: StaleReads = "all";
    }

    /// Who may do what: [access.md](../access.md).
    access: Access as "access" {
        /// Whether rights are asked for. The first member that starts with `on` switches them on for the whole cluster and makes
        /// the account `admin`; until that is done no node with `on` serves anybody. It is kept in the metadata log: no start
        /// switches it off again, `holdfast access off` does. `--access` sets it to `on`.
        mode: AccessMode = "off";
        /// The name of this registry for whoever gives tokens, the same on every node.
        service: String = "holdfast";
        /// A file with the password of `admin` for the start that switches access on, which nobody but its owner (and its
        /// group) may read. Not set: a random one is made, and printed once. `HOLDFAST_ADMIN_PASSWORD_FILE` sets it, too.
        admin_password_file: Option<PathBuf> = "";
        /// Whether a push to a project that does not exist makes it, private, with who pushes as its owner. It counts for the
        /// start that switches access on; later, `holdfast access set` changes it for the whole cluster.
        auto_create_projects: bool = "false";
        /// A file of logins that others check (an OpenID provider, LDAP, a file of passwords, certificates, GitLab):
        /// [logins.md](../logins.md). Not set: only passwords, robots and tokens of this registry count.
        logins: Option<PathBuf> = "";
        /// Whether addresses that other machines reach may be listened on while `mode` is `off`, so that whoever reaches them
        /// may push and delete. `--allow-open` sets it.
        allow_open: bool = "false";
    }

    /// Where nodes share login sessions, counts of failed logins and counts of pulls. Pulls and pushes never wait for it,
    /// and what it holds may be lost.
    sessions: SessionPlace as "sessions" {
        /// Addresses of Redis: `redis://HOST:PORT`, or `rediss://` with TLS. One server, all sentinels, or some nodes of
        /// a Cluster. Not set: each node keeps what it counts in its own memory.
        redis: Vec<String> = "";
        /// Whether these are one server, `sentinel`s or nodes of a `cluster`.
        mode: RedisMode = "alone";
        /// For `sentinel`: the name of the master.
        sentinel_master: String = "mymaster";
        /// The user of Redis. Not set: its default user.
        user: Option<String> = "";
        /// The password of Redis. Better set by its variable, or by `password_file`.
        password: Option<Secret> = "";
        /// A file with the password of Redis.
        password_file: Option<PathBuf> = "";
        /// For `sentinel`: the user of the sentinels.
        sentinel_user: Option<String> = "";
        /// For `sentinel`: a file with the password of the sentinels.
        sentinel_password_file: Option<PathBuf> = "";
        /// A PEM file with the certificates of the authorities to trust, instead of the system's.
        ca_file: Option<PathBuf> = "";
        /// What every key begins with, so that a Redis can be shared.
        prefix: String = "holdfast";
        /// How long Redis may take for one operation. Logins wait so long at most.
        call_timeout: Span = "50ms" in "5ms" ..= "5s";
        /// How long connecting may take, in the background.
        connect_timeout: Span = "1s" in "50ms" ..= "1m";
        /// After how many misses in a row everything goes on without Redis.
        misses_max: u32 = "3" in "1" ..= "100";
        /// How often Redis is tried again then.
        probe_interval: Span = "1s" in "100ms" ..= "1m";
    }

    /// How often somebody may fail to log in, and how much may be pulled.
    limits: Limits as "limits" {
        /// How many failed logins for an account from an address (of IPv6: a /64) cost nothing. Failures are never counted
        /// for an account alone, so that nobody can lock out somebody else.
        login_failures_free: u32 = "5" in "0" ..= "1000";
        /// How long to wait after the next one; each further one doubles it.
        login_wait: Span = "1s" in "100ms" ..= "1m";
        /// The longest wait; no longer than `login_window`.
        login_wait_max: Span = "5m" in "1s" ..= "24h";
        /// How long failed logins are remembered.
        login_window: Span = "15m" in "1m" ..= "24h";
        /// How many failed logins an address has in that time, for all accounts together.
        login_failures_address: u32 = "100" in "1" ..= "1000000";
        /// How many manifests an account may pull in `pulls_window`; `HEAD` is free. Not set: as many as it likes.
        pulls_account: Option<u32> = "" in "1" ..= "1000000000";
        /// How many manifests may be pulled without an account from an address (of IPv6: a /64). Not set: as many as anybody
        /// likes.
        pulls_anonymous: Option<u32> = "" in "1" ..= "1000000000";
        /// How long a count of pulls lasts, from the first one on.
        pulls_window: Span = "6h" in "1m" ..= "30days";
    }

    /// The log on standard error.
    log: Log as "log" {
        /// Which lines are written. `HOLDFAST_LOG` sets it too. Libraries are kept to warnings unless they are named,
        /// as in `info,openraft=debug`.
        level: LogFilter = "info";
        /// What they look like.
        format: LogFormat = "auto";
    }
}
