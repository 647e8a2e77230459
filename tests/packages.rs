//! The packages: what is in them, that they are made the same each time, and what the checkers of the distributions say.
//! How they behave when they are installed, upgraded and removed is tested under systemd, by tests/systemd/suites/package.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The files that an administrator may change.
const CONFIGURATION: &str = "/etc/needrestart/conf.d/proctor.conf\n/etc/proctor/proctord.toml\n";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory of the programs under test.
fn binaries() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_proctord")).parent().unwrap()
}

fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    let program = program.as_ref();
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Standard output of a program that must end well.
fn told(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_there(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("SKIP {program} is not here");
    }
    found
}

fn build(to: &Path, version: &str) -> Output {
    run(
        repository().join("packaging/deb/build"),
        &[
            "--from",
            binaries().to_str().unwrap(),
            "--to",
            to.to_str().unwrap(),
            "--version",
            version,
            "--fast",
        ],
    )
}

/// The Debian package, made once for all tests; none where it cannot be made.
fn package() -> Option<&'static str> {
    static PACKAGE: OnceLock<Option<(TempDir, String)>> = OnceLock::new();
    let made = PACKAGE.get_or_init(|| {
        if !(is_there("dpkg-deb") && is_there("dpkg-shlibdeps") && is_there("strip")) {
            return None;
        }
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let output = build(dir.path(), "1.2.0~rc.1-1");
        assert!(output.status.success(), "{output:?}");
        let path = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some((dir, path))
    });
    made.as_ref().map(|(_, path)| path.as_str())
}

/// Mode, owner and path of everything in the package.
fn contents(package: &str) -> Vec<(String, String, String)> {
    told("dpkg-deb", &["--contents", package])
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let path = words[5].trim_start_matches('.').to_owned();
            (words[0].to_owned(), words[1].to_owned(), path)
        })
        .collect()
}

#[test]
fn the_debian_package_has_everything_in_its_place() {
    let Some(package) = package() else { return };
    let contents = contents(package);
    for (mode, owner, path) in &contents {
        assert_eq!(owner, "root/root", "{path}");
        let program = path.starts_with("/usr/bin/") || path.starts_with("/usr/libexec/");
        let wanted = match mode.get(..1) {
            Some("d") => "drwxr-xr-x",
            _ if program => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!(mode, wanted, "{path}");
    }
    let has = |path: &str| {
        let found = contents.iter().any(|(_, _, there)| there == path);
        assert!(found, "{path}");
    };
    for path in [
        "/etc/needrestart/conf.d/proctor.conf",
        "/etc/proctor/dags/",
        "/etc/proctor/proctord.toml",
        "/usr/bin/proctorctl",
        "/usr/bin/proctord",
        "/usr/libexec/proctor/proctor-shim",
        "/usr/libexec/proctor/stop-attempts",
        "/usr/lib/systemd/system/proctord.service",
        "/usr/lib/systemd/system/proctord.socket",
        "/usr/lib/sysusers.d/proctor.conf",
        "/usr/lib/tmpfiles.d/proctor.conf",
        "/usr/share/bash-completion/completions/proctorctl",
        "/usr/share/doc/proctor/changelog.Debian.gz",
        "/usr/share/doc/proctor/changelog.gz",
        "/usr/share/doc/proctor/copyright",
        "/usr/share/fish/vendor_completions.d/proctorctl.fish",
        "/usr/share/proctor/dag.schema.json",
        "/usr/share/zsh/vendor-completions/_proctorctl",
    ] {
        has(path);
    }
    for page in fs::read_dir(repository().join("packaging/man")).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        let (_, section) = page.rsplit_once('.').unwrap();
        has(&format!("/usr/share/man/man{section}/{page}.gz"));
    }
    let units = fs::read_dir(repository().join("systemd")).unwrap();
    for unit in units.filter_map(|unit| unit.unwrap().file_name().into_string().ok()) {
        if unit.contains('.') {
            has(&format!("/usr/lib/systemd/system/{unit}"));
        }
    }
}

