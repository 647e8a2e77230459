//! Routers: a value decides which steps run.

use crate::helper::{Daemon, read, text_of};

#[test]
fn a_router_shows_its_value_and_its_targets_decide_by_it() {
    let daemon = Daemon::start("");
    let text = "\
type: graph
env:
  - KIND: apple pie
steps:
  - name: which
    type: router
    value: ${KIND} `echo today`
    output: VALUE
    stdout: copy
    routes:
      \"re:^apple\": fruit
      pie: [cake]
  - name: fruit
    command: echo \"fruit $VALUE\"
    output: SAID
  - name: cake
    command: echo cake
  - name: all
    command: echo all
    depends: [fruit, cake]
";
    let run = daemon.submit("route", text);
    let result = daemon.wait_success(&run);
    let steps = result["steps"].as_array().unwrap();
    let statuses: Vec<&str> = steps.iter().map(|step| text_of(&step["status"])).collect();
    assert_eq!(
        statuses,
        ["succeeded", "succeeded", "skipped", "succeeded"],
        "{result:#}"
    );
    assert_eq!(steps[0]["exit_code"], 0);
    assert_eq!(read(text_of(&steps[0]["stdout"]).as_ref()), "apple pie today\n");
    assert_eq!(steps[0]["variables"]["VALUE"], "apple pie today");
    assert_eq!(steps[1]["variables"]["SAID"], "fruit apple pie today");
    assert_eq!(read(&daemon.path("src/copy")), "apple pie today\n");
    daemon.expect_clean();
}

#[test]
fn a_router_does_not_show_a_secret() {
    let daemon = Daemon::start("");
    std::fs::write(daemon.path("src/key"), "horse battery staple").unwrap();
    let text = "\
type: graph
secrets:
  - {name: KEY, provider: file, key: key}
steps:
  - name: which
    type: router
    value: key ${KEY}
    routes: {\"re:staple$\": [yes]}
  - {name: yes, command: echo yes}
";
    let run = daemon.submit("hidden", text);
    let result = daemon.wait_success(&run);
    assert_eq!(result["steps"][1]["status"], "succeeded", "{result:#}");
    assert_eq!(
        read(text_of(&result["steps"][0]["stdout"]).as_ref()),
        "key *******\n"
    );
    daemon.expect_clean();
}
