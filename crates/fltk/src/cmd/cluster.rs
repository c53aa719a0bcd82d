//! `fltk cluster FILE...`: a stream of jobs on Kubernetes.

mod begin;
mod connect;
mod down;
mod lock;
mod look;
mod observe;

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use fltk_kubernetes::{
    Client, Edge, End, api,
    manifest::RunContext,
    metrics::Metrics,
    needs_nodes,
    preflight::{self, PreflightError},
    retry,
    serve::{Served, serve},
};
use fltk_plan::{JobSpec, Orchestrator, StreamEvent};
use fltk_records::StreamFolder;
use tokio::{net::TcpListener, runtime::Runtime};

use self::{
    begin::{Namespace, begin, dry_run, refused, samples},
    observe::Observed,
};
pub use self::{connect::connect, look::pods_wait};
use crate::{
    cli::{Cli, ClusterArgs},
    exit::{Exit, OrExit as _, failure},
    jobs, log, output,
    stream::{Begun, Clock, kubernetes::read},
    work::Work,
};

/// Runs a stream, resumes one, or removes the objects that one created.
///
/// # Errors
/// If the files are wrong, the cluster rejects the jobs, or a job failed.
pub fn run(cli: &Cli, args: &ClusterArgs) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("can't start the runtime")?;
    runtime.block_on(async {
        if let Some(named) = &args.down {
            return down::run(cli, args, named).await;
        }
        // Installed first: for process 1 of a container, a signal without a handler would be ignored.
        let mut stop = pin!(self::connect::stopped()?);
        if let Some(named) = &args.resume {
            let begun = Begun::resume(StreamFolder::find(&args.runs, named).or_exit(Exit::Records)?)?;
            return work(cli, args, connect(&args.target).await?.client, begun, stop).await;
        }
        // The files are read first: errors in them can be reported without a cluster.
        let mut inputs = read(&args.files, &args.overrides, args.seed)?;
        inputs.take_modules()?;
        inputs.config.image = args.image.clone().or(inputs.config.image);
        let target = connect(&args.target).await?;
        let named = args.target.namespace.clone().or_else(|| inputs.config.namespace.clone());
        let namespace = Namespace { is_named: named.is_some(), name: named.unwrap_or(target.namespace) };
        let beginning = async {
            let _work = Work::wait("asking the cluster whether it accepts the jobs");
            if args.dry_run {
                return dry_run(&target.client, &inputs, &namespace.name).await.map(|()| None);
            }
            begin(args, &inputs, &namespace, &target.client).await.map(Some)
        };
        let begun = tokio::select! {
            begun = beginning => begun?,
            () = &mut stop => return Err(failure(Exit::Interrupted, "interrupted before anything was started")),
        };
        match begun {
            Some(begun) => work(cli, args, target.client, begun, stop).await,
            None => Ok(()),
        }
    })
}

async fn work(
    cli: &Cli,
    args: &ClusterArgs,
    client: Client,
    begun: Begun,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<()> {
    // The runtime polls this future on the main thread alone, which works on nothing else.
    log::stay_in(begun.span());
    begun.check_is_alone()?;
    let lock = lock::take(args, &begun.folder, stop.as_mut()).await?;
    let (journal, replay) = begun.folder.journal::<StreamEvent>().or_exit(Exit::Records)?;
    let context = Arc::new(begun.context()?.clone());
    let adapt = |spec| context.with_requests(spec);
    let mut orchestrator = Orchestrator::new(begun.stream.clone(), adapt, Some(journal), &replay.entries).or_exit(Exit::Experiment)?;
    drop(replay);
    retry(args, &client, &begun, &mut orchestrator).await?;
    let (metrics, is_ready) = (Arc::new(Metrics::new()), Arc::new(AtomicBool::new(false)));
    if let Some(address) = args.listen {
        let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen at {address}"))?;
        tracing::info!("metrics at http://{}/metrics", listener.local_addr().context("no address")?);
        tokio::spawn(serve(listener, Served { metrics: Arc::clone(&metrics), is_ready: Arc::clone(&is_ready) }));
    }
    let path = begun.folder.path().display();
    tracing::info!("stream {} in namespace `{}`; folder {path}", context.run, context.namespace);
    let end = if orchestrator.is_finished() {
        // The command was repeated after the stream's end: the known results are reported again, without asking the cluster.
        metrics.stands(&orchestrator);
        is_ready.store(true, Ordering::Relaxed);
        End::Finished
    } else {
        let samples = samples(&context.experiment, &orchestrator);
        let work = Work::wait("creating what all jobs share");
        let shared = tokio::select! {
            shared = share(&client, &context, &samples, needs_nodes(&orchestrator)) => Some(shared.map_err(refused)?),
            () = &mut stop => None,
        };
        drop(work);
        let began = begun.folder.description().started_at;
        let clock = Clock::start(began, orchestrator.now());
        clock.warning().iter().for_each(|text| tracing::warn!("{text}"));
        let edge = Edge { client, context: Arc::clone(&context), metrics, is_ready, began, clock: Arc::new(move || clock.now()) };
        match shared {
            Some(()) => edge.run(&mut orchestrator, &mut Observed::default(), &mut stop).await.or_exit(Exit::Records)?,
            None => End::Stopped,
        }
    };
    let rows = jobs::rows(&orchestrator, &begun.folder);
    jobs::keep(&rows, &begun.folder)?;
    jobs::print(cli, &rows)?;
    if end == End::Stopped {
        let message = format!(
            "interrupted; running jobs continue\nhint: `{}` resumes the stream, `fltk cluster --down {path}` removes it",
            begun.resume_command()
        );
        return Err(failure(Exit::Interrupted, message));
    }
    let verdict = jobs::verdict(&rows, &begun.folder);
    if args.linger {
        // From here on, `fltk cluster --down` may remove the stream's objects.
        drop(lock);
        if let Err(error) = &verdict {
            output::error(error);
        }
        tracing::info!("the stream has ended; its metrics are served until SIGTERM or Ctrl-C");
        stop.await;
    }
    verdict
}

/// Creates the objects that all jobs share, once the rights are there that jobs with nodes need: a stream that goes on may have been begun by a version that needed fewer.
async fn share(client: &Client, context: &RunContext, samples: &[JobSpec], needs_nodes: bool) -> Result<(), PreflightError> {
    if context.has_nodes() {
        preflight::rights(client, context, needs_nodes).await?;
    }
    preflight::share(client, context, samples).await
}

/// Retries failed jobs, once their objects are gone: all of them if the command line asks for that, otherwise those that failed because of the machine.
async fn retry(args: &ClusterArgs, client: &Client, begun: &Begun, orchestrator: &mut Orchestrator<'_>) -> anyhow::Result<()> {
    let failed = orchestrator.to_retry(args.retry_failed);
    if failed.is_empty() {
        return Ok(());
    }
    let _work = Work::wait("removing the objects of failed jobs");
    match retry::clear(client, begun.context()?, begun.folder.description().started_at, &failed).await {
        Ok(()) => begun.retry(orchestrator, &failed),
        Err(error) => {
            let message = format!("failed jobs can't be retried: {}", api::words(&error));
            if args.retry_failed {
                return Err(failure(Exit::Cluster, message));
            }
            tracing::warn!("{message}");
            Ok(())
        }
    }
}
