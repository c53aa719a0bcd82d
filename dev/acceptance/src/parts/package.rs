//! The Python package: its wheels, installed beside the tests' PyTorch, its tests on every Python that is found and with the real Flower, and the checkers of
//! types and style.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::fltk;
use crate::{
    bench::peers,
    beside,
    checkout::Checkout,
    outcome::Outcome,
    setup::{debian, python},
    sh,
};

/// The package's folder in the checkout.
const PACKAGE: &str = "python/fltk";

/// The packages that its tests need, in the checkout.
const LIST: &str = "python/package.txt";

/// The tests that need Flower, in the package's folder.
const WITH_FLOWER: &str = "tests/test_flower.py";

/// The versions of Python that the package promises.
const VERSIONS: [&str; 5] = ["3.10", "3.11", "3.12", "3.13", "3.14"];

/// The time limit of the tests on one Python: they take three minutes on two idle cores.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Runs the part `name`.
///
/// # Errors
/// If it fails, or isn't one of these parts.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    let tests = python::existing(checkout)?.context("there are no Python packages")?;
    match name {
        "wheels" => wheels(checkout, &tests),
        "the Python package" => package(checkout, &tests),
        _ => bail!("`{name}` is no part of the Python package"),
    }
}

/// Builds the archive of the program and both wheels. The program must train from the archive alone. The wheels are installed without their dependencies
/// into an environment that has the tests' PyTorch: first in another folder, which the program is told, then beside it, where it looks by itself.
fn wheels(checkout: &Checkout, tests: &Path) -> anyhow::Result<Outcome> {
    if let Err(reason) = debian::install(&["binutils", "patchelf"]) {
        return Ok(Outcome::Skipped(reason));
    }
    let folder = checkout.target.join("xtask-test-runs/wheels");
    clear(&folder)?;
    let program = fltk(checkout);
    let built = xtask::python::build(checkout, program.parent().context("a program without a folder")?, &folder, true)?;
    let (wheels, archives): (Vec<_>, Vec<_>) = built.iter().partition(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let ([_, program], [archive]) = (&wheels[..], &archives[..]) else { bail!("{built:?} were built") };
    // All runs in this folder must have the same bits.
    let runs = folder.join("runs");
    xtask::python::train(checkout, &unpack(tests, archive, &folder)?, &runs)?;
    let environment = folder.join("environment");
    sh::run(Command::new(tests).args(["-m", "venv"]).arg(&environment), sh::INSTALL_LIMIT)?;
    let python = environment.join("bin/python");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-index", "--no-deps"]).args(&wheels);
    sh::run(pip.stdin(Stdio::null()), sh::INSTALL_LIMIT)?;
    let (own, of_tests) = (beside::site(&python)?, beside::site(tests)?);
    let elsewhere = own.join("of-tests.pth");
    fs::write(&elsewhere, format!("{}\n", of_tests.display()))?;
    xtask::python::try_out(checkout, &environment, &runs)?;
    fs::remove_file(elsewhere)?;
    std::os::unix::fs::symlink(of_tests.join("torch"), own.join("torch"))?;
    xtask::python::try_out(checkout, &environment, &runs)?;
    let name = program.file_name().context("a wheel without a name")?.to_string_lossy().into_owned();
    clear(&folder)?;
    Ok(Outcome::Passed(name))
}

/// Unpacks the archive of the program, and returns the program's path.
fn unpack(python: &Path, archive: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let mut tar = Command::new(python);
    tar.args(["-m", "tarfile", "--extract"]).arg(archive).arg(folder).stdin(Stdio::null());
    sh::run(&mut tar, LIMIT)?;
    let name = archive.file_name().context("an archive without a name")?.to_string_lossy();
    let name = name.strip_suffix(".tar.gz").context("an archive of another kind")?;
    Ok(folder.join(name).join("bin/fltk"))
}

/// Runs the tests of the package's sources on every Python that is found, and checks types and syntax for all versions that it promises.
fn package(checkout: &Checkout, tests: &Path) -> anyhow::Result<Outcome> {
    let python = &beside::ensure(checkout, tests, "python-package", LIST)?;
    let folder = checkout.root.join(PACKAGE);
    let module = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.arg("-m").args(arguments).current_dir(&folder).stdin(Stdio::null());
        sh::run(&mut command, LIMIT)
    };
    let cache = checkout.target.join("xtask-test-mypy");
    let cache = format!("--cache-dir={}", cache.display());
    module(&["ruff", "check", "--no-cache", "."])?;
    module(&["ruff", "check", "--no-cache", "--config", "pyproject.toml", "../program", "../build_wheels.py"])?;
    module(&["ruff", "format", "--no-cache", "--check", "."])?;
    module(&["mypy", &cache, "src", "tests"])?;
    let known = version(python)?;
    for version in VERSIONS {
        let number = version.replace('.', "");
        // Only errors of syntax: other versions have other advice on style.
        module(&["ruff", "check", "--no-cache", "--select", "E9,F", "--target-version", &format!("py{number}"), "src"])?;
        // Only the language and its library differ: what is imported of PyTorch was checked above, which takes a minute and a half.
        if version != known {
            let any = ["--follow-imports=skip", "--allow-subclassing-any", "--no-warn-return-any", "--no-warn-unused-ignores"];
            module(&[&["mypy", &cache, "--python-version", version][..], &any, &["src"]].concat())?;
        }
    }
    test(checkout, python, &folder, None, &[])?;
    let mut run = vec![version(python)?];
    let alone = pytest_alone(checkout, python, tests)?;
    // Flower wants other versions of packages that the trackers need too.
    test(checkout, &peers::ensure(checkout, tests)?, &folder, Some(&alone), &[WITH_FLOWER])?;
    for (version, found) in interpreters() {
        if run.iter().all(|before| before != version) {
            test(checkout, &found, &folder, Some(&alone), &[])?;
            run.push(version.to_owned());
        }
    }
    run.sort_by_key(|version| VERSIONS.iter().position(|known| known == version));
    Ok(Outcome::Passed(format!("tests on Python {}; types and syntax for {}", run.join(", "), VERSIONS.join(", "))))
}

