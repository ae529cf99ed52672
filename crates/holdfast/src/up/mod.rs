//! `holdfast up`: a whole cluster on this machine, to look at and to hurt.
//!
//! Each node is a process of its own, so that what is killed is really killed; the balancer is in this process. Nothing is
//! started again unless somebody asks, and nothing is left behind when this process is gone, however it went. It must
//! never be needed in production: systemd, an orchestrator and a real balancer do there what is done here.

mod admin_password;
mod arguments;
mod cluster;
mod crew;
mod left_over;
mod lines;
mod live;
mod log_file;
mod plan;
mod ports;
mod process;
mod pulse;
mod recovery_key;
mod screen;
mod spoken;
mod state;
mod table;

pub use arguments::UpArguments;

use admin_password::AdminPassword;

use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use balancer::Balancer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ByteSize;
use crate::failure::Failure;
use crate::serve::{self, DataFolder, StopSignals};
use crew::{Crew, EVENTS_MAX, Setup};
use lines::Form;
use plan::Plan;
use screen::Wish;
use state::Event;

/// Where clients come in when nobody says.
const PORT: u16 = 5000;

/// How much of the disk must be free: what one node asks for.
const FREE_SPACE_MIN: ByteSize = ByteSize(256 << 20);

/// What nodes write to their logs unless somebody says otherwise: without a line for each check of health.
const LOG_LEVEL: &str = "info,holdfast::access=warn";

/// How somebody says otherwise.
const LOG_LEVELS: [&str; 2] = ["HOLDFAST_LOG", "HOLDFAST_LOG_LEVEL"];

/// How long the work of other threads is waited for once everything is stopped.
const THREADS_END_MAX: Duration = Duration::from_secs(1);

/// Runs the cluster until it is told to stop.
///
/// # Errors
/// When it cannot start: one line that names the fix, and the last that a node said which did not start.
pub fn run(arguments: &UpArguments) -> Result<(), Failure> {
    let settings = balancer::Settings::default();
    // Each request has a connection on both sides.
    serve::raise_file_limit(u32::try_from(settings.connections_max * 2).unwrap_or(u32::MAX));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the threads cannot be started: {error}")))?;
    let ended = runtime.block_on(up(arguments, settings));
    runtime.shutdown_timeout(THREADS_END_MAX);
    ended
}

/// What is shown, and by whom it is ended.
struct Show {
    crew: Crew,
    balancer: Balancer,
    events: mpsc::Receiver<Event>,
    signals: StopSignals,
    /// Where clients come in.
    addresses: Vec<SocketAddr>,
    /// The folder, for people.
    folder: String,
    /// The password of `admin`, when this run makes it.
    admin: Option<AdminPassword>,
}

impl Show {
    /// All nodes are there: what the cluster's people have to know once, which is forgotten then.
    fn admin_to_show(&mut self) -> Result<Option<AdminPassword>, Failure> {
        let admin = self.admin.take();
        if let Some(admin) = &admin {
            self.crew.note_access()?;
            admin.forget();
        }
        Ok(admin)
    }
}

async fn up(arguments: &UpArguments, settings: balancer::Settings) -> Result<(), Failure> {
    let signals = StopSignals::install()?;
    let chosen = !arguments.listen.is_empty();
    let wanted = match chosen {
        true => arguments.listen.clone(),
        false => vec![
            (Ipv4Addr::LOCALHOST, PORT).into(),
            (Ipv6Addr::LOCALHOST, PORT).into(),
        ],
    };
    let asks = arguments.access || arguments.allow_open;
    serve::check_trial_exposure(&wanted, arguments.allow_plain_http, asks)?;
    let listening = serve::listen(&wanted, chosen)?.listeners;
    let addresses = listening
        .iter()
        .filter_map(|it| it.local_addr().ok())
        .collect();
    let folder = DataFolder::open(&arguments.data, FREE_SPACE_MIN)?;
    let s3 = arguments.s3.as_ref();
    let blobs = plan::blobs_in(folder.path());
    let store = s3.map_or("its folder".to_owned(), ToString::to_string);
    let plan = Plan::make(folder.path(), &store, arguments.nodes, arguments.gateways)?;
    plan.save(folder.path())?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program cannot find itself: {error}")))?;
    let mut node_settings = match s3 {
        Some(place) => place.settings(),
        None => vec![
            ("storage.kind", "folder".to_owned()),
            ("storage.folder.path", blobs.display().to_string()),
        ],
    };
    let admin = match arguments.access && !plan.is_access_on {
        true => Some(AdminPassword::draw(folder.path())?),
        false => None,
    };
    node_settings.extend(shared_settings(arguments, &plan, admin.as_ref()));
    node_settings.push(("log.format", "text".to_owned()));
    if !LOG_LEVELS
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        node_settings.push(("log.level", LOG_LEVEL.to_owned()));
    }
    let balancer = Balancer::new(settings);
    let (told, events) = mpsc::channel(EVENTS_MAX);
    let setup = Setup {
        program,
        folder: folder.path().to_owned(),
        settings: node_settings,
        balancer: balancer.clone(),
        events: told,
    };
    let crew = Crew::new(setup, plan)?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (balancer, stop) = (balancer.clone(), stop.clone());
        async move { balancer.serve(listening, stop).await }
    });
    let show = Show {
        crew,
        balancer,
        events,
        signals,
        addresses,
        folder: folder.path().display().to_string(),
        admin,
    };
    let ended = match arguments.json {
        true => spoken::show(show, Form::Json).await,
        false if std::io::stdout().is_terminal() => live::show(show).await,
        false => spoken::show(show, Form::Words).await,
    };
    stop.cancel();
    serving
        .await
        .map_err(|error| Failure::new(format!("the balancer failed: {error}")))?;
    ended
}

/// Who may do what, and what nodes share in Redis, as settings of every node.
fn shared_settings(
    arguments: &UpArguments,
    plan: &Plan,
    admin: Option<&AdminPassword>,
) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if arguments.access || plan.is_access_on {
        settings.push(("access.mode", "on".to_owned()));
    }
    if let Some(admin) = admin {
        let file = admin.path().display().to_string();
        settings.push(("access.admin_password_file", file));
    }
    if let Some(redis) = &arguments.redis {
        settings.push(("sessions.redis", redis.clone()));
    }
    settings
}

/// What is being done because somebody wished for it. What cannot be granted comes back as a failure.
#[derive(Default)]
struct Grants(JoinSet<Result<(), Failure>>);

impl Grants {
    fn grant(&mut self, crew: &Crew, wish: Wish) {
        let crew = crew.clone();
        self.0.spawn(async move {
            match wish {
                Wish::Start(name) => crew.start(&name).await,
                Wish::Kill(name) => crew.kill(&name).await,
                Wish::Unknown(line) => Err(Failure::new(format!(
                    "`{line}` is neither `start NAME` nor `kill NAME`"
                ))),
            }
        });
    }

    /// The next one that was not granted. Waits for ever when there is none.
    async fn refused(&mut self) -> Failure {
        loop {
            match self.0.join_next().await {
                None => std::future::pending().await,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => return failure,
                Some(Err(error)) => return Failure::new(format!("it failed: {error}")),
            }
        }
    }
}
