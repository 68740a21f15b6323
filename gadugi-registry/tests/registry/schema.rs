//! Checks a JSON report against `docs/report.schema.json`, with as much of JSON Schema as that file uses. A
//! validator that knows all of it would bring 37 more packages.

use std::path::Path;

use serde_json::{Map, Value};

/// Panics, with the place, where the report is not as the schema says.
pub(crate) fn check(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let text = std::fs::read_to_string(path).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    if let Err(error) = (Schema { root: &schema }).fits(&schema, report, "report") {
        panic!("{error}");
    }
}

struct Schema<'a> {
    root: &'a Value,
}

impl Schema<'_> {
    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let members = schema.as_object().expect("a schema is an object");
        for (key, wanted) in members {
            match key.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => Ok(()),
                "$ref" => {
                    let pointer = wanted.as_str().and_then(|to| to.strip_prefix('#')).expect("a local reference");
                    self.fits(self.root.pointer(pointer).expect("a definition"), value, at)
                }
                "type" => one_of(wanted)
                    .iter()
                    .any(|wanted| has_type(value, wanted))
                    .then_some(())
                    .ok_or_else(|| format!("{at} is {value}, not {wanted}")),
                "const" if value == wanted => Ok(()),
                "const" => Err(format!("{at} is {value}, not {wanted}")),
                "enum" if one_of(wanted).contains(&value) => Ok(()),
                "enum" => Err(format!("{at} is {value}, none of {wanted}")),
                "minimum" if value.as_f64().is_none_or(|value| value >= wanted.as_f64().expect("a number")) => Ok(()),
                "minimum" => Err(format!("{at} is {value}, less than {wanted}")),
                "oneOf" => {
                    let tries = one_of(wanted).into_iter().map(|one| self.fits(one, value, at));
                    let (fit, unfit): (Vec<_>, Vec<_>) = tries.partition(Result::is_ok);
                    if fit.len() == 1 { Ok(()) } else { Err(format!("{} fit {at}: {unfit:?}", fit.len())) }
                }
                "items" => value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                    .try_for_each(|(n, item)| self.fits(wanted, item, &format!("{at}[{n}]"))),
                "required" => one_of(wanted).iter().try_for_each(|name| {
                    let there = value.get(name.as_str().expect("a name")).is_some();
                    if there || !value.is_object() { Ok(()) } else { Err(format!("{at} lacks {name}")) }
                }),
                "properties" => self.properties(wanted.as_object().expect("members"), value, at),
                other => panic!("the schema uses `{other}`, which this check does not know"),
            }?;
        }
        Ok(())
    }

    /// Stricter than JSON Schema: a member that the schema does not describe is an error, since this is
    /// the check that the description is complete. A `oneOf` tells its members by their `kind`.
    fn properties(&self, known: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let schema = known.get(name).ok_or_else(|| format!("{at}.{name} is not described"))?;
            self.fits(schema, member, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

fn one_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        single => vec![single],
    }
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("the name of a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("`{other}` is no type"),
    }
}
