//! `cargo xtask test`: sets up, runs every check there is, and closes with one line. CI runs exactly this.
//!
//! Parts don't stop each other: all that can be known is known after one run. A part that can't be run here (no root to install a
//! package, say) is skipped and named; in CI that is a failure.

mod acceptance;
mod cluster;
mod images;
mod ranks;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use self::report::{Outcome, Report};
use crate::{
    charts,
    checkout::Checkout,
    generate, lock,
    setup::{
        debian,
        libtorch::{self, Libtorch},
        python,
    },
    sh, tidy,
};

/// For all tests of the workspace, compilation included.
const TESTS_LIMIT: Duration = Duration::from_secs(60 * 60);

/// For the comparison of every net with PyTorch, which takes about 3 minutes.
const PARITY_LIMIT: Duration = Duration::from_secs(30 * 60);

const LEFT_OUT: &str = "left out by --fast";

/// Whether the environment says that this is CI.
pub fn ci_from_environment() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Runs all parts; in `fast` mode only those that take no long run and no Python. In `ci`, skipped parts count as failed.
pub fn run(checkout: &Checkout, fast: bool, ci: bool) -> anyhow::Result<ExitCode> {
    let _lock = lock::take(&checkout.target.join("xtask-test.lock"), "testing in the same target folder")?;
    let mut report = Report::default();
    let (python, fashion_mnist) = if fast {
        (Err(LEFT_OUT.to_owned()), Err(LEFT_OUT.to_owned()))
    } else {
        let python = report.part_or_skip("Python packages", || python::ensure(checkout).map_err(|error| format!("{error:#}")));
        (python, report.part_or_skip("Fashion-MNIST in full", debian::fashion_mnist))
    };
    if let Some(libtorch) = report.part_with("libtorch", || libtorch::ensure(checkout)) {
        let tests = Tests { checkout, libtorch, python, ci };
        tests.style(&mut report);
        tests.charts(&mut report);
        tests.tests(&mut report);
        match report.part_with("release build", || tests.program()) {
            Some(program) => {
                tests.with_program(&mut report, &program);
                if fast {
                    report.skip("acceptance runs", LEFT_OUT);
                    report.skip("images", LEFT_OUT);
                    report.skip("the orchestrator on a real Kubernetes", LEFT_OUT);
                } else {
                    acceptance::run(checkout, &mut report, &program, &fashion_mnist);
                    images::run(checkout, &mut report, &program, &tests.python, &fashion_mnist);
                    cluster::run(checkout, &mut report, &program, &fashion_mnist);
                }
            }
            None => report.skip("everything that runs fltk", "the release build failed"),
        }
    }
    if ci && checkout.target_is_shared() {
        // Says nothing about the checkout, so it changes nothing in the report.
        forget_checkout(checkout).unwrap_or_else(|error| eprintln!("warning: {error:#}"));
    }
    print!("{}", report.render());
    Ok(if report.is_good(ci) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Only the parts that need a real Kubernetes, or of them only those about deployment.
pub fn on_cluster(checkout: &Checkout, only_deployment: bool) -> anyhow::Result<()> {
    let mut report = Report::default();
    let fashion_mnist = report.part_or_skip("Fashion-MNIST in full", debian::fashion_mnist);
    let program = checkout.build(&libtorch::ensure(checkout)?, &["--release"])?;
    if only_deployment {
        cluster::deployment(checkout, &mut report, &program);
    } else {
        cluster::run(checkout, &mut report, &program, &fashion_mnist);
    }
    print!("{}", report.render());
    if report.is_good(false) { Ok(()) } else { bail!("a part failed") }
}

/// Removes what was built from this checkout, but not what was built from its dependencies: the next checkout can use only those, and
/// a shared folder would grow by the rest with every one.
fn forget_checkout(checkout: &Checkout) -> anyhow::Result<()> {
    for profile in ["dev", "release"] {
        let mut cargo = checkout.cargo_without_libtorch();
        cargo.args(["clean", "--quiet", "--profile", profile]);
        for package in checkout.metadata()?.workspace_packages() {
            cargo.args(["--package", package.name.as_str()]);
        }
        sh::run(&mut cargo, sh::INSTALL_LIMIT)?;
    }
    Ok(())
}

struct Tests<'a> {
    checkout: &'a Checkout,
    libtorch: Libtorch,
    /// The Python of the tests, or why there is none.
    python: Result<PathBuf, String>,
    ci: bool,
}

impl Tests<'_> {
    /// What can be said without running anything.
    fn style(&self, report: &mut Report) {
        report.part("format", || self.cargo(&["fmt", "--all", "--check"]));
        report.part("tidy", || tidy::run(self.checkout).map(|()| passed()));
        report.part("clippy", || self.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
        report.part("clippy without libtorch", || {
            let mut cargo = self.prepared(self.checkout.cargo_without_libtorch());
            cargo.args(["clippy", "--package", "fltk", "--no-default-features", "--", "-D", "warnings"]);
            sh::run(&mut cargo, sh::BUILD_LIMIT).map(|()| passed())
        });
        report.part("documentation", || {
            let mut cargo = self.prepared(self.checkout.cargo(&self.libtorch));
            cargo.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
            sh::run(&mut cargo, sh::BUILD_LIMIT).map(|()| passed())
        });
    }

    /// The Helm charts, which need no cluster.
    fn charts(&self, report: &mut Report) {
        const TITLE: &str = "Helm charts";
        match charts::can_run() {
            Ok(()) => report.part(TITLE, || charts::test(self.checkout).map(Outcome::Passed)),
            Err(reason) => report.skip(TITLE, &reason),
        }
    }

    /// Unit and integration tests.
    fn tests(&self, report: &mut Report) {
        report.part("tests", || self.cargo(&["test", "--workspace", "--quiet"]));
        match &self.python {
            Ok(_) => {
                report.part("records read by TensorBoard", || self.cargo(&["test", "--package", "fltk-records", "--test", "tensorboard"]))
            }
            Err(reason) => report.skip("records read by TensorBoard", reason),
        }
        const NCCL: &str = "torch-dist with NCCL";
        match &self.python {
            Ok(python) => report.part(NCCL, || self.nccl(python)),
            Err(reason) => report.skip(NCCL, reason),
        }
        const RANKS: &str = "a Rust and a Python rank in one group";
        match &self.python {
            Ok(python) => report.part(RANKS, || ranks::run(self.checkout, &self.libtorch, python)),
            Err(reason) => report.skip(RANKS, reason),
        }
    }

    /// Compiles against the headers of CUDA and NCCL among PyTorch's packages. Running it takes a GPU.
    fn nccl(&self, python: &Path) -> anyhow::Result<Outcome> {
        let mut find = Command::new(python);
        find.args(["-c", "import nvidia.nccl as nccl; print(list(nccl.__path__)[0])"]);
        let nccl = PathBuf::from(sh::quiet_output(&mut find, sh::LOOKUP_LIMIT)?.trim());
        let packages = nccl.parent().context("NCCL lies nowhere")?;
        let cuda =
            fs::read_dir(packages)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.join("include/cuda_runtime.h").exists());
        let cuda = cuda.with_context(|| format!("no headers of CUDA in `{}`", packages.display()))?;
        let mut cargo = self.prepared(self.checkout.cargo(&self.libtorch));
        cargo.args(["clippy", "--package", "torch-dist", "--features", "nccl", "--all-targets", "--", "-D", "warnings"]);
        cargo.env("CUDA_HOME", cuda).env("NCCL_HOME", nccl);
        sh::run(&mut cargo, sh::BUILD_LIMIT)?;
        Ok(Outcome::Passed("compiles; its tests need a GPU and were not run".to_owned()))
    }

    fn program(&self) -> anyhow::Result<PathBuf> {
        self.checkout.build(&self.libtorch, &["--release"])
    }

    /// What needs the program but no long run.
    fn with_program(&self, report: &mut Report, program: &Path) {
        report.part("generated files", || generate::check(self.checkout, program).map(|()| passed()));
        match charts::can_run() {
            Ok(()) => report.part("charts and program", || charts::test_with(self.checkout, program).map(Outcome::Passed)),
            Err(reason) => report.skip("charts and program", &reason),
        }
        report.part("examples are valid", || {
            let files = examples(&self.checkout.root)?;
            let mut fltk = Command::new(program);
            fltk.arg("validate").args(&files).current_dir(&self.checkout.root).stdin(Stdio::null());
            sh::run(&mut fltk, sh::LOOKUP_LIMIT)?;
            Ok(Outcome::Passed(format!("{} files", files.len())))
        });
        match &self.python {
            Ok(python) => report.part("parity with PyTorch", || {
                let mut parity = Command::new(python);
                parity.arg("python/parity.py").arg("--live").arg(program).current_dir(&self.checkout.root).stdin(Stdio::null());
                sh::run(&mut parity, PARITY_LIMIT).map(|()| passed())
            }),
            Err(reason) => report.skip("parity with PyTorch", reason),
        }
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        let mut cargo = self.prepared(self.checkout.cargo(&self.libtorch));
        sh::run(cargo.args(arguments), TESTS_LIMIT).map(|()| passed())
    }

    fn prepared(&self, mut cargo: Command) -> Command {
        cargo.stdin(Stdio::null());
        if self.ci {
            // What is built once and thrown away needs no incremental compilation, which takes gigabytes.
            cargo.env("CI", "true").env("CARGO_INCREMENTAL", "0");
        }
        match &self.python {
            Ok(python) => cargo.env("FLTK_PYTHON", python),
            Err(_) => cargo.env_remove("FLTK_PYTHON"),
        };
        cargo
    }
}

fn passed() -> Outcome {
    Outcome::Passed(String::new())
}

/// Every experiment and configuration file in `examples/` and `configs/`, relative to `root`.
fn examples(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = vec![root.join("examples"), root.join("configs")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("can't list `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known)) {
                files.push(path.strip_prefix(root)?.to_path_buf());
            }
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("there are no files in `examples` and `configs`");
    }
    Ok(files)
}
