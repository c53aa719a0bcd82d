//! The kinds of images, and the differences between them.

use clap::ValueEnum;

/// One of our images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The image that trains: both programs, with libtorch for the CPU, and Fashion-MNIST.
    Training,
    /// The same as `training`, with libtorch's CUDA part. Nobody has run it on a GPU, and the program trains on the CPU.
    Cuda,
    /// The image that orchestrates jobs on a cluster: `fltk` alone, without libtorch and without data. At most 47 MB.
    Orchestrator,
    /// TensorBoard, for the event files of runs.
    Tensorboard,
}

impl Kind {
    /// Returns the default name of the image, with its tag. No registry has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "localhost/fltk:dev",
            Self::Cuda => "localhost/fltk:cuda",
            Self::Orchestrator => "localhost/fltk-orchestrator:dev",
            Self::Tensorboard => "localhost/fltk-tensorboard:dev",
        }
    }

    /// Returns the stage in the Dockerfile, which is also the name on the command line and in file names.
    pub fn target(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Cuda => "cuda",
            Self::Orchestrator => "orchestrator",
            Self::Tensorboard => "tensorboard",
        }
    }

    /// True if the image contains the program that is linked with libtorch, and can therefore use data sets.
    pub fn trains(self) -> bool {
        match self {
            Self::Training | Self::Cuda => true,
            Self::Orchestrator | Self::Tensorboard => false,
        }
    }

    /// Returns the package from which its programs are compiled, with all its dependencies; `None` if the programs are not ours.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::Training | Self::Cuda => Some("fltk-torch"),
            Self::Orchestrator => Some("fltk"),
            Self::Tensorboard => None,
        }
    }

    /// Returns the limit on the total bytes of its files, if there is one.
    pub fn size_max(self) -> Option<u64> {
        match self {
            Self::Orchestrator => Some(47_000_000),
            Self::Training | Self::Cuda | Self::Tensorboard => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = include_str!("../../../../Dockerfile");

    #[test]
    fn image_kinds_are_stages_of_the_dockerfile() {
        for kind in Kind::value_variants() {
            let stage = format!(" AS {}\n", kind.target());
            assert_eq!(DOCKERFILE.matches(&stage).count(), 1, "{stage:?}");
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.target());
        }
    }

    #[test]
    fn dockerfile_has_our_version_and_runs_as_our_user() {
        assert!(DOCKERFILE.contains(&format!("image.version=\"{}\"", env!("CARGO_PKG_VERSION"))));
        let user = format!("{0}:{0}", crate::image::USER);
        assert!(DOCKERFILE.contains(&format!("USER {user}\n")) && DOCKERFILE.contains(&format!("--chown={user} home/")));
    }
}
