//! The field-list notation of `optimize-8.7.fields` and its like, and the mappings it stands for.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::error::LabError;

/// The field lists of an Optimize 8.7 site.
const OPTIMIZE_8_7: &str = include_str!("optimize-8.7.fields");

/// Where a 3.13 site differs.
const OPTIMIZE_3_13: &str = include_str!("optimize-3.13.fields");

/// What one index looks like, without prefix and settings common to all.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexShape {
    /// Name without prefix; `<key>` in it stands for a definition key.
    pub name: String,
    /// Index sort: field and order.
    pub sort: Option<(String, String)>,
    /// `properties` of the mapping.
    pub properties: Map<String, Value>,
    /// Fields, objects included, sub-fields of one field not.
    pub field_count: usize,
}

/// All indices of an 8.7 site.
pub fn optimize_8_7() -> Result<Vec<IndexShape>, LabError> {
    parse("optimize-8.7.fields", OPTIMIZE_8_7)
}

/// All indices of a 3.13 site, without archives.
pub(crate) fn optimize_3_13() -> Result<Vec<IndexShape>, LabError> {
    let mut shapes = parse("optimize-3.13.fields", OPTIMIZE_3_13)?;
    let base = |name: &str| {
        name.rsplit_once("_v")
            .map_or(name, |(base, _)| base)
            .to_owned()
    };
    let own: Vec<String> = shapes.iter().map(|shape| base(&shape.name)).collect();
    shapes.extend(
        optimize_8_7()?
            .into_iter()
            .filter(|shape| !own.contains(&base(&shape.name))),
    );
    Ok(shapes)
}

#[derive(Default)]
struct Parser {
    names: BTreeMap<String, String>,
    subfields: BTreeMap<String, Map<String, Value>>,
    indices: Vec<IndexShape>,
    /// The `subfields` block being read, if it is not an index.
    block: Option<String>,
    /// The definition that further paths on the next line belong to.
    current: Option<Map<String, Value>>,
}

/// Reads field lists; `source` names them in an error.
pub(crate) fn parse(source: &str, text: &str) -> Result<Vec<IndexShape>, LabError> {
    let mut parser = Parser::default();
    for (at, line) in text.lines().enumerate() {
        parser
            .line(line)
            .map_err(|why| LabError::malformed(format!("{source}:{}", at + 1), why))?;
    }
    Ok(parser.indices)
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            return Ok(());
        }
        if line.starts_with("    ") {
            return self.paths(words);
        }
        self.current = None;
        if line.starts_with("  ") {
            if let Some(sort) = words.strip_prefix("sort ") {
                let (field, order) = sort.split_once(' ').ok_or("`sort` wants FIELD ORDER")?;
                let index = self.indices.last_mut().filter(|_| self.block.is_none());
                index.ok_or("`sort` outside an index")?.sort = Some((field.into(), order.into()));
                return Ok(());
            }
            let (definition, paths) = words.split_once(':').ok_or("expected `TYPE: PATH ...`")?;
            self.current = Some(self.definition(definition)?);
            return self.paths(paths);
        }
        let (keyword, rest) = words
            .split_once(' ')
            .ok_or("expected a keyword and a name")?;
        match keyword {
            "let" => {
                let (name, value) = rest.split_once(" = ").ok_or("`let` wants NAME = VALUE")?;
                self.names.insert(name.into(), value.into());
            }
            "subfields" => {
                self.subfields.insert(rest.into(), Map::new());
                self.block = Some(rest.into());
            }
            "index" => {
                self.block = None;
                self.indices.push(IndexShape {
                    name: rest.into(),
                    sort: None,
                    properties: Map::new(),
                    field_count: 0,
                });
            }
            other => return Err(format!("unknown keyword `{other}`")),
        }
        Ok(())
    }

    /// `TYPE(option=value,...)+SUBFIELDS`, the last two optional.
    fn definition(&self, text: &str) -> Result<Map<String, Value>, String> {
        let (text, subfields) = match text.split_once('+') {
            Some((text, name)) => (text, Some(name)),
            None => (text, None),
        };
        let (kind, options) = match text.split_once('(') {
            Some((kind, rest)) => (kind, rest.strip_suffix(')').ok_or("`(` without `)`")?),
            None => (text, ""),
        };
        let mut definition = Map::new();
        definition.insert("type".into(), kind.into());
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or("an option wants NAME=VALUE")?;
            definition.insert(name.into(), self.value(name, value)?);
        }
        if let Some(name) = subfields {
            let fields = self
                .subfields
                .get(name)
                .ok_or(format!("no subfields `{name}`"))?;
            definition.insert("fields".into(), fields.clone().into());
        }
        Ok(definition)
    }

    fn value(&self, option: &str, text: &str) -> Result<Value, String> {
        if let Some(name) = text.strip_prefix('$') {
            let value = self.names.get(name).ok_or(format!("no value `${name}`"))?;
            return Ok(value.as_str().into());
        }
        // `dynamic` is three-valued on the server, so its `true` is a text.
        if option == "dynamic" {
            return Ok(text.into());
        }
        Ok(match text {
            "true" => true.into(),
            "false" => false.into(),
            _ => text
                .parse::<u64>()
                .map_or_else(|_| text.into(), Value::from),
        })
    }

    fn paths(&mut self, paths: &str) -> Result<(), String> {
        let definition = self
            .current
            .as_ref()
            .ok_or("paths without a type before them")?;
        for path in paths.split_whitespace() {
            if let Some(block) = &self.block {
                let fields = self.subfields.get_mut(block).ok_or("no block is open")?;
                fields.insert(path.into(), definition.clone().into());
            } else {
                let index = self.indices.last_mut().ok_or("fields outside an index")?;
                insert(&mut index.properties, path, definition)?;
                index.field_count += 1;
            }
        }
        Ok(())
    }
}