#[test]
fn the_debian_package_says_what_it_is_and_needs() {
    let Some(package) = package() else { return };
    let field = |name: &str| told("dpkg-deb", &["--field", package, name]).trim().to_owned();
    assert_eq!(field("Package"), "proctor");
    assert_eq!(field("Version"), "1.2.0~rc.1-1");
    assert!(package.ends_with(&format!("proctor_1.2.0~rc.1-1_{}.deb", field("Architecture"))));
    let needs = field("Depends");
    assert!(
        needs.contains("libc6 (>= ") && needs.contains("systemd"),
        "{needs}"
    );
    assert!(field("Installed-Size").parse::<u64>().unwrap() > 1000);

    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = dir.path().to_str().unwrap();
    told("dpkg-deb", &["--raw-extract", package, root]);
    let control = dir.path().join("DEBIAN");
    let files = fs::read_to_string(control.join("conffiles")).unwrap();
    assert_eq!(files, CONFIGURATION);
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let path = control.join(script);
        told("sh", &["-n", path.to_str().unwrap()]);
    }
    // What it has is what its list of checksums says, and all of it.
    let checked = Command::new("md5sum")
        .args(["--check", "--quiet", "DEBIAN/md5sums"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let listed = fs::read_to_string(control.join("md5sums")).unwrap();
    let files = contents(package)
        .iter()
        .filter(|(mode, _, _)| mode.starts_with('-'))
        .count();
    let configuration = CONFIGURATION.lines().count();
    assert_eq!(listed.lines().count() + configuration, files);
}

#[test]
fn the_debian_package_is_the_same_each_time() {
    let Some(package) = package() else { return };
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let output = build(dir.path(), "1.2.0~rc.1-1");
    let again = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    assert!(
        fs::read(package).unwrap() == fs::read(again).unwrap(),
        "it is another one"
    );
}

#[test]
fn a_version_that_dpkg_would_not_take_is_refused() {
    if package().is_none() {
        return;
    }
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for version in ["1.0", "v1.0-1", "1.0-1 2", "1.0-rc.1/2"] {
        let output = build(dir.path(), version);
        assert_eq!(output.status.code(), Some(2), "{version}: {output:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn lintian_finds_no_error_and_no_warning() {
    let Some(package) = package() else { return };
    if !is_there("lintian") {
        return;
    }
    let mut lintian = Command::new("lintian");
    // Root need not be warned of itself.
    lintian.args([
        "--allow-root",
        "--fail-on",
        "error,warning",
        "--tag-display-limit",
        "0",
    ]);
    let output = lintian.arg(package).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_rpm_has_everything_that_is_installed() {
    if !is_there("rpmbuild") {
        return;
    }
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (from, to) = (binaries().to_str().unwrap(), dir.path().to_str().unwrap());
    let build = repository().join("packaging/rpm/build");
    let rpm = told(
        build.to_str().unwrap(),
        &["--from", from, "--to", to, "--version", "1.2.0", "--fast"],
    );
    let rpm = rpm.trim();
    // rpmbuild fails if the specification leaves out a file.
    let files = told("rpm", &["-qlp", rpm]);
    for path in [
        "/etc/proctor/dags",
        "/usr/bin/proctord",
        "/usr/libexec/proctor/proctor-shim",
        "/usr/lib/systemd/system/proctord.service",
        "/usr/share/zsh/site-functions/_proctorctl",
    ] {
        assert!(files.lines().any(|file| file == path), "{path}: {files}");
    }
    assert!(files.contains("/man8/proctord.8"), "{files}");
    assert_eq!(told("rpm", &["-qcp", rpm]), CONFIGURATION);
    let scripts = told("rpm", &["-qp", "--scripts", rpm]);
    assert!(scripts.contains("stop-attempts"), "{scripts}");
    assert!(!scripts.contains("%systemd"), "{scripts}");
}

/// `packaging/install` for a version of systemd.
fn install(dest: &Path, systemd: &str) {
    let install = repository().join("packaging/install");
    let (from, dest) = (binaries().to_str().unwrap(), dest.to_str().unwrap());
    let args = ["--from", from, "--dest", dest, "--systemd", systemd];
    told(install.to_str().unwrap(), &args);
}

#[test]
fn what_is_installed_is_for_this_systemd_and_keeps_what_was_configured() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let drop_ins = dir.path().join("usr/lib/systemd/system/proctord.service.d");
    fs::create_dir_all(&drop_ins).unwrap();
    // Of a version that knew no unit of the attempts.
    fs::write(drop_ins.join("10-delegate-subgroup.conf"), "").unwrap();
    let here = || {
        let mut names: Vec<_> = fs::read_dir(&drop_ins)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    install(dir.path(), "257");
    assert_eq!(here(), ["10-keep-descriptors.conf"]);
    for file in CONFIGURATION.lines() {
        let path = dir.path().join(file.trim_start_matches('/'));
        fs::write(path, "mine").unwrap();
    }
    install(dir.path(), "252");
    assert!(here().is_empty(), "{:?}", here());
    for file in CONFIGURATION.lines() {
        let path = dir.path().join(file.trim_start_matches('/'));
        assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    }
}

#[test]
fn needrestart_can_read_what_it_is_told() {
    if !is_there("perl") {
        return;
    }
    let file = repository().join("packaging/needrestart/proctor.conf");
    told("perl", &["-c", file.to_str().unwrap()]);
    // Its patterns are searched in the names of units: https://github.com/liske/needrestart.
    let program = r#"
        our %nrconf = (override_rc => {});
        my $file = shift;
        eval do { local(@ARGV, $/) = $file; <> };
        die $@ if $@;
        for my $unit (qw(proctor-attempts.service proctord.service)) {
            my @found = grep { $unit =~ /$_/ } keys %{$nrconf{override_rc}};
            print "$unit:", (map { $nrconf{override_rc}->{$_} } @found), "\n";
        }"#;
    let said = told("perl", &["-e", program, file.to_str().unwrap()]);
    assert_eq!(said, "proctor-attempts.service:0\nproctord.service:\n");
}
