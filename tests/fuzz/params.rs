//! Parameters. Input, in parts: what stands behind `params:` in a DAG, the text of `--params`, words behind `--`.

use proctor::dag::types::{ParamDef, Params};
use proctor::dag::{LoadOptions, ParamInput, ResolvedParams, Source, load, params};

use crate::parts::parts;

/// Checks what has to hold for an input.
pub(crate) fn check(input: &[u8]) {
    let mut parts = parts(input).map(|part| String::from_utf8_lossy(part).into_owned());
    let text = format!("steps: [x]\nparams: {}", parts.next().unwrap_or_default());
    let source = Source {
        text: text.as_bytes(),
        file: "dag.yaml",
        stem: "dag",
    };
    let Ok(loaded) = load(&source, &LoadOptions::default()) else {
        return;
    };
    let declared = &loaded.dag.params;
    let mut given = ParamInput {
        text: parts.next(),
        ..ParamInput::default()
    };
    one(declared, &given);
    given.args.extend(parts);
    if !given.args.is_empty() {
        one(declared, &given);
    }
    for evaluate in [false, true] {
        let defaults = params::defaults(declared, evaluate);
        consistent(declared, &defaults);
        let text = params::default_text(declared, &defaults);
        assert!(!text.contains('\n'), "defaults are one line");
    }
}

fn one(declared: &Params, given: &ParamInput) {
    let result = params::resolve(declared, given);
    assert_eq!(result, params::resolve(declared, given), "not deterministic");
    let mut resolved = match result {
        Ok(resolved) => resolved,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            return;
        }
    };
    consistent(declared, &resolved);
    reads_back(&resolved);
    let kept = serde_json::to_string(&resolved).unwrap();
    assert_eq!(resolved, serde_json::from_str::<ResolvedParams>(&kept).unwrap());
    // Every second `eval` fails.
    let mut well = true;
    while !resolved.pending_eval.is_empty() {
        let before = resolved.pending_eval.len();
        let value = well.then_some("1");
        well = !well;
        if resolved.settle(declared, value).is_err() {
            return;
        }
        assert!(resolved.pending_eval.len() < before, "it settles nothing");
        consistent(declared, &resolved);
    }
    reads_back(&resolved);
}

fn consistent(declared: &Params, resolved: &ResolvedParams) {
    for position in &resolved.pending_eval {
        let (name, _) = resolved
            .list
            .get(*position)
            .expect("it is pending and in the list");
        assert!(
            declared
                .defs
                .iter()
                .any(|def| def.name == *name && def.eval.is_some())
        );
    }
    for (at, (name, _)) in resolved.list.iter().enumerate() {
        assert!(!name.is_empty(), "a parameter without a name: {resolved:?}");
        let twice = resolved.list.iter().skip(at + 1).any(|(other, _)| other == name);
        assert!(!twice, "{name:?} twice in {resolved:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&resolved.json).expect("`json` is JSON");
    if !resolved.json_given {
        let object = json.as_object().expect("an object");
        assert_eq!(object.len(), resolved.list.len());
        for (name, value) in &resolved.list {
            assert_eq!(
                object.get(name).and_then(serde_json::Value::as_str),
                Some(value.as_str())
            );
        }
    }
    let known = resolved.known(declared);
    assert!(known.len() <= resolved.list.len());
    assert!(known.iter().all(|pair| resolved.list.contains(pair)));
}

/// The effective parameters, written as a text the way defaults are, mean the same when they are given again.
fn reads_back(resolved: &ResolvedParams) {
    // Names that only JSON can give cannot be written before a `=`.
    let writable = |c: char| !(c.is_whitespace() || c.is_control() || "=\"`".contains(c));
    if !resolved.list.iter().all(|(name, _)| name.chars().all(writable)) {
        return;
    }
    let defs = resolved.list.iter().map(|(name, value)| ParamDef {
        name: name.clone(),
        default: Some(value.clone()),
        ..ParamDef::default()
    });
    let effective = Params {
        defs: defs.collect(),
        ..Params::default()
    };
    let text = params::default_text(&effective, &ResolvedParams::default());
    let input = ParamInput {
        text: Some(text.clone()),
        ..ParamInput::default()
    };
    let again =
        params::resolve(&Params::default(), &input).expect("a text of defaults is a text of parameters");
    assert_eq!(again.list, resolved.list, "through the text {text:?}");
    assert!(!again.json_given, "through the text {text:?}");
    // Against the declaration of itself, too.
    assert_eq!(
        params::resolve(&effective, &input).map(|again| again.list),
        Ok(resolved.list.clone())
    );
    // A call hands over pairs, which are not parsed at all.
    let pairs = resolved.list.iter().cloned();
    let input = ParamInput {
        pairs: pairs.map(|(name, value)| (Some(name), value)).collect(),
        ..ParamInput::default()
    };
    assert_eq!(params::pairs_text(&input.pairs), text);
    let again = params::resolve(&Params::default(), &input).expect("pairs are parameters");
    assert_eq!(again.list, resolved.list);
    let mut input = input;
    for pair in &mut input.pairs {
        pair.0 = None;
    }
    let again = params::resolve(&Params::default(), &input).expect("values are parameters");
    let values = again.list.iter().map(|(_, value)| value);
    assert!(values.eq(resolved.list.iter().map(|(_, value)| value)));
}
