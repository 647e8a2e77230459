//! The tables: modules and what they may use (DESIGN §7), homes of crates, numbers.

/// Most lines of a file.
pub(crate) const LONGEST: usize = 400;

/// Where unsafe code lives, and signals by process number.
pub(crate) const UNSAFE_HOME: &str = "src/sys/raw";

/// How often `unsafe` stands there. A new one has to be counted here, so that it shows in a review.
pub(crate) const UNSAFE_COUNT: usize = 61;

/// Functions that change something by its path, the files that use them, and why nobody can swap what they lead to.
pub(crate) const BY_PATH: &[(&str, &str, &str)] = &[
    (
        "fchmodat",
        "src/sys/socket.rs",
        "by the kernel's name of a descriptor that is held",
    ),
    (
        "fchmodat",
        "src/sys/files/tree.rs",
        "by the kernel's name of a descriptor that is held",
    ),
    (
        "remove_dir_all",
        "src/ctl/verbs/edit.rs",
        "the client's own draft, in a directory that only its user can enter",
    ),
];

/// Files that read `/proc/<pid>`: each while the process is held by its pidfd, and looks before and after.
pub(crate) const READS_PROC: &[&str] = &[
    "src/sys/pidfd.rs",
    "src/sys/identity.rs",
    "src/sys/cgroup/find.rs",
];

/// The only reader of clocks.
pub(crate) const CLOCK: &str = "src/sys/clock.rs";

/// Modules from the bottom up, each with those it may use beside itself.
pub(crate) const MODULES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &["model"]),
    ("dag", &["model"]),
    ("engine", &["model", "dag"]),
    ("config", &["model", "sys"]),
    ("wire", &["model"]),
    ("journal", &["model", "sys"]),
    ("proc", &["model", "sys"]),
    ("store", &["model", "sys"]),
    ("telemetry", &["model", "sys"]),
    (
        "shim",
        &[
            "model",
            "sys",
            "dag",
            "engine",
            "wire",
            "journal",
            "proc",
            "telemetry",
        ],
    ),
    ("ctl", &["model", "sys", "dag", "config", "wire"]),
    (
        "daemon",
        &[
            "model",
            "sys",
            "dag",
            "engine",
            "config",
            "wire",
            "journal",
            "proc",
            "store",
            "telemetry",
        ],
    ),
];

/// Where each dependency may be used.
pub(crate) const CONFINED: &[(&str, &[&str])] = &[
    ("anstream", &["src/ctl"]),
    ("anstyle", &["src/ctl"]),
    // The layout on the wire is known in one file.
    ("bincode", &["src/wire/codec"]),
    (
        "chrono",
        &[
            "src/model/time.rs",
            "src/dag/cron",
            "src/proc/name.rs",
            "src/ctl/verbs/history.rs",
        ],
    ),
    ("chrono_tz", &["src/dag/cron"]),
    ("clap", &["src/ctl", "src/daemon"]),
    ("clap_complete", &["src/ctl/verbs/completions.rs"]),
    ("comfy_table", &["src/ctl"]),
    ("crc32fast", &["src/journal"]),
    ("daemonize", &["src/daemon"]),
    ("futures_util", &["src/daemon"]),
    ("interprocess", &["src/daemon"]),
    (
        "jsonschema",
        &["src/dag/params/schema", "src/dag/load/tests/schema.rs"],
    ),
    ("libc", &["src/sys"]),
    ("nix", &["src/sys"]),
    ("regex", &["src/dag"]),
    ("rusqlite", &["src/store"]),
    ("saphyr_parser", &["src/dag/yaml"]),
    ("sd_notify", &["src/telemetry", "src/daemon"]),
    // Data that travels or is kept is made of these anywhere.
    ("serde", &["src"]),
    ("serde_json", &["src"]),
    ("sha2", &["src/model", "src/daemon"]),
    // One owner of signals for each process.
    (
        "signal_hook",
        &[
            "src/daemon/boot.rs",
            "src/shim/supervisor.rs",
            "src/ctl/signals.rs",
        ],
    ),
    ("signal_hook_tokio", &["src/daemon/boot.rs"]),
    ("terminal_size", &["src/ctl"]),
    ("thiserror", &["src"]),
    // The shim and the client have no runtime.
    (
        "tokio",
        &["src/daemon", "src/sys/reactor.rs", "src/sys/raw/reactor.rs"],
    ),
    ("toml", &["src/config"]),
    ("tracing", &["src/daemon", "src/telemetry", "src/store"]),
    ("tracing_journald", &["src/telemetry"]),
    ("tracing_subscriber", &["src/telemetry"]),
    // How far in a caret stands, and how wide answers are.
    ("unicode_width", &["src/ctl", "src/dag/diag"]),
    ("uuid", &["src/daemon/admission.rs"]),
];

/// Files that use a crate away from its home, and why that is so. The list is to become shorter.
pub(crate) const FEWER_PLEASE: &[(&str, &str, &str)] = &[
    // Numbers of signals and errors: constants, no calls.
    ("libc", "src/daemon/cleanup.rs", "ENOTEMPTY"),
    ("libc", "src/daemon/effects.rs", "SIGTERM"),
    ("libc", "src/daemon/tree.rs", "SIGKILL and ESRCH"),
    ("libc", "src/daemon/hooks/end.rs", "SIGKILL and ESRCH"),
    ("libc", "src/daemon/stalled.rs", "SIGKILL"),
    ("libc", "src/daemon/why.rs", "SIGKILL"),
    ("libc", "src/proc/dir/walk.rs", "EMFILE, ENFILE, ENOMEM"),
    ("libc", "src/shim/files.rs", "O_NONBLOCK, O_NOCTTY"),
    ("libc", "src/shim/supervisor.rs", "SIGKILL, SIGTERM"),
    ("libc", "src/shim/tree.rs", "SIGKILL"),
    (
        "libc",
        "src/journal/tests/faults.rs",
        "ENOSPC and EIO, for a writer that fails",
    ),
    // Calls that sys does not offer yet.
    ("nix", "src/daemon/channel.rs", "shutdown(2) of a channel"),
    ("nix", "src/shim/children.rs", "access(2)"),
    ("nix", "src/shim/files.rs", "fcntl(2) F_SETFL"),
    (
        "nix",
        "src/ctl/embedded.rs",
        "flock(2), so that one client starts the daemon",
    ),
    (
        "nix",
        "src/ctl/signals.rs",
        "poll(2), and raise(3) of the signal that ended the client",
    ),
    ("nix", "src/ctl/tail.rs", "inotify(7), to follow a log"),
    // Tests that make odd files.
    ("nix", "src/shim/secrets/tests.rs", "mkfifo(3)"),
    ("libc", "src/proc/tests/defects.rs", "makedev(3)"),
    ("nix", "src/proc/tests/defects.rs", "mkfifo(3), mknod(2)"),
    ("libc", "src/proc/tests/questions.rs", "a shared lock"),
    ("nix", "src/proc/tests/questions.rs", "a shared lock"),
];
