//! A small part of Painless: enough for scripted updates and reindexes of an upgrade.
//!
//! Statements: assignment (`=`, `+=`, `-=`), `if`/`else`, `for (x in list)`, `def`/typed variables,
//! `return`, method calls. Expressions: literals, lists and maps, arithmetic, comparison, `&&`,
//! `||`, `!`, ternary, `.field`, `['key']`, and the methods of [`call`]. Anything else is refused as
//! a compile error, never run half.

mod parse;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use parse::{Expr, Statement};

/// Most statements and loop turns that one run of a script may take; a longer one is a loop.
const STEPS_MAX: usize = 100_000;

/// A parsed script.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) source: String,
    pub(crate) params: Value,
    statements: Vec<Statement>,
}

fn compile_error(source: &str, why: &str) -> ApiError {
    ApiError::new(400, "script_exception", "compile error")
        .with("script_stack", json!([source, "^---- HERE"]))
        .with("script", source)
        .with("lang", "painless")
        .caused("illegal_argument_exception", why)
}

fn runtime_error(source: &str, why: &str) -> ApiError {
    ApiError::new(400, "script_exception", "runtime error")
        .with("script_stack", json!([source, "^---- HERE"]))
        .with("script", source)
        .with("lang", "painless")
        .caused("illegal_argument_exception", why)
}

impl Script {
    /// Reads the `script` object of a request body, or its short form, a string.
    pub(crate) fn parse(body: &Value) -> Result<Self, ApiError> {
        let (source, lang, params) = match body {
            Value::String(text) => (text.as_str(), "painless", json!({})),
            Value::Object(map) => {
                if map.contains_key("id") {
                    return Err(ApiError::new(
                        404,
                        "resource_not_found_exception",
                        format!(
                            "unable to find script [{}] in cluster state",
                            crate::query::text(&map["id"])
                        ),
                    ));
                }
                let source = map
                    .get("source")
                    .or_else(|| map.get("inline"))
                    .and_then(Value::as_str)
                    .ok_or_else(|| ApiError::illegal("must specify either [source] for an inline script or [id] for a stored script"))?;
                let lang = map
                    .get("lang")
                    .and_then(Value::as_str)
                    .unwrap_or("painless");
                (
                    source,
                    lang,
                    map.get("params").cloned().unwrap_or_else(|| json!({})),
                )
            }
            _ => return Err(ApiError::parse("[script] must be a string or an object")),
        };
        if lang != "painless" {
            return Err(ApiError::illegal(format!(
                "script_lang not supported [{lang}]"
            )));
        }
        let statements = parse::parse(source).map_err(|why| compile_error(source, &why))?;
        Ok(Self {
            source: source.to_owned(),
            params,
            statements,
        })
    }

    /// How the servers print a script in a task's description.
    pub(crate) fn describe(&self) -> String {
        let params = match &self.params {
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| format!("{k}={}", java(v)))
                .collect::<Vec<_>>()
                .join(", "),
            _ => String::new(),
        };
        format!(
            "Script{{type=inline, lang='painless', idOrCode='{}', options={{}}, params={{{params}}}}}",
            self.source
        )
    }

    /// Runs the script over `ctx`, which it may change.
    pub(crate) fn run(&self, ctx: Value) -> Result<Value, ApiError> {
        let mut machine = Machine {
            names: BTreeMap::new(),
            steps: 0,
        };
        machine.names.insert("ctx".to_owned(), ctx);
        machine
            .names
            .insert("params".to_owned(), self.params.clone());
        machine
            .block(&self.statements)
            .map_err(|why| runtime_error(&self.source, &why))?;
        Ok(machine.names.remove("ctx").unwrap_or(Value::Null))
    }
}

/// A value as Java prints it.
pub(crate) fn java(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(java).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            format!(
                "{{{}}}",
                map.iter()
                    .map(|(k, v)| format!("{k}={}", java(v)))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        other => other.to_string(),
    }
}

struct Machine {
    names: BTreeMap<String, Value>,
    steps: usize,
}