/// Runs the tests in `files`, or all, on a Python that finds the packages in this folder too.
fn test(checkout: &Checkout, python: &Path, folder: &Path, packages: Option<&Path>, files: &[&str]) -> anyhow::Result<()> {
    let paths = std::iter::once(folder.join("src")).chain(packages.map(Path::to_owned));
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"]).args(files).current_dir(folder).stdin(Stdio::null());
    pytest.env("PYTHONPATH", std::env::join_paths(paths)?).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("FLTK_PROGRAM", fltk(checkout)).env_remove("FLTK_TOKEN").env_remove("FLTK_RUNS");
    sh::run(&mut pytest, LIMIT)
}

/// Makes a folder with pytest and what it needs, as links into the environment `python`: packages in pure Python, which are the same for all versions.
fn pytest_alone(checkout: &Checkout, python: &Path, tests: &Path) -> anyhow::Result<PathBuf> {
    let (folder, packages) = (checkout.target.join("xtask-test-runs/pytest"), beside::site(python)?);
    clear(&folder)?;
    fs::create_dir_all(&folder)?;
    let of_tests = beside::site(tests)?;
    let links = [
        (&packages, &["_pytest", "exceptiongroup", "iniconfig", "pluggy", "py.py", "pygments", "pytest", "tomli"][..]),
        (&of_tests, &["packaging", "typing_extensions.py"]),
    ];
    for (from, names) in links {
        for name in names {
            ensure!(from.join(name).exists(), "there is no `{name}`, which pytest needs, in `{}`", from.display());
            std::os::unix::fs::symlink(from.join(name), folder.join(name))?;
        }
    }
    Ok(folder)
}

/// Returns the Pythons of the promised versions that are found: in the folders of PATH, and among those that pyenv keeps, one of each version.
fn interpreters() -> Vec<(&'static str, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let kept = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let mut kept: Vec<PathBuf> =
        kept.and_then(|kept| fs::read_dir(kept).ok()).into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    kept.sort();
    folders.append(&mut kept);
    let found = |wanted: &'static str| {
        let candidates = folders.iter().map(|folder| folder.join(format!("python{wanted}")));
        // A shim of pyenv is there for versions that aren't chosen too, and fails.
        candidates
            .filter(|python| python.is_file())
            .find(|python| version(python).is_ok_and(|is| is == wanted))
            .map(|python| (wanted, python))
    };
    VERSIONS.into_iter().filter_map(found).collect()
}

/// Returns the version of a Python, such as `3.11`.
fn version(python: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdin(Stdio::null());
    Ok(sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?.trim().to_owned())
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("can't remove what an earlier test left"),
        _ => Ok(()),
    }
}
