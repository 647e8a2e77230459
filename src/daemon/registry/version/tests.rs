//! What is made of texts.

use super::*;
use crate::model::GroupName;

fn made(source: &str, base: Option<&str>, user: bool) -> Result<Version, Vec<Problem>> {
    made_in(
        Zone::named("Europe/Berlin").map_err(|error| error.to_string()),
        source,
        base,
        user,
    )
}

fn made_in(zone: DefaultZone, source: &str, base: Option<&str>, user: bool) -> Result<Version, Vec<Problem>> {
    let mut config = Config::defaults(std::path::Path::new("/nowhere"));
    config.queue.named.insert(GroupName::new("nightly").unwrap(), 3);
    let context = Context {
        config: Arc::new(config),
        zone,
    };
    let owner = Owner {
        uid: 1000,
        base_dir: "/home/ann".to_owned(),
    };
    let record = InstalledDag {
        dag: DagName::new("file").unwrap(),
        file: "file.yaml".to_owned(),
        owner: user.then_some(1000),
        mode: 0o644,
        at: Time(0),
        source: source.to_owned(),
        base: base.map(str::to_owned),
        schemas: Vec::new(),
    };
    make(&context, &owner, "/dags/file.yaml", "file", record).map_err(|wrong| wrong.problems)
}

const DAILY: &str = "schedule: 0 3 * * *\nsteps: [{name: a, command: x}]\n";

#[test]
fn a_schedule_gets_a_run_to_start_as_admission_would_make_it() {
    let text = format!("queue: nightly\nmax_active_runs: 2\nparams: [{{who: me}}]\n{DAILY}");
    let version = made(&text, None, false).unwrap();
    assert_eq!(version.schedules, [("start".to_owned(), "0 3 * * *".to_owned())]);
    let installed = version.plan.unwrap().installed(true, Some(Time(7)), None);
    assert_eq!((installed.starts.len(), installed.suspended), (1, true));
    assert_eq!(
        (installed.zone.name(), installed.watermark),
        ("Europe/Berlin", Some(Time(7)))
    );
    let run = &installed.template;
    assert_eq!(
        (run.group.as_str(), run.capacity, run.dag_limit),
        // The configuration's 3 counts as long as it says so; this is what counts otherwise.
        ("nightly", 1, 2)
    );
    assert_eq!(
        (run.owner, run.base_dir.as_str(), run.trigger),
        (1000, "/home/ann", Trigger::Scheduler)
    );
    assert_eq!(run.params, [("who".to_owned(), "me".to_owned())]);
}

#[test]
fn only_schedules_need_a_zone_that_nobody_knows() {
    let unknown = || Err("it is a file, not a link".to_owned());
    let problems = made_in(unknown(), DAILY, None, false).unwrap_err();
    assert!(
        problems[0].message.contains("names no time zone") && problems[0].message.contains("not a link"),
        "{problems:?}"
    );
    let hint = problems[0].hint.as_deref().unwrap();
    assert!(hint.contains("schedule.time_zone"), "{hint}");
    assert!(hint.contains("`TZ=Europe/Berlin 0 3 * * *`"), "{hint}");
    let steps = "steps: [{name: a, command: x}]\n";
    assert!(made_in(unknown(), steps, None, false).unwrap().plan.is_some());
    let zoned = format!("schedule: TZ=Europe/Berlin 0 3 * * *\n{steps}");
    assert!(made_in(unknown(), &zoned, None, false).unwrap().plan.is_some());
}

#[test]
fn the_schedule_of_a_users_dag_goes_before_nobody_and_says_so() {
    let text = format!("priority: high\n{DAILY}");
    let version = made(&text, None, true).unwrap();
    assert!(
        version.warnings[0]
            .message
            .contains("when its schedule starts it")
            && version.warnings[0].message.contains("admin group"),
        "{:?}",
        version.warnings
    );
    let installed = version.plan.unwrap().installed(false, None, None);
    assert_eq!(installed.template.priority, crate::model::Priority::default());
}

#[test]
fn a_schedule_cannot_give_parameters() {
    let needs = "params: [{name: who, required: true}]\n";
    let problems = made(&format!("{needs}{DAILY}"), None, false).unwrap_err();
    assert!(
        problems[0].message.contains("its schedule cannot start it"),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|problem| problem.message.contains("who")),
        "{problems:?}"
    );
    let by_hand = format!("{needs}steps: [{{name: a, command: x}}]\n");
    assert_eq!(made(&by_hand, None, false).unwrap().plan, None);
}

#[test]
fn the_base_configuration_schedules_too_and_its_errors_are_told() {
    let plain = "steps: [{name: a, command: x}]\n";
    let version = made(plain, Some("schedule: 0 4 * * *\n"), false).unwrap();
    assert_eq!(version.schedules, [("start".to_owned(), "0 4 * * *".to_owned())]);
    let problems = made(plain, Some("nonsense: 1\n"), false).unwrap_err();
    let file = problems[0].file.as_deref().unwrap();
    assert_eq!(file, "/nowhere/etc/proctor/base.yaml");
}

#[test]
fn the_file_names_the_dag_of_a_user_and_the_text_that_of_the_system() {
    let text = format!("name: text\n{DAILY}");
    assert_eq!(made(&text, None, false).unwrap().record.dag.as_str(), "text");
    assert_eq!(made(&text, None, true).unwrap().record.dag.as_str(), "file");
}

#[test]
fn a_file_that_says_nothing_has_a_name_all_the_same() {
    assert_eq!(name_for("odd name!").unwrap().as_str(), "odd_name_");
    assert_eq!(name_for(&"x".repeat(99)).unwrap().as_str().len(), 40);
    assert_eq!(name_for(""), None);
}
