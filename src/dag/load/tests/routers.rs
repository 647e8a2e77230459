//! Tests of routers and approvals.

use super::*;
use crate::dag::project;

/// A graph with these steps, each on a line of its own from line 3, in column 3.
fn graph(steps: &[&str]) -> String {
    let mut text = "type: graph\nsteps:\n".to_owned();
    for step in steps {
        text += &format!("- {{{step}}}\n");
    }
    text
}

const ROUTER: &str = "name: r, type: router, value: $X, routes: {a: [s, t], 're:^b': u}";

#[test]
fn targets_get_a_condition_a_dependency_and_tolerance() {
    let dag = dag(&graph(&[
        "id: s, command: x, depends: u, preconditions: own",
        ROUTER,
        "name: t, command: x, continue_on: {failure: true}",
        "name: u, command: x",
        "name: free, command: x, depends: s",
    ]));
    let condition = |expected: &str| Condition {
        condition: "$X".to_owned(),
        expected: Some(expected.to_owned()),
        negate: false,
    };
    assert_eq!(depends(&dag), [vec![3, 1], vec![], vec![1], vec![1], vec![0]]);
    assert_eq!(dag.steps[0].preconditions.len(), 2);
    assert_eq!(dag.steps[0].preconditions[1], condition("a"));
    assert_eq!(dag.steps[2].preconditions, [condition("a")]);
    assert_eq!(dag.steps[3].preconditions, [condition("re:^b")]);
    let skipped: Vec<_> = dag.steps.iter().map(|step| step.continue_on.skipped).collect();
    assert_eq!(skipped, [true, false, true, true, false]);
    assert!(dag.steps[2].continue_on.failure, "what was written stays");
    let router = project(&dag, None, "", true)["steps"][1]["router"].clone();
    let routes = serde_json::json!([
        {"pattern": "a", "targets": ["s", "t"]},
        {"pattern": "re:^b", "targets": ["u"]},
    ]);
    assert_eq!(router, serde_json::json!({"value": "$X", "routes": routes}));
}

#[test]
fn exact_patterns_come_first_and_what_matches_all_last() {
    let dag = dag(&graph(&[
        "type: router, value: $X, routes: {'re:.*': c, 're:b': b, 'z': z, 'a': a}",
        "name: a, command: x",
        "name: b, command: x",
        "name: c, command: x",
        "name: z, command: x",
    ]));
    let Action::Route(router) = &dag.steps[0].action else {
        panic!("{:?}", dag.steps[0].action);
    };
    let patterns: Vec<_> = router.routes.iter().map(|route| route.pattern.as_str()).collect();
    assert_eq!(patterns, ["z", "a", "re:b", "re:.*"]);
    assert_eq!(dag.steps[0].name, "router_1");
    assert_eq!(depends(&dag)[1..], [[0], [0], [0], [0]]);
}

#[test]
fn routers_can_follow_each_other_and_share_targets() {
    let dag = dag(&graph(&[
        "name: one, type: router, value: $X, routes: {a: [two, end]}",
        "name: two, type: router, value: $Y, routes: {b: end}",
        "name: end, command: x, depends: one",
    ]));
    assert_eq!(
        depends(&dag),
        [vec![], vec![0], vec![0, 1]],
        "no dependency twice"
    );
    assert_eq!(dag.steps[2].preconditions.len(), 2);
}

#[test]
fn wrong_routes_are_refused_at_their_place() {
    let of = |router: &str| graph(&[router, "name: step_a, command: x"]);
    let base = "name: r, type: router, value: $X, routes: ";
    let routes = |routes: &str| of(&format!("{base}{routes}"));
    error_at(&routes("{a: [stepa]}"), "stepa", "non-existent step \"stepa\"");
    assert!(hint(&routes("{a: [stepa]}")).contains("`step_a`"));
    error_at(&routes("{a: [step_a, r]}"), "r]", "to itself");
    error_at(&routes("{a: step_a, b: step_a}"), "step_a}", "more than once");
    error_at(&routes("{a: [step_a, step_a]}"), "step_a]", "more than once");
    error_at(&routes("{a: []}"), "a: []", "leads to no step");
    error_at(&routes("{a: }"), "a: }", "leads to no step");
    error_at(&routes("{}"), "{}", "is empty");
    error_at(&routes("[a]"), "[a]", "a map from patterns");
    error_at(&routes("{a: {b: c}}"), "{b", "a text or a list");
    error_at(&routes("{'re:(': step_a}"), "'re:(", "not a regular expression");
    error(&of("type: router, value: $X"), 3, 3, "needs `routes`");
    error(&of("type: router, routes: {a: step_a}"), 3, 3, "needs a `value`");
    error_at(
        &of("type: router, value: ' ', routes: {a: step_a}"),
        "' '",
        "is empty",
    );
    for key in [
        "command: x",
        "script: x",
        "shell: x",
        "call: x",
        "params: x",
        "parallel: [x]",
        "approval: {}",
    ] {
        let text = of(&format!("{key}, type: router, value: x, routes: {{a: step_a}}"));
        error(&text, 3, 4, "a router has no");
    }
    error(&with("value: x"), 4, 5, "`type: router`");
    error(&with("routes: {a: b}"), 4, 5, "`type: router`");
}

#[test]
fn a_router_needs_a_graph_and_no_cycle() {
    let chain = graph(&[ROUTER]).replace("graph", "chain");
    error(&chain, 3, 3, "require type 'graph'");
    assert!(hint(&chain).contains("`type: graph`"));
    let circle = graph(&[
        "name: r, type: router, value: $X, routes: {a: s}, depends: t",
        "name: s, command: x",
        "name: t, command: x, depends: s",
    ]);
    error_at(&circle, "t}", "in a cycle: r -> s -> t -> r");
}

#[test]
fn an_approval_asks_for_what_it_lists() {
    let approval = step("approval: {prompt: ' Go on? ', input: [WHY, WHO], required: [WHY]}").approval;
    let expected = Approval {
        prompt: "Go on?".to_owned(),
        input: vec!["WHY".to_owned(), "WHO".to_owned()],
        required: vec!["WHY".to_owned()],
    };
    assert_eq!(approval, Some(expected));
    assert_eq!(step("approval: {}").approval, Some(Approval::default()));
    assert_eq!(step("approval:").approval, None);
    assert_eq!(
        step("approval: {prompt: , input: , required: }").approval,
        Some(Approval::default())
    );
    error(&with("approval: true"), 4, 15, "must be a map");
    let typo = with("approval: {input: [WHY], required: [WYH]}");
    error_at(&typo, "WYH", "not in `input`");
    assert!(hint(&typo).contains("`WHY`"));
    error_at(&with("approval: {required: A}"), "A}", "not in `input`");
    error_at(&with("approval: {input: [A B]}"), "A B", "name of a variable");
    error_at(&with("approval: {ask: x}"), "ask", "unknown key");
}
