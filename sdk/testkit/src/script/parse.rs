//! From the text of a script to its statements.

use serde_json::{Value, json};

/// Deepest nesting of expressions and blocks in a script.
const DEPTH_MAX: usize = 64;

/// One statement.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    Assign {
        target: Expr,
        op: char,
        value: Expr,
    },
    If {
        condition: Expr,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    For {
        name: String,
        list: Expr,
        body: Vec<Statement>,
    },
    Return,
    Run(Expr),
}

/// One expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Literal(Value),
    Name(String),
    Field(Box<Expr>, String),
    Item(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, String, Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Box<Expr>, &'static str, Box<Expr>),
    Choose(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(Value),
    Sign(&'static str),
}

const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "?.", "{", "}", "(", ")", "[", "]", ";", ",",
    ".", "=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":",
];

/// Reads a whole script; the error says why it is none.
pub(super) fn parse(source: &str) -> Result<Vec<Statement>, String> {
    let mut parser = Parser {
        tokens: tokenize(source)?,
        at: 0,
        depth: 0,
    };
    let mut statements = Vec::new();
    while parser.peek().is_some() {
        statements.extend(parser.statement()?);
    }
    Ok(statements)
}

fn tokenize(source: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = source;
    loop {
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix("//") {
            rest = tail.find('\n').map_or("", |at| &tail[at..]);
            continue;
        }
        if let Some(tail) = rest.strip_prefix("/*") {
            rest = tail.find("*/").map_or("", |at| &tail[at + 2..]);
            continue;
        }
        let Some(first) = rest.chars().next() else {
            return Ok(out);
        };
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            out.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let number: Value = serde_json::from_str(&rest[..end]).map_err(|e| e.to_string())?;
            out.push(Token::Number(number));
            rest = rest[end..].trim_start_matches(['L', 'l', 'f', 'd', 'D', 'F']);
        } else if first == '\'' || first == '"' {
            let mut text = String::new();
            let mut chars = rest.char_indices().skip(1);
            let end = loop {
                match chars.next() {
                    Some((_, '\\')) => match chars.next() {
                        Some((_, 'n')) => text.push('\n'),
                        Some((_, c)) => text.push(c),
                        None => return Err("unexpected end of script.".to_owned()),
                    },
                    Some((at, c)) if c == first => break at + 1,
                    Some((_, c)) => text.push(c),
                    None => return Err("unexpected end of script.".to_owned()),
                }
            };
            out.push(Token::Text(text));
            rest = &rest[end..];
        } else if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            out.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            return Err(format!("unexpected character [{first}]."));
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(s)) if *s == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(n)) if n == name)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            None => "unexpected end of script.".to_owned(),
            Some(token) => format!("unexpected token [{token:?}]."),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn block(&mut self) -> Result<Vec<Statement>, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("script is nested too deeply".to_owned());
        }
        let mut out = Vec::new();
        if self.take("{") {
            while !self.take("}") {
                out.extend(self.statement()?);
            }
        } else {
            out.extend(self.statement()?);
        }
        self.depth -= 1;
        Ok(out)
    }

    fn statement(&mut self) -> Result<Option<Statement>, String> {
        if self.take(";") {
            return Ok(None);
        }
        if self.is_name("if") {
            self.at += 1;
            self.expect("(")?;
            let condition = self.expression()?;
            self.expect(")")?;
            let then = self.block()?;
            let otherwise = if self.is_name("else") {
                self.at += 1;
                self.block()?
            } else {
                Vec::new()
            };
            return Ok(Some(Statement::If {
                condition,
                then,
                otherwise,
            }));
        }
        if self.is_name("for") {
            self.at += 1;
            self.expect("(")?;
            let mut name = self.name()?;
            if let Some(Token::Name(next)) = self.peek().cloned()
                && next != "in"
            {
                self.at += 1;
                name = next;
            }
            if self.is_name("in") {
                self.at += 1;
            } else {
                self.expect(":")?;
            }
            let list = self.expression()?;
            self.expect(")")?;
            let body = self.block()?;
            return Ok(Some(Statement::For { name, list, body }));
        }
        if self.is_name("return") {
            self.at += 1;
            if !self.is(";") && self.peek().is_some() && !self.is("}") {
                self.expression()?;
            }
            self.end()?;
            return Ok(Some(Statement::Return));
        }
        // `def x = ..`, `String x = ..`: the type does not matter here.
        if matches!(self.peek(), Some(Token::Name(_)))
            && matches!(self.tokens.get(self.at + 1), Some(Token::Name(_)))
        {
            self.at += 1;
        }
        let target = self.expression()?;
        let statement = if self.take("=") {
            Statement::Assign {
                target,
                op: '=',
                value: self.expression()?,
            }
        } else if self.take("+=") {
            Statement::Assign {
                target,
                op: '+',
                value: self.expression()?,
            }
        } else if self.take("-=") {
            Statement::Assign {
                target,
                op: '-',
                value: self.expression()?,
            }
        } else {
            Statement::Run(target)
        };
        self.end()?;
        Ok(Some(statement))
    }

    fn end(&mut self) -> Result<(), String> {
        if self.take(";") || self.peek().is_none() || self.is("}") {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn expression(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("script is nested too deeply".to_owned());
        }
        let condition = self.binary(0)?;
        let out = if self.take("?") {
            let yes = self.expression()?;
            self.expect(":")?;
            Expr::Choose(
                Box::new(condition),
                Box::new(yes),
                Box::new(self.expression()?),
            )
        } else {
            condition
        };
        self.depth -= 1;
        Ok(out)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        const LEVELS: &[&[&str]] = &[
            &["||"],
            &["&&"],
            &["==", "!="],
            &["<=", ">=", "<", ">"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = signs.iter().find(|s| self.is(s)) {
            self.at += 1;
            left = Expr::Binary(Box::new(left), sign, Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.take("!") {
            return Ok(Expr::Not(Box::new(self.unary()?)));
        }
        if self.take("-") {
            return Ok(Expr::Negate(Box::new(self.unary()?)));
        }
        let mut out = self.primary()?;
        loop {
            if self.take(".") || self.take("?.") {
                let name = self.name()?;
                if self.take("(") {
                    let args = self.list(")")?;
                    out = Expr::Call(Box::new(out), name, args);
                } else {
                    out = Expr::Field(Box::new(out), name);
                }
            } else if self.take("[") {
                let key = self.expression()?;
                self.expect("]")?;
                out = Expr::Item(Box::new(out), Box::new(key));
            } else {
                return Ok(out);
            }
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, String> {
        let mut out = Vec::new();
        while !self.take(end) {
            out.push(self.expression()?);
            if !self.take(",") && !self.is(end) {
                return Err(self.unexpected());
            }
        }
        Ok(out)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let token = self.peek().cloned().ok_or_else(|| self.unexpected())?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Expr::Literal(json!(text))),
            Token::Number(number) => Ok(Expr::Literal(number)),
            Token::Name(name) => Ok(match name.as_str() {
                "null" => Expr::Literal(Value::Null),
                "true" => Expr::Literal(json!(true)),
                "false" => Expr::Literal(json!(false)),
                "new" => {
                    let class = self.name()?;
                    self.expect("(")?;
                    self.list(")")?;
                    match class.as_str() {
                        "ArrayList" => Expr::List(Vec::new()),
                        "HashMap" | "LinkedHashMap" => Expr::Map(Vec::new()),
                        other => return Err(format!("unknown class [{other}].")),
                    }
                }
                _ => Expr::Name(name),
            }),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                if self.take(":") {
                    self.expect("]")?;
                    return Ok(Expr::Map(Vec::new()));
                }
                if self.take("]") {
                    return Ok(Expr::List(Vec::new()));
                }
                let first = self.expression()?;
                if self.take(":") {
                    let mut pairs = vec![(first, self.expression()?)];
                    while self.take(",") {
                        let key = self.expression()?;
                        self.expect(":")?;
                        pairs.push((key, self.expression()?));
                    }
                    self.expect("]")?;
                    return Ok(Expr::Map(pairs));
                }
                let mut items = vec![first];
                if self.take(",") {
                    items.extend(self.list("]")?);
                } else {
                    self.expect("]")?;
                }
                Ok(Expr::List(items))
            }
            Token::Sign(_) => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }
}
