//! Streams of jobs for Kubernetes: the pods' settings in addition to the experiment, read from files or from a stream's folder.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use fltk_core::experiment::NetworkConfig;
use fltk_experiment::{FileKind, SourceFile, file_kind};
use fltk_kubernetes::{
    config::KubernetesConfig,
    manifest::{Credentials, MODULE_BYTES_MAX, RunContext},
};
use fltk_network::pki::{self, Authority, PkiError, Role};
use fltk_records::{
    StreamTexts,
    stream_folder::{Modules, module_name},
};
use serde_json::json;

use super::Inputs;
use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs, output,
};

/// The contents of the files: the experiment, its arrivals, and the pods' settings.
pub struct ClusterInputs {
    /// The experiment and its trace.
    pub inputs: Inputs,
    /// The pods' settings, with the experiment's namespace and image if they have none of their own.
    pub config: KubernetesConfig,
    /// The TorchScript modules that travel with the jobs; none before they are [read](Self::take_modules).
    pub modules: Modules,
    /// The folder of the experiment file.
    base: PathBuf,
    /// True if a file has a `kubernetes` block; otherwise all other settings of pods are defaults.
    pub has_block: bool,
}

/// Reads an experiment together with a file that has a `kubernetes` block, if one is among `files`.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn read(files: &[PathBuf], overrides: &[String], seed: Option<u64>) -> anyhow::Result<ClusterInputs> {
    let sources = files.iter().map(|path| inputs::read_source(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (configs, experiments): (Vec<_>, Vec<_>) =
        files.iter().cloned().zip(sources).partition(|(_, source)| file_kind(source) == FileKind::Kubernetes);
    if let [_, (path, _), ..] = configs.as_slice() {
        return Err(failure(Exit::Experiment, format!("`{}` is the second file with a `kubernetes` block", path.display())));
    }
    let (paths, sources): (Vec<PathBuf>, Vec<SourceFile>) = experiments.into_iter().unzip();
    if sources.is_empty() {
        let message = "there is no experiment among the files\nhint: give one of fltk's format, or KFLTK's arrival JSON with or without its cluster JSON";
        return Err(failure(Exit::Experiment, message));
    }
    let experiment = inputs::parse_experiment(&sources, overrides, seed)?;
    let base = inputs::base_folder(&paths);
    let inputs = Inputs::of(experiment, &base)?;
    let stream = inputs.experiment.stream.as_ref();
    let has_block = !configs.is_empty();
    let config = match configs.into_iter().next() {
        Some((_, source)) => parse_config(&source, Exit::Experiment)?.or_of(stream),
        None => KubernetesConfig::of_stream(stream),
    };
    Ok(ClusterInputs { inputs, config, modules: Modules::new(), base, has_block })
}

/// Parses a file with a `kubernetes` block. Errors in it end the program with `exit`.
///
/// # Errors
/// If the file is wrong.
pub fn parse_config(source: &SourceFile, exit: Exit) -> anyhow::Result<KubernetesConfig> {
    let (config, warnings) = KubernetesConfig::parse(source).map_err(|report| failure(exit, report.render(output::color_stderr())))?;
    output::report(&warnings);
    Ok(config)
}

impl ClusterInputs {
    /// Reads the TorchScript modules beside the experiment file, and has the tasks name them by their digests. Paths that begin with `/` are those of pods.
    ///
    /// # Errors
    /// If one can't be read or is empty, or they have more bytes than may travel.
    pub fn take_modules(&mut self) -> anyhow::Result<()> {
        const HINT: &str =
            "modules of at most 16 MiB together travel with their jobs; a path that begins with `/` is one in the image, or on a volume";
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for task in &mut self.inputs.experiment.tasks {
            let Some(NetworkConfig::TorchScript { torchscript }) = task.training_mut().map(|training| &mut training.network) else {
                continue;
            };
            if torchscript.starts_with('/') {
                continue;
            }
            if !names.contains_key(torchscript) {
                let wrong = |problem: String| failure(Exit::Experiment, format!("{problem}\nhint: {HINT}"));
                let path = self.base.join(&*torchscript);
                let bytes = inputs::read_small(&path, MODULE_BYTES_MAX as u64).map_err(|error| wrong(format!("{error:#}")))?;
                if bytes.is_empty() {
                    return Err(wrong(format!("`{}` is empty", path.display())));
                }
                let name = module_name(&bytes);
                names.insert(torchscript.clone(), name.clone());
                self.modules.insert(name, bytes.into());
                let num_bytes: usize = self.modules.values().map(|bytes| bytes.len()).sum();
                if num_bytes > MODULE_BYTES_MAX {
                    return Err(wrong(format!("the TorchScript modules of the tasks have {num_bytes} bytes together")));
                }
            }
            torchscript.clone_from(&names[torchscript]);
        }
        Ok(())
    }

    /// Returns the settings that all jobs of the run `run` in `namespace` share.
    ///
    /// # Errors
    /// If no image is named.
    pub fn context(&self, run: &str, namespace: &str) -> anyhow::Result<RunContext> {
        let Some(image) = self.config.image.clone() else {
            let message = "no container image is set\nhint: use `--image`, or `image` in the `kubernetes` block, or `stream.image`";
            return Err(failure(Exit::Experiment, message));
        };
        Ok(self.context_with(run, namespace, image))
    }

    /// Returns the same settings for pods that run `image`.
    #[must_use]
    pub fn context_with(&self, run: &str, namespace: &str, image: String) -> RunContext {
        RunContext {
            run: run.to_owned(),
            namespace: namespace.to_owned(),
            image,
            config: self.config.clone(),
            experiment: self.inputs.experiment.clone(),
            catalogues: crate::catalogues(),
            modules: self.modules.clone(),
            issue,
        }
    }

    /// Returns the texts for the folder of a stream whose jobs share `context`.
    ///
    /// # Errors
    /// If the settings can't be serialized, which doesn't happen for plain data.
    pub fn texts(&self, context: &RunContext) -> anyhow::Result<StreamTexts> {
        let cluster = format!("{}\n", serde_json::to_string_pretty(&json!({ "kubernetes": resolved(context) }))?);
        Ok(StreamTexts { cluster: Some(cluster), modules: self.modules.clone(), ..self.inputs.texts() })
    }

    /// Returns true if the pods of the stream whose jobs share `begun` have the settings of these files, in that stream's namespace.
    ///
    /// # Errors
    /// If no image is named.
    pub fn is_config_of(&self, begun: &RunContext) -> anyhow::Result<bool> {
        Ok(resolved(&self.context(&begun.run, &begun.namespace)?) == resolved(begun))
    }
}

/// Issues the credentials of a federated job with nodes, by an authority that nobody has afterwards.
fn issue() -> Result<Credentials, String> {
    let issued = || {
        let authority = Authority::create()?;
        let of = |role, name| -> Result<String, PkiError> {
            let (certificate, key) = authority.issue(role, name)?;
            Ok(pki::Credentials::pem(&certificate, authority.certificate(), &key))
        };
        Ok::<_, PkiError>(Credentials { federator: of(Role::Federator, "federator")?, node: of(Role::Node, "node")? })
    };
    issued().map_err(|error| error.to_string())
}

/// Returns the settings of the pods, with `namespace` and `image` filled in from `context`.
fn resolved(context: &RunContext) -> KubernetesConfig {
    KubernetesConfig { namespace: Some(context.namespace.clone()), image: Some(context.image.clone()), ..context.config.clone() }
}

/// Returns the settings that the jobs of the stream `run` share, from `cluster`, which is the `cluster.json` of its folder, without its modules.
///
/// # Errors
/// If `cluster` is damaged.
pub fn context_of(run: &str, inputs: &Inputs, cluster: &SourceFile) -> anyhow::Result<RunContext> {
    let config = parse_config(cluster, Exit::Records)?;
    let namespace = config.namespace.clone().context("its `cluster.json` names no namespace").or_exit(Exit::Records)?;
    ClusterInputs { inputs: inputs.clone(), config, modules: Modules::new(), base: PathBuf::new(), has_block: true }
        .context(run, &namespace)
}