/// Puts a field at its path; parents that are not there yet become plain objects.
fn insert(
    properties: &mut Map<String, Value>,
    path: &str,
    definition: &Map<String, Value>,
) -> Result<(), String> {
    let Some((parent, rest)) = path.split_once('.') else {
        let field = properties.entry(path).or_insert_with(|| json!({}));
        let field = field.as_object_mut().ok_or("a field is an object")?;
        if field.contains_key("type") {
            return Err(format!("`{path}` is there twice"));
        }
        field.extend(definition.clone());
        return Ok(());
    };
    properties
        .entry(parent)
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .and_then(|field| {
            field
                .entry("properties")
                .or_insert_with(|| json!({}))
                .as_object_mut()
        })
        .ok_or_else(|| format!("`{parent}` cannot have fields"))
        .and_then(|inner| insert(inner, rest, definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
# a comment
let Z = yyyy'T'HH
subfields typed
  long(ignore_malformed=true): long
index a_v1
  sort when desc
  nested: parts
  keyword(ignore_above=7000)+typed: parts.value
  date(format=$Z): when
    later
  object(dynamic=true): source
  long: free.count
index b-<key>_v2
  text(index=false): note
";

    #[test]
    fn reads_types_options_subfields_and_continued_lines() {
        let shapes = parse("small", SMALL).unwrap();
        assert_eq!(shapes.len(), 2);
        assert_eq!(shapes[0].sort, Some(("when".into(), "desc".into())));
        assert_eq!(shapes[0].field_count, 6);
        assert_eq!(
            Value::from(shapes[0].properties.clone()),
            json!({
                "parts": { "type": "nested", "properties": { "value": {
                    "type": "keyword", "ignore_above": 7000,
                    "fields": { "long": { "type": "long", "ignore_malformed": true } },
                } } },
                "when": { "type": "date", "format": "yyyy'T'HH" },
                "later": { "type": "date", "format": "yyyy'T'HH" },
                "source": { "type": "object", "dynamic": "true" },
                "free": { "properties": { "count": { "type": "long" } } },
            })
        );
        assert_eq!(shapes[1].name, "b-<key>_v2");
        assert_eq!(
            Value::from(shapes[1].properties.clone()),
            json!({ "note": { "type": "text", "index": false } })
        );
    }

    #[test]
    fn names_the_line_that_it_cannot_read() {
        for (text, line, why) in [
            ("index a\n  keyword: x\n  long: x\n", 3, "there twice"),
            ("index a\n  keyword x\n", 2, "TYPE: PATH"),
            ("index a\n  keyword+none: x\n", 2, "no subfields `none`"),
            ("index a\n  date(format=$Y): x\n", 2, "no value `$Y`"),
            ("index a\n  date(format=1: x\n", 2, "without `)`"),
            ("\n    x y\n", 2, "without a type"),
            ("  keyword: x\n", 1, "outside an index"),
            ("table a\n", 1, "unknown keyword"),
        ] {
            let error = parse("t", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("t:{line}: ")), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_3_13_site_has_other_settings_and_nine_indices_more() {
        let shapes = optimize_3_13().unwrap();
        let names: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
        assert_eq!(names.len(), 24 + 9);
        assert!(names.contains(&"settings_v2") && !names.contains(&"settings_v3"));
        let positions = names
            .iter()
            .filter(|name| name.starts_with("position-based-import-index"));
        assert_eq!(positions.count(), 1);
    }

    #[test]
    fn knows_the_22_fixed_and_2_dynamic_indices_of_8_7() {
        let shapes = optimize_8_7().unwrap();
        assert_eq!(
            shapes
                .iter()
                .filter(|shape| !shape.name.contains("<key>"))
                .count(),
            22
        );
        assert_eq!(
            shapes
                .iter()
                .filter(|shape| shape.name.contains("<key>"))
                .count(),
            2
        );
        let count = |name: &str| {
            shapes
                .iter()
                .find(|shape| shape.name == name)
                .map(|shape| shape.field_count)
        };
        assert_eq!(count("process-instance-<key>_v8"), Some(62));
        assert_eq!(count("decision-instance-<key>_v5"), Some(30));
        assert_eq!(count("metadata_v3"), Some(2));
        let sorted: Vec<_> = shapes
            .iter()
            .filter_map(|shape| shape.sort.clone())
            .collect();
        assert_eq!(
            sorted,
            [
                ("ingestionTimestamp".to_owned(), "desc".to_owned()),
                ("timestamp".to_owned(), "asc".to_owned()),
            ]
        );
    }
}
