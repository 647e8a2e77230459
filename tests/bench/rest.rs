//! What lasts: the client as a process, memory and CPU of what is idle, the journal, the adoption.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proctor::journal::{Header, Writer};
use proctor::model::{AttemptId, DagName, Exit, Fact, Node, RunId, RunRef, Time};
use proctor::wire::control::Request;

use crate::floor::Floors;
use crate::params::Params;
use crate::report::{Figure, Goal, Samples, Unit};
use crate::runs::keep_live;
use crate::world::{World, wait_live};
use crate::{Res, count, micros, pause};

/// `proctorctl status` of one run, from its start to its end.
pub(crate) struct Status(Samples);

impl Status {
    /// Asks for the newest run of this DAG.
    pub(crate) fn measure(world: &World, dag: &str, params: Params) -> Res<Self> {
        let mut samples = Vec::new();
        for _ in 0..params.status {
            let mut command = Command::new(env!("CARGO_BIN_EXE_proctorctl"));
            command.arg("--root").arg(world.root()).args(["status", dag]);
            command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
            let begin = Instant::now();
            let status = command.status()?;
            samples.push(micros(begin));
            if !status.success() {
                return Err(format!("proctorctl status ended with {status}").into());
            }
        }
        Ok(Self(Samples::new(samples)))
    }

    pub(crate) fn figures(&self, floors: Floors) -> [Figure; 2] {
        let figure =
            |key, label, value| Figure::new(key, label, value, Unit::Micros).against(floors.serial, "spawn");
        [
            figure("status_min", "proctorctl status, min", self.0.min()),
            figure("status_p50", "proctorctl status, median", self.0.median()).goal(Goal::AtMost(3000.0)),
        ]
    }
}

/// Memory of idle attempts.
pub(crate) struct Memory {
    pss: f64,
    private: f64,
    step_pss: f64,
    daemon: f64,
}

impl Memory {
    /// Makes so many attempts that nothing happens in, on a daemon that has none.
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let before = resident(world.daemon_pid())?;
        keep_live(world, params.idle)?;
        let grown = resident(world.daemon_pid())? - before;
        let (mut pss, mut private, mut step_pss) = (Vec::new(), Vec::new(), Vec::new());
        for pid in children(world.daemon_pid())? {
            let memory = Rollup::read(pid)?;
            pss.push(memory.pss);
            private.push(memory.private);
            for step in children(pid)? {
                step_pss.push(Rollup::read(step)?.pss);
            }
        }
        if pss.len() != params.idle {
            return Err(format!("{} shims live; there should be {}", pss.len(), params.idle).into());
        }
        Ok(Self {
            pss: Samples::new(pss).median(),
            private: Samples::new(private).median(),
            step_pss: Samples::new(step_pss).median(),
            daemon: grown / count(params.idle),
        })
    }

    pub(crate) fn figures(&self, params: Params) -> [Figure; 3] {
        let floor = |figure: Figure| figure.against(self.step_pss, "PSS of the step");
        let label = |what: &str| format!("{what}, {} idle attempts", params.idle);
        let kilobytes = |key, what, value| floor(Figure::new(key, label(what), value, Unit::Kilobytes));
        [
            kilobytes("shim_pss", "PSS of a shim", self.pss).goal(Goal::AtMost(400.0)),
            kilobytes("shim_private", "private memory of a shim", self.private),
            kilobytes("daemon_per_attempt", "growth of the daemon, each", self.daemon),
        ]
    }
}

struct Rollup {
    pss: f64,
    private: f64,
}

impl Rollup {
    fn read(pid: u32) -> Res<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let sum = |names: &[&str]| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let wanted = lines.filter(|(name, _)| names.contains(name));
            wanted.filter_map(|(_, rest)| kilobytes(rest)).sum()
        };
        Ok(Self {
            pss: sum(&["Pss"]),
            private: sum(&["Private_Clean", "Private_Dirty"]),
        })
    }
}