impl Machine {
    /// Runs a block; true means that the script returned.
    fn block(&mut self, statements: &[Statement]) -> Result<bool, String> {
        for statement in statements {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("The maximum number of statements that can be executed in a loop has been reached.".to_owned());
            }
            match statement {
                Statement::Return => return Ok(true),
                Statement::Run(expr) => drop(self.eval(expr)?),
                Statement::Assign { target, op, value } => {
                    let mut new = self.eval(value)?;
                    if *op != '=' {
                        let old = self.eval(target)?;
                        new = arithmetic(&old, if *op == '+' { "+" } else { "-" }, &new)?;
                    }
                    self.assign(target, new)?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let branch = if truth(&self.eval(condition)?)? {
                        then
                    } else {
                        otherwise
                    };
                    if self.block(branch)? {
                        return Ok(true);
                    }
                }
                Statement::For { name, list, body } => {
                    let items = match self.eval(list)? {
                        Value::Array(items) => items,
                        Value::Object(map) => map.keys().map(|k| json!(k)).collect(),
                        Value::Null => return Err("cannot iterate over a null value".to_owned()),
                        other => return Err(format!("cannot iterate over [{other}]")),
                    };
                    let count = items.len();
                    for (at, item) in items.into_iter().enumerate() {
                        self.names.insert(name.clone(), item);
                        let done = self.block(body)?;
                        // Elements are references in Painless: write the changed one back.
                        let changed = self.names.remove(name).unwrap_or(Value::Null);
                        if let Some(Value::Array(list)) = self.place(list)?
                            && list.len() == count
                        {
                            list[at] = changed;
                        }
                        if done {
                            return Ok(true);
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    fn assign(&mut self, target: &Expr, value: Value) -> Result<(), String> {
        match target {
            Expr::Name(name) => drop(self.names.insert(name.clone(), value)),
            Expr::Field(..) | Expr::Item(..) => {
                let (parent, key) = match target {
                    Expr::Field(parent, name) => (parent, json!(name)),
                    Expr::Item(parent, key) => (parent, self.eval(key)?),
                    _ => return Err("cannot assign".to_owned()),
                };
                match self.place(parent)? {
                    Some(Value::Object(map)) => drop(map.insert(crate::query::text(&key), value)),
                    Some(Value::Array(items)) => {
                        let at = position(&key)?;
                        let length = items.len();
                        *items
                            .get_mut(at)
                            .ok_or(format!("Index {at} out of bounds for length {length}"))? =
                            value;
                    }
                    _ => {
                        return Err(
                            "Cannot invoke \"Object.getClass()\" because \"callArgs[0]\" is null"
                                .to_owned(),
                        );
                    }
                }
            }
            _ => return Err("cannot assign to this expression".to_owned()),
        }
        Ok(())
    }

    /// The place that an expression names, for changing it; `None` when it names none.
    fn place(&mut self, expr: &Expr) -> Result<Option<&mut Value>, String> {
        match expr {
            Expr::Name(name) => Ok(self.names.get_mut(name)),
            Expr::Field(parent, name) => match self.place(parent)? {
                Some(Value::Object(map)) => Ok(map.get_mut(name)),
                Some(Value::Null) => Err(format!("cannot access field [{name}] of a null value")),
                _ => Ok(None),
            },
            Expr::Item(parent, key) => {
                let key = self.eval(key)?;
                match self.place(parent)? {
                    Some(Value::Object(map)) => Ok(map.get_mut(&crate::query::text(&key))),
                    Some(Value::Array(items)) => Ok(items.get_mut(position(&key)?)),
                    _ => Ok(None),
                }
            }
            Expr::Call(parent, name, args) if name == "get" && args.len() == 1 => {
                let key = self.eval(&args[0])?;
                match self.place(parent)? {
                    Some(Value::Object(map)) => Ok(map.get_mut(&crate::query::text(&key))),
                    Some(Value::Array(items)) => Ok(items.get_mut(position(&key)?)),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn eval(&mut self, expr: &Expr) -> Result<Value, String> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Name(name) => self
                .names
                .get(name)
                .cloned()
                .ok_or_else(|| format!("cannot resolve symbol [{name}]")),
            Expr::Field(parent, name) => match self.eval(parent)? {
                Value::Object(map) => Ok(map.get(name).cloned().unwrap_or(Value::Null)),
                Value::Array(items) if name == "length" => Ok(json!(items.len())),
                Value::Null => Err(format!("cannot access field [{name}] of a null value")),
                other => Err(format!("no field [{name}] in [{other}]")),
            },
            Expr::Item(parent, key) => {
                let key = self.eval(key)?;
                match self.eval(parent)? {
                    Value::Object(map) => Ok(map
                        .get(&crate::query::text(&key))
                        .cloned()
                        .unwrap_or(Value::Null)),
                    Value::Array(items) => {
                        let at = position(&key)?;
                        items.get(at).cloned().ok_or(format!(
                            "Index {at} out of bounds for length {}",
                            items.len()
                        ))
                    }
                    other => Err(format!("cannot index [{other}]")),
                }
            }
            Expr::Not(inner) => Ok(json!(!truth(&self.eval(inner)?)?)),
            Expr::Negate(inner) => {
                let value = self.eval(inner)?;
                arithmetic(&json!(0), "-", &value)
            }
            Expr::Choose(condition, yes, no) => {
                if truth(&self.eval(condition)?)? {
                    self.eval(yes)
                } else {
                    self.eval(no)
                }
            }
            Expr::List(items) => {
                let items: Result<Vec<Value>, String> =
                    items.iter().map(|i| self.eval(i)).collect();
                Ok(Value::Array(items?))
            }
            Expr::Map(pairs) => {
                let mut map = Map::new();
                for (key, value) in pairs {
                    let key = crate::query::text(&self.eval(key)?);
                    let value = self.eval(value)?;
                    map.insert(key, value);
                }
                Ok(Value::Object(map))
            }
            Expr::Binary(left, sign, right) => {
                let a = self.eval(left)?;
                match *sign {
                    "&&" => return Ok(json!(truth(&a)? && truth(&self.eval(right)?)?)),
                    "||" => return Ok(json!(truth(&a)? || truth(&self.eval(right)?)?)),
                    _ => {}
                }
                let b = self.eval(right)?;
                match *sign {
                    "==" => Ok(json!(equal(&a, &b))),
                    "!=" => Ok(json!(!equal(&a, &b))),
                    "<" | ">" | "<=" | ">=" => {
                        let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else {
                            return Err("cannot compare values that are not numbers".to_owned());
                        };
                        Ok(json!(match *sign {
                            "<" => x < y,
                            ">" => x > y,
                            "<=" => x <= y,
                            _ => x >= y,
                        }))
                    }
                    other => arithmetic(&a, other, &b),
                }
            }
            Expr::Call(parent, name, args) => {
                let args: Result<Vec<Value>, String> = args.iter().map(|a| self.eval(a)).collect();
                let args = args?;
                // A call can change its receiver, so it works on the place when there is one.
                if let Some(place) = self.place(parent)? {
                    return call(place, name, &args);
                }
                let mut receiver = self.eval(parent)?;
                call(&mut receiver, name, &args)
            }
        }
    }
}

/// The methods that exist.
fn call(receiver: &mut Value, name: &str, args: &[Value]) -> Result<Value, String> {
    let arg = |at: usize| {
        args.get(at)
            .ok_or_else(|| format!("missing argument of [{name}]"))
    };
    let key = |at: usize| arg(at).map(crate::query::text);
    match (receiver, name) {
        (Value::Object(map), "remove") => Ok(map.shift_remove(&key(0)?).unwrap_or(Value::Null)),
        (Value::Object(map), "containsKey") => Ok(json!(map.contains_key(&key(0)?))),
        (Value::Object(map), "get") => Ok(map.get(&key(0)?).cloned().unwrap_or(Value::Null)),
        (Value::Object(map), "getOrDefault") => match map.get(&key(0)?) {
            Some(found) => Ok(found.clone()),
            None => Ok(arg(1)?.clone()),
        },
        (Value::Object(map), "put") => {
            Ok(map.insert(key(0)?, arg(1)?.clone()).unwrap_or(Value::Null))
        }
        (Value::Object(map), "putAll") => {
            if let Value::Object(more) = arg(0)? {
                map.extend(more.clone());
            }
            Ok(Value::Null)
        }
        (Value::Object(map), "keySet") => Ok(map.keys().map(|k| json!(k)).collect()),
        (Value::Object(map), "values") => Ok(map.values().cloned().collect()),
        (Value::Object(map), "size") => Ok(json!(map.len())),
        (Value::Object(map), "isEmpty") => Ok(json!(map.is_empty())),
        (Value::Array(items), "add") => {
            items.push(arg(0)?.clone());
            Ok(json!(true))
        }
        (Value::Array(items), "get") => Ok(items
            .get(position(arg(0)?)?)
            .cloned()
            .unwrap_or(Value::Null)),
        (Value::Array(items), "size" | "length") => Ok(json!(items.len())),
        (Value::Array(items), "isEmpty") => Ok(json!(items.is_empty())),
        (Value::Array(items), "contains") => {
            let wanted = arg(0)?;
            Ok(json!(items.iter().any(|i| equal(i, wanted))))
        }
        (Value::Array(items), "remove") => {
            let at = position(arg(0)?)?;
            if at < items.len() {
                Ok(items.remove(at))
            } else {
                Err(format!("Index {at} out of bounds"))
            }
        }
        (Value::String(text), "equals") => Ok(json!(arg(0)?.as_str() == Some(text))),
        (Value::String(text), "startsWith") => Ok(json!(text.starts_with(&key(0)?))),
        (Value::String(text), "endsWith") => Ok(json!(text.ends_with(&key(0)?))),
        (Value::String(text), "contains") => Ok(json!(text.contains(&key(0)?))),
        (Value::String(text), "toLowerCase") => Ok(json!(text.to_lowercase())),
        (Value::String(text), "toUpperCase") => Ok(json!(text.to_uppercase())),
        (Value::String(text), "trim") => Ok(json!(text.trim())),
        (Value::String(text), "length") => Ok(json!(text.chars().count())),
        (Value::String(text), "isEmpty") => Ok(json!(text.is_empty())),
        (Value::String(text), "replace") => Ok(json!(text.replace(&key(0)?, &key(1)?))),
        (Value::Null, _) => Err(format!(
            "cannot access method/field [{name}] from a null def reference"
        )),
        (value, "equals") => Ok(json!(equal(value, arg(0)?))),
        (value, "toString") => Ok(json!(crate::query::text(value))),
        (value, _) => Err(format!(
            "dynamic method [{value}, {name}/{}] not found",
            args.len()
        )),
    }
}

fn position(key: &Value) -> Result<usize, String> {
    key.as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| format!("not a list position: [{key}]"))
}

fn truth(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("Cannot cast [{value}] to boolean"))
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x.total_cmp(&y).is_eq(),
        _ => a == b,
    }
}

fn arithmetic(a: &Value, sign: &str, b: &Value) -> Result<Value, String> {
    if sign == "+" && (a.is_string() || b.is_string()) {
        return Ok(json!(format!(
            "{}{}",
            crate::query::text(a),
            crate::query::text(b)
        )));
    }
    if let (Some(x), Some(y)) = (a.as_i64(), b.as_i64()) {
        let done = match sign {
            "+" => x.checked_add(y),
            "-" => x.checked_sub(y),
            "*" => x.checked_mul(y),
            "/" => x.checked_div(y),
            _ => x.checked_rem(y),
        };
        return done.map(|n| json!(n)).ok_or_else(|| "/ by zero".to_owned());
    }
    let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else {
        return Err(format!(
            "Cannot apply [{sign}] operation to types [{a}] and [{b}]."
        ));
    };
    Ok(json!(match sign {
        "+" => x + y,
        "-" => x - y,
        "*" => x * y,
        "/" => x / y,
        _ => x % y,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str, document: Value) -> Value {
        let script =
            Script::parse(&json!({"source": source, "params": {"x": 5, "name": "n"}})).unwrap();
        script
            .run(json!({"_source": document, "op": "index"}))
            .unwrap()
    }

    #[test]
    fn scripts_change_the_document_as_painless_would() {
        let done = run(
            "ctx._source.remove('a'); if (ctx._source.b == null) { ctx._source.b = params.x + 1 } else { ctx.op = 'noop' }",
            json!({"a": 1}),
        );
        assert_eq!(done, json!({"_source": {"b": 6}, "op": "index"}));
        let done = run(
            "for (item in ctx._source.list) { if (item.containsKey('old')) { item['new'] = item.remove('old') } }",
            json!({"list": [{"old": 1}, {"x": 2}]}),
        );
        assert_eq!(done["_source"]["list"], json!([{"new": 1}, {"x": 2}]));
        let done = run(
            "def n = ctx._source.n; ctx._source.n = n > 3 && !false ? 'big' : 'small'",
            json!({"n": 4}),
        );
        assert_eq!(done["_source"]["n"], json!("big"));
        assert_eq!(
            run(
                "ctx._source.n += 2; return; ctx._source.n = 0",
                json!({"n": 1})
            )["_source"]["n"],
            json!(3)
        );
    }

    #[test]
    fn a_script_that_does_not_parse_is_a_compile_error() {
        let error = Script::parse(&json!({"source": "ctx._source.n = "})).unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            ("script_exception", "compile error")
        );
    }

    #[test]
    fn a_task_description_prints_the_script_as_the_servers_do() {
        let script =
            Script::parse(&json!({"source": "ctx._source.remove('f')", "params": {"a": 1}}))
                .unwrap();
        assert_eq!(
            script.describe(),
            "Script{type=inline, lang='painless', idOrCode='ctx._source.remove('f')', options={}, params={a=1}}"
        );
    }
}
