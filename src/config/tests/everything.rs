//! A file that has everything.

/// Every key with a value that is not its default.
pub(super) const EVERYTHING: &str = r#"
[paths]
dags = "/a/dags"
base = "/a/base.yaml"
state = "/a/state"
runtime = "/a/run"
[proc]
heartbeat_interval_sec = 2.5
stale_after_sec = 30
stop_stalled_after_sec = 600
[queue]
max_active_runs = 2
max_live_attempts = 100
[queues.nightly]
max_active_runs = 7
[queues."a.b"]
max_active_runs = 0
[schedule]
time_zone = "Europe/Berlin"
[job]
default_shell = "/bin/bash -e"
path = "/bin"
inherit_environment = true
environment = { LANG = "C.UTF-8", EMPTY = "" }
umask = "077"
no_new_privs = false
[job.limits]
memory_max = "512M"
memory_high = 268435456
swap_max = 0
cpu_weight = 50
cpu_max = "150%"
io_weight = 10
pids_max = 64
nice = 5
rlimits = { nofile = 1024, core = "unlimited", stack = { soft = "8M", hard = "64M" }, cpu = { hard = 60 } }
[control]
max_clients = 9
max_status_clients = 3
socket_mode = 0o660
client_timeout_sec = 1
[access]
admin_group = "wheel"
allow_users = ["ann", "bob"]
deny_users = ["eve"]
allow_groups = ["staff"]
deny_groups = ["guests"]
[cgroup]
enabled = false
parent = "/sys/fs/cgroup/x"
require_limits = false
[shutdown]
attempts = "stop"
wait_sec = 300
[hooks]
max_parallel = 2
queue_max = 10
[hooks.failed]
command = ["/bin/notify", "-v", ""]
user = "operator"
timeout_sec = 5
dags = ["backup", "report"]
[hooks.lost]
command = ["/bin/page"]
user = "operator"
timeout_sec = 6
dags = ["backup"]
[hooks.succeeded]
command = ["/bin/true"]
user = "nobody"
timeout_sec = 7
dags = ["report"]
[retention]
enabled = false
days = 7
runs = 50
[log]
level = "warn,proctor::engine=debug"
target = "json"
steps = false
step_output = "both"
journal_socket = "/run/systemd/journal.jobs/socket"
[metrics]
socket = true
socket_mode = "0660"
group = "monitoring"
textfile = "/var/lib/node_exporter/proctor.prom"
textfile_mode = "640"
interval_sec = 60
"#;