/// Memory that only this process has.
pub(crate) fn private_kilobytes(pid: u32) -> Res<f64> {
    Ok(Rollup::read(pid)?.private)
}

fn kilobytes(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn resident(pid: u32) -> Res<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(kilobytes)
        .ok_or("the daemon's status has no VmRSS")?)
}

fn children(pid: u32) -> Res<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children"))?;
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(found)
}

/// CPU that the daemon uses while nothing happens, in percent of one.
pub(crate) fn idle_cpu(world: &World, params: Params) -> Res<f64> {
    // What the last measurement left to do is done first.
    pause(Duration::from_millis(500));
    let before = cpu_nanos(world.daemon_pid())?;
    let begin = Instant::now();
    pause(params.watch);
    let wall = begin.elapsed().as_secs_f64();
    Ok((cpu_nanos(world.daemon_pid())? - before) / 1e9 / wall * 100.0)
}

/// Makes a figure of [`idle_cpu`].
pub(crate) fn cpu_figure(key: &'static str, attempts: usize, percent: f64) -> Figure {
    let label = format!("CPU of the daemon, {attempts} idle attempts");
    Figure::new(key, label, percent, Unit::CpuPercent)
}

/// CPU time of all threads of the process. Its clock has a nanosecond's resolution and is there on every kernel,
/// unlike `schedstat`.
fn cpu_nanos(pid: u32) -> Res<f64> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(i32::try_from(pid)?))?;
    Ok(Duration::from(nix::time::clock_gettime(clock)?).as_secs_f64() * 1e9)
}

/// Appends to a journal, each followed by fdatasync.
pub(crate) struct Journal(Samples);

impl Journal {
    pub(crate) fn measure(dir: &Path, params: Params) -> Res<Self> {
        let run = RunRef {
            dag: DagName::new("bench")?,
            id: RunId::new("1")?,
        };
        let header = Header::new(run.clone(), AttemptId::derive(&run, 1), 1, Time(0));
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(dir.join("journal"))?;
        let mut writer = Writer::create(file, header)?;
        let mut samples = Vec::new();
        for number in 0..params.floor {
            let fact = Fact::NodeExited {
                node: Node::Step(0),
                exit: Exit::Code(0),
                cause: None,
            };
            let begin = Instant::now();
            writer.append(Time(i64::try_from(number)?), fact)?;
            writer.sync()?;
            samples.push(micros(begin));
        }
        Ok(Self(Samples::new(samples)))
    }

    pub(crate) fn figure(&self, floors: Floors) -> Figure {
        let label = "journal append and fdatasync, median";
        Figure::new("journal_append", label, self.0.median(), Unit::Micros).against(floors.append, "append")
    }
}

/// The start of a daemon after its predecessor was killed, with attempts alive.
pub(crate) struct Adoption {
    answers: f64,
    adopted: f64,
}

impl Adoption {
    pub(crate) fn measure(world: &mut World, params: Params) -> Res<Self> {
        keep_live(world, params.adopt)?;
        world.kill_daemon()?;
        let begin = Instant::now();
        let answers = world.start()?;
        let mut client = world.connect()?;
        wait_live(&mut client, |_, started| started >= params.adopt)?;
        // Whatever the adoption put off is done before this one.
        client.call(&Request::Ping)?;
        Ok(Self {
            answers: answers.as_secs_f64() * 1e6,
            adopted: micros(begin),
        })
    }

    pub(crate) fn figures(&self, floors: Floors, params: Params) -> [Figure; 2] {
        let label = |what: &str| format!("restart with {} live attempts {what}", params.adopt);
        [
            Figure::new(
                "adoption_answers",
                label("-> answers"),
                self.answers,
                Unit::Micros,
            )
            .against(floors.serial, "spawn")
            .goal(Goal::AtMost(100_000.0)),
            Figure::new(
                "adoption_listed",
                label("-> all listed"),
                self.adopted,
                Unit::Micros,
            )
            .against(floors.serial, "spawn"),
        ]
    }
}
